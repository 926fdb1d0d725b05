//! `exomail send`: a mail from flags, or ready bytes.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use clap::ValueHint;
use exomail::message::{Address, Attachment, Message, OutgoingMessage, RawMessage};
use exomail::outbox::{AddOptions, Outbox};
use exomail::smtp::{Envelope, RecipientResult, SendOptions, SendReport, SmtpSession};
use exomail::{Error, ErrorKind, Result};
use serde_json::json;
use tokio::io::AsyncReadExt;

use crate::args::ConnectionArgs;
use crate::context::{Context, named};
use crate::failure::{Done, Failure, bad_argument, file_error};
use crate::output::{Unit, bad, clean, good};

/// A header block longer than this is not one.
const MAX_HEADER: u64 = 1024 * 1024;
/// Smaller bodies are gone before a bar can be read.
const LARGE: u64 = 1024 * 1024;

/// Send a mail
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Without --text, --text-file, --html-file and --eml the text is read from stdin. It is signed in as the sender, \
unless --mailbox names another mailbox to send through. Exit code 10: sent, but the server refused some of the \
recipients.

Examples:
  exomail send --to ann@contoso.com --subject Hello --text 'Hi Ann'
  df -h | exomail send --to team@contoso.com --subject 'Disk space'
  exomail send --from 'Joe <joe@contoso.com>' --to ann@contoso.com \\
      --subject Report --html-file report.html --attach report.pdf data.csv
  exomail send --eml ready.eml          addresses from its own headers
  exomail send --queue outbox/ --to ann@contoso.com --subject Hello --text 'Hi Ann'
                                        safe on the disk; `exomail outbox drain` sends it")]
pub(crate) struct Args {
    /// Sender, as address or 'Name <address>' [default: the configured mailbox]
    #[arg(long, value_name = "ADDRESS", value_hint = ValueHint::EmailAddress)]
    from: Option<String>,
    /// Recipient; may be repeated
    #[arg(long, value_name = "ADDRESS", num_args = 1.., value_hint = ValueHint::EmailAddress)]
    to: Vec<String>,
    /// Recipient of a copy; may be repeated
    #[arg(long, value_name = "ADDRESS", num_args = 1.., value_hint = ValueHint::EmailAddress, conflicts_with = "eml")]
    cc: Vec<String>,
    /// Recipient that the others do not see; may be repeated
    #[arg(long, value_name = "ADDRESS", num_args = 1.., value_hint = ValueHint::EmailAddress)]
    bcc: Vec<String>,
    /// Where answers shall go
    #[arg(long, value_name = "ADDRESS", value_hint = ValueHint::EmailAddress, conflicts_with = "eml")]
    reply_to: Vec<String>,
    #[arg(long, short, value_name = "TEXT", conflicts_with = "eml", help = "Subject")]
    subject: Option<String>,
    #[arg(long, short, value_name = "TEXT", conflicts_with = "eml", help = "The text")]
    text: Option<String>,
    /// File with the text, UTF-8; - is stdin
    #[arg(long, value_name = "FILE", conflicts_with_all = ["text", "eml"], value_hint = ValueHint::FilePath)]
    text_file: Option<PathBuf>,
    /// File with the text as HTML, UTF-8
    #[arg(long, value_name = "FILE", conflicts_with = "eml", value_hint = ValueHint::FilePath)]
    html_file: Option<PathBuf>,
    /// File to attach; may be repeated
    #[arg(long, short, value_name = "FILE", num_args = 1.., conflicts_with = "eml", value_hint = ValueHint::FilePath)]
    attach: Vec<PathBuf>,
    /// A further header; may be repeated
    #[arg(long, value_name = "NAME: VALUE", conflicts_with = "eml", value_parser = header)]
    header: Vec<(String, String)>,
    /// A ready RFC 5322 message, sent as it is
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    eml: Option<PathBuf>,
    /// Send to all recipients or to none
    #[arg(long)]
    all_recipients: bool,
    /// Do not send now: put the mail safely into this folder, for `exomail outbox drain`
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    queue: Option<PathBuf>,
    /// Queue it although a mail with its Message-ID is or was in the folder
    #[arg(long, requires = "queue")]
    again: bool,
    #[command(flatten)]
    connection: ConnectionArgs,
}

