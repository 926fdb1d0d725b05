//! [`Reply`]: what a server answers (RFC 5321 §4.2), with enhanced status codes (RFC 2034, RFC 3463).

use crate::error::ServerReply;

/// RFC 5321 §4.5.3.1.5 says 512 octets; Exchange writes more.
pub(super) const MAX_LINE: usize = 4096;
/// A reply of more lines, or of more bytes, is refused, so that a server can't fill our memory: each recipient's is kept.
const MAX_LINES: usize = 1000;
const MAX_REPLY: usize = 64 * 1024;

const NO_REPLY: &str = "the server sent a line that is no SMTP reply";

/// A whole reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reply {
    /// 100 to 599.
    pub(super) code: u16,
    pub(super) lines: Vec<ReplyLine>,
}

/// One line of a reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ReplyLine {
    /// The line as the server sent it, code and all.
    raw: String,
    /// Where the text behind code and separator begins.
    text: usize,
}

impl ReplyLine {
    /// The text behind the code.
    pub(super) fn text(&self) -> &str {
        self.raw.get(self.text..).unwrap_or_default()
    }

    /// The enhanced status code at the beginning of the text.
    pub(super) fn enhanced(&self) -> Option<&str> {
        let word = self.text().split(' ').next()?;
        is_enhanced(word).then_some(word)
    }
}

/// `class.subject.detail`: class is 2, 4 or 5, the others have up to three digits (RFC 3463 §2).
fn is_enhanced(word: &str) -> bool {
    let number = |part: &str| (1..=3).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
    let mut parts = word.split('.');
    let class = parts.next().is_some_and(|class| matches!(class, "2" | "4" | "5"));
    class && parts.next().is_some_and(number) && parts.next().is_some_and(number) && parts.next().is_none()
}

impl Reply {
    /// 2xx: done.
    pub(super) fn is_positive(&self) -> bool {
        (200..300).contains(&self.code)
    }

    /// 3xx: go on.
    pub(super) fn is_intermediate(&self) -> bool {
        (300..400).contains(&self.code)
    }

    /// 4xx: not now.
    pub(super) fn is_transient(&self) -> bool {
        (400..500).contains(&self.code)
    }

    /// 421: the server closes the connection, whatever was asked (RFC 5321 §3.8).
    pub(super) fn is_closing(&self) -> bool {
        self.code == 421
    }

    /// The enhanced status code of the first line that has one.
    pub(super) fn enhanced(&self) -> Option<&str> {
        self.lines.iter().find_map(ReplyLine::enhanced)
    }

    /// Whether the words are among the text of any line, whatever their case.
    pub(super) fn mentions(&self, lower_case: &str) -> bool {
        self.lines
            .iter()
            .any(|line| line.raw.to_ascii_lowercase().contains(lower_case))
    }

    /// For errors and reports: every line as the server sent it, passed through `scrub`.
    pub(super) fn to_server(&self, scrub: impl Fn(&str) -> String) -> ServerReply {
        let lines: Vec<String> = self.lines.iter().map(|line| scrub(&line.raw)).collect();
        ServerReply {
            text: lines.join("\n"),
            code: Some(self.code),
            enhanced: self.enhanced().map(str::to_owned),
            challenge: None,
        }
    }
}

#[cfg(test)]
impl Reply {
    /// The reply whose lines are these.
    pub(super) fn from_lines(text: &str) -> Self {
        let mut parser = ReplyParser::default();
        let mut lines = text.lines();
        let reply = lines.find_map(|line| parser.push(line.as_bytes()).unwrap());
        assert!(lines.next().is_none(), "lines behind the reply");
        reply.unwrap()
    }
}

/// Puts replies together, line by line.
#[derive(Debug, Default)]
pub(super) struct ReplyParser {
    lines: Vec<ReplyLine>,
    /// Bytes in `lines`.
    size: usize,
}

