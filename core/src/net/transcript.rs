//! [`Transcript`]: what was said on the wire, with the secrets blanked before anything is kept.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::{Serialize, Serializer};
use tokio::time::Instant;

use crate::error::{Layer, printable};
use crate::secret::Secret;

/// Lines kept by default; older ones are dropped and counted.
const DEFAULT_LINES: usize = 2_000;
/// A longer line is kept cut.
const MAX_LINE: usize = 1_000;
/// A run of base64 characters at least this long that is part of a secret is blanked when a server echoes it.
const ECHO_RUN: usize = 12;

/// Who spoke.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// This library to the server.
    Client,
    /// The server to this library.
    Server,
    /// A remark of this library: connected, TLS, closed.
    Note,
}

/// One line of a transcript.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TranscriptLine {
    /// Time since the transcript was started; in JSON as `at_seconds`, with fractions.
    #[serde(rename = "at_seconds", serialize_with = "as_seconds")]
    pub at: Duration,
    /// Number of the connection within this transcript, from 1.
    pub connection: u64,
    /// The protocol.
    pub layer: Layer,
    /// Who spoke.
    pub direction: Direction,
    /// The text, without line end; bodies are replaced by their size, credentials by a mark.
    pub text: String,
}

fn as_seconds<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(duration.as_secs_f64())
}

impl fmt::Display for TranscriptLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = match self.direction {
            Direction::Client => "C:",
            Direction::Server => "S:",
            Direction::Note => "--",
        };
        let (millis, layer) = (self.at.as_millis(), self.layer.name());
        let text = printable(&self.text);
        write!(f, "{millis:>7} {layer}#{} {mark} {text}", self.connection)
    }
}

/// Called for each line as it is said, for instance to print it. Runs on a library task: it must not block.
type Listener = Box<dyn Fn(&TranscriptLine) + Send + Sync>;

/// A bounded record of conversations, safe to send to support: no token, secret or body can be in it.
///
/// Clones share the record. Any thread may read it at any moment.
#[derive(Clone)]
pub struct Transcript(Arc<Shared>);

struct Shared {
    started: Instant,
    capacity: usize,
    listener: Option<Listener>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    lines: VecDeque<TranscriptLine>,
    dropped: u64,
    connections: u64,
}

impl Transcript {
    /// A record of the last 2,000 lines.
    pub fn new() -> Self {
        Self::build(DEFAULT_LINES, None)
    }

    /// A record that also hands each line to `listener` as it is said.
    pub fn with_listener(listener: impl Fn(&TranscriptLine) + Send + Sync + 'static) -> Self {
        Self::build(DEFAULT_LINES, Some(Box::new(listener)))
    }

    fn build(capacity: usize, listener: Option<Listener>) -> Self {
        let state = Mutex::new(State::default());
        Self(Arc::new(Shared {
            started: Instant::now(),
            capacity,
            listener,
            state,
        }))
    }

    /// The lines kept, oldest first.
    pub fn lines(&self) -> Vec<TranscriptLine> {
        self.state().lines.iter().cloned().collect()
    }

    /// How many lines were dropped because the record was full.
    pub fn dropped(&self) -> u64 {
        self.state().dropped
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn tap(&self, layer: Layer) -> Tap {
        let mut state = self.state();
        state.connections += 1;
        Tap {
            transcript: Some(self.clone()),
            connection: state.connections,
            layer,
            secrets: Vec::new(),
        }
    }

    fn push(&self, connection: u64, layer: Layer, direction: Direction, mut text: String) {
        if text.len() > MAX_LINE {
            let mut end = MAX_LINE;
            while !text.is_char_boundary(end) {
                end -= 1;
            }
            text.truncate(end);
            text.push('…');
        }
        let line = TranscriptLine {
            at: self.0.started.elapsed(),
            connection,
            layer,
            direction,
            text,
        };
        if let Some(listener) = &self.0.listener {
            listener(&line);
        }
        let mut state = self.state();
        if state.lines.len() >= self.0.capacity {
            state.lines.pop_front();
            state.dropped += 1;
        }
        state.lines.push_back(line);
    }
}

impl Default for Transcript {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Transcript {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transcript")
            .field("lines", &self.state().lines.len())
            .finish_non_exhaustive()
    }
}

/// One connection's end of a transcript: knows the secrets that were said on it, so that it can blank them when the
/// server says them back.
#[derive(Debug)]
pub(crate) struct Tap {
    transcript: Option<Transcript>,
    connection: u64,
    layer: Layer,
    secrets: Vec<Secret>,
}

impl Tap {
    pub(crate) fn none(layer: Layer) -> Self {
        Self {
            transcript: None,
            connection: 0,
            layer,
            secrets: Vec::new(),
        }
    }

    pub(crate) fn layer(&self) -> Layer {
        self.layer
    }