/// What goes out: addresses, bytes, and what is known of them.
struct Mail {
    envelope: Envelope,
    message: RawMessage,
    message_id: Option<String>,
    size: Option<u64>,
}

pub(crate) async fn run(args: Args, context: &Context) -> Done {
    if let Some(folder) = &args.queue {
        return queue(folder, &args, context).await;
    }
    let connection = context.connection(&args.connection)?;
    let mailbox = connection.mailbox.as_deref();
    let mail = mail(&args, mailbox, context).await?;
    let login = connection.app.login(user(&args, &mail, mailbox)?)?;
    let app = &connection.app;
    let mut session = SmtpSession::connect(app.connector(), app.cloud().smtp(), &login).await?;
    let bar = match mail.size {
        Some(size) if size >= LARGE => context.output.progress(size, Unit::Bytes),
        _ => indicatif::ProgressBar::hidden(),
    };
    let moving = bar.clone();
    let message = mail.message.with_progress(move |sent| moving.set_position(sent));
    let options = SendOptions {
        all_recipients: args.all_recipients,
        ..SendOptions::default()
    };
    let result = session.send(&mail.envelope, message, &options).await;
    bar.finish_and_clear();
    let report = result?;
    // The mail is out: a server that does not say goodbye changes nothing.
    if let Err(error) = session.quit().await {
        context.output.warn(error);
    }
    print(&report, &mail.envelope, mail.message_id.as_deref(), context)?;
    match report.rejected().next() {
        Some(_) => Err(Failure::Partial),
        None => Ok(()),
    }
}

/// Nothing but the disk is needed: neither network nor credential.
async fn queue(folder: &Path, args: &Args, context: &Context) -> Done {
    let mailbox = context.mailbox(&args.connection)?;
    let mail = mail(args, mailbox.as_deref(), context).await?;
    let options = AddOptions {
        send: SendOptions {
            all_recipients: args.all_recipients,
            ..SendOptions::default()
        },
        again: args.again,
    };
    let user = user(args, &mail, mailbox.as_deref())?.to_owned();
    let outbox = Outbox::open(folder)?;
    let queued = outbox
        .add_raw(&user, &mail.envelope, mail.message, &options)
        .await?;
    context.output.result(&queued, || {
        let what = match queued.is_new {
            true => good("queued"),
            false => format!("already there, {}:", queued.state),
        };
        format!("{what} {}  {}", queued.id, clean(&queued.message_id))
    })
}

async fn mail(args: &Args, mailbox: Option<&str>, context: &Context) -> Result<Mail> {
    match &args.eml {
        Some(path) => ready(path, args).await,
        None => compose(args, mailbox, context).await,
    }
}

/// The mailbox that signs in is the sender's own, unless the command line says otherwise: with a mailbox from the
/// environment and another --from, Exchange would demand SendAs.
fn user<'a>(args: &'a Args, mail: &'a Mail, mailbox: Option<&'a str>) -> Result<&'a str> {
    match (&args.connection.mailbox, mail.envelope.from()) {
        (Some(mailbox), _) => Ok(mailbox),
        (None, Some(from)) => Ok(from),
        (None, None) => named(mailbox),
    }
}

fn print(report: &SendReport, envelope: &Envelope, message_id: Option<&str>, context: &Context) -> Done {
    let document = json!({
        "message_id": message_id,
        "from": envelope.from(),
        "recipients": report.recipients,
        "accepted": report.accepted().count(),
        "rejected": report.rejected().count(),
        "reply": report.reply,
        "queue_id": report.queue_id,
    });
    context.output.result(&document, || {
        let count = report.recipients.len();
        let mut out = format!("{} to {} of {count}", good("sent"), report.accepted().count());
        if let Some(id) = message_id {
            out += &format!("  {}", clean(id));
        }
        for RecipientResult { address, reply, .. } in report.rejected() {
            out += &format!(
                "\n  {} {}: {}",
                bad("refused"),
                clean(address),
                clean(&reply.text)
            );
        }
        out
    })
}

