//! The governor: what keeps a mailbox within its limits, however many callers use it.

mod day;
mod hold;
mod limits;
mod pace;
mod registry;
mod seats;

use std::sync::Arc;
use std::time::Duration;

use day::{Counted, Day};
use hold::Hold;
pub use limits::Limits;
use pace::Pace;
pub(crate) use registry::Key;
pub(crate) use seats::{Evict, Seat, Seats, Turn};

use crate::error::{Error, ErrorKind, Layer, Result, Retry, ServerReply};
use crate::smtp::{Envelope, SendReport};

/// For so long one SMTP connection less is used after the server counted too many: others send as the mailbox too.
const LOWERED: Duration = Duration::from_secs(300);

/// The protocols that are governed, each with connections and pauses of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Smtp,
    Imap,
}

/// One mailbox's limits, and how much of them is in use. One a mailbox in the process.
#[derive(Debug)]
pub(crate) struct Governor {
    limits: Limits,
    smtp: Arc<Seats>,
    imap: Arc<Seats>,
    pace: Pace,
    day: Day,
    smtp_hold: Hold,
    imap_hold: Hold,
}

impl Governor {
    fn new(limits: Limits) -> Self {
        Self {
            smtp: Seats::new(limits.smtp_connections),
            imap: Seats::new(limits.imap_connections),
            pace: Pace::new(limits.messages_per_minute),
            day: Day::new(limits.recipients_per_day),
            smtp_hold: Hold::default(),
            imap_hold: Hold::default(),
            limits,
        }
    }

    /// The governor of a mailbox, shared by the whole process. The limits are those of the first who asked, as long as
    /// anybody uses it or it has something to remember.
    pub(crate) fn of(key: Key, limits: &Limits) -> Arc<Self> {
        registry::shared().governor(key, limits)
    }

    /// The connections of a protocol.
    pub(crate) fn seats(&self, protocol: Protocol) -> &Arc<Seats> {
        match protocol {
            Protocol::Smtp => &self.smtp,
            Protocol::Imap => &self.imap,
        }
    }

    /// The most recipients that one mail may have.
    pub(crate) fn recipients_per_message(&self) -> usize {
        self.limits.recipients_per_message.max(1) as usize
    }

    /// Waits out the pause that the server asked for.
    pub(crate) async fn pass_hold(&self, protocol: Protocol) {
        self.hold(protocol).pass().await;
    }

    /// What is left of that pause.
    pub(crate) fn held_for(&self, protocol: Protocol) -> Duration {
        self.hold(protocol).remaining()
    }

    /// Waits until one more mail may be sent in this minute.
    pub(crate) async fn pass_pace(&self) {
        self.pace.pass().await;
    }

    /// Looks at the recipients of a mail and counts them.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidMessage`] when one mail may not have so many; [`ErrorKind::QuotaExceeded`] when the day has
    /// not so many left.
    pub(crate) fn count(self: &Arc<Self>, envelope: &Envelope) -> Result<Recipients> {
        let (count, most) = (envelope.to().len(), self.recipients_per_message());
        if count > most {
            let detail = format!("the mail has {count} recipients, and one may have {most}");
            return Err(Error::new(ErrorKind::InvalidMessage, "send", detail)
                .with_layer(Layer::Smtp)
                .with_hint(
                    "send it as several mails (`Mailbox::send_split`), or address a group; where the mailbox may have \
                     more (Set-Mailbox -RecipientLimits), set `Limits`",
                ));
        }
        Ok(Recipients {
            counted: self.day.count(count)?,
            governor: self.clone(),
        })
    }

    /// Something went well.
    pub(crate) fn worked(&self, protocol: Protocol) {
        self.hold(protocol).worked();
    }

    /// Takes a refusal to heart: where the server wants a pause, all calls of this protocol keep it.
    pub(crate) fn note(&self, protocol: Protocol, error: &Error) {
        if !matches!(error.layer(), Layer::Smtp | Layer::Imap) {
            // The token's own pauses are kept where tokens are fetched, for all mailboxes.
            return;
        }
        // A lasting refusal does not pass by waiting, whatever it calls itself (`550 5.2.251 … throttled …`).
        let Some(reply) = error
            .server()
            .filter(|reply| reply.code.is_none_or(|code| code < 500))
        else {
            return;
        };
        let asks = matches!(error.kind(), ErrorKind::Throttled | ErrorKind::Unavailable);
        match error.retry() {
            Retry::After(pause) => self.hold(protocol).shut(Some(pause)),
            Retry::Backoff if asks => self.hold(protocol).shut(None),
            _ => return,
        }
        tracing::info!(?protocol, %error, pause = ?self.held_for(protocol), "the server asks for a pause");
        if error.kind() == ErrorKind::Throttled && counts_connections(reply) {
            self.seats(protocol).lower(LOWERED);
        }
    }

