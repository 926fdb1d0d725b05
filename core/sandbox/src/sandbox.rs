//! A running sandbox.

use std::fmt;
use std::path::Path;
use std::sync::{Arc, MutexGuard};

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::administrator::{self, AdminScope};
use crate::builder::SandboxBuilder;
use crate::clock::Clock;
use crate::entra;
use crate::error::SandboxError;
use crate::faults::{Fault, FaultSwitch};
use crate::keys::{self, TokenOverrides};
use crate::mail::authorize::Protocol;
use crate::mail::listener::{self, Listening};
use crate::pki::{CaFile, Pki};
use crate::shared::{Options, Shared};
use crate::state::{Appended, Flags, StoreError, Stored, Tenant};
use crate::stats::Stats;

/// The name that clients connect to. The certificate is for it, and for 127.0.0.1.
const HOST: &str = "localhost";

/// A running tenant. Everything ends when it is dropped, or with [`stop`](Self::stop).
pub struct Sandbox {
    shared: Arc<Shared>,
    tenant: String,
    domain: String,
    client_id: String,
    client_secret: String,
    authority: String,
    ca_file: CaFile,
    ports: Ports,
    tasks: Vec<JoinHandle<()>>,
}

#[derive(Debug, Clone, Copy)]
struct Ports {
    imap: u16,
    imap_starttls: u16,
    pop3: u16,
    pop3_stls: u16,
    smtp: u16,
    smtp_tls: u16,
}

impl fmt::Debug for Sandbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sandbox")
            .field("authority", &self.authority)
            .field("tenant", &self.tenant)
            .field("client_id", &self.client_id)
            .field("ports", &self.ports)
            .finish_non_exhaustive()
    }
}

impl Sandbox {
    /// Starts a sandbox with everything set up and two mailboxes.
    ///
    /// # Errors
    /// No port can be opened, or the certificates cannot be made.
    pub async fn start() -> Result<Self, SandboxError> {
        SandboxBuilder::new().start().await
    }

    /// Settings first.
    pub fn builder() -> SandboxBuilder {
        SandboxBuilder::new()
    }

    pub(crate) async fn open(
        tenant: Tenant,
        credentials: Option<(String, String)>,
        options: Options,
    ) -> Result<Self, SandboxError> {
        keys::begin();
        let pki = Pki::generate()?;
        let ca_file = CaFile::write(&pki.ca_pem)?;
        let id = tenant.id().to_owned();
        let domain = tenant.domains().first().cloned().unwrap_or_default();
        let (client_id, client_secret) = credentials.unwrap_or_default();
        let shared = Arc::new(Shared::new(tenant, options, pki));
        let mut tasks = Guard(Vec::new());
        let authority = tasks.keep(entra::serve(shared.clone()).await?);
        let ports = Ports {
            imap: tasks.keep(listener::serve(shared.clone(), Protocol::Imap, true).await?),
            imap_starttls: tasks.keep(listener::serve(shared.clone(), Protocol::Imap, false).await?),
            pop3: tasks.keep(listener::serve(shared.clone(), Protocol::Pop3, true).await?),
            pop3_stls: tasks.keep(listener::serve(shared.clone(), Protocol::Pop3, false).await?),
            smtp: tasks.keep(listener::serve(shared.clone(), Protocol::Smtp, false).await?),
            smtp_tls: tasks.keep(listener::serve(shared.clone(), Protocol::Smtp, true).await?),
        };
        Ok(Self {
            shared,
            tenant: id,
            domain,
            client_id,
            client_secret,
            authority: format!("https://{HOST}:{authority}"),
            ca_file,
            ports,
            tasks: std::mem::take(&mut tasks.0),
        })
    }

    /// Base of Entra's URLs, without a slash at the end: `https://localhost:PORT`.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// The tenant's id, a GUID.
    pub fn tenant(&self) -> &str {
        &self.tenant
    }

    /// The tenant's default domain.
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// The application's client id; empty if nothing was set up.
    pub fn client_id(&self) -> &str {
        &self.client_id
    }

    /// The application's secret (the Value); empty if nothing was set up. Its only worth is in this sandbox.
    pub fn client_secret(&self) -> &str {
        &self.client_secret
    }

    /// The certificate authority that signed all servers' certificate, as PEM.
    pub fn ca_pem(&self) -> &str {
        &self.shared.pki.ca_pem
    }

    /// A file with [`ca_pem`](Self::ca_pem), removed with the sandbox.
    pub fn ca_file(&self) -> &Path {
        self.ca_file.path()
    }

    /// IMAP, encrypted from the first byte.
    pub fn imap(&self) -> (&str, u16) {
        (HOST, self.ports.imap)
    }

    /// IMAP with STARTTLS.
    pub fn imap_starttls(&self) -> (&str, u16) {
        (HOST, self.ports.imap_starttls)
    }

    /// POP3, encrypted from the first byte.
    pub fn pop3(&self) -> (&str, u16) {
        (HOST, self.ports.pop3)
    }

    /// POP3 with STLS.
    pub fn pop3_stls(&self) -> (&str, u16) {
        (HOST, self.ports.pop3_stls)
    }

    /// SMTP submission with STARTTLS, as on port 587.
    pub fn smtp(&self) -> (&str, u16) {
        (HOST, self.ports.smtp)
    }

    /// SMTP submission encrypted from the first byte, as on port 465, which Exchange does not offer.
    pub fn smtp_tls(&self) -> (&str, u16) {
        (HOST, self.ports.smtp_tls)
    }

