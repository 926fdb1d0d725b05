//! [`Limits`]: what a mailbox may do.

use serde::Serialize;

/// What one mailbox may do at once, in a minute and in a day. The default is what Exchange Online allows; see
/// "Exchange Online limits, Sending limits" and "Concurrent connections" in Microsoft's documentation.
///
/// They hold for the whole process, whichever `App` or `Mailbox` the calls go through. `u32::MAX` is no limit; 0 is
/// taken as 1.
///
/// ```
/// use exomail::{Cloud, Limits};
///
/// let relay = Limits { messages_per_minute: 600, ..Limits::default() };
/// assert_eq!(Cloud::global().with_limits(relay).limits().recipients_per_day, 10_000);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Limits {
    /// SMTP connections at the same time: 3. Exchange answers `432 4.3.2 Concurrent connections limit exceeded` to more.
    pub smtp_connections: u32,
    /// IMAP connections at the same time, those that callers open for themselves aside: 4. Exchange on premises takes
    /// 16 a user; Exchange Online does not publish its number.
    pub imap_connections: u32,
    /// Mails in any 60 seconds: 30. A call beyond waits for its turn; Exchange would delay it as well.
    pub messages_per_minute: u32,
    /// Recipients in any 24 hours: 10,000. A call beyond fails before anything is sent.
    pub recipients_per_day: u32,
    /// Recipients of one mail: 500, which a tenant's administrator may set from 1 to 1000.
    pub recipients_per_message: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            smtp_connections: 3,
            imap_connections: 4,
            messages_per_minute: 30,
            recipients_per_day: 10_000,
            recipients_per_message: 500,
        }
    }
}
