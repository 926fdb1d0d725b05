//! [`Output`]: everything that is printed goes through here: text or JSON, colour, warnings, errors, progress.

use std::error::Error as _;
use std::fmt::Display;
use std::io::{self, IsTerminal, Write};

use console::{Style, style};
use exomail::smtp::RejectedRecipients;
use exomail::{Error, Retry, Step, Transcript, TranscriptLine};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;
use serde_json::json;

use crate::args::{Color, GlobalArgs};
use crate::failure::{Done, Failure};

/// Where results, warnings and errors go, and in which form.
#[derive(Clone, Debug)]
pub(crate) struct Output {
    json: bool,
    trace: bool,
}

impl Output {
    pub(crate) fn new(args: &GlobalArgs) -> Self {
        let wanted = |terminal: bool| match args.color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => {
                let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
                terminal && !set("NO_COLOR") && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
            }
        };
        console::set_colors_enabled(wanted(io::stdout().is_terminal()));
        console::set_colors_enabled_stderr(wanted(io::stderr().is_terminal()));
        Self {
            json: args.json,
            trace: args.trace,
        }
    }

    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// One line on stdout.
    pub(crate) fn line(&self, text: impl Display) -> Done {
        self.bytes(format!("{text}\n").as_bytes())
    }

    /// Bytes on stdout as they are.
    pub(crate) fn bytes(&self, bytes: &[u8]) -> Done {
        let mut stdout = io::stdout().lock();
        stdout
            .write_all(bytes)
            .and_then(|()| stdout.flush())
            .map_err(stdout_failed)
    }

    /// One JSON value on one line of stdout.
    pub(crate) fn json(&self, value: &impl Serialize) -> Done {
        let text = serde_json::to_string(value).map_err(|error| {
            Error::new(exomail::ErrorKind::Internal, "print JSON", error.to_string()).with_source(error)
        })?;
        self.line(text)
    }

    /// `value` with `--json`, else what `people` prints.
    pub(crate) fn result(&self, value: &impl Serialize, people: impl FnOnce() -> String) -> Done {
        if self.json {
            self.json(value)
        } else {
            self.line(people())
        }
    }

    /// A warning on stderr.
    pub(crate) fn warn(&self, text: impl Display) {
        let text = text.to_string();
        if self.json {
            self.stderr(json!({ "warning": text }));
        } else {
            self.stderr(format!(
                "{} {}",
                style("warning:").yellow().bold().for_stderr(),
                clean(&text)
            ));
        }
    }

    /// A word to people on stderr; programs need none.
    pub(crate) fn note(&self, text: impl Display) {
        if !self.json {
            self.stderr(style(text).dim().for_stderr());
        }
    }

    /// The failure on stderr, with the server's words, the hint and the step that is missing.
    pub(crate) fn failure(&self, failure: &Failure) {
        match failure {
            Failure::Error(error) if self.json => {
                let mut document = error.to_json();
                if let Some(rejected) = rejected(error) {
                    document["recipients"] = json!(rejected.recipients);
                }
                self.stderr(document);
            }
            Failure::Error(error) => self.stderr(explain(error).trim_end()),
            Failure::Mismatch(what) if self.json => {
                self.stderr(json!({ "kind": "mismatch", "detail": what }))
            }
            Failure::Mismatch(what) => {
                self.stderr(format!("{} {what}", style("mismatch:").red().bold().for_stderr()));
            }
            Failure::Partial | Failure::Findings(_) | Failure::BrokenPipe => {}
        }
    }

    /// A wrong command line: clap's own text for people, the same shape as other errors for programs.
    pub(crate) fn usage(error: &clap::Error) {
        let text = error.to_string();
        let text = text.trim().strip_prefix("error: ").unwrap_or(text.trim());
        let error = Error::new(
            exomail::ErrorKind::InvalidArgument,
            "command line",
            text.to_owned(),
        );
        drop(writeln!(io::stderr(), "{}", error.to_json()));
    }

    /// A line on stderr. Nobody can be told that stderr is gone, so a failure to write is dropped.
    fn stderr(&self, text: impl Display) {
        drop(writeln!(io::stderr().lock(), "{text}"));
    }

    /// With `--trace`: a transcript that prints each line as it is said.
    pub(crate) fn transcript(&self) -> Option<Transcript> {
        let output = self.clone();
        self.trace
            .then(|| Transcript::with_listener(move |line| output.trace_line(line)))
    }

    fn trace_line(&self, line: &TranscriptLine) {
        if self.json {
            self.stderr(json!({ "trace": line }));
        } else {
            self.stderr(style(clean(&line.to_string())).dim().for_stderr());
        }
    }

    /// A bar on stderr for work of known size; shown only to people at a terminal, and not amid a trace.
    pub(crate) fn progress(&self, length: u64, unit: Unit) -> ProgressBar {
        if self.json || self.trace || !io::stderr().is_terminal() {
            return ProgressBar::hidden();
        }
        let template = match unit {
            Unit::Bytes => {
                "{bar:32.cyan} {decimal_bytes}/{decimal_total_bytes} {decimal_bytes_per_sec} {eta}"
            }
            Unit::Messages => "{bar:32.cyan} {pos}/{len} messages {eta}",
        };
        let bar = ProgressBar::with_draw_target(Some(length), ProgressDrawTarget::stderr());
        match ProgressStyle::with_template(template) {
            Ok(style) => bar.with_style(style),
            Err(_) => bar,
        }
    }
}

