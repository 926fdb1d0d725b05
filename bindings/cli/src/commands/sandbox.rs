//! `exomail sandbox`: a tenant of one's own on loopback, until a signal.

use exomail::{Error, ErrorKind};
use exomail_sandbox::{Fault, FaultSwitch, Sandbox, SandboxError};

use crate::context::Context;
use crate::failure::Done;
use crate::output::{faint, heading};

const AFTER_HELP: &str = "\
Runs until SIGINT or SIGTERM, or for --timeout. Nothing leaves this machine and nothing stays on it: mail is kept \
in memory. It is printed on one go once every server listens.

Examples:
  exomail sandbox                            for people
  exomail sandbox --json > tenant.json &     for a script
  exomail sandbox --env > tenant.env &       for a shell, where every command
  until [ -s tenant.env ]; do sleep 0.1; done
  . ./tenant.env; exomail list               then works on it
  exomail sandbox --empty                    no app, no permissions
  exomail sandbox --fault smtp-432:2 --fault imap-special-use";

/// Run a tenant of your own on this machine: token endpoint, SMTP, IMAP and POP3
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP, after_long_help = long_help())]
pub(crate) struct Args {
    /// Print `export EXOMAIL_...=...` lines
    #[arg(long, conflicts_with = "json")]
    env: bool,
    /// A tenant in which nothing is set up yet
    #[arg(long)]
    empty: bool,
    /// A mailbox to have; may be repeated [default: two mailboxes]
    #[arg(long, short = 'm', value_name = "ADDRESS")]
    mailbox: Vec<String>,
    /// Something that is to go wrong, TIMES often or always; may be repeated, --help has the names
    #[arg(long, value_name = "NAME[:ARG][:TIMES]")]
    fault: Vec<FaultSwitch>,
}

/// The examples, and all faults.
fn long_help() -> String {
    let mut help = format!("{AFTER_HELP}\n\nFaults:\n");
    for fault in Fault::ALL {
        help += &format!("  {}\n      {}\n", fault.usage(), fault.about());
        if let Some(default) = fault.default_argument() {
            help += &format!("      Default: {default}\n");
        }
    }
    help
}

pub(crate) async fn run(args: Args, context: &Context) -> Done {
    // Before it is announced: whoever reads the line may send the signal at once.
    context.heed_signals();
    let mut builder = Sandbox::builder();
    for mailbox in &args.mailbox {
        builder = builder.mailbox(mailbox);
    }
    for fault in args.fault {
        builder = builder.fault(fault);
    }
    if args.empty {
        builder = builder.empty();
    }
    let sandbox = builder.start().await.map_err(sandbox_error)?;
    let output = &context.output;
    if args.env {
        output.bytes(exports(&sandbox).as_bytes())?;
    } else {
        output.result(&sandbox.to_json(), || describe(&sandbox))?;
    }
    // The deadline and the signal both end the wait; here neither is a failure.
    let forever = std::future::pending::<exomail::Result<()>>();
    drop(context.deadline.limit("sandbox", forever).await);
    sandbox.stop().await;
    Ok(())
}

/// Lines for a shell's `.`: each value in single quotes, in which nothing but the quote itself has a meaning.
fn exports(sandbox: &Sandbox) -> String {
    let mut variables = sandbox.to_env();
    if let Some(first) = sandbox.mailboxes().into_iter().next() {
        variables.push(("EXOMAIL_MAILBOX", first));
    }
    variables
        .iter()
        .map(|(name, value)| format!("export {name}='{}'\n", value.replace('\'', "'\\''")))
        .collect()
}

fn describe(sandbox: &Sandbox) -> String {
    let mut out = format!("{}\n", heading("A tenant of your own"));
    let mut row =
        |label: &str, value: &str| out += &format!("{} {value}\n", heading(format!("{label:>14}:")));
    row("authority", sandbox.authority());
    row("tenant", sandbox.tenant());
    row("client id", sandbox.client_id());
    row("client secret", sandbox.client_secret());
    for (label, (host, port), how) in [
        ("IMAP", sandbox.imap(), "TLS"),
        ("POP3", sandbox.pop3(), "TLS"),
        ("SMTP", sandbox.smtp(), "STARTTLS"),
    ] {
        row(label, &format!("{host}:{port} {}", faint(how)));
    }
    row("CA file", &sandbox.ca_file().display().to_string());
    row("mailboxes", &sandbox.mailboxes().join(", "));
    out + &faint("Ctrl-C ends it.")
}

/// The sandbox knows nothing of the library's errors: it must not use the client's code.
pub(crate) fn sandbox_error(error: SandboxError) -> Error {
    let kind = match error {
        SandboxError::Io { .. } => ErrorKind::LocalIo,
        SandboxError::State(_) => ErrorKind::InvalidArgument,
        _ => ErrorKind::Internal,
    };
    Error::new(kind, "sandbox", error.to_string()).with_source(error)
}
