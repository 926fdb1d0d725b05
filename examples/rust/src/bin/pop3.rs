//! Prints the subject of every message of the inbox by POP3. Configured by EXOMAIL_* variables.

use exomail::Settings;
use exomail::message::Message;

#[tokio::main]
async fn main() -> exomail::Result<()> {
    let settings = Settings::from_env()?;
    let mailbox = settings
        .app()?
        .build()?
        .mailbox(&settings.mailbox.unwrap_or_default())?;
    let mut pop3 = mailbox.pop3().await?;
    let stat = pop3.stat().await?;
    println!("{} messages, {} bytes", stat.messages, stat.octets);

    for (number, uid) in pop3.uidl().await? {
        let mut header = Vec::new();
        pop3.top(number, 0, &mut header).await?;
        println!("{uid}  {}", Message::parse(header)?.subject().unwrap_or_default());
    }
    // Deletes what `dele` marked, here nothing.
    pop3.quit().await
}
