//! [`RetryPolicy`] and the judgement of an error: try again, when, or never. Nothing here talks or waits.

use std::time::Duration;

use crate::error::{Error, ErrorKind, Retry};

/// When a message that could not be sent is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// The first pause, one minute by default. Each is twice as long as the one before, give or take a quarter.
    pub first: Duration,
    /// The longest pause, one hour by default.
    pub longest: Duration,
    /// A message that was queued this long ago is given up when it fails again; two days by default.
    pub max_age: Duration,
    /// How often a refusal is tried that means a fault in the set-up, 5 by default: a permission that was just granted
    /// takes a while to be seen, and then it lasts.
    pub setup_tries: u32,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            first: Duration::from_secs(60),
            longest: Duration::from_secs(3600),
            max_age: Duration::from_secs(2 * 24 * 3600),
            setup_tries: 5,
        }
    }
}

/// What follows from an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Judgement {
    /// Once this much time has passed.
    Later(Duration),
    Never,
    /// It could be tried again, but is too old.
    TooOld,
}

impl RetryPolicy {
    /// The pause behind the `tries`-th failure in a row; `chance` is from 0 to 1.
    pub(super) fn pause(&self, tries: u32, chance: f64) -> Duration {
        let doublings = tries.saturating_sub(1).min(31);
        let pause = self.first.saturating_mul(1 << doublings).min(self.longest);
        pause
            .mul_f64(0.75 + chance.clamp(0.0, 1.0) / 2.0)
            .min(self.longest)
    }

    /// What follows from an error that is the `tries`-th failure in a row, of a message of this age.
    pub(super) fn judge(&self, error: &Error, tries: u32, age: Duration, chance: f64) -> Judgement {
        let pause = match error.retry() {
            // A little later than asked for, so that not all come back in the same moment.
            Retry::After(pause) => pause.saturating_add(pause.mul_f64(chance.clamp(0.0, 1.0) / 10.0)),
            // The next sign-in asks for a token anyway.
            Retry::FreshToken if tries <= 1 => Duration::ZERO,
            Retry::FreshToken | Retry::Backoff => self.pause(tries, chance),
            Retry::Never if is_setup(error) && tries < self.setup_tries => self.pause(tries, chance),
            Retry::Never => match error.kind() {
                // Our own disk, or the caller's wish: nothing is known against the message.
                ErrorKind::LocalIo | ErrorKind::Cancelled => self.pause(tries, chance),
                _ => return Judgement::Never,
            },
        };
        match age.saturating_add(pause) > self.max_age {
            true => Judgement::TooOld,
            false => Judgement::Later(pause),
        }
    }
}

/// Whether the error says that tenant, app or mailbox are not set up, or not yet seen to be.
fn is_setup(error: &Error) -> bool {
    use ErrorKind::{AuthRejected, MailboxUnavailable, ProtocolDisabled, SendAsDenied};
    error.code() / 100 == 2
        || matches!(
            error.kind(),
            AuthRejected | MailboxUnavailable | ProtocolDisabled | SendAsDenied
        )
}

/// Whether the error would meet every other message of the mailbox too, so that trying them is vain.
pub(super) fn is_of_mailbox(error: &Error) -> bool {
    use ErrorKind::{ConnectionLost, QuotaExceeded, SendAsDenied, Throttled};
    match error.kind() {
        // These may be about one message.
        ConnectionLost | SendAsDenied => false,
        Throttled => true,
        QuotaExceeded => error.retry() != Retry::Never,
        kind => (200..500).contains(&kind.code()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 3600);

    fn error(kind: ErrorKind) -> Error {
        Error::new(kind, "DATA", "refused")
    }

    fn judge(error: &Error, tries: u32, age: Duration) -> Judgement {
        RetryPolicy::default().judge(error, tries, age, 0.5)
    }

    fn later(seconds: u64) -> Judgement {
        Judgement::Later(Duration::from_secs(seconds))
    }

    #[test]
    fn pauses_grow_to_an_hour_and_no_further() {
        let policy = RetryPolicy::default();
        let pauses: Vec<u64> = (1..9).map(|tries| policy.pause(tries, 0.5).as_secs()).collect();
        assert_eq!(pauses, [60, 120, 240, 480, 960, 1920, 3600, 3600]);
        assert_eq!(policy.pause(1, 0.0), Duration::from_secs(45));
        assert_eq!(policy.pause(1, 1.0), Duration::from_secs(75));
        assert_eq!(policy.pause(u32::MAX, 1.0), policy.longest);
        assert_eq!(policy.pause(0, 0.5), policy.first);
    }

    #[test]
    fn the_class_decides() {
        let unavailable = error(ErrorKind::Unavailable);
        assert_eq!(judge(&unavailable, 2, Duration::ZERO), later(120));
        let after = unavailable
            .clone()
            .with_retry(Retry::After(Duration::from_secs(200)));
        assert_eq!(judge(&after, 9, Duration::ZERO), later(210));
        assert_eq!(
            judge(&error(ErrorKind::TokenExpired), 1, Duration::ZERO),
            later(0)
        );
        assert_eq!(
            judge(&error(ErrorKind::TokenExpired), 2, Duration::ZERO),
            later(120)
        );
        for kind in [
            ErrorKind::Rejected,
            ErrorKind::TooLarge,
            ErrorKind::InvalidMessage,
        ] {
            assert_eq!(judge(&error(kind), 1, Duration::ZERO), Judgement::Never);
        }
    }

    #[test]
    fn a_fault_of_the_set_up_is_tried_a_few_times() {
        for kind in [
            ErrorKind::MailboxUnavailable,
            ErrorKind::CredentialExpired,
            ErrorKind::SendAsDenied,
        ] {
            let error = error(kind);
            assert_eq!(judge(&error, 4, Duration::ZERO), later(480), "{kind}");
            assert_eq!(judge(&error, 5, Duration::ZERO), Judgement::Never, "{kind}");
        }
    }

    #[test]
    fn what_is_too_old_is_given_up() {
        let error = error(ErrorKind::Unavailable);
        assert_eq!(judge(&error, 20, DAY), later(3600));
        assert_eq!(judge(&error, 20, DAY * 2), Judgement::TooOld);
    }

    #[test]
    fn what_meets_every_message_is_known() {
        for (kind, expected) in [
            (ErrorKind::CredentialExpired, true),
            (ErrorKind::Connect, true),
            (ErrorKind::MailboxUnavailable, true),
            (ErrorKind::Throttled, true),
            (ErrorKind::ConnectionLost, false),
            (ErrorKind::SendAsDenied, false),
            (ErrorKind::Unavailable, false),
            (ErrorKind::Rejected, false),
            (ErrorKind::InvalidMessage, false),
        ] {
            assert_eq!(is_of_mailbox(&error(kind)), expected, "{kind}");
        }
    }
}