    /// Primary addresses of all mailboxes.
    pub fn mailboxes(&self) -> Vec<String> {
        self.state()
            .mailboxes()
            .iter()
            .map(|mailbox| mailbox.primary().to_owned())
            .collect()
    }

    /// The tenant, locked: all servers wait until the guard goes. Do not hold it across an `.await`.
    pub fn state(&self) -> MutexGuard<'_, Tenant> {
        self.shared.tenant()
    }

    /// Puts a message into a mailbox's INBOX as it is, without touching a header.
    ///
    /// # Errors
    /// No such mailbox, or no room.
    pub fn deliver(&self, mailbox: &str, raw: impl Into<Bytes>) -> Result<Appended, StoreError> {
        let mut tenant = self.state();
        let now = tenant.now();
        tenant.append(mailbox, "INBOX", Flags::NONE, now, raw.into())
    }

    /// The messages of a folder; none if there is no such mailbox or folder.
    pub fn messages(&self, mailbox: &str, folder: &str) -> Vec<Stored> {
        self.state()
            .folder(mailbox, folder)
            .map(|folder| folder.messages().to_vec())
            .unwrap_or_default()
    }

    /// Switches a fault on, in place of what was on of it: `Fault::Silence`, `Fault::Smtp432.times(2)`, or a text
    /// that was parsed as a [`FaultSwitch`]. It counts for connections that are open, too.
    pub fn fault(&self, fault: impl Into<FaultSwitch>) {
        self.shared.faults.set(fault.into());
    }

    /// Switches a fault off.
    pub fn clear_fault(&self, fault: Fault) {
        self.shared.faults.clear(fault);
    }

    /// Switches all faults off, those of the builder too.
    pub fn clear_faults(&self) {
        self.shared.faults.clear_all();
    }

    /// The faults that are on, each with the number of times that it will strike yet.
    pub fn faults(&self) -> Vec<FaultSwitch> {
        self.shared.faults.list()
    }

    /// The time in the sandbox, which can be put forward.
    pub fn clock(&self) -> &Clock {
        &self.shared.clock
    }

    /// What has been counted so far.
    pub fn stats(&self) -> Stats {
        self.shared.counters.read()
    }

    /// Signs a token that differs from what the token endpoint would issue now. Waits for the key.
    ///
    /// # Errors
    /// The key could not be made.
    pub async fn mint_token(&self, overrides: &TokenOverrides) -> Result<String, SandboxError> {
        entra::mint(&self.shared, &self.client_id, overrides).await
    }

    /// An administrator's token for Microsoft Graph or for Exchange's cmdlets, as a sign-in by device code gives it.
    ///
    /// # Errors
    /// The key could not be made.
    pub async fn admin_token(&self, scope: AdminScope) -> Result<String, SandboxError> {
        administrator::issue(&self.shared, scope).await
    }

    /// The keys that sign tokens (RFC 7517), as the discovery endpoint answers. Waits for them.
    ///
    /// # Errors
    /// The key could not be made.
    pub async fn jwks(&self) -> Result<Value, SandboxError> {
        Ok(keys::signing_key().await?.get()?.jwks())
    }

    /// What a client has to know, as JSON, the secret included: `authority`, `tenant`, `client_id`,
    /// `client_secret`, `imap`, `pop3`, `smtp` (each with `host` and `port`), `ca_file`, `mailboxes`.
    pub fn to_json(&self) -> Value {
        let endpoint = |(host, port): (&str, u16)| json!({"host": host, "port": port});
        json!({
            "authority": self.authority,
            "tenant": self.tenant,
            "client_id": self.client_id,
            "client_secret": self.client_secret,
            "imap": endpoint(self.imap()),
            "pop3": endpoint(self.pop3()),
            "smtp": endpoint(self.smtp()),
            "ca_file": self.ca_file().to_string_lossy(),
            "mailboxes": self.mailboxes(),
        })
    }

    /// The same as environment variables, which exomail reads: name and value.
    pub fn to_env(&self) -> Vec<(&'static str, String)> {
        let url = |scheme: &str, (host, port): (&str, u16)| format!("{scheme}://{host}:{port}");
        vec![
            ("EXOMAIL_AUTHORITY", self.authority.clone()),
            ("EXOMAIL_TENANT", self.tenant.clone()),
            ("EXOMAIL_CLIENT_ID", self.client_id.clone()),
            ("EXOMAIL_CLIENT_SECRET", self.client_secret.clone()),
            ("EXOMAIL_IMAP", url("imaps", self.imap())),
            ("EXOMAIL_POP3", url("pop3s", self.pop3())),
            ("EXOMAIL_SMTP", url("smtp", self.smtp())),
            ("EXOMAIL_CA_FILE", self.ca_file().to_string_lossy().into_owned()),
            ("EXOMAIL_MAILBOXES", self.mailboxes().join(",")),
        ]
    }

    /// Ends all connections, closes all ports, removes the file.
    pub async fn stop(mut self) {
        for task in std::mem::take(&mut self.tasks) {
            task.abort();
            // Aborted, so it never ends otherwise than with "cancelled".
            let _ = task.await;
        }
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// Tasks of a start that has not succeeded yet: a failure in the middle ends those that run.
struct Guard(Vec<JoinHandle<()>>);

impl Guard {
    fn keep(&mut self, listening: Listening) -> u16 {
        self.0.push(listening.task);
        listening.port
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.iter().for_each(JoinHandle::abort);
    }
}
