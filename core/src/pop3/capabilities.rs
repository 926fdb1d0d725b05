//! [`Capabilities`]: what a server says it can do (RFC 2449).

use serde::Serialize;

/// The answer to CAPA. Empty where the server refused the command: nothing is then known of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Capabilities {
    lines: Vec<Vec<String>>,
}

impl Capabilities {
    /// Takes one line of the answer.
    pub(crate) fn push(&mut self, line: &str) {
        let words: Vec<String> = line.split_ascii_whitespace().map(str::to_owned).collect();
        if !words.is_empty() {
            self.lines.push(words);
        }
    }

    /// Whether nothing is known: the server refused CAPA or listed nothing.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Whether a capability is listed. Names are compared without case.
    pub fn has(&self, name: &str) -> bool {
        self.arguments(name).is_some()
    }

    /// The arguments behind a capability's name, or `None` where it is not listed.
    pub fn arguments(&self, name: &str) -> Option<&[String]> {
        self.lines.iter().find_map(|line| match line.split_first() {
            Some((first, rest)) if first.eq_ignore_ascii_case(name) => Some(rest),
            _ => None,
        })
    }

    /// The SASL mechanisms, or `None` where the server lists no SASL capability.
    pub fn sasl(&self) -> Option<&[String]> {
        self.arguments("SASL")
    }

    /// Whether several commands may be sent before the first answer (RFC 2449 §6.6).
    pub fn pipelining(&self) -> bool {
        self.has("PIPELINING")
    }

    /// Each capability with its arguments, in the server's order and spelling.
    pub fn iter(&self) -> impl Iterator<Item = String> + '_ {
        self.lines.iter().map(|line| line.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exchanges_list_is_understood() {
        let mut capabilities = Capabilities::default();
        for line in [
            "TOP",
            "UIDL",
            "SASL PLAIN XOAUTH2",
            "",
            "USER",
            "Pipelining",
            "EXPIRE 31 USER",
        ] {
            capabilities.push(line);
        }
        assert!(capabilities.has("top") && capabilities.pipelining() && !capabilities.has("STLS"));
        assert_eq!(capabilities.sasl().unwrap(), ["PLAIN", "XOAUTH2"]);
        assert_eq!(capabilities.arguments("EXPIRE").unwrap(), ["31", "USER"]);
        assert_eq!(capabilities.iter().count(), 6);
    }
}