async fn compose(args: &Args, mailbox: Option<&str>, context: &Context) -> Result<Mail> {
    let from = match &args.from {
        Some(from) => from.as_str(),
        None => named(mailbox)?,
    };
    let mut builder = OutgoingMessage::builder().from(from);
    for address in &args.to {
        builder = builder.to(address.as_str());
    }
    for address in &args.cc {
        builder = builder.cc(address.as_str());
    }
    for address in &args.bcc {
        builder = builder.bcc(address.as_str());
    }
    for address in &args.reply_to {
        builder = builder.reply_to(address.as_str());
    }
    if let Some(subject) = &args.subject {
        builder = builder.subject(subject);
    }
    if let Some(text) = text(args, context).await? {
        builder = builder.text(text);
    }
    if let Some(path) = &args.html_file {
        let html = std::fs::read_to_string(path).map_err(|error| file_error("read HTML", path, error))?;
        builder = builder.html(html);
    }
    for path in &args.attach {
        builder = builder.attach(Attachment::file(path));
    }
    for (name, value) in &args.header {
        builder = builder.header(name, value);
    }
    let message = builder.build()?;
    Ok(Mail {
        envelope: message.envelope().clone(),
        message_id: Some(message.message_id().to_owned()),
        size: Some(message.size()),
        message: message.into_raw(),
    })
}

async fn text(args: &Args, context: &Context) -> Result<Option<String>> {
    let stdin = match &args.text_file {
        Some(path) if path.as_os_str() != "-" => {
            let text = std::fs::read_to_string(path);
            return text
                .map(Some)
                .map_err(|error| file_error("read text", path, error));
        }
        Some(_) => true,
        None => args.text.is_none() && args.html_file.is_none(),
    };
    if !stdin {
        return Ok(args.text.clone());
    }
    if std::io::stdin().is_terminal() {
        context
            .output
            .note("Type the text; end with Ctrl-D on a line of its own.");
    }
    let mut text = String::new();
    tokio::io::stdin()
        .read_to_string(&mut text)
        .await
        .map_err(|error| file_error("read text", Path::new("stdin"), error))?;
    Ok(Some(text))
}

/// Ready bytes: streamed from the file; only the headers are read here, for addresses that no flag names.
async fn ready(path: &Path, args: &Args) -> Result<Mail> {
    let failed = |error| file_error("read message", path, error);
    let mut file = tokio::fs::File::open(path).await.map_err(failed)?;
    let size = file.metadata().await.map_err(failed)?.len();
    let mut head = Vec::new();
    (&mut file)
        .take(MAX_HEADER)
        .read_to_end(&mut head)
        .await
        .map_err(failed)?;
    head.truncate(end_of_header(&head));
    let message = Message::parse(head)?;
    let from = match &args.from {
        Some(from) => Some(Address::from(from.as_str()).email),
        None => message.from().into_iter().next().map(|address| address.email),
    };
    let from = from.ok_or_else(|| bad_argument("send", "the file names no sender; give --from"))?;
    let given = args.to.iter().chain(&args.bcc);
    let mut to: Vec<String> = given
        .map(|address| Address::from(address.as_str()).email)
        .collect();
    if args.to.is_empty() {
        to.extend(
            message
                .to()
                .into_iter()
                .chain(message.cc())
                .map(|address| address.email),
        );
    }
    if message.header("Bcc").is_some() {
        return Err(Error::new(
            ErrorKind::InvalidMessage,
            "send",
            format!(
                "{} has a Bcc header, which every recipient would see",
                path.display()
            ),
        )
        .with_hint("remove it from the file and name those recipients with --bcc"));
    }
    Ok(Mail {
        envelope: Envelope::new(Some(from), to)?,
        message_id: message.message_id(),
        size: Some(size),
        message: RawMessage::from_file(path),
    })
}

/// Up to and with the empty line.
fn end_of_header(bytes: &[u8]) -> usize {
    let mut start = 0;
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        start += line.len();
        if line == b"\n" || line == b"\r\n" {
            break;
        }
    }
    start
}

fn header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text
        .split_once(':')
        .ok_or_else(|| format!("{text:?} has no colon; write 'Name: value'"))?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}