    pub(crate) fn note(&self, text: impl FnOnce() -> String) {
        self.record(Direction::Note, text);
    }

    pub(crate) fn client(&self, text: impl FnOnce() -> String) {
        self.record(Direction::Client, text);
    }

    /// Records a line of the server, blanked. Returns nothing: callers that keep server text use [`Tap::scrub`].
    pub(crate) fn server(&self, line: &[u8]) {
        // Looked through no further than is kept: a line of IMAP may have a megabyte.
        let line = line.get(..2 * MAX_LINE).unwrap_or(line);
        self.record(Direction::Server, || self.scrub(&String::from_utf8_lossy(line)));
    }

    fn record(&self, direction: Direction, text: impl FnOnce() -> String) {
        tracing::trace!(target: "exomail::wire", layer = self.layer.name(), ?direction);
        if let Some(transcript) = &self.transcript {
            transcript.push(self.connection, self.layer, direction, text());
        }
    }

    /// Remembers a secret that is about to be said.
    pub(crate) fn remember(&mut self, secret: &Secret) {
        self.secrets.push(secret.clone());
    }

    /// Blanks every run of 12 or more base64 characters that is part of a secret said on this connection: servers
    /// echo command lines in their error texts, whole or cut.
    pub(crate) fn scrub(&self, text: &str) -> String {
        let is_base64 = |c: char| c.is_ascii_alphanumeric() || "+/=-_.".contains(c);
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(start) = rest.find(is_base64) {
            out.push_str(&rest[..start]);
            rest = &rest[start..];
            let end = rest.find(|c| !is_base64(c)).unwrap_or(rest.len());
            out.push_str(&self.scrub_run(&rest[..end]));
            rest = &rest[end..];
        }
        out.push_str(rest);
        out
    }

    fn scrub_run<'a>(&self, run: &'a str) -> std::borrow::Cow<'a, str> {
        let echoed = |window: &str| self.secrets.iter().any(|secret| secret.expose().contains(window));
        // ASCII only, so every byte index is a character boundary.
        let last = run.len().checked_sub(ECHO_RUN);
        if last.is_some_and(|last| (0..=last).any(|at| echoed(&run[at..at + ECHO_RUN]))) {
            "[redacted]".into()
        } else {
            run.into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tap() -> (Transcript, Tap) {
        let transcript = Transcript::new();
        let mut tap = transcript.tap(Layer::Smtp);
        tap.remember(&Secret::new("dXNlcj1qb2VAZXhhbXBsZS5jb20BYXV0aD1CZWFyZXIgZXlK"));
        (transcript, tap)
    }

    #[test]
    fn an_echoed_secret_is_blanked_whole_or_cut() {
        let (transcript, tap) = tap();
        tap.server(b"500 5.3.3 Unrecognized command 'dXNlcj1qb2VAZXhhbXBs' [AM0PR02CA0134.eurprd02]");
        tap.server(b"501 xxdXNlcj1qb2VAZXhhbXBs too long");
        let lines = transcript.lines();
        assert_eq!(
            lines[0].text,
            "500 5.3.3 Unrecognized command '[redacted]' [AM0PR02CA0134.eurprd02]"
        );
        assert_eq!(lines[1].text, "501 [redacted] too long");
        tap.server(b"\x1b[2J550 no");
        assert!(!transcript.lines()[2].to_string().contains(char::is_control));
    }

    #[test]
    fn the_record_is_bounded_and_counts_what_it_drops() {
        let transcript = Transcript::build(3, None);
        let tap = transcript.tap(Layer::Imap);
        for n in 0..5 {
            tap.client(|| format!("line {n} {}", "é".repeat(MAX_LINE)));
        }
        assert_eq!(transcript.lines().len(), 3);
        assert_eq!(transcript.dropped(), 2);
        assert!(
            transcript
                .lines()
                .iter()
                .all(|line| line.text.len() <= MAX_LINE + '…'.len_utf8())
        );
        assert!(transcript.lines()[0].to_string().contains("imap#1 C: line 2"));
    }

    #[test]
    fn time_is_one_number_in_json() {
        let transcript = Transcript::new();
        transcript.tap(Layer::Imap).note(|| "connected".to_owned());
        let json = serde_json::to_value(&transcript.lines()[0]).unwrap();
        assert!(json["at_seconds"].is_f64());
        assert_eq!(
            (&json["layer"], &json["direction"]),
            (&"imap".into(), &"note".into())
        );
    }

    #[test]
    fn a_listener_hears_each_line() {
        let heard = Arc::new(Mutex::new(Vec::new()));
        let ears = heard.clone();
        let transcript = Transcript::with_listener(move |line| ears.lock().unwrap().push(line.text.clone()));
        transcript.tap(Layer::Pop3).note(|| "connected".to_owned());
        assert_eq!(*heard.lock().unwrap(), ["connected"]);
    }
}