/// What a progress bar counts.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Unit {
    Bytes,
    Messages,
}

fn stdout_failed(error: io::Error) -> Failure {
    if error.kind() == io::ErrorKind::BrokenPipe {
        return Failure::BrokenPipe;
    }
    let detail = format!("stdout can't be written: {error}");
    Error::new(exomail::ErrorKind::LocalIo, "print", detail)
        .with_source(error)
        .into()
}

fn explain(error: &Error) -> String {
    let mut out = format!(
        "{} {}: {}\n",
        style("error:").red().bold().for_stderr(),
        clean(error.operation()),
        clean(error.detail())
    );
    let mut row = |label: &str, text: &str| {
        let label = format!("{label:>8}:");
        let mut lines = text.lines();
        out += &format!(
            "{} {}\n",
            style(label).cyan().for_stderr(),
            clean(lines.next().unwrap_or_default())
        );
        for line in lines {
            out += &format!("          {}\n", clean(line));
        }
    };
    for result in rejected(error).iter().flat_map(|rejected| &rejected.recipients) {
        let verdict = if result.accepted {
            "would be accepted"
        } else {
            result.reply.text.as_str()
        };
        row("to", &format!("{}: {verdict}", result.address));
    }
    if let Some(server) = error.server() {
        row("server", &server.text);
        if let Some(challenge) = &server.challenge {
            row("says", challenge);
        }
    }
    if let Some(oauth) = error.oauth() {
        row("Entra", &format!("{}: {}", oauth.error, oauth.description));
        if let Some(id) = &oauth.correlation_id {
            row("quote", &format!("correlation id {id}"));
        }
    }
    if let Some(hint) = error.hint() {
        row("hint", hint);
    }
    if let Some(step) = error.step() {
        row("set-up", &describe(step));
    }
    match error.retry() {
        Retry::Never => {}
        Retry::Backoff => row("retry", "may help after a pause"),
        Retry::After(pause) => row("retry", &format!("after {} s", pause.as_secs_f64().ceil())),
        Retry::FreshToken => row("retry", "with a fresh token"),
    }
    row("code", &format!("{} {}", error.code(), error.kind()));
    out
}

/// What the server said of each recipient, where it refused too many of them.
fn rejected(error: &Error) -> Option<&RejectedRecipients> {
    error.source()?.downcast_ref()
}

/// `step 4b, register …`.
pub(crate) fn describe(step: Step) -> String {
    match step.number() {
        Some(number) => format!("step {number}, {}", step.title()),
        None => step.title().to_owned(),
    }
}

/// Makes a text from a server or a mail safe for a terminal: control characters could move the cursor, recolour or
/// retitle, and bidirectional overrides could disguise what is written.
pub(crate) fn clean(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\t' => ' ',
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => '\u{fffd}',
            c if c.is_control() => '\u{fffd}',
            c => c,
        })
        .collect()
}

/// As [`clean`], for texts of several lines.
pub(crate) fn clean_lines(text: &str) -> String {
    text.lines().map(|line| clean(line) + "\n").collect()
}

/// `1.4 MB`.
pub(crate) fn size(bytes: u64) -> String {
    indicatif::DecimalBytes(bytes).to_string()
}

/// A heading or label.
pub(crate) fn heading(text: impl Display) -> String {
    style(text).bold().to_string()
}

/// Less important text.
pub(crate) fn faint(text: impl Display) -> String {
    style(text).dim().to_string()
}

