//! `exomail doctor`: what is wrong with the set-up, and what to do first.

use std::path::{Path, PathBuf};

use clap::ValueHint;
use exomail::doctor::{Confidence, DoctorOptions, Finding, Protocol, Report, Severity};
use exomail::{Error, ErrorKind, Transcript};

use crate::args::AppArgs;
use crate::context::Context;
use crate::failure::{Done, Failure, file_error};
use crate::output::{bad, clean, describe, faint, good, heading, warned};

/// A bundle is a few hundred lines.
const MAX_BUNDLE: u64 = 64 * 1024 * 1024;

/// Find out what is wrong with the set-up, and what to do first
///
/// Looks at the tenant, the clock, the token and what it says, the servers, and signs in to each mailbox by IMAP, POP3 and
/// SMTP. From all answers together it names the step that is missing and the commands to run, with the real ids. Nothing is
/// changed, and no mail is sent without --send.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exit codes: 0 nothing to do, 1 an error was found, 10 only warnings.

Examples:
  exomail doctor --mailbox joe@contoso.com --mailbox ann@contoso.com
  exomail doctor --mailbox joe@contoso.com --protocol smtp --send
  exomail doctor --mailbox joe@contoso.com --bundle doctor.json     to show somebody
  exomail doctor --replay doctor.json                               the same findings, without any network")]
pub(crate) struct Args {
    /// A mailbox to try, by its primary address; may be repeated [env: EXOMAIL_MAILBOX]
    #[arg(long, short = 'm', value_name = "ADDRESS", value_hint = ValueHint::EmailAddress)]
    mailbox: Vec<String>,
    /// Try only these: imap, pop3, smtp
    #[arg(long, value_name = "PROTOCOLS", value_delimiter = ',', value_parser = protocol)]
    protocol: Vec<Protocol>,
    /// Let each mailbox send a mail to itself, look for it by IMAP, and delete it again
    #[arg(long)]
    send: bool,
    /// Write findings, answers, the blanked conversations and versions to this file
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    bundle: Option<PathBuf>,
    /// Give the findings of a bundle again, without any network
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath,
          conflicts_with_all = ["mailbox", "protocol", "send", "bundle"])]
    replay: Option<PathBuf>,
    #[command(flatten)]
    app: AppArgs,
}

fn protocol(name: &str) -> Result<Protocol, String> {
    Protocol::ALL
        .into_iter()
        .find(|protocol| protocol.name().eq_ignore_ascii_case(name))
        .ok_or_else(|| format!("there is no protocol {name:?}; known are imap, pop3 and smtp"))
}

pub(crate) async fn run(args: Args, context: &Context) -> Done {
    let transcript = context.output.transcript().unwrap_or_default();
    let report = match &args.replay {
        Some(path) => replay(path)?,
        None => examine(&args, context, &transcript).await?,
    };
    if let Some(path) = &args.bundle {
        write(path, &report, &transcript)?;
        context.output.note(format!("wrote {}", path.display()));
    }
    context.output.result(&report, || describe_report(&report))?;
    match report.worst() {
        Severity::Ok | Severity::Info => Ok(()),
        Severity::Warning => Err(Failure::Findings(10)),
        Severity::Error => Err(Failure::Findings(1)),
    }
}

async fn examine(args: &Args, context: &Context, transcript: &Transcript) -> Done<Report> {
    let connection = match context.connection_with(args.app.settings(), Some(transcript.clone())) {
        Ok(connection) => connection,
        // What can't be right without asking anybody is a finding, too. A file that can't be read is not.
        Err(error)
            if matches!(
                error.kind(),
                ErrorKind::InvalidConfig | ErrorKind::CredentialExpired
            ) =>
        {
            return Ok(Report::of_configuration(&error));
        }
        Err(error) => return Err(error.into()),
    };
    let mut options = DoctorOptions::new().send(args.send);
    if !args.protocol.is_empty() {
        options = options.protocols(&args.protocol);
    }
    let configured = connection.mailbox().ok().map(str::to_owned);
    let mailboxes = if args.mailbox.is_empty() {
        Vec::from_iter(configured)
    } else {
        args.mailbox.clone()
    };
    for mailbox in mailboxes {
        // Checked before anything is asked.
        connection.app.mailbox(&mailbox)?;
        options = options.mailbox(mailbox);
    }
    Ok(connection.app.doctor(&options).await)
}

fn replay(path: &Path) -> Done<Report> {
    let unreadable = |error| file_error("read bundle", path, error);
    if std::fs::metadata(path).map_err(unreadable)?.len() > MAX_BUNDLE {
        let detail = format!("{} is too large for a bundle", path.display());
        return Err(Error::new(ErrorKind::InvalidArgument, "replay", detail).into());
    }
    let bytes = std::fs::read(path).map_err(unreadable)?;
    Ok(Report::replay(&bytes)?)
}

fn write(path: &Path, report: &Report, transcript: &Transcript) -> Done {
    let text = format!("{:#}\n", report.bundle(transcript));
    std::fs::write(path, text).map_err(|error| file_error("write bundle", path, error))?;
    Ok(())
}

fn describe_report(report: &Report) -> String {
    let mut out = String::new();
    match report.first() {
        Some(first) => {
            out += &format!("{} {}\n", heading("First:"), clean(&first.cause));
            if let Some(remedy) = &first.remedy {
                out += &format!("       {}\n", clean(remedy));
            }
        }
        None => out += &format!("{}\n", good("Nothing to do.")),
    }
    out.push('\n');
    for finding in report.findings() {
        out += &paragraph(finding);
    }
    if !report.unproven().is_empty() {
        out += &format!("\n{}\n", heading("Not proven:"));
        for text in report.unproven() {
            out += &format!("  {}\n", clean(text));
        }
    }
    out.trim_end().to_owned()
}

fn paragraph(finding: &Finding) -> String {
    let mark = match finding.severity {
        Severity::Ok => good("✓"),
        Severity::Info => faint("i"),
        Severity::Warning => warned("!"),
        Severity::Error => bad("✗"),
    };
    if finding.severity == Severity::Ok {
        return format!("{mark} {}\n", clean(&finding.cause));
    }
    let sure = match finding.confidence {
        Confidence::Certain => String::new(),
        other => format!("  {}", faint(other.name())),
    };
    let mut out = format!("{mark} {}{sure}\n", heading(clean(&finding.cause)));
    let mut row = |name: &str, text: &str| out += &format!("    {} {text}\n", faint(format!("{name:<7}")));
    if let Some(step) = finding.step {
        row("set-up", &describe(step));
    }
    for (at, said) in finding.evidence.iter().enumerate() {
        row(if at == 0 { "seen" } else { "" }, &clean(said));
    }
    if let Some(remedy) = &finding.remedy {
        row("do", &clean(remedy));
    }
    for (at, command) in finding.commands.iter().enumerate() {
        row(if at == 0 { "run" } else { "" }, &clean(command));
    }
    if let Some(time) = finding.propagation {
        row("wait", &format!("a change may still be propagating: {time}"));
    }
    if let Some(link) = finding.link {
        row("read", link);
    }
    out
}
