//! One table for all: errors' hints, the doctor, `explain`.

use crate::error::{Error, ErrorKind, Layer, ServerReply};

/// The error for a mail server's refusal: kind, retry class, step and hint come from the table of texts, with
/// `fallback` as the kind where no row matches.
pub(crate) fn refusal(
    layer: Layer,
    operation: impl Into<std::borrow::Cow<'static, str>>,
    fallback: ErrorKind,
    reply: ServerReply,
) -> Error {
    Error::new(fallback, operation, "the server refused")
        .with_layer(layer)
        .with_server(reply)
}
