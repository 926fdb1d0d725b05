//! [`StatusLine`]: OK, NO, BAD, BYE, PREAUTH with their response code (RFC 3501 §7.1), read leniently.
//!
//! Exchange puts `[Error="UserDisabled" AuthResult=27 …]` on tagged lines, which is no legal response code, and means
//! a failure even on an OK line.

use bytes::Bytes;

use super::append::AppendUid;
use super::copy::CopyUid;
use super::flag::{Flag, read_flags};
use super::uid::{Uid, ordered};
use super::value::{Reader, Value};

/// UIDs of one COPYUID that are kept.
const MAX_COPIED: u64 = 100_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Condition {
    Ok,
    No,
    Bad,
    Bye,
    PreAuth,
}

impl Condition {
    pub(crate) fn read(word: &[u8]) -> Option<Self> {
        [
            (&b"OK"[..], Condition::Ok),
            (b"NO", Condition::No),
            (b"BAD", Condition::Bad),
            (b"BYE", Condition::Bye),
            (b"PREAUTH", Condition::PreAuth),
        ]
        .into_iter()
        .find_map(|(name, condition)| word.eq_ignore_ascii_case(name).then_some(condition))
    }
}

/// One status response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StatusLine {
    pub(crate) condition: Condition,
    pub(crate) code: Option<Code>,
    /// Everything behind the condition, word for word, code included.
    pub(crate) text: String,
}

/// A response code: what stands in brackets in front of the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Code {
    Capability(Vec<String>),
    PermanentFlags {
        flags: Vec<Flag>,
        keywords: bool,
    },
    ReadOnly,
    ReadWrite,
    UidNext(u32),
    UidValidity(u32),
    AppendUid(AppendUid),
    CopyUid(CopyUid),
    /// Any other code, by its first word in upper case, such as `NONEXISTENT`.
    Named(String),
    /// Exchange's diagnosis: `Key=Value` and `Key="Value"` pairs.
    Diagnosis(Vec<(String, String)>),
}

impl StatusLine {
    /// Reads what stands behind the condition.
    pub(crate) fn read(condition: Condition, rest: &[u8]) -> Self {
        let text = String::from_utf8_lossy(rest).trim().to_owned();
        let code = text
            .strip_prefix('[')
            .and_then(|inside| read_code(code_text(inside)?));
        Self {
            condition,
            code,
            text,
        }
    }

    /// Whether the code is the one named (upper case).
    pub(crate) fn is_named(&self, name: &str) -> bool {
        matches!(&self.code, Some(Code::Named(code)) if code == name)
    }

    /// The value of `Error=` in Exchange's diagnosis: a failure whatever the condition says.
    pub(crate) fn diagnosis(&self) -> Option<&str> {
        match &self.code {
            Some(Code::Diagnosis(pairs)) => pairs
                .iter()
                .find(|(key, _)| key.eq_ignore_ascii_case("Error"))
                .map(|(_, value)| value.as_str()),
            _ => None,
        }
    }
}

/// The code up to its closing bracket; a bracket in quotes does not close, unless the quotes never end.
fn code_text(inside: &str) -> Option<&str> {
    let mut quoted = false;
    let close = inside.find(|c| {
        quoted ^= c == '"';
        c == ']' && !quoted
    });
    inside.get(..close.or_else(|| inside.find(']'))?)
}

fn read_code(code: &str) -> Option<Code> {
    let (name, _) = code.split_once([' ', '=']).unwrap_or((code, ""));
    if code.as_bytes().get(name.len()) == Some(&b'=') {
        return Some(Code::Diagnosis(read_pairs(code)));
    }
    let mut reader = Reader::new(Bytes::copy_from_slice(
        code.as_bytes().get(name.len()..).unwrap_or_default(),
    ));
    let name = name.to_ascii_uppercase();
    let values = reader.values();
    let number = || u32::try_from(values.first()?.number()?).ok();
    let text = |at: usize| values.get(at).and_then(Value::text);
    let validity = || u32::try_from(values.first()?.number()?).ok();
    Some(match name.as_str() {
        "CAPABILITY" => Code::Capability(values.iter().filter_map(Value::text).collect()),
        "PERMANENTFLAGS" => {
            let list = values.first()?;
            let keywords = list
                .list()?
                .iter()
                .any(|flag| flag.text().as_deref() == Some("\\*"));
            Code::PermanentFlags {
                flags: read_flags(list),
                keywords,
            }
        }
        "READ-ONLY" => Code::ReadOnly,
        "READ-WRITE" => Code::ReadWrite,
        "UIDNEXT" => Code::UidNext(number()?),
        "UIDVALIDITY" => Code::UidValidity(number()?),
        "APPENDUID" => Code::AppendUid(AppendUid {
            uid_validity: validity()?,
            uid: text(1)?.parse().ok()?,
        }),
        "COPYUID" => {
            let source = ordered(&text(1)?, MAX_COPIED)?;
            let target: Vec<Uid> = ordered(&text(2)?, MAX_COPIED)?;
            if source.len() != target.len() {
                return None;
            }
            Code::CopyUid(CopyUid {
                uid_validity: validity()?,
                uids: source.into_iter().zip(target).collect(),
            })
        }
        _ => Code::Named(name),
    })
}

