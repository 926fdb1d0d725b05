//! [`Pop3Engine`]: the wire and what is known of the session. Owned by the actor's task.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use tokio::sync::mpsc;

use super::Capabilities;
use super::reply::{Status, refusal_kind};
use super::retrieved::RetrievedEvent;
use super::unstuff::{Piece, Unstuff};
use crate::doctor;
use crate::error::{Error, ErrorKind, Layer, Result, ServerReply};
use crate::net::{Engine, Wire};

/// RFC 2449 §4 allows 512; challenges and Exchange's texts are longer.
const MAX_LINE: usize = 16 * 1024;
/// Lines of a listing. Exchange keeps at most a million items in a folder.
pub(super) const MAX_LISTING: usize = 1_000_000;
/// Bytes of a listing: over a hundred for each of a million lines, where a unique id has at most 70 (RFC 1939 §7).
const MAX_LISTING_BYTES: usize = 128 << 20;
/// Lines of CAPA.
pub(super) const MAX_CAPABILITIES: usize = 256;
/// Exchange's ceiling is 150 MB; a server that goes on far behind it is not sending mail.
const MAX_MESSAGE: u64 = 4 << 30;
/// RETR commands that are out at once: their 4 KB always fit into the server's receive buffer, so that both sides
/// can't wait for each other, and a flight is worth several hundred messages.
const WINDOW: usize = 256;

/// Chunks that may wait between the connection and the caller: with the read size this bounds memory.
pub(super) const CHUNKS: usize = 8;

pub(super) struct Pop3Engine {
    pub(super) wire: Wire,
    pub(super) capabilities: Capabilities,
    /// For the handle, which can't look into the task.
    pub(super) flights: Arc<AtomicU64>,
    /// DELE was accepted and QUIT not yet said.
    pub(super) deletes: bool,
}

impl Engine for Pop3Engine {
    const LAYER: Layer = Layer::Pop3;

    fn is_broken(&self) -> bool {
        self.wire.is_broken()
    }
}

impl Pop3Engine {
    pub(super) fn new(wire: Wire) -> Self {
        Self {
            wire,
            capabilities: Capabilities::default(),
            flights: Arc::default(),
            deletes: false,
        }
    }

    async fn line(&mut self) -> Result<Bytes> {
        let line = self.wire.line(MAX_LINE).await;
        self.count_flights();
        line
    }

    fn count_flights(&self) {
        self.flights.store(self.wire.flights(), Ordering::Relaxed);
    }

    /// The next status line, whatever it is.
    pub(super) async fn status(&mut self, operation: &'static str) -> Result<Status> {
        let line = self
            .line()
            .await
            .map_err(|error| error.with_operation(operation))?;
        match Status::parse(&line) {
            Some(status) => Ok(status),
            None => {
                let text = self.wire.tap().scrub(&String::from_utf8_lossy(&line));
                let text: String = text.chars().take(200).collect();
                Err(self.out_of_step(
                    operation,
                    format!("the server said {text:?}, which is no POP3 answer"),
                ))
            }
        }
    }

    /// The text of a `+OK`. A refusal becomes an error and leaves the session usable.
    pub(super) async fn answer(&mut self, operation: &'static str, fallback: ErrorKind) -> Result<String> {
        match self.status(operation).await? {
            Status::Ok(text) => Ok(text),
            Status::Err(text) => Err(self.refused(operation, fallback, &text)),
            Status::Continue(_) => Err(self.out_of_step(
                operation,
                "the server sent a SASL challenge that nobody asked for".to_owned(),
            )),
        }
    }

    /// Sends a command and waits for its status line.
    pub(super) async fn command(
        &mut self,
        operation: &'static str,
        line: &str,
        fallback: ErrorKind,
    ) -> Result<String> {
        self.in_step(operation)?;
        self.wire.command(line)?;
        self.answer(operation, fallback).await
    }

    /// Nothing may be waiting before a command: it would be taken for the answer.
    pub(super) fn in_step(&mut self, operation: &'static str) -> Result<()> {
        if self.wire.buffered().is_empty() {
            return Ok(());
        }
        let text = self
            .wire
            .tap()
            .scrub(&String::from_utf8_lossy(self.wire.buffered()));
        let text: String = text.chars().take(200).collect();
        Err(self.out_of_step(operation, format!("the server said {text:?} before it was asked")))
    }

    pub(super) fn refused(&self, operation: &'static str, fallback: ErrorKind, text: &str) -> Error {
        let kind = refusal_kind(text, fallback);
        let text = self.wire.tap().scrub(text);
        doctor::refusal(Layer::Pop3, operation, kind, ServerReply::text(text))
    }

    /// The answer can't be what was asked for: nothing that follows can be trusted.
    pub(super) fn out_of_step(&mut self, operation: &'static str, detail: String) -> Error {
        self.wire.cut();
        Error::new(ErrorKind::Protocol, operation, detail).with_layer(Layer::Pop3)
    }

