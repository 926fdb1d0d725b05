//! [`Context`]: what a running command has at hand: output, configuration, deadline, the switch that stops it.

use std::path::PathBuf;

use exomail::{App, CancelToken, Deadline, Error, ErrorKind, Settings, Transcript};

use crate::args::{ConnectionArgs, GlobalArgs};
use crate::config;
use crate::output::Output;

#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) output: Output,
    pub(crate) deadline: Deadline,
    /// Thrown by SIGINT and SIGTERM once [`Context::heed_signals`] was called.
    pub(crate) stop: CancelToken,
    config: Option<PathBuf>,
}

/// A signed-in program, so to say: the app and whose mailbox it shall open.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) app: App,
    pub(crate) mailbox: Option<String>,
}

impl Context {
    pub(crate) fn new(args: &GlobalArgs, output: Output) -> Self {
        let stop = CancelToken::new();
        let deadline = args.timeout.map_or_else(Deadline::none, Deadline::after);
        Self {
            output,
            deadline: deadline.with_cancel(&stop),
            stop,
            config: args.config.clone(),
        }
    }

    /// Merges the configuration, asks for what a person can give, and makes the app. No network yet.
    pub(crate) fn connection(&self, flags: &ConnectionArgs) -> exomail::Result<Connection> {
        self.connection_with(flags.settings(), self.output.transcript())
    }

    /// As [`Context::connection`], from `flags` as settings, and recorded in `transcript`.
    pub(crate) fn connection_with(
        &self,
        flags: Settings,
        transcript: Option<Transcript>,
    ) -> exomail::Result<Connection> {
        let mut settings = config::load(self.config.as_deref(), flags, &self.output)?;
        config::ask_for_secrets(&mut settings)?;
        let mut builder = settings.app()?;
        if let Some(transcript) = transcript {
            builder = builder.transcript(transcript);
        }
        let app = builder.build()?;
        // Only now: a hidden prompt is left by the terminal's own Ctrl-C, which also switches the echo back on.
        self.heed_signals();
        Ok(Connection {
            app,
            mailbox: settings.mailbox,
        })
    }

    /// The mailbox that is configured, for a command that connects to nothing.
    pub(crate) fn mailbox(&self, flags: &ConnectionArgs) -> exomail::Result<Option<String>> {
        Ok(config::load(self.config.as_deref(), flags.settings(), &self.output)?.mailbox)
    }

    /// From now on SIGINT and SIGTERM stop the command in order instead of killing it.
    pub(crate) fn heed_signals(&self) {
        let stop = self.stop.clone();
        // Made here, not in the task: the signals are heeded from this line on, not from whenever the task first runs.
        let interrupted = interrupted();
        tokio::spawn(async move {
            interrupted.await;
            stop.cancel();
        });
    }
}

impl Connection {
    /// The mailbox that is configured.
    pub(crate) fn mailbox(&self) -> exomail::Result<&str> {
        named(self.mailbox.as_deref())
    }

    /// A login for the configured mailbox.
    pub(crate) fn login(&self) -> exomail::Result<exomail::sasl::Login> {
        self.app.login(self.mailbox()?)
    }
}

/// A mailbox that must be configured.
pub(crate) fn named(mailbox: Option<&str>) -> exomail::Result<&str> {
    mailbox.ok_or_else(|| {
        Error::new(ErrorKind::InvalidConfig, "configuration", "no mailbox is named")
            .with_hint("give --mailbox ADDRESS, or set EXOMAIL_MAILBOX")
    })
}

#[cfg(unix)]
fn interrupted() -> impl Future<Output = ()> {
    use tokio::signal::unix::{SignalKind, signal};
    let signals = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()));
    async {
        // Without a handler the signal's default, ending the process, remains.
        let (Ok(mut interrupt), Ok(mut terminate)) = signals else {
            return std::future::pending().await;
        };
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    }
}

#[cfg(not(unix))]
async fn interrupted() {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending().await
    }
}