impl ReplyParser {
    /// Takes a line without its line end; gives the reply when it was the last line of one.
    ///
    /// Lenient: the text and even the space before it may be missing. Where the codes of a reply differ, the last
    /// line's counts (RFC 5321 §4.2.1).
    ///
    /// # Errors
    /// What is wrong, when the line does not begin with a code, or when a reply is too long. The line itself is not in
    /// it: a server that says everything back would put a token there.
    pub(super) fn push(&mut self, line: &[u8]) -> Result<Option<Reply>, &'static str> {
        let (code, rest) = match line {
            [a @ b'1'..=b'5', b @ b'0'..=b'9', c @ b'0'..=b'9', rest @ ..] => {
                let digit = |byte: u8| u16::from(byte - b'0');
                (digit(*a) * 100 + digit(*b) * 10 + digit(*c), rest)
            }
            _ => return Err(NO_REPLY),
        };
        let more = match rest.first() {
            None | Some(b' ' | b'\t') => false,
            Some(b'-') => true,
            // A fourth digit, or a word glued to the code: whatever this is, it is not SMTP.
            Some(_) => return Err(NO_REPLY),
        };
        self.size += line.len();
        if self.lines.len() >= MAX_LINES || self.size > MAX_REPLY {
            return Err("the server sent a reply that has no end");
        }
        // ASCII up to here, so the index is right in the converted text too.
        let text = if rest.is_empty() { 3 } else { 4 };
        self.lines.push(ReplyLine {
            raw: String::from_utf8_lossy(line).into_owned(),
            text,
        });
        if more {
            return Ok(None);
        }
        let lines = std::mem::take(self).lines;
        Ok(Some(Reply { code, lines }))
    }

    /// Whether a reply has begun and not ended.
    pub(super) fn is_midway(&self) -> bool {
        !self.lines.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Reply {
        let mut parser = ReplyParser::default();
        let mut lines = text.split("\r\n").peekable();
        while let Some(line) = lines.next() {
            if let Some(reply) = parser.push(line.as_bytes()).unwrap() {
                assert!(lines.peek().is_none(), "lines behind the reply");
                assert!(!parser.is_midway());
                return reply;
            }
            assert!(parser.is_midway());
        }
        panic!("the reply has no end");
    }

    #[test]
    fn exchanges_long_refusal_is_kept_whole() {
        let text = "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Tenant. Visit \
                    https://aka.ms/smtp_auth_disabled for more information. [AM0PR06CA0126.eurprd06.prod.outlook.com \
                    2024-02-14T14:50:26.590Z 08DC2D372B4C3DED]";
        let reply = parse(text);
        assert_eq!(reply.code, 535);
        assert_eq!(reply.enhanced(), Some("5.7.139"));
        let server = reply.to_server(str::to_owned);
        assert_eq!(server.text, text);
        assert_eq!(server.code, Some(535));
        assert_eq!(server.enhanced.as_deref(), Some("5.7.139"));
    }

    #[test]
    fn many_lines_are_one_reply() {
        let reply = parse("550-5.7.1 first\r\n550-5.7.26 second\r\n550 third");
        assert_eq!(reply.code, 550);
        let texts: Vec<_> = reply.lines.iter().map(ReplyLine::text).collect();
        assert_eq!(texts, ["5.7.1 first", "5.7.26 second", "third"]);
        let enhanced: Vec<_> = reply.lines.iter().map(ReplyLine::enhanced).collect();
        assert_eq!(enhanced, [Some("5.7.1"), Some("5.7.26"), None]);
        assert_eq!(
            reply.to_server(str::to_owned).text,
            "550-5.7.1 first\n550-5.7.26 second\n550 third"
        );
        assert!(reply.mentions("second") && !reply.mentions("fourth"));
    }

    #[test]
    fn sloppy_lines_are_replies() {
        assert_eq!(parse("250").code, 250);
        assert_eq!(parse("250").lines[0].text(), "");
        assert_eq!(parse("250-\r\n250 ").lines[1].text(), "");
        assert_eq!(parse("334 ").lines[0].text(), "");
        assert_eq!(parse("250\tok").lines[0].text(), "ok");
        assert_eq!(parse("250-a\r\n251 b").code, 251);
        let mut parser = ReplyParser::default();
        let reply = parser.push(b"550 caf\xe9").unwrap().unwrap();
        assert_eq!(reply.lines[0].text(), "caf\u{fffd}");
    }

    #[test]
    fn what_is_no_reply_is_an_error() {
        for line in [
            "", "2", "25", "abc", "650 x", "099 x", "2500 x", "250ok", "+OK", " 250",
        ] {
            assert_eq!(
                ReplyParser::default().push(line.as_bytes()),
                Err(NO_REPLY),
                "{line:?}"
            );
        }
    }

    #[test]
    fn an_endless_reply_is_cut() {
        for (line, count) in [
            ("250-more".to_owned(), MAX_LINES),
            (format!("250-{}", "x".repeat(4000)), 16),
        ] {
            let mut parser = ReplyParser::default();
            let taken = (0..).take_while(|_| parser.push(line.as_bytes()).is_ok()).count();
            assert_eq!(taken, count);
        }
    }

    #[test]
    fn enhanced_codes_are_told_from_other_words() {
        for (word, is) in [
            ("2.0.0", true),
            ("5.7.139", true),
            ("4.999.999", true),
            ("3.0.0", false),
            ("5.7", false),
            ("5.7.1.1", false),
            ("5.7.1234", false),
            ("5..1", false),
            ("5.7.x", false),
            ("2.0.0,", false),
        ] {
            assert_eq!(is_enhanced(word), is, "{word}");
        }
    }
}
