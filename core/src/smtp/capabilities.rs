//! [`Capabilities`]: what a server offers, as its EHLO reply says (RFC 5321 §4.1.1.1).

use serde::Serialize;

use super::reply::Reply;

/// What a server offers. Keywords are compared without case.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Capabilities {
    /// The server's name, as it gives it.
    name: String,
    keywords: Vec<Keyword>,
    mechanisms: Vec<String>,
}

/// One line of the reply.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Keyword {
    /// In upper case.
    name: String,
    parameters: String,
}

impl Capabilities {
    pub(super) fn parse(reply: &Reply) -> Self {
        let mut lines = reply.lines.iter().map(|line| line.text().trim());
        let first = lines.next().unwrap_or_default();
        let mut capabilities = Self {
            name: first.split_whitespace().next().unwrap_or_default().to_owned(),
            ..Self::default()
        };
        for line in lines {
            // `AUTH=LOGIN` is the form of RFC 2554's drafts, which some servers still write beside the right one.
            let (name, parameters) = line.split_once([' ', '\t', '=']).unwrap_or((line, ""));
            if name.is_empty() {
                continue;
            }
            let name = name.to_ascii_uppercase();
            let parameters = parameters.trim();
            if name == "AUTH" {
                for mechanism in parameters.split_whitespace() {
                    let mechanism = mechanism.to_ascii_uppercase();
                    if !capabilities.mechanisms.contains(&mechanism) {
                        capabilities.mechanisms.push(mechanism);
                    }
                }
            }
            capabilities.keywords.push(Keyword {
                name,
                parameters: parameters.to_owned(),
            });
        }
        capabilities
    }

    /// The server's name, as it gives it; not necessarily the name it was reached by.
    pub fn server_name(&self) -> &str {
        &self.name
    }

    /// Whether a keyword is offered, such as `VRFY`.
    pub fn has(&self, keyword: &str) -> bool {
        self.parameters(keyword).is_some()
    }

    /// The text behind a keyword, empty where there is none; `None` when the keyword is not offered.
    pub fn parameters(&self, keyword: &str) -> Option<&str> {
        self.keywords
            .iter()
            .find(|offered| offered.name.eq_ignore_ascii_case(keyword))
            .map(|offered| offered.parameters.as_str())
    }

    /// The keywords in the order of the reply, in upper case, each with its parameters.
    pub fn keywords(&self) -> impl Iterator<Item = (&str, &str)> {
        self.keywords
            .iter()
            .map(|keyword| (keyword.name.as_str(), keyword.parameters.as_str()))
    }

    /// The SASL mechanisms, in upper case.
    pub fn mechanisms(&self) -> &[String] {
        &self.mechanisms
    }

    /// Whether SIZE is offered (RFC 1870), with or without a limit.
    pub fn size(&self) -> bool {
        self.has("SIZE")
    }

    /// The largest message the server takes, in bytes; `None` when it tells no limit.
    pub fn max_size(&self) -> Option<u64> {
        let size = self.parameters("SIZE")?.split_whitespace().next()?;
        // RFC 1870 §4: 0 means that no fixed maximum is in force.
        size.parse().ok().filter(|&size| size > 0)
    }

    /// RFC 2920.
    pub fn pipelining(&self) -> bool {
        self.has("PIPELINING")
    }

    /// RFC 6152.
    pub fn eight_bit_mime(&self) -> bool {
        self.has("8BITMIME")
    }

    /// RFC 6531.
    pub fn smtp_utf8(&self) -> bool {
        self.has("SMTPUTF8")
    }

    /// RFC 3030.
    pub fn chunking(&self) -> bool {
        self.has("CHUNKING")
    }

    /// RFC 3030.
    pub fn binary_mime(&self) -> bool {
        self.has("BINARYMIME")
    }

    /// RFC 3461.
    pub fn dsn(&self) -> bool {
        self.has("DSN")
    }

    /// RFC 2034.
    pub fn enhanced_status_codes(&self) -> bool {
        self.has("ENHANCEDSTATUSCODES")
    }

    /// RFC 3207.
    pub fn start_tls(&self) -> bool {
        self.has("STARTTLS")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Capabilities {
        Capabilities::parse(&Reply::from_lines(text))
    }

    #[test]
    fn exchanges_list_is_read_in_full() {
        let capabilities = parse(
            "250-AM0PR02CA0134.outlook.office365.com Hello [212.52.200.46]\n250-SIZE 157286400\n250-PIPELINING\n\
             250-DSN\n250-ENHANCEDSTATUSCODES\n250-AUTH LOGIN XOAUTH2\n250-8BITMIME\n250-BINARYMIME\n250-CHUNKING\n\
             250 SMTPUTF8",
        );
        assert_eq!(capabilities.server_name(), "AM0PR02CA0134.outlook.office365.com");
        assert_eq!(capabilities.max_size(), Some(157_286_400));
        assert!(capabilities.size() && capabilities.pipelining() && capabilities.dsn());
        assert!(capabilities.enhanced_status_codes() && capabilities.eight_bit_mime());
        assert!(capabilities.binary_mime() && capabilities.chunking() && capabilities.smtp_utf8());
        assert!(!capabilities.start_tls());
        assert_eq!(capabilities.mechanisms(), ["LOGIN", "XOAUTH2"]);
        assert_eq!(capabilities.keywords().count(), 9);
    }

    #[test]
    fn both_forms_of_auth_are_one_list() {
        let capabilities = parse("250-mx\n250-AUTH PLAIN xoauth2\n250-AUTH=PLAIN LOGIN\n250 XEXT a b");
        assert_eq!(capabilities.mechanisms(), ["PLAIN", "XOAUTH2", "LOGIN"]);
        assert_eq!(capabilities.parameters("xext"), Some("a b"));
        assert_eq!(parse("250-mx\n250 AUTH=LOGIN").mechanisms(), ["LOGIN"]);
    }

    #[test]
    fn odd_sizes_are_no_limit() {
        for size in ["SIZE", "SIZE 0", "size x", "SIZE 99999999999999999999999"] {
            let capabilities = parse(&format!("250-mx\n250 {size}"));
            assert!(capabilities.size());
            assert_eq!(capabilities.max_size(), None, "{size}");
        }
        assert!(!parse("250 mx").size());
        assert_eq!(parse("250").server_name(), "");
    }
}