    /// Sends a command and reads the lines of its answer, each through `parse`; a line that `parse` refuses is an
    /// error after the whole answer was read.
    pub(super) async fn listing<T>(
        &mut self,
        operation: &'static str,
        max: usize,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<Vec<T>> {
        self.command(operation, operation, ErrorKind::Rejected).await?;
        let (mut items, mut bad, mut bytes) = (Vec::new(), None, 0);
        for _ in 0..=max {
            let line = self
                .line()
                .await
                .map_err(|error| error.with_operation(operation))?;
            if line.as_ref() == b"." {
                return match bad {
                    None => Ok(items),
                    Some(line) => Err(Error::new(
                        ErrorKind::Protocol,
                        operation,
                        format!("a line of the listing can't be read: {line:?}"),
                    )
                    .with_layer(Layer::Pop3)),
                };
            }
            bytes += line.len();
            if bytes > MAX_LISTING_BYTES {
                return Err(self.out_of_step(
                    operation,
                    format!("the listing has over {MAX_LISTING_BYTES} bytes"),
                ));
            }
            let line = String::from_utf8_lossy(line.strip_prefix(b".").unwrap_or(&line));
            match parse(&line) {
                Some(item) => items.push(item),
                None => bad = bad.or_else(|| Some(line.chars().take(200).collect::<String>())),
            }
        }
        Err(self.out_of_step(operation, format!("the listing has more than {max} lines")))
    }

    /// CAPA. A server that refuses it is asked nothing more: `Ok` with nothing in it.
    pub(super) async fn capa(&mut self) -> Result<()> {
        self.capabilities = Capabilities::default();
        match self
            .listing("CAPA", MAX_CAPABILITIES, |line| Some(line.to_owned()))
            .await
        {
            Ok(lines) => {
                lines.iter().for_each(|line| self.capabilities.push(line));
                Ok(())
            }
            Err(error) if error.server().is_some() => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// One message of RETR or TOP, its body to `sink`; returns its size.
    pub(super) async fn retrieve(
        &mut self,
        operation: &'static str,
        line: &str,
        sink: &mpsc::Sender<Bytes>,
    ) -> Result<u64> {
        self.command(operation, line, ErrorKind::NotFound).await?;
        self.body(operation, sink, std::convert::identity).await
    }

    /// RETR for each number, pipelined where the server can.
    pub(super) async fn retrieve_many(
        &mut self,
        numbers: &[u32],
        events: &mpsc::Sender<RetrievedEvent>,
    ) -> Result<()> {
        self.in_step("RETR")?;
        let window = if self.capabilities.pipelining() { WINDOW } else { 1 };
        let (mut waiting, mut sent) = (numbers.iter(), 0);
        for (done, &number) in numbers.iter().enumerate() {
            // Refilled by halves, so that commands go out many at a time.
            if sent == done || (sent < numbers.len() && sent - done <= window / 2) {
                for number in waiting.by_ref().take(window - (sent - done)) {
                    self.wire.command(&format!("RETR {number}"))?;
                    sent += 1;
                }
            }
            let event = match self.status("RETR").await? {
                Status::Ok(_) => {
                    self.tell(events, RetrievedEvent::Begin { number }).await?;
                    let octets = self.body("RETR", events, RetrievedEvent::Chunk).await?;
                    RetrievedEvent::End { number, octets }
                }
                Status::Err(text) => {
                    let error = self.refused("RETR", ErrorKind::NotFound, &text);
                    RetrievedEvent::Refused { number, error }
                }
                Status::Continue(_) => {
                    return Err(self.out_of_step("RETR", "a SASL challenge instead of a message".to_owned()));
                }
            };
            self.tell(events, event).await?;
        }
        Ok(())
    }

    async fn tell(&mut self, events: &mpsc::Sender<RetrievedEvent>, event: RetrievedEvent) -> Result<()> {
        match events.send(event).await {
            Ok(()) => Ok(()),
            Err(_) => Err(self.abandoned("RETR")),
        }
    }

    /// The rest of the answer would be taken for the answer to a later command.
    fn abandoned(&mut self, operation: &'static str) -> Error {
        self.wire.cut();
        Error::new(ErrorKind::Cancelled, operation, "the caller stopped reading").with_layer(Layer::Pop3)
    }

    /// Passes a body on until its end; `wrap` makes of each piece what `sink` takes.
    async fn body<T: Send>(
        &mut self,
        operation: &'static str,
        sink: &mpsc::Sender<T>,
        wrap: fn(Bytes) -> T,
    ) -> Result<u64> {
        let (mut unstuff, mut octets) = (Unstuff::new(), 0);
        loop {
            match unstuff.next(self.wire.buffered()) {
                Piece::Data(count) => {
                    octets += count as u64;
                    if octets > MAX_MESSAGE {
                        return Err(
                            self.out_of_step(operation, format!("a message of over {MAX_MESSAGE} bytes"))
                        );
                    }
                    let chunk = self.wire.take(count);
                    if sink.send(wrap(chunk)).await.is_err() {
                        return Err(self.abandoned(operation));
                    }
                }
                Piece::Skip(count) => drop(self.wire.take(count)),
                Piece::End(count) => {
                    self.wire.take(count);
                    self.wire
                        .tap()
                        .server(format!("[message of {octets} bytes]").as_bytes());
                    return Ok(octets);
                }
                Piece::More => {
                    let filled = self.wire.fill().await;
                    self.count_flights();
                    filled.map_err(|error| error.with_operation(operation))?;
                }
            }
        }
    }
}
