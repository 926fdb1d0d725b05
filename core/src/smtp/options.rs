//! [`SendOptions`]: how a mail is sent.

use serde::{Deserialize, Serialize};

/// How a mail is sent. The default suits nearly every mail.
///
/// ```
/// use exomail::smtp::{Dsn, Notify, SendOptions};
///
/// let options = SendOptions {
///     all_recipients: true,
///     dsn: Some(Dsn { notify: Some(Notify::FAILURE), ..Dsn::default() }),
/// };
/// # let _ = options;
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SendOptions {
    /// Send to all recipients or to none. Costs one flight more. Otherwise the mail goes to those that the server
    /// accepts, and the report says which it did not.
    pub all_recipients: bool,
    /// Ask for delivery status notifications. An error where the server does not offer DSN.
    pub dsn: Option<Dsn>,
}

/// Delivery status notifications: when the sender wants to hear, and what (RFC 3461).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Dsn {
    /// When to be told; `None` leaves it to the server, which tells of failures.
    pub notify: Option<Notify>,
    /// How much of the message to get back with a failure; `None` leaves it to the server.
    pub returned: Option<ReturnContent>,
    /// A text of the caller's own that comes back in each notification: at most 100 printable ASCII characters.
    pub envelope_id: Option<String>,
    /// Name each recipient's address as the original one (ORCPT), so that notifications name it even where the mail
    /// was forwarded.
    pub original_recipients: bool,
}

/// When the sender wants to be told. Nothing chosen means never (RFC 3461 §4.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Notify {
    /// When the mail was delivered.
    pub success: bool,
    /// When it could not be delivered.
    pub failure: bool,
    /// When delivery takes unusually long.
    pub delay: bool,
}

impl Notify {
    /// Never, not even of a failure.
    pub const NEVER: Self = Self {
        success: false,
        failure: false,
        delay: false,
    };
    /// Of failures only.
    pub const FAILURE: Self = Self {
        success: false,
        failure: true,
        delay: false,
    };
}

/// How much of the message comes back with a failure notification (RFC 3461 §4.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReturnContent {
    /// The whole message.
    Full,
    /// Only its headers.
    Headers,
}