/// `Key=Value` and `Key="Value with blanks"` pairs; words without `=` are passed over.
fn read_pairs(code: &str) -> Vec<(String, String)> {
    let mut pairs = Vec::new();
    let mut rest = code.trim_start();
    while !rest.is_empty() {
        let (word, after) = match rest.find(['=', ' ']) {
            Some(at) if rest.as_bytes().get(at) == Some(&b'=') => (&rest[..at], &rest[at + 1..]),
            Some(at) => {
                rest = rest[at..].trim_start();
                continue;
            }
            None => break,
        };
        let (value, next) = match after.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
            None => after.split_once(' ').unwrap_or((after, "")),
        };
        pairs.push((word.to_owned(), value.to_owned()));
        rest = next.trim_start();
    }
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(text: &str) -> Option<Code> {
        StatusLine::read(Condition::Ok, text.as_bytes()).code
    }

    #[test]
    fn exchanges_diagnosis_is_read_and_kept_word_for_word() {
        let text = "[Error=\"UserDisabled\" AuthResult=27 Proxy=LO2P123MB7360.GBRP123.PROD.OUTLOOK.COM:1993:SSL Service=Imap4] AUTHENTICATE completed.";
        let status = StatusLine::read(Condition::Ok, text.as_bytes());
        assert_eq!(status.diagnosis(), Some("UserDisabled"));
        assert_eq!(status.text, text);
        let Some(Code::Diagnosis(pairs)) = status.code else {
            panic!("{status:?}")
        };
        assert_eq!(pairs[1], ("AuthResult".to_owned(), "27".to_owned()));
        assert_eq!(pairs.len(), 4);
        let text = "[Error=\"AuthFailed:LogonDenied-None-OAuthLog:AuthExc_Auth Failed [x]\" User:joe@x y Service=Imap4] AUTHENTICATE failed.";
        let status = StatusLine::read(Condition::No, text.as_bytes());
        assert_eq!(
            status.diagnosis(),
            Some("AuthFailed:LogonDenied-None-OAuthLog:AuthExc_Auth Failed [x]")
        );
    }

    #[test]
    fn codes_are_read() {
        assert_eq!(code("[UIDNEXT 22588] The next"), Some(Code::UidNext(22588)));
        assert_eq!(
            code("[permanentflags ()] x"),
            Some(Code::PermanentFlags {
                flags: vec![],
                keywords: false
            })
        );
        assert_eq!(
            code("[PERMANENTFLAGS (\\Seen \\*)] x"),
            Some(Code::PermanentFlags {
                flags: vec![Flag::Seen],
                keywords: true
            })
        );
        assert_eq!(
            code("[NONEXISTENT] x"),
            Some(Code::Named("NONEXISTENT".to_owned()))
        );
        let uid = |n| Uid::new(n).unwrap();
        assert_eq!(
            code("[APPENDUID 38505 3955] APPEND completed"),
            Some(Code::AppendUid(AppendUid {
                uid_validity: 38505,
                uid: uid(3955)
            }))
        );
        assert_eq!(
            code("[COPYUID 38505 304,319:320 3956:3958] Done"),
            Some(Code::CopyUid(CopyUid {
                uid_validity: 38505,
                uids: vec![
                    (uid(304), uid(3956)),
                    (uid(319), uid(3957)),
                    (uid(320), uid(3958))
                ]
            }))
        );
    }

    #[test]
    fn broken_codes_are_no_code_and_the_text_stays() {
        for text in [
            "[COPYUID 1 1:3 4]",
            "[UIDNEXT x] y",
            "[APPENDUID 1]",
            "[open",
            "[COPYUID 1 1:4294967295 1]",
            "",
            "[]",
        ] {
            let status = StatusLine::read(Condition::Ok, text.as_bytes());
            assert!(matches!(status.code, None | Some(Code::Named(_))), "{text}");
            assert_eq!(status.text, text);
        }
    }
}
