//! [`Heal`]: how a call of the façade comes back after its session died.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rand::Rng as _;
use tokio::time::Instant;

use super::Mailbox;
use crate::error::{Error, ErrorKind, Layer, Result, Retry};
use crate::governor::Protocol;

/// How often a call is tried in all.
const TRIES: u32 = 5;
/// The second pause; the first try again comes at once, each further pause is twice as long.
const PAUSE: Duration = Duration::from_millis(250);
/// A call does not wait longer than this for the server: then the caller is told, who may have better things to do.
const PATIENCE: Duration = Duration::from_secs(120);

/// Which protocols have worked in this mailbox. Where one never has, an address that can't be reached is a mistake of
/// the set-up, and is told at once.
#[derive(Debug, Default)]
pub(super) struct Proven {
    smtp: AtomicBool,
    imap: AtomicBool,
}

impl Proven {
    fn of(&self, protocol: Protocol) -> &AtomicBool {
        match protocol {
            Protocol::Smtp => &self.smtp,
            Protocol::Imap => &self.imap,
        }
    }
}

/// One call, from its first try to its last. Only for what may be repeated: what reads, what sets flags, and what
/// certainly has not been done.
#[derive(Debug)]
pub(super) struct Heal<'a> {
    mailbox: &'a Mailbox,
    protocol: Protocol,
    started: Instant,
    tries: u32,
    timed_out: bool,
    refreshed: bool,
}

impl<'a> Heal<'a> {
    pub(super) fn new(mailbox: &'a Mailbox, protocol: Protocol) -> Self {
        Self {
            mailbox,
            protocol,
            started: Instant::now(),
            tries: 0,
            timed_out: false,
            refreshed: false,
        }
    }

    /// Takes the result of one try. `None`: try again, all pauses are over.
    pub(super) async fn settle<T>(&mut self, result: Result<T>) -> Option<Result<T>> {
        let error = match result {
            Ok(value) => {
                self.mailbox.0.governor.worked(self.protocol);
                self.mailbox
                    .0
                    .proven
                    .of(self.protocol)
                    .store(true, Ordering::Relaxed);
                return Some(Ok(value));
            }
            Err(error) => error,
        };
        self.mailbox.0.governor.note(self.protocol, &error);
        self.tries += 1;
        if self.tries >= TRIES || !self.can_heal(&error).await {
            return Some(Err(error));
        }
        tracing::info!(
            mailbox = self.mailbox.address(),
            protocol = ?self.protocol,
            tries = self.tries,
            %error,
            "trying again"
        );
        if self.tries > 1 {
            let full = PAUSE.saturating_mul(1 << self.tries.min(8));
            let share = rand::rng().random_range(0.5..=1.0);
            tokio::time::sleep(full.mul_f64(share)).await;
        }
        None
    }

    /// Takes the result of what can't be tried again: later calls keep the pause that the server asks for.
    pub(super) fn last<T>(&self, result: Result<T>) -> Result<T> {
        match &result {
            Ok(_) => {
                self.mailbox.0.governor.worked(self.protocol);
                self.mailbox
                    .0
                    .proven
                    .of(self.protocol)
                    .store(true, Ordering::Relaxed);
            }
            Err(error) => self.mailbox.0.governor.note(self.protocol, error),
        }
        result
    }

    /// Whether another try can go better, once everything is done that it needs.
    async fn can_heal(&mut self, error: &Error) -> bool {
        match error.kind() {
            ErrorKind::ConnectionLost => true,
            // Of a session that is spent; a program without a runtime stays without.
            ErrorKind::State => matches!(error.layer(), Layer::Smtp | Layer::Imap),
            // Each takes its whole time limit.
            ErrorKind::TimedOut => !std::mem::replace(&mut self.timed_out, true),
            ErrorKind::Dns | ErrorKind::Connect | ErrorKind::Tls => {
                self.tries > 1 || self.mailbox.0.proven.of(self.protocol).load(Ordering::Relaxed)
            }
            ErrorKind::Throttled | ErrorKind::Unavailable => {
                let transient = error
                    .server()
                    .is_some_and(|reply| reply.code.is_none_or(|code| code < 500));
                transient
                    && error.retry() != Retry::Never
                    && self.mailbox.0.governor.held_for(self.protocol) <= PATIENCE
            }
            ErrorKind::TokenExpired => {
                if !self.mailbox.app().was_just_refreshed() {
                    // Where there is none to be had now, the next try says why.
                    let _ = self.mailbox.app().refresh_token().await;
                }
                true
            }
            // Permissions may have been granted after the token was made.
            ErrorKind::AuthRejected => {
                let app = self.mailbox.app();
                !std::mem::replace(&mut self.refreshed, true)
                    && !app.has_token_since(self.started)
                    && !app.was_just_refreshed()
                    && app.refresh_token().await.is_ok()
            }
            _ => false,
        }
    }
}
