//! One command line (RFC 1939, RFC 2449, RFC 2595, RFC 5034).

/// What the client wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Command {
    Capa,
    Stls,
    User,
    Pass,
    Auth {
        mechanism: String,
        /// Whether a response stands on the same line.
        initial: bool,
    },
    /// AUTH alone: list the mechanisms.
    AuthList,
    Stat,
    List(Option<usize>),
    Uidl(Option<usize>),
    Retr(usize),
    Top(usize, usize),
    Dele(usize),
    Rset,
    Noop,
    Quit,
    /// Not known, or with arguments that cannot be read.
    Bad,
}

/// Reads a line without its end.
pub(super) fn parse(line: &[u8]) -> Command {
    let Ok(text) = std::str::from_utf8(line) else {
        return Command::Bad;
    };
    let mut words = text.split_ascii_whitespace();
    let verb = words.next().unwrap_or_default().to_ascii_uppercase();
    let arguments: Vec<&str> = words.collect();
    let number = |word: &str| word.parse::<usize>().ok();
    match (verb.as_str(), arguments.as_slice()) {
        ("CAPA", []) => Command::Capa,
        ("STLS", []) => Command::Stls,
        ("USER", [_, ..]) => Command::User,
        ("PASS", _) => Command::Pass,
        ("AUTH", []) => Command::AuthList,
        ("AUTH", [mechanism, rest @ ..]) => Command::Auth {
            mechanism: mechanism.to_ascii_uppercase(),
            initial: !rest.is_empty(),
        },
        ("STAT", []) => Command::Stat,
        ("LIST", []) => Command::List(None),
        ("UIDL", []) => Command::Uidl(None),
        ("LIST", [n]) => number(n).map_or(Command::Bad, |n| Command::List(Some(n))),
        ("UIDL", [n]) => number(n).map_or(Command::Bad, |n| Command::Uidl(Some(n))),
        ("RETR", [n]) => number(n).map_or(Command::Bad, Command::Retr),
        ("DELE", [n]) => number(n).map_or(Command::Bad, Command::Dele),
        ("TOP", [n, lines]) => match (number(n), number(lines)) {
            (Some(n), Some(lines)) => Command::Top(n, lines),
            _ => Command::Bad,
        },
        ("RSET", []) => Command::Rset,
        ("NOOP", []) => Command::Noop,
        ("QUIT", _) => Command::Quit,
        _ => Command::Bad,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_read() {
        assert_eq!(parse(b"capa"), Command::Capa);
        assert_eq!(
            parse(b"AUTH XOAUTH2"),
            Command::Auth {
                mechanism: "XOAUTH2".into(),
                initial: false
            }
        );
        assert_eq!(
            parse(b"auth xoauth2 dXNl"),
            Command::Auth {
                mechanism: "XOAUTH2".into(),
                initial: true
            }
        );
        assert_eq!(parse(b"AUTH"), Command::AuthList);
        assert_eq!(parse(b"LIST 3"), Command::List(Some(3)));
        assert_eq!(parse(b"TOP 1 0"), Command::Top(1, 0));
        for bad in [
            &b""[..],
            b"TOP 1",
            b"RETR",
            b"RETR x",
            b"RETR -1",
            b"STAT 1",
            b"XTND",
            &[0xff],
        ] {
            assert_eq!(parse(bad), Command::Bad, "{bad:?}");
        }
    }
}
