//! One command line (RFC 5321 §4.1, RFC 3030, RFC 3207, RFC 4954).

use bytes::Bytes;

use crate::mail::xoauth2::SaslResponse;

/// What the client wants, as far as the verb goes. Arguments of MAIL and RCPT are read in [`super::path`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Command {
    Ehlo(String),
    Helo(String),
    StartTls,
    Auth {
        mechanism: String,
        initial: Option<SaslResponse>,
    },
    /// Behind `MAIL FROM:`.
    Mail(String),
    /// Behind `RCPT TO:`.
    Rcpt(String),
    Data,
    Bdat {
        octets: u64,
        last: bool,
    },
    Rset,
    Noop,
    Quit,
    Help,
    Vrfy,
    /// A known verb with arguments that cannot be read.
    BadArguments,
    /// The verb, cut and cleaned for printing.
    Unknown(String),
}

/// Reads a line without its end.
pub(super) fn parse(line: &Bytes) -> Command {
    let Ok(text) = std::str::from_utf8(line) else {
        return Command::BadArguments;
    };
    let text = text.trim_end_matches([' ', '\t']);
    let (verb, arguments) = text.split_once(' ').unwrap_or((text, ""));
    let arguments = arguments.trim_start();
    match verb.to_ascii_uppercase().as_str() {
        "EHLO" => name(arguments).map_or(Command::BadArguments, Command::Ehlo),
        "HELO" => name(arguments).map_or(Command::BadArguments, Command::Helo),
        "STARTTLS" if arguments.is_empty() => Command::StartTls,
        "AUTH" => auth(arguments),
        "MAIL" => after(arguments, "FROM:").map_or(Command::BadArguments, Command::Mail),
        "RCPT" => after(arguments, "TO:").map_or(Command::BadArguments, Command::Rcpt),
        "DATA" if arguments.is_empty() => Command::Data,
        "BDAT" => bdat(arguments),
        "RSET" if arguments.is_empty() => Command::Rset,
        "NOOP" => Command::Noop,
        "QUIT" => Command::Quit,
        "HELP" => Command::Help,
        "VRFY" => Command::Vrfy,
        "STARTTLS" | "DATA" | "RSET" => Command::BadArguments,
        _ => Command::Unknown(verb.chars().filter(|c| c.is_ascii_graphic()).take(32).collect()),
    }
}

/// The client's name, for the trace header: printable, not too long.
fn name(arguments: &str) -> Option<String> {
    let fits = !arguments.is_empty()
        && arguments.len() <= 255
        && arguments
            .chars()
            .all(|c| !c.is_control() && !c.is_whitespace() && !"()<>\\\"".contains(c));
    fits.then(|| arguments.to_owned())
}

fn auth(arguments: &str) -> Command {
    let mut words = arguments.split_ascii_whitespace();
    match (words.next(), words.next(), words.next()) {
        (Some(mechanism), initial, None) => Command::Auth {
            mechanism: mechanism.to_ascii_uppercase(),
            initial: initial.map(|text| SaslResponse(Bytes::copy_from_slice(text.as_bytes()))),
        },
        _ => Command::BadArguments,
    }
}

fn after(arguments: &str, keyword: &str) -> Option<String> {
    let head = arguments.get(..keyword.len())?;
    head.eq_ignore_ascii_case(keyword).then(|| {
        arguments
            .get(keyword.len()..)
            .unwrap_or_default()
            .trim()
            .to_owned()
    })
}

fn bdat(arguments: &str) -> Command {
    let mut words = arguments.split_ascii_whitespace();
    let Some(octets) = words.next().and_then(|word| word.parse().ok()) else {
        return Command::BadArguments;
    };
    match (words.next(), words.next()) {
        (None, None) => Command::Bdat { octets, last: false },
        (Some(word), None) if word.eq_ignore_ascii_case("LAST") => Command::Bdat { octets, last: true },
        _ => Command::BadArguments,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &'static str) -> Command {
        parse(&Bytes::from_static(line.as_bytes()))
    }

    #[test]
    fn verbs_are_read_in_any_case() {
        assert_eq!(
            read("ehlo client.example"),
            Command::Ehlo("client.example".into())
        );
        assert_eq!(read("HELO [127.0.0.1]"), Command::Helo("[127.0.0.1]".into()));
        assert_eq!(read("StartTLS"), Command::StartTls);
        assert_eq!(
            read("mail from:<a@b> SIZE=1"),
            Command::Mail("<a@b> SIZE=1".into())
        );
        assert_eq!(read("RCPT TO: <a@b>"), Command::Rcpt("<a@b>".into()));
        assert_eq!(
            read("bdat 86 last"),
            Command::Bdat {
                octets: 86,
                last: true
            }
        );
        assert_eq!(
            read("BDAT 0"),
            Command::Bdat {
                octets: 0,
                last: false
            }
        );
        let auth = |initial: Option<&'static str>| Command::Auth {
            mechanism: "XOAUTH2".into(),
            initial: initial.map(|text| SaslResponse(Bytes::from_static(text.as_bytes()))),
        };
        assert_eq!(read("AUTH xoauth2"), auth(None));
        assert_eq!(read("AUTH XOAUTH2 dGVzdA=="), auth(Some("dGVzdA==")));
        assert!(!format!("{:?}", read("AUTH XOAUTH2 dGVzdA==")).contains("dGVz"));
    }

    #[test]
    fn what_cannot_be_read_is_told_apart_from_what_is_not_known() {
        for line in [
            "EHLO",
            "EHLO a b",
            "EHLO a(b",
            "MAIL TO:<a>",
            "BDAT",
            "BDAT -1",
            "BDAT 1 2",
            "AUTH",
            "DATA x",
        ] {
            assert_eq!(read(line), Command::BadArguments, "{line}");
        }
        assert_eq!(read("XCLIENT a"), Command::Unknown("XCLIENT".into()));
        assert_eq!(read(""), Command::Unknown(String::new()));
        assert_eq!(parse(&Bytes::from_static(&[0xff])), Command::BadArguments);
    }
}
