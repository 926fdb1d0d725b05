//! [`Envelope`]: from whom, to whom.

use serde::Serialize;

use super::address;
use crate::error::{Error, ErrorKind, Layer, Result};

/// Sender and recipients as the servers see them (RFC 5321 §2.3.1); the message's own From, To and Bcc are another
/// matter.
///
/// ```
/// use exomail::smtp::Envelope;
///
/// let envelope = Envelope::new(Some("joe@example.com".into()), vec!["ann@example.org".into()])?;
/// assert_eq!(envelope.from(), Some("joe@example.com"));
/// assert!(Envelope::new(None, vec!["ann@example.org\r\nDATA".into()]).is_err());
/// # Ok::<(), exomail::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Envelope {
    from: Option<String>,
    to: Vec<String>,
}

impl Envelope {
    /// An envelope from `from` to each of `to`. `None` is the null reverse-path `<>`, for mail that must not bounce.
    ///
    /// Addresses are bare, as in `joe@example.com`: no name, no angle brackets. Those beyond ASCII are taken as they
    /// are (RFC 6531); whether the server takes them is seen when the mail is sent.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] when there is no recipient, or when an address is not valid or longer than
    /// RFC 5321 §4.5.3.1 allows.
    pub fn new(from: Option<String>, to: Vec<String>) -> Result<Self> {
        if to.is_empty() {
            return Err(invalid("the envelope has no recipient".to_owned()));
        }
        for address in from.iter().chain(&to) {
            address::check(address)
                .map_err(|reason| invalid(format!("{address:?} is no mail address: {reason}")))?;
        }
        Ok(Self { from, to })
    }

    /// The sender: where a bounce goes. `None` is the null reverse-path.
    pub fn from(&self) -> Option<&str> {
        self.from.as_deref()
    }

    /// The recipients, in the order they were given; never empty.
    pub fn to(&self) -> &[String] {
        &self.to
    }

    /// The same sender, to some of the recipients.
    pub(crate) fn with_recipients(&self, to: &[String]) -> Self {
        Self {
            from: self.from.clone(),
            to: to.to_vec(),
        }
    }

    /// Whether an address is beyond ASCII, so that the server must offer SMTPUTF8.
    pub(super) fn beyond_ascii(&self) -> Option<&str> {
        self.from
            .iter()
            .chain(&self.to)
            .find(|address| !address.is_ascii())
            .map(String::as_str)
    }
}

impl TryFrom<&lettre::address::Envelope> for Envelope {
    type Error = Error;

    fn try_from(envelope: &lettre::address::Envelope) -> Result<Self> {
        Self::new(
            envelope.from().map(ToString::to_string),
            envelope.to().iter().map(ToString::to_string).collect(),
        )
    }
}

fn invalid(detail: String) -> Error {
    Error::new(ErrorKind::InvalidArgument, "envelope", detail)
        .with_layer(Layer::Smtp)
        .with_hint("give bare addresses such as joe@example.com, without name and angle brackets")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_address_is_checked() {
        for (from, to) in [
            (Some("joe@example.com\r\n"), vec!["ann@example.com"]),
            (Some(""), vec!["ann@example.com"]),
            (
                None,
                vec!["ann@example.com", "bob@example.com\nRCPT TO:<eve@example.com>"],
            ),
            (None, vec![]),
        ] {
            let to = to.into_iter().map(str::to_owned).collect();
            let error = Envelope::new(from.map(str::to_owned), to).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidArgument);
            assert!(!error.to_string().contains(['\r', '\n']), "{error}");
        }
    }

    #[test]
    fn lettres_envelope_is_taken() {
        let theirs = lettre::address::Envelope::new(
            Some("joe@example.com".parse().unwrap()),
            vec!["ann@example.com".parse().unwrap()],
        )
        .unwrap();
        let ours = Envelope::try_from(&theirs).unwrap();
        assert_eq!(ours.from(), Some("joe@example.com"));
        assert_eq!(ours.to(), ["ann@example.com"]);
    }
}
