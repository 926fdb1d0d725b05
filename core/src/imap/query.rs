//! [`Query`]: what to search for (RFC 3501 §6.4.4), typed, so that no caller's text can become a command.

use jiff::civil::Date;

use super::command::Command;
use super::date::search_date;
use super::flag::Flag;
use super::section::is_field_name;
use super::uid::UidSet;
use crate::error::{Error, ErrorKind, Layer, Result};

/// What to search for. Conditions that follow each other must all hold. Texts match anywhere within, without regard
/// to case; dates have no time of day and no time zone (the server's, for those that compare arrival).
///
/// ```
/// use exomail::imap::Query;
///
/// let query = Query::all().unseen().from("joe@example.com").or(
///     Query::all().subject("invoice"),
///     Query::all().larger(1_000_000),
/// );
/// assert_eq!(query.to_string(), "UNSEEN FROM \"joe@example.com\" OR SUBJECT \"invoice\" LARGER 1000000");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    /// Flat, in the order sent: a query may be built by a program, and nesting must not cost stack.
    tokens: Vec<Token>,
    /// Conditions at the outermost level.
    conditions: usize,
    /// The first argument that can't be sent; told when the query is used.
    wrong: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Word(String),
    Text(String),
    Open,
    Close,
}

impl Query {
    /// Every message, until conditions are added.
    pub fn all() -> Self {
        Self::default()
    }

    fn condition(mut self, tokens: impl IntoIterator<Item = Token>) -> Self {
        self.tokens.extend(tokens);
        self.conditions += 1;
        self
    }

    fn word(self, word: impl Into<String>) -> Self {
        self.condition([Token::Word(word.into())])
    }

    fn with_text(self, key: &str, text: impl Into<String>) -> Self {
        self.condition([Token::Word(key.to_owned()), Token::Text(text.into())])
    }

    fn with_date(mut self, key: &str, date: Date) -> Self {
        if date.year() < 1 {
            self.wrong
                .get_or_insert_with(|| format!("{date} is before the first year"));
        }
        self.word(format!("{key} {}", search_date(date)))
    }

    /// Not marked as read.
    #[must_use]
    pub fn unseen(self) -> Self {
        self.word("UNSEEN")
    }

    /// Marked as read.
    #[must_use]
    pub fn seen(self) -> Self {
        self.word("SEEN")
    }

    /// Bearing the flag.
    #[must_use]
    pub fn flag(self, flag: &Flag) -> Self {
        self.flag_word(flag, "")
    }

    /// Not bearing the flag.
    #[must_use]
    pub fn without_flag(self, flag: &Flag) -> Self {
        self.flag_word(flag, "UN")
    }

    fn flag_word(mut self, flag: &Flag, un: &str) -> Self {
        if let Err(error) = flag.check() {
            self.wrong.get_or_insert_with(|| error.detail().to_owned());
            return self;
        }
        match flag.as_str().strip_prefix('\\') {
            Some(system) => self.word(format!("{un}{}", system.to_ascii_uppercase())),
            None => self.word(format!("{un}KEYWORD {flag}")),
        }
    }

    /// From holds the text.
    #[must_use]
    pub fn from(self, text: impl Into<String>) -> Self {
        self.with_text("FROM", text)
    }

    /// To holds the text.
    #[must_use]
    pub fn to(self, text: impl Into<String>) -> Self {
        self.with_text("TO", text)
    }

    /// Cc holds the text.
    #[must_use]
    pub fn cc(self, text: impl Into<String>) -> Self {
        self.with_text("CC", text)
    }

    /// Bcc holds the text.
    #[must_use]
    pub fn bcc(self, text: impl Into<String>) -> Self {
        self.with_text("BCC", text)
    }

    /// The subject holds the text.
    #[must_use]
    pub fn subject(self, text: impl Into<String>) -> Self {
        self.with_text("SUBJECT", text)
    }

    /// The body holds the text.
    #[must_use]
    pub fn body(self, text: impl Into<String>) -> Self {
        self.with_text("BODY", text)
    }

    /// Header or body holds the text.
    #[must_use]
    pub fn text(self, text: impl Into<String>) -> Self {
        self.with_text("TEXT", text)
    }

    /// The header field holds the text; an empty text asks only that the field is there.
    #[must_use]
    pub fn header(mut self, name: &str, text: impl Into<String>) -> Self {
        if !is_field_name(name) {
            self.wrong
                .get_or_insert_with(|| format!("{name:?} is no header field's name"));
            return self;
        }
        self.with_text(&format!("HEADER {name}"), text)
    }

