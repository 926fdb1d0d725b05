//! [`Capabilities`]: what the server says it can do (RFC 3501 §7.2.1).

use std::collections::BTreeSet;

use serde::Serialize;

/// The server's capabilities, in upper case. After login they are those for a signed-in client.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Capabilities(BTreeSet<String>);

impl Capabilities {
    /// More than this many are not kept.
    const MAX: usize = 500;

    pub(crate) fn read(names: impl IntoIterator<Item = String>) -> Self {
        Self(
            names
                .into_iter()
                .take(Self::MAX)
                .map(|name| name.to_ascii_uppercase())
                .collect(),
        )
    }

    /// Whether `name` is among them, without regard to case.
    pub fn has(&self, name: &str) -> bool {
        self.0.contains(&name.to_ascii_uppercase())
    }

    /// All of them, in alphabetical order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// The SASL mechanisms: what stands behind `AUTH=`.
    pub fn mechanisms(&self) -> impl Iterator<Item = &str> {
        self.iter().filter_map(|name| name.strip_prefix("AUTH="))
    }

    /// Whether a literal of `size` octets may be sent without asking (RFC 7888).
    pub(crate) fn non_synchronising(&self, size: u64) -> bool {
        self.has("LITERAL+") || (self.has("LITERAL-") && size <= 4096)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exchanges_list_is_understood() {
        let names = "IMAP4 IMAP4rev1 AUTH=PLAIN AUTH=XOAUTH2 SASL-IR UIDPLUS ID UNSELECT CHILDREN IDLE NAMESPACE LITERAL+";
        let capabilities = Capabilities::read(names.split(' ').map(str::to_owned));
        assert!(capabilities.has("imap4REV1") && !capabilities.has("MOVE"));
        assert_eq!(
            capabilities.mechanisms().collect::<Vec<_>>(),
            ["PLAIN", "XOAUTH2"]
        );
        assert!(capabilities.non_synchronising(1 << 30));
        let minus = Capabilities::read(["LITERAL-".to_owned()]);
        assert!(minus.non_synchronising(4096) && !minus.non_synchronising(4097));
    }
}
