//! [`Backoff`]: whether a watch comes back after an error, and when.

use std::time::Duration;

use rand::Rng as _;

use crate::error::{Error, ErrorKind, Retry};

const FIRST: Duration = Duration::from_secs(1);
/// A program that runs unattended must come back and look.
const LONGEST: Duration = Duration::from_secs(300);
/// As if so many had failed in a row, at most, behind a session that did its work before it broke: pauses up to 8 seconds.
const EASED: u32 = 3;
/// In a row, of what may be a fault of the set-up. With the pauses between them, some four minutes.
const TRIES: u32 = 8;
/// In a row, of what is a lasting refusal unless it has worked before: a server that is being moved says such things.
const TRIES_OF_OLD: u32 = 4;

/// Counts what went wrong since the last session that was worth the name.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
    refusals: u32,
}

impl Backoff {
    /// All is well again.
    pub(super) fn reset(&mut self) {
        *self = Self::default();
    }

    /// A session did its work, if only for a moment.
    pub(super) fn ease(&mut self) {
        self.failures = self.failures.min(EASED);
        self.refusals = 0;
    }

    /// How long to pause before the next try; `None` when there is to be none. `opened` tells whether the folder was
    /// open once.
    pub(super) fn after(&mut self, error: &Error, opened: bool) -> Option<Duration> {
        if let Some(tries) = tries(error, opened) {
            if self.refusals >= tries {
                return None;
            }
            self.refusals += 1;
        }
        let failures = self.failures;
        self.failures = failures.saturating_add(1);
        Some(match error.retry() {
            Retry::After(pause) => pause.clamp(FIRST, LONGEST),
            Retry::FreshToken if failures == 0 => Duration::ZERO,
            // Jitter, so that the watchers of a hundred mailboxes do not come back in the same second.
            _ => FIRST
                .saturating_mul(2_u32.saturating_pow(failures))
                .min(LONGEST)
                .mul_f64(rand::rng().random_range(0.5..=1.0)),
        })
    }
}

/// How many tries in a row an error is worth; `None` is any number.
fn tries(error: &Error, opened: bool) -> Option<u32> {
    match error.kind() {
        // Transient by the server's table of texts, but also what a missing right looks like.
        ErrorKind::MailboxUnavailable if error.retry() != Retry::Never => Some(TRIES),
        // A broken answer, perhaps of a load balancer.
        ErrorKind::Protocol => Some(TRIES),
        ErrorKind::AuthRejected
        | ErrorKind::MailboxUnavailable
        | ErrorKind::NotFound
        | ErrorKind::Rejected
        | ErrorKind::Tls
            if opened =>
        {
            Some(TRIES_OF_OLD)
        }
        _ if error.retry() == Retry::Never => Some(0),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(kind: ErrorKind) -> Error {
        Error::new(kind, "x", "y")
    }

    #[test]
    fn pauses_grow_up_to_five_minutes_and_never_end() {
        let mut backoff = Backoff::default();
        for n in 0..100 {
            let pause = backoff
                .after(&error(ErrorKind::ConnectionLost), false)
                .unwrap()
                .as_secs_f64();
            let most = 2_f64.powi(n).min(300.0);
            assert!((most / 2.0..=most).contains(&pause), "{n}: {pause}");
        }
        backoff.reset();
        let pause = backoff.after(&error(ErrorKind::ConnectionLost), false).unwrap();
        assert!(pause <= FIRST);
    }

    #[test]
    fn sessions_that_work_for_a_moment_keep_pauses_short() {
        let mut backoff = Backoff::default();
        for _ in 0..100 {
            let pause = backoff.after(&error(ErrorKind::ConnectionLost), true).unwrap();
            assert!(pause <= Duration::from_secs(8), "{pause:?}");
            assert!(backoff.after(&error(ErrorKind::NotFound), true).is_some());
            backoff.ease();
        }
    }

    #[test]
    fn what_the_server_asks_for_is_obeyed_within_bounds() {
        for (asked, obeyed) in [(92_415, 92_415), (0, 1_000), (86_400_000, 300_000)] {
            let throttled =
                error(ErrorKind::Throttled).with_retry(Retry::After(Duration::from_millis(asked)));
            let pause = Backoff::default().after(&throttled, true);
            assert_eq!(pause, Some(Duration::from_millis(obeyed)));
        }
    }

    #[test]
    fn a_fresh_token_is_tried_at_once_but_not_in_a_loop() {
        let mut backoff = Backoff::default();
        let expired = error(ErrorKind::TokenExpired);
        assert_eq!(backoff.after(&expired, true), Some(Duration::ZERO));
        assert!(backoff.after(&expired, true).unwrap() >= FIRST);
    }

    #[test]
    fn lasting_refusals_are_handed_out() {
        let tries = |error: Error, opened| {
            let mut backoff = Backoff::default();
            (0..1_000)
                .take_while(|_| backoff.after(&error, opened).is_some())
                .count()
        };
        use ErrorKind::*;
        for kind in [AuthRejected, NotFound, Tls] {
            assert_eq!(
                (tries(error(kind), false), tries(error(kind), true)),
                (0, 4),
                "{kind}"
            );
        }
        for kind in [CredentialExpired, ProtocolDisabled, InvalidArgument, Cancelled] {
            assert_eq!(
                (tries(error(kind), false), tries(error(kind), true)),
                (0, 0),
                "{kind}"
            );
        }
        let unavailable = error(MailboxUnavailable).with_retry(Retry::Backoff);
        assert_eq!(tries(unavailable, false), 8);
        for kind in [
            Dns,
            Connect,
            ConnectionLost,
            TimedOut,
            Throttled,
            Unavailable,
            TokenExpired,
        ] {
            assert_eq!(tries(error(kind), false), 1_000, "{kind}");
        }
    }
}