    /// The message with this Message-ID, with or without its angle brackets.
    #[must_use]
    pub fn message_id(self, id: &str) -> Self {
        self.header("Message-ID", id)
    }

    /// Arrived on that day or later.
    #[must_use]
    pub fn since(self, date: Date) -> Self {
        self.with_date("SINCE", date)
    }

    /// Arrived before that day.
    #[must_use]
    pub fn before(self, date: Date) -> Self {
        self.with_date("BEFORE", date)
    }

    /// Arrived on that day.
    #[must_use]
    pub fn on(self, date: Date) -> Self {
        self.with_date("ON", date)
    }

    /// The Date header is of that day or later.
    #[must_use]
    pub fn sent_since(self, date: Date) -> Self {
        self.with_date("SENTSINCE", date)
    }

    /// The Date header is of before that day.
    #[must_use]
    pub fn sent_before(self, date: Date) -> Self {
        self.with_date("SENTBEFORE", date)
    }

    /// Larger than so many bytes.
    #[must_use]
    pub fn larger(self, bytes: u32) -> Self {
        self.word(format!("LARGER {bytes}"))
    }

    /// Smaller than so many bytes.
    #[must_use]
    pub fn smaller(self, bytes: u32) -> Self {
        self.word(format!("SMALLER {bytes}"))
    }

    /// With a UID of the set. No message is in the empty set.
    #[must_use]
    pub fn uid(self, set: &UidSet) -> Self {
        if set.is_empty() {
            // The grammar has no empty set.
            return self.word("NOT ALL");
        }
        self.word(format!("UID {set}"))
    }

    /// The other query does not hold.
    #[must_use]
    pub fn not(self, query: Query) -> Self {
        let mut tokens = vec![Token::Word("NOT".to_owned())];
        let wrong = query.operand(&mut tokens);
        self.with_operands(tokens, wrong)
    }

    /// One of the two queries holds, or both.
    #[must_use]
    pub fn or(self, a: Query, b: Query) -> Self {
        let mut tokens = vec![Token::Word("OR".to_owned())];
        let wrong = a.operand(&mut tokens);
        let wrong = wrong.or(b.operand(&mut tokens));
        self.with_operands(tokens, wrong)
    }

    fn with_operands(mut self, tokens: Vec<Token>, wrong: Option<String>) -> Self {
        self.wrong = self.wrong.or(wrong);
        self.condition(tokens)
    }

    /// The query as one search key.
    fn operand(self, tokens: &mut Vec<Token>) -> Option<String> {
        match self.conditions {
            0 => tokens.push(Token::Word("ALL".to_owned())),
            1 => tokens.extend(self.tokens),
            _ => {
                tokens.push(Token::Open);
                tokens.extend(self.tokens);
                tokens.push(Token::Close);
            }
        }
        self.wrong
    }

    /// The UID SEARCH command. Texts that are not ASCII need a charset: it is named only then, as Exchange knows only
    /// US-ASCII and refuses the argument otherwise.
    pub(crate) fn command(&self) -> Result<Command> {
        if let Some(wrong) = &self.wrong {
            return Err(
                Error::new(ErrorKind::InvalidArgument, "UID SEARCH", wrong.clone()).with_layer(Layer::Local),
            );
        }
        let mut command = Command::new("UID SEARCH");
        if !self.is_ascii() {
            command = command.raw("CHARSET UTF-8");
        }
        if self.tokens.is_empty() {
            return Ok(command.raw("ALL"));
        }
        let mut opened = String::new();
        for token in &self.tokens {
            command = match token {
                Token::Word(word) => command.raw(&format!("{}{word}", std::mem::take(&mut opened))),
                Token::Text(text) => command.string(text)?,
                Token::Open => {
                    opened.push('(');
                    command
                }
                Token::Close => command.join(")"),
            };
        }
        command.check()?;
        Ok(command)
    }

    /// Whether all its texts are ASCII.
    pub(crate) fn is_ascii(&self) -> bool {
        self.tokens
            .iter()
            .all(|token| !matches!(token, Token::Text(text) if !text.is_ascii()))
    }
}

