//! [`Row`]: one cause of a refusal; [`refusal`] finds it and makes the error.

use std::borrow::Cow;

use super::{imap, network, pop3, smtp, wait};
use crate::error::{Error, ErrorKind, Layer, Retry, ServerReply, Step};

/// One cause. A reply fits when each list that is not empty holds something that fits; the first row that fits wins,
/// so rows with a code and a text stand above rows with a code, and those above rows with a text.
#[derive(Debug)]
pub(super) struct Row {
    /// The cause's name, in events and vectors.
    pub(super) id: &'static str,
    /// Fits only where a SASL failure challenge came before the refusal.
    pub(super) challenged: bool,
    /// Reply codes (SMTP).
    pub(super) codes: &'static [u16],
    /// Enhanced status codes (SMTP).
    pub(super) enhanced: &'static [&'static str],
    /// Parts of the text, in lower case.
    pub(super) texts: &'static [&'static str],
    /// The kind; `None` leaves the kind to the command that was refused.
    pub(super) kind: Option<ErrorKind>,
    pub(super) retry: Retry,
    pub(super) step: Option<Step>,
    /// What it means.
    pub(super) detail: &'static str,
    /// What to do.
    pub(super) hint: &'static str,
}

impl Row {
    /// What a row is unless it says otherwise.
    pub(super) const ANY: Row = Row {
        id: "",
        challenged: false,
        codes: &[],
        enhanced: &[],
        texts: &[],
        kind: None,
        retry: Retry::Never,
        step: None,
        detail: "",
        hint: "",
    };

    /// A token that a server other than Exchange refuses; those say no more than that.
    pub(super) const TOKEN_REFUSED: Row = Row {
        kind: Some(ErrorKind::AuthRejected),
        detail: "the server does not take this token for this mailbox",
        hint: "check what the token says (`exomail token`): audience, expiry and tenant must be what this server trusts, and \
               the user must be the mailbox",
        ..Row::ANY
    };

    /// Whether the reply fits; `text` is all that was said, in lower case.
    pub(super) fn fits(&self, reply: &ServerReply, text: &str) -> bool {
        (!self.challenged || reply.challenge.is_some())
            && (self.codes.is_empty() || reply.code.is_some_and(|code| self.codes.contains(&code)))
            && (self.enhanced.is_empty()
                || reply
                    .enhanced
                    .as_deref()
                    .is_some_and(|code| self.enhanced.contains(&code)))
            && (self.texts.is_empty() || self.texts.iter().any(|part| text.contains(part)))
    }
}

/// The rows of a layer; where nobody else speaks there are none.
pub(super) fn rows(layer: Layer) -> &'static [Row] {
    match layer {
        Layer::Smtp => smtp::ROWS,
        Layer::Imap => imap::ROWS,
        Layer::Pop3 => pop3::ROWS,
        Layer::Network | Layer::Tls => network::ROWS,
        Layer::Local | Layer::Token | Layer::Message => &[],
    }
}

/// The first row that fits.
pub(super) fn find(layer: Layer, reply: &ServerReply) -> Option<&'static Row> {
    let text = reply.text.to_ascii_lowercase();
    rows(layer).iter().find(|row| row.fits(reply, &text))
}

