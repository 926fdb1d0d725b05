//! [`Command`]: a command line in pieces, with its literals (RFC 3501 §4.3). Pure: the engine sends it.

use super::mailbox_name;
use super::uid::UidSet;
use crate::error::{Error, ErrorKind, Layer, Result};

/// Longest command line, literals not counted. On premises Exchange takes 10,240 bytes; 8 KB is safe everywhere.
pub(crate) const MAX_COMMAND: usize = 8 * 1024;
/// A set gets at least this much room.
const MIN_SET: usize = 100;
/// Longest text that is sent in quotes; longer ones go as literals.
const MAX_QUOTED: usize = 1_000;

/// A command without its tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Command {
    pub(crate) name: &'static str,
    pub(crate) parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Text(String),
    Literal(Vec<u8>),
}

impl Command {
    /// A command; `name` is sent and names the operation in errors.
    pub(crate) fn new(name: &'static str) -> Self {
        Self {
            name,
            parts: vec![Part::Text(name.to_owned())],
        }
    }

    fn push(&mut self, text: &str) {
        match self.parts.last_mut() {
            Some(Part::Text(last)) => last.push_str(text),
            _ => self.parts.push(Part::Text(text.to_owned())),
        }
    }

    /// Adds a blank and text that is known to be right.
    #[must_use]
    pub(crate) fn raw(mut self, text: &str) -> Self {
        self.push(" ");
        self.push(text);
        self
    }

    /// Adds text without a blank in front.
    #[must_use]
    pub(crate) fn join(mut self, text: &str) -> Self {
        self.push(text);
        self
    }

    /// Adds a folder name.
    pub(crate) fn folder(self, name: &str) -> Result<Self> {
        Ok(self.raw(&folder_argument(name)?))
    }

    /// Adds a caller's text: in quotes where it fits there, else as a literal. CR, LF and NUL are refused, although a
    /// literal could carry the first two: nothing that this library sends this way has a use for them.
    pub(crate) fn string(mut self, text: &str) -> Result<Self> {
        check_text(text)?;
        self.push(" ");
        if text.len() <= MAX_QUOTED && text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
            self.push(&quote(text));
        } else {
            self.parts.push(Part::Literal(text.as_bytes().to_vec()));
        }
        Ok(self)
    }

    /// The command once per piece of the set, each short enough.
    pub(crate) fn for_set(name: &'static str, set: &UidSet, rest: &str) -> Vec<Self> {
        let room = MAX_COMMAND
            .saturating_sub(name.len() + rest.len() + 2)
            .max(MIN_SET);
        let chunks = set.chunks(room);
        chunks
            .iter()
            .map(|chunk| Self::new(name).raw(chunk).raw(rest))
            .collect()
    }

    /// Refuses a line that servers refuse.
    pub(crate) fn check(&self) -> Result<()> {
        let length: usize = self
            .parts
            .iter()
            .map(|part| {
                if let Part::Text(text) = part {
                    text.len()
                } else {
                    0
                }
            })
            .sum();
        if length <= MAX_COMMAND {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::InvalidArgument,
            self.name,
            format!("the command would be {length} bytes long, servers take {MAX_COMMAND}"),
        )
        .with_layer(Layer::Local)
        .with_hint("ask for less at once"))
    }
}

/// A folder's name as an argument. Encoded it is ASCII, so it always fits into quotes.
pub(crate) fn folder_argument(name: &str) -> Result<String> {
    Ok(quote(&mailbox_name::encode(name)?))
}

fn quote(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// Refuses what no argument may hold.
pub(crate) fn check_text(text: &str) -> Result<()> {
    if text.bytes().any(|byte| matches!(byte, b'\r' | b'\n' | 0)) {
        return Err(Error::new(
            ErrorKind::InvalidArgument,
            "IMAP",
            "an argument holds CR, LF or NUL",
        )
        .with_layer(Layer::Local));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_quoted_or_sent_as_literals() {
        let command = Command::new("X")
            .string("a\"b\\c")
            .unwrap()
            .string("Grüße")
            .unwrap()
            .raw("(y)");
        assert_eq!(
            command.parts,
            [
                Part::Text("X \"a\\\"b\\\\c\" ".to_owned()),
                Part::Literal("Grüße".as_bytes().to_vec()),
                Part::Text(" (y)".to_owned()),
            ]
        );
        assert_eq!(
            Command::new("SELECT").folder("Entwürfe").unwrap().parts,
            [Part::Text("SELECT \"Entw&APw-rfe\"".to_owned())]
        );
        assert!(matches!(
            &Command::new("X").string(&"x".repeat(2_000)).unwrap().parts[1],
            Part::Literal(_)
        ));
    }

    #[test]
    fn line_ends_and_nul_are_refused() {
        for text in ["a\rb", "a\nb", "a\0b", "ALL\r\nA7 CREATE injected"] {
            assert_eq!(
                Command::new("X").string(text).unwrap_err().kind(),
                ErrorKind::InvalidArgument
            );
            assert_eq!(
                Command::new("X").folder(text).unwrap_err().kind(),
                ErrorKind::InvalidArgument
            );
        }
    }

    #[test]
    fn sets_make_as_many_commands_as_needed() {
        let set: UidSet = (1..=20_000)
            .step_by(2)
            .filter_map(super::super::Uid::new)
            .collect();
        let commands = Command::for_set("UID FETCH", &set, "(FLAGS)");
        assert!(commands.len() > 1 && commands.iter().all(|command| command.check().is_ok()));
        assert!(Command::for_set("UID FETCH", &UidSet::new(), "(FLAGS)").is_empty());
        assert!(Command::new("X").raw(&"y".repeat(9_000)).check().is_err());
    }
}