/// The search keys as a command has them, with every text in quotes.
impl std::fmt::Display for Query {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.tokens.is_empty() {
            return f.write_str("ALL");
        }
        let mut blank = "";
        for token in &self.tokens {
            match token {
                Token::Word(word) => write!(f, "{blank}{word}")?,
                Token::Text(text) => write!(f, "{blank}{text:?}")?,
                Token::Open => write!(f, "{blank}(")?,
                Token::Close => f.write_str(")")?,
            }
            blank = if *token == Token::Open { "" } else { " " };
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::command::Part;
    use super::*;

    fn line(query: &Query) -> String {
        let parts = query.command().unwrap().parts;
        let parts = parts.iter().map(|part| match part {
            Part::Text(text) => text.clone(),
            Part::Literal(bytes) => format!("{{{}}}{}", bytes.len(), String::from_utf8_lossy(bytes)),
        });
        parts.collect()
    }

    fn set(text: &str) -> UidSet {
        text.parse().unwrap()
    }

    #[test]
    fn golden_lines() {
        let day = jiff::civil::date(2026, 2, 1);
        let all = Query::all;
        for (query, expected) in [
            (all(), "UID SEARCH ALL"),
            (all().unseen(), "UID SEARCH UNSEEN"),
            (
                all().seen().from("a \"b\" \\"),
                "UID SEARCH SEEN FROM \"a \\\"b\\\" \\\\\"",
            ),
            (
                all().since(day).before(jiff::civil::date(2026, 12, 31)),
                "UID SEARCH SINCE 1-Feb-2026 BEFORE 31-Dec-2026",
            ),
            (
                all().on(day).sent_since(day).sent_before(day),
                "UID SEARCH ON 1-Feb-2026 SENTSINCE 1-Feb-2026 SENTBEFORE 1-Feb-2026",
            ),
            (
                all().larger(1).smaller(u32::MAX),
                "UID SEARCH LARGER 1 SMALLER 4294967295",
            ),
            (all().header("X-Spam", ""), "UID SEARCH HEADER X-Spam \"\""),
            (
                all().message_id("<a@b>"),
                "UID SEARCH HEADER Message-ID \"<a@b>\"",
            ),
            (
                all().flag(&Flag::Flagged).without_flag(&Flag::Deleted),
                "UID SEARCH FLAGGED UNDELETED",
            ),
            (all().flag(&Flag::MdnSent), "UID SEARCH KEYWORD $MDNSent"),
            (all().uid(&set("5:*,1")), "UID SEARCH UID 1,5:*"),
            (all().uid(&UidSet::new()), "UID SEARCH NOT ALL"),
            (
                all().not(all().from("x").unseen()).to("y"),
                "UID SEARCH NOT (FROM \"x\" UNSEEN) TO \"y\"",
            ),
            (
                all().or(all(), all().not(all().seen())),
                "UID SEARCH OR ALL NOT SEEN",
            ),
            (
                all().or(
                    all().cc("a").bcc("b"),
                    all().or(all().text("c").seen(), all().body("d")),
                ),
                "UID SEARCH OR (CC \"a\" BCC \"b\") OR (TEXT \"c\" SEEN) BODY \"d\"",
            ),
            (
                all().subject("Grüße").unseen(),
                "UID SEARCH CHARSET UTF-8 SUBJECT {7}Grüße UNSEEN",
            ),
        ] {
            assert_eq!(line(&query), expected);
        }
    }

    #[test]
    fn nothing_gets_out_of_a_query() {
        let all = Query::all;
        for query in [
            all().from("ALL\r\nA7 CREATE injected"),
            all().text("a\0"),
            all().header("X\r\nA7 LOGOUT", "x"),
            all().header("", "x"),
            all().flag(&Flag::Keyword("a b".to_owned())),
            all().not(all().flag(&Flag::Keyword("a\r\n".to_owned()))),
            all().or(all(), all().header("a:", "")),
        ] {
            assert_eq!(
                query.command().unwrap_err().kind(),
                ErrorKind::InvalidArgument,
                "{query}"
            );
        }
        let long = set(&(0..4_000)
            .map(|n| (n * 2 + 1).to_string())
            .collect::<Vec<_>>()
            .join(","));
        assert!(all().uid(&long).command().unwrap_err().hint().is_some());
    }

    #[test]
    fn a_query_nested_by_a_program_costs_no_stack() {
        let mut query = Query::all().seen();
        for _ in 0..3_000 {
            query = Query::all().not(query);
        }
        assert_eq!(
            query.command().unwrap_err().kind(),
            ErrorKind::InvalidArgument,
            "too long, and no overflow"
        );
    }
}