/// The error for a mail server's refusal: kind, retry class, step and hint come from the table of texts, with
/// `fallback` as the kind where no row says better.
pub(crate) fn refusal(
    layer: Layer,
    operation: impl Into<Cow<'static, str>>,
    fallback: ErrorKind,
    reply: ServerReply,
) -> Error {
    let row = find(layer, &reply);
    let kind = row.and_then(|row| row.kind).unwrap_or(fallback);
    let detail = row.map_or("the server refused", |row| row.detail);
    let mut error = Error::new(kind, operation, detail).with_layer(layer);
    if let Some(row) = row {
        tracing::debug!(target: "exomail::doctor", layer = layer.name(), cause = row.id);
        error = error.with_retry(row.retry).with_hint(row.hint);
        if let Some(step) = row.step {
            error = error.with_step(step);
        }
    } else if reply.code.is_some_and(|code| (400..500).contains(&code)) {
        // RFC 5321 §4.2.1: 4yz means that the same command may do later.
        error = error.with_retry(Retry::Backoff);
    }
    // A row that says "never" knows better than the server, which calls some lasting causes transient.
    if row.is_none_or(|row| row.retry == Retry::Backoff)
        && let Some(pause) = wait::parse(&reply.text)
    {
        error = error.with_retry(Retry::After(pause));
    }
    error.with_server(reply)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::time::Duration;

    use serde::Deserialize;

    use super::*;

    const MAIL: [Layer; 3] = [Layer::Smtp, Layer::Imap, Layer::Pop3];

    /// One entry of `tests/vectors/refusals.json`; its README says what the fields mean.
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Vector {
        layer: String,
        operation: String,
        fallback: String,
        code: Option<u16>,
        enhanced: Option<String>,
        text: String,
        challenge: Option<String>,
        row: Option<String>,
        kind: String,
        retry: String,
        retry_after_seconds: Option<f64>,
        step: Option<String>,
        hint: Option<String>,
    }

    fn vectors() -> Vec<Vector> {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/vectors/refusals.json");
        serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
    }

    fn reply(vector: &Vector) -> ServerReply {
        ServerReply {
            text: vector.text.clone(),
            code: vector.code,
            enhanced: vector.enhanced.clone(),
            challenge: vector.challenge.clone(),
        }
    }

    fn layer(name: &str) -> Layer {
        MAIL.into_iter().find(|layer| layer.name() == name).unwrap()
    }

    #[test]
    fn every_vector_comes_out_as_it_says() {
        for vector in vectors() {
            let text = &vector.text;
            let layer = layer(&vector.layer);
            assert_eq!(
                find(layer, &reply(&vector)).map(|row| row.id),
                vector.row.as_deref(),
                "{text}"
            );
            let fallback = ErrorKind::ALL
                .iter()
                .find(|kind| kind.name() == vector.fallback)
                .unwrap();
            let error = refusal(layer, vector.operation.clone(), *fallback, reply(&vector));
            assert_eq!(error.kind().name(), vector.kind, "{text}");
            assert_eq!(error.layer(), layer, "{text}");
            assert_eq!(error.operation(), vector.operation, "{text}");
            assert_eq!(&error.server().unwrap().text, text);
            let json = error.to_json();
            assert_eq!(json["retry"], vector.retry.as_str(), "{text}");
            assert_eq!(
                json["retry_after_seconds"].as_f64(),
                vector.retry_after_seconds,
                "{text}"
            );
            assert_eq!(json["step"]["id"].as_str(), vector.step.as_deref(), "{text}");
            match &vector.hint {
                Some(part) => assert!(error.hint().unwrap().contains(part.as_str()), "{text}: {error}"),
                None => assert_eq!(error.hint(), None, "{text}"),
            }
        }
    }

    #[test]
    fn every_row_has_a_vector() {
        let seen: BTreeSet<_> = vectors().into_iter().filter_map(|vector| vector.row).collect();
        let all: BTreeSet<_> = MAIL
            .into_iter()
            .flat_map(rows)
            .map(|row| row.id.to_owned())
            .collect();
        assert_eq!(seen, all);
    }

    #[test]
    fn rows_are_well_formed_and_codes_come_first() {
        for layer in MAIL {
            let rank = |row: &Row| match (row.enhanced.len() + row.codes.len(), row.texts.len()) {
                _ if row.challenged => 0,
                (1.., 1..) => 0,
                (1.., 0) => 1,
                (0, _) => 2,
            };
            assert!(
                rows(layer)
                    .windows(2)
                    .all(|pair| rank(&pair[0]) <= rank(&pair[1])),
                "{layer:?}: rows are not in the order code and text, code, text"
            );
            let mut ids = BTreeSet::new();
            for row in rows(layer) {
                assert!(row.id.starts_with(layer.name()), "{}", row.id);
                assert!(ids.insert(row.id), "{} twice", row.id);
                assert!(row.challenged || row.codes.len() + row.enhanced.len() + row.texts.len() > 0);
                assert!(!row.detail.is_empty() && !row.hint.is_empty(), "{}", row.id);
                assert!(row.texts.iter().all(|text| *text == text.to_ascii_lowercase()));
            }
        }
    }

    #[test]
    fn a_lasting_cause_is_not_made_transient_by_the_text() {
        let reply = ServerReply {
            code: Some(430),
            enhanced: Some("4.2.0".into()),
            ..ServerReply::text("STOREDRV; mailbox logon failure. Retry after 5 seconds")
        };
        let error = refusal(Layer::Smtp, "DATA", ErrorKind::Rejected, reply);
        assert_eq!(error.retry(), Retry::Never);
        let error = refusal(
            Layer::Imap,
            "FETCH",
            ErrorKind::Rejected,
            ServerReply::text("Busy here, retry after 5 seconds"),
        );
        assert_eq!(error.kind(), ErrorKind::Rejected);
        assert_eq!(error.retry(), Retry::After(Duration::from_secs(5)));
    }
}
