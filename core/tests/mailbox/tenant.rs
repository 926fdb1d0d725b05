//! A sandbox, and an app in it.

use exomail::{App, Cloud, Endpoint, Limits, Mailbox, MessageQuery, Transcript};
use exomail_sandbox::{ConnectionStats, Protocol, Sandbox, SandboxBuilder};

pub(crate) const JOE: &str = "joe@contoso.example";
pub(crate) const ANN: &str = "ann@contoso.example";

pub(crate) struct Tenant {
    pub(crate) sandbox: Sandbox,
    pub(crate) app: App,
    pub(crate) transcript: Transcript,
}

impl Tenant {
    pub(crate) async fn start() -> Self {
        Self::with(Sandbox::builder()).await
    }

    /// Mails are not paced here: tests don't wait.
    pub(crate) async fn with(builder: SandboxBuilder) -> Self {
        let limits = Limits {
            messages_per_minute: u32::MAX,
            ..Limits::default()
        };
        Self::limited(builder, limits).await
    }

    pub(crate) async fn limited(builder: SandboxBuilder, limits: Limits) -> Self {
        let sandbox = builder.mailbox(JOE).mailbox(ANN).start().await.unwrap();
        let transcript = Transcript::new();
        let implicit = |(host, port): (&str, u16)| Endpoint::implicit_tls(host, port);
        let (host, port) = sandbox.smtp();
        let cloud = Cloud::custom(sandbox.authority())
            .unwrap()
            .with_imap(implicit(sandbox.imap()))
            .with_pop3(implicit(sandbox.pop3()))
            .with_smtp(Endpoint::start_tls(host, port))
            .with_limits(limits);
        let app = App::builder(sandbox.tenant(), sandbox.client_id())
            .client_secret(sandbox.client_secret())
            .cloud(cloud)
            .extra_ca_pem(sandbox.ca_pem().as_bytes())
            .transcript(transcript.clone())
            .build()
            .unwrap();
        Self {
            sandbox,
            app,
            transcript,
        }
    }

    pub(crate) fn mailbox(&self, address: &str) -> Mailbox {
        self.app.mailbox(address).unwrap()
    }

    pub(crate) fn connections(&self, protocol: Protocol) -> Vec<ConnectionStats> {
        let connections = self.sandbox.stats().connections;
        connections
            .into_iter()
            .filter(|connection| connection.protocol == protocol)
            .collect()
    }

    /// The flights of the only connection of this protocol.
    pub(crate) fn flights(&self, protocol: Protocol) -> u64 {
        let connections = self.connections(protocol);
        assert_eq!(connections.len(), 1, "{connections:?}");
        connections[0].flights
    }
}

/// Puts `count` small mails into a mailbox.
pub(crate) fn deliver(tenant: &Tenant, mailbox: &str, count: usize) {
    for n in 0..count {
        let raw = format!("From: {ANN}\r\nTo: {mailbox}\r\nSubject: Mail {n}\r\n\r\nThe text of {n}.\r\n");
        tenant.sandbox.deliver(mailbox, raw).unwrap();
    }
}

/// The subjects of a folder, in its order.
pub(crate) async fn subjects(mailbox: &Mailbox, query: MessageQuery) -> Vec<String> {
    let messages = mailbox.messages(query).await.unwrap().all().await.unwrap();
    messages
        .into_iter()
        .map(|(_, summary)| summary.envelope.subject)
        .collect()
}
