//! Sends a mail with an attachment: `send RECIPIENT [FILE]`. Configured by EXOMAIL_* variables.

use exomail::message::Attachment;
use exomail::{Error, ErrorKind, Settings};

#[tokio::main]
async fn main() -> exomail::Result<()> {
    let settings = Settings::from_env()?;
    let mailbox = settings
        .app()?
        .build()?
        .mailbox(&settings.mailbox.unwrap_or_default())?;

    let mut arguments = std::env::args().skip(1);
    let usage = || Error::new(ErrorKind::InvalidArgument, "send", "usage: send RECIPIENT [FILE]");
    let mut mail = mailbox
        .compose()
        .to(arguments.next().ok_or_else(usage)?.as_str())
        .subject("Grüße from exomail")
        .text("Sent by a program that signed in as itself.");
    if let Some(file) = arguments.next() {
        mail = mail.attach(Attachment::file(file));
    }

    let report = mailbox.send(&mail.build()?).await?;
    for recipient in &report.recipients {
        println!("{}: {}", recipient.address, recipient.reply.text);
    }
    Ok(())
}
