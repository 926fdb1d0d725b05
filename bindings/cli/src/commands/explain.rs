//! `exomail explain`: what a text of a server or of Entra means, without any network.

use std::io::Read;

use exomail::doctor::{Confidence, Explanation, explain};
use exomail::{Error, ErrorKind, Retry};
use serde_json::json;

use crate::context::Context;
use crate::failure::{Done, Failure};
use crate::output::{bad, describe, faint, good, heading};

/// A log line, not a log.
const MAX_INPUT: u64 = 256 * 1024;

/// Say what a server's or Entra's text means, and what to do
///
/// Nothing is sent: the text is looked up in the table that also gives errors their hints.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exit code 1: nothing in the table fits.

Examples:
  exomail explain '535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Tenant.'
  exomail explain 'A2 NO AUTHENTICATE failed.'
  grep AADSTS app.log | tail -1 | exomail explain -")]
pub(crate) struct Args {
    /// The text: a reply, a whole log line, JSON of the token endpoint; - reads it from stdin
    #[arg(required = true, allow_hyphen_values = true)]
    text: Vec<String>,
}

pub(crate) async fn run(args: Args, context: &Context) -> Done {
    context.heed_signals();
    let text = match args.text.as_slice() {
        [dash] if dash == "-" => stdin().await?,
        words => words.join(" "),
    };
    let found = explain(&text);
    let output = &context.output;
    output.result(&json!({ "explanations": found }), || {
        if found.is_empty() {
            return faint("nothing in the table fits this text");
        }
        found.iter().map(paragraph).collect::<Vec<_>>().join("\n\n")
    })?;
    if found.is_empty() {
        Err(Failure::Findings(1))
    } else {
        Ok(())
    }
}

async fn stdin() -> Done<String> {
    let read = tokio::task::spawn_blocking(|| {
        let mut bytes = Vec::new();
        std::io::stdin().take(MAX_INPUT).read_to_end(&mut bytes)?;
        Ok::<_, std::io::Error>(String::from_utf8_lossy(&bytes).into_owned())
    });
    let failed = |detail: String| Error::new(ErrorKind::LocalIo, "read stdin", detail);
    let text = read.await.map_err(|error| failed(error.to_string()))?;
    Ok(text.map_err(|error| failed(error.to_string()).with_source(error))?)
}

fn paragraph(found: &Explanation) -> String {
    let mark = match found.confidence {
        Confidence::Certain => good(found.confidence.name()),
        Confidence::Likely => heading(found.confidence.name()),
        Confidence::Possible => faint(found.confidence.name()),
    };
    let mut out = format!("{} {}  {}", bad("•"), heading(found.cause), mark);
    let mut row = |name: &str, text: &str| out += &format!("\n  {} {text}", faint(format!("{name:<7}")));
    row("do", found.remedy);
    if let Some(step) = found.step {
        row("set-up", &describe(step));
    }
    row(
        "retry",
        match found.retry {
            Retry::Never => "not before something is changed",
            Retry::FreshToken => "with a fresh token",
            Retry::Backoff | Retry::After(_) => "may help after a pause",
        },
    );
    if let Some(link) = found.link {
        row("read", link);
    }
    row("cause", &format!("{} ({})", found.id, found.layer.name()));
    out
}