/// Something that is as it should be.
pub(crate) fn good(text: impl Display) -> String {
    style(text).green().bold().to_string()
}

/// Something to keep an eye on.
pub(crate) fn warned(text: impl Display) -> String {
    style(text).yellow().bold().to_string()
}

/// Something that is not as it should be.
pub(crate) fn bad(text: impl Display) -> String {
    style(text).red().bold().to_string()
}

/// Rows under headings, the last column cut to the terminal's width.
#[derive(Debug)]
pub(crate) struct Table {
    headings: Vec<&'static str>,
    rows: Vec<(Vec<String>, Style)>,
}

impl Table {
    pub(crate) fn new(headings: &[&'static str]) -> Self {
        Self {
            headings: headings.to_vec(),
            rows: Vec::new(),
        }
    }

    /// A row; its cells are made safe for the terminal.
    pub(crate) fn row(&mut self, cells: Vec<String>, style: Style) {
        self.rows
            .push((cells.iter().map(|cell| clean(cell)).collect(), style));
    }

    pub(crate) fn print(&self, output: &Output) -> Done {
        // Into a file or pipe nothing is cut.
        let width = console::Term::stdout()
            .size_checked()
            .map_or(usize::MAX, |(_, columns)| usize::from(columns));
        self.render(width).iter().try_for_each(|line| output.line(line))
    }

    fn render(&self, width: usize) -> Vec<String> {
        let widths: Vec<usize> = (0..self.headings.len())
            .map(|column| {
                self.rows
                    .iter()
                    .filter_map(|(cells, _)| cells.get(column))
                    .map(|cell| console::measure_text_width(cell))
                    .chain([self.headings[column].len()])
                    .max()
                    .unwrap_or_default()
                    // A long address must not push the rest off the screen.
                    .min(40)
            })
            .collect();
        let line = |cells: &[String]| {
            let mut line = String::new();
            for (column, cell) in cells.iter().enumerate() {
                if column + 1 == cells.len() {
                    line += cell;
                } else {
                    let cell = console::truncate_str(cell, widths[column], "…");
                    line += &console::pad_str(&cell, widths[column], console::Alignment::Left, None);
                    line += "  ";
                }
            }
            console::truncate_str(&line, width, "…").into_owned()
        };
        let headings: Vec<String> = self.headings.iter().map(|text| (*text).to_owned()).collect();
        std::iter::once(heading(line(&headings)))
            .chain(
                self.rows
                    .iter()
                    .map(|(cells, style)| style.apply_to(line(cells)).to_string()),
            )
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use exomail::{ErrorKind, ServerReply};

    use super::*;

    #[test]
    fn a_mail_cannot_steer_the_terminal() {
        assert_eq!(
            clean("a\x1b[31mb\r\nc\u{9b}2J\u{202e}d\te"),
            "a\u{fffd}[31mb\u{fffd}\u{fffd}c\u{fffd}2J\u{fffd}d e"
        );
        assert_eq!(clean_lines("one\r\ntwo\x07"), "one\ntwo\u{fffd}\n");
        assert_eq!(clean("Grüße 世界 🎉"), "Grüße 世界 🎉");
    }

    #[test]
    fn a_table_lines_up_and_fits() {
        let mut table = Table::new(&["UID", "FROM", "SUBJECT"]);
        table.row(vec!["1".into(), "世界".into(), "Hello".into()], Style::new());
        table.row(vec!["1234".into(), "x".repeat(60), "Grüße".into()], Style::new());
        let lines = table.render(usize::MAX);
        assert_eq!(lines[1], format!("1     世界{}  Hello", " ".repeat(36)));
        assert_eq!(lines[2], format!("1234  {}…  Grüße", "x".repeat(39)));
        assert!(
            table
                .render(20)
                .iter()
                .all(|line| console::measure_text_width(line) <= 20)
        );
    }

    #[test]
    fn people_see_the_servers_words_the_hint_and_the_step() {
        let error = Error::new(ErrorKind::AuthRejected, "AUTHENTICATE", "the server refused")
            .with_server(ServerReply::text("AUTHENTICATE failed.\x1b]0;x"))
            .with_step(Step::RegisterServicePrincipal)
            .with_hint("compare the Object ID");
        let text = explain(&error);
        for part in [
            "AUTHENTICATE failed.\u{fffd}]0;x",
            "compare the Object ID",
            "step 4b",
            "401 auth_rejected",
        ] {
            assert!(text.contains(part), "{text}");
        }
    }
}
