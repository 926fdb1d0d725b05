//! `lettre::AsyncTransport` for [`Mailbox`]: programs written for lettre send through it.

use lettre::AsyncTransport;
use lettre::address::Envelope as LettreEnvelope;

use super::Mailbox;
use crate::error::{Error, Result};
use crate::message::RawMessage;
use crate::smtp::{Envelope, SendOptions, SendReport};

/// ```no_run
/// # async fn run(app: exomail::App, message: lettre::Message) -> exomail::Result<()> {
/// use lettre::AsyncTransport;
///
/// AsyncTransport::send(&app.mailbox("joe@example.com")?, message).await?;
/// # Ok(()) }
/// ```
#[async_trait::async_trait]
impl AsyncTransport for Mailbox {
    type Ok = SendReport;
    type Error = Error;

    async fn send_raw(&self, envelope: &LettreEnvelope, email: &[u8]) -> Result<SendReport> {
        let message = RawMessage::from_bytes(email.to_vec());
        Mailbox::send_raw(
            self,
            &Envelope::try_from(envelope)?,
            message,
            &SendOptions::default(),
        )
        .await
    }

    async fn shutdown(&self) {
        self.close().await;
    }
}