    fn hold(&self, protocol: Protocol) -> &Hold {
        match protocol {
            Protocol::Smtp => &self.smtp_hold,
            Protocol::Imap => &self.imap_hold,
        }
    }

    /// Whether forgetting it would let somebody pass who would have had to wait.
    fn remembers(&self) -> bool {
        self.day.used() > 0
            || !self.pace.is_idle()
            || [Protocol::Smtp, Protocol::Imap]
                .iter()
                .any(|&protocol| self.held_for(protocol) > Duration::ZERO)
    }
}

/// `432 4.3.2 Concurrent connections limit exceeded`, `STOREDRV.ClientSubmit; sender thread limit exceeded`, and what
/// IMAP servers say (RFC 5530 LIMIT).
fn counts_connections(reply: &ServerReply) -> bool {
    let text = reply.text.to_ascii_lowercase();
    [
        "concurrent connections",
        "thread limit",
        "number of connections",
        "[limit]",
    ]
    .iter()
    .any(|part| text.contains(part))
}

/// The recipients of a mail that is being sent. They count as reached, unless [`settle`](Self::settle) says how many
/// were not.
#[derive(Debug)]
pub(crate) struct Recipients {
    governor: Arc<Governor>,
    counted: Counted,
}

impl Recipients {
    /// Takes the outcome in.
    pub(crate) fn settle(self, outcome: &Result<SendReport>) {
        let reached = match outcome {
            Ok(report) => report.accepted().count(),
            Err(error) if error.kind() == ErrorKind::OutcomeUnknown => return,
            Err(_) => 0,
        };
        self.governor.day.settle(self.counted, reached);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(layer: Layer, code: Option<u16>, text: &str) -> Error {
        let reply = ServerReply {
            code,
            enhanced: code.and_then(|_| text.split(' ').nth(1).map(str::to_owned)),
            ..ServerReply::text(text)
        };
        crate::doctor::refusal(layer, "test", ErrorKind::Rejected, reply)
    }

    #[tokio::test(start_paused = true)]
    async fn what_asks_for_a_pause_gets_one_and_nothing_else_does() {
        for (layer, code, text, most) in [
            (
                Layer::Imap,
                None,
                "Request is throttled. Suggested Backoff Time: 92415 milliseconds",
                102,
            ),
            (Layer::Imap, None, "Server Unavailable. 15", 1),
            (
                Layer::Smtp,
                Some(432),
                "432 4.3.2 Concurrent connections limit exceeded.",
                1,
            ),
            (Layer::Smtp, Some(421), "421 4.3.2 Service not available", 1),
            (
                Layer::Smtp,
                Some(550),
                "550 5.2.252 Sender throttled due to continuous send as denied errors.",
                0,
            ),
            (Layer::Smtp, Some(550), "550 5.1.1 User unknown", 0),
        ] {
            let governor = Governor::new(Limits::default());
            let protocol = if layer == Layer::Imap {
                Protocol::Imap
            } else {
                Protocol::Smtp
            };
            governor.note(protocol, &refusal(layer, code, text));
            let held = governor.held_for(protocol);
            assert_eq!(held > Duration::ZERO, most > 0, "{text}: {held:?}");
            assert!(held <= Duration::from_secs(most), "{text}: {held:?}");
            assert_eq!(governor.remembers(), most > 0);
            let lowered = code == Some(432);
            let seats = (0..3).filter_map(|_| governor.seats(protocol).try_seat().map(std::mem::forget));
            assert_eq!(seats.count(), if lowered { 2 } else { 3 }, "{text}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn recipients_are_counted_and_given_back() {
        let governor = Arc::new(Governor::new(Limits {
            recipients_per_message: 5,
            recipients_per_day: 8,
            ..Limits::default()
        }));
        let to = |count: usize| {
            let to = (0..count).map(|n| format!("r{n}@example.com")).collect();
            Envelope::new(None, to).unwrap()
        };
        assert_eq!(
            governor.count(&to(6)).unwrap_err().kind(),
            ErrorKind::InvalidMessage
        );
        let failed = Err(Error::new(ErrorKind::ConnectionLost, "send", "cut"));
        governor.count(&to(5)).unwrap().settle(&failed);
        let unknown = Err(Error::new(ErrorKind::OutcomeUnknown, "send", "cut"));
        governor.count(&to(5)).unwrap().settle(&unknown);
        assert_eq!(
            governor.count(&to(4)).unwrap_err().kind(),
            ErrorKind::QuotaExceeded
        );
        // A caller who left in between may have sent it.
        drop(governor.count(&to(3)).unwrap());
        assert!(governor.count(&to(1)).is_err());
    }
}
