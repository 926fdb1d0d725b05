//! Lists the unread messages of the inbox, shows the newest. Configured by EXOMAIL_* variables.

use exomail::{MessageQuery, Settings};

#[tokio::main]
async fn main() -> exomail::Result<()> {
    let settings = Settings::from_env()?;
    let mailbox = settings
        .app()?
        .build()?
        .mailbox(&settings.mailbox.unwrap_or_default())?;

    let unread = mailbox
        .messages(MessageQuery::unseen().newest_first())
        .await?
        .all()
        .await?;
    println!("{} unread messages", unread.len());
    for (id, summary) in &unread {
        println!("{:>6}  {}", id.uid(), summary.envelope.subject);
    }
    if let Some((id, _)) = unread.first() {
        let message = mailbox.message(id).await?;
        println!("\n{}", message.text().unwrap_or_default());
        for attachment in message.attachments() {
            println!("{}: {} bytes", attachment.file_name(), attachment.bytes().len());
        }
    }
    Ok(())
}
