//! What every protocol does in the same way before it signs in.

use super::{InitialResponse, Mechanism};
use crate::error::{Error, ErrorKind, Result};
use crate::net::{Endpoint, Wire};
use crate::token::Token;

/// Chooses one of the `offered` mechanisms and makes its response. From here on the wire blanks the token wherever the
/// server says it back, be it in base64 or bare.
///
/// # Errors
/// [`ErrorKind::Unsupported`] when none of the mechanisms takes a token, [`ErrorKind::InvalidArgument`] when user or
/// token can't be sent.
pub(crate) fn prepare<'a>(
    wire: &mut Wire,
    operation: &'static str,
    offered: impl IntoIterator<Item = &'a str>,
    endpoint: &Endpoint,
    user: &str,
    token: &Token,
) -> Result<(Mechanism, InitialResponse)> {
    let offered: Vec<&str> = offered.into_iter().collect();
    let mechanism = Mechanism::choose(offered.iter().copied()).ok_or_else(|| {
        let detail = match offered.as_slice() {
            [] => "the server offers no mechanism to sign in with (AUTH)".to_owned(),
            _ => format!(
                "the server offers neither XOAUTH2 nor OAUTHBEARER, only {}",
                offered.join(", ")
            ),
        };
        Error::new(ErrorKind::Unsupported, operation, detail)
            .with_layer(wire.tap().layer())
            .with_hint("check host and port: this server can't be signed in to with OAuth2")
    })?;
    let response = mechanism.initial_response(user, token.secret(), &endpoint.host, endpoint.port)?;
    wire.remember(token.secret());
    Ok((mechanism, response))
}
