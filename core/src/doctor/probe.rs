//! The probes: they ask and record, and judge nothing.

use std::time::{Duration, SystemTime};

use futures_util::future::join_all;
use futures_util::stream::{self, StreamExt as _};
use serde_json::Value;
use tokio::time::Instant;
use url::Url;

use super::evidence::{
    CredentialKind, Discovery, Evidence, MailboxEvidence, Outcome, Protocol, RoundTrip, Server, Setup,
    TokenFacts,
};
use super::report::Report;
use super::token_refusal;
use crate::app::App;
use crate::cloud::Cloud;
use crate::deadline::Deadline;
use crate::error::{Error, ErrorKind, Layer, Result};
use crate::imap::{Access, Flag, ImapSession, Query, Role, Store, UidSet};
use crate::message::OutgoingMessage;
use crate::net::{Connector, Endpoint, HttpClient};
use crate::pop3::Pop3Session;
use crate::smtp::{SendOptions, SmtpSession};
use crate::token::{Credential, EntraRefusal};

/// Mailboxes at a time: a tenant throttles who asks for many.
const MAILBOXES_AT_ONCE: usize = 4;
/// Between two looks for the mail.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

/// What [`App::doctor`] shall try.
#[derive(Clone, Debug)]
pub struct DoctorOptions {
    mailboxes: Vec<String>,
    protocols: Vec<Protocol>,
    send: bool,
    probe_limit: Duration,
    arrival_limit: Duration,
}

impl DoctorOptions {
    /// All three protocols, nothing sent; each probe may take 30 seconds, a mail one minute to arrive.
    pub fn new() -> Self {
        Self {
            mailboxes: Vec::new(),
            protocols: Protocol::ALL.to_vec(),
            send: false,
            probe_limit: Duration::from_secs(30),
            arrival_limit: Duration::from_secs(60),
        }
    }

    /// Adds a mailbox, by its primary address. Without any, only tenant, token and servers are looked at.
    #[must_use]
    pub fn mailbox(mut self, address: impl Into<String>) -> Self {
        self.mailboxes.push(address.into());
        self
    }

    /// Tries only these protocols.
    #[must_use]
    pub fn protocols(mut self, protocols: &[Protocol]) -> Self {
        self.protocols = Protocol::ALL
            .into_iter()
            .filter(|protocol| protocols.contains(protocol))
            .collect();
        self
    }

    /// Lets each mailbox send a mail to itself, looks for it by IMAP, and deletes it and its copy in Sent Items.
    #[must_use]
    pub fn send(mut self, send: bool) -> Self {
        self.send = send;
        self
    }

    /// How long each probe may take.
    #[must_use]
    pub fn probe_limit(mut self, limit: Duration) -> Self {
        self.probe_limit = limit;
        self
    }

    /// How long to look for the mail that was sent.
    #[must_use]
    pub fn arrival_limit(mut self, limit: Duration) -> Self {
        self.arrival_limit = limit;
        self
    }

    fn tries(&self, protocol: Protocol) -> bool {
        self.protocols.contains(&protocol)
    }
}

impl Default for DoctorOptions {
    fn default() -> Self {
        Self::new()
    }
}

impl App {
    /// Looks at tenant, clock, token, servers and mailboxes, and says what is wrong and what to do first.
    ///
    /// Asks for a new token, so that what was just granted counts. What does not depend on something else runs at the same
    /// time. No mail is sent unless asked for, and nothing is changed. Never fails: what fails is in the report.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use exomail::doctor::{DoctorOptions, Severity};
    /// # use exomail::{App, Cloud, Endpoint};
    /// # let sandbox = exomail_sandbox::Sandbox::start().await?;
    /// # let cloud = Cloud::custom(sandbox.authority())?
    /// #     .with_imap(Endpoint::implicit_tls("localhost", sandbox.imap().1))
    /// #     .with_pop3(Endpoint::implicit_tls("localhost", sandbox.pop3().1))
    /// #     .with_smtp(Endpoint::start_tls("localhost", sandbox.smtp().1));
    /// # let app = App::builder(sandbox.tenant(), sandbox.client_id()).client_secret(sandbox.client_secret())
    /// #     .cloud(cloud).extra_ca_pem(sandbox.ca_pem().as_bytes()).build()?;
    /// let report = app.doctor(&DoctorOptions::new().mailbox("joe@contoso.example")).await;
    /// assert!(report.worst() <= Severity::Info && report.first().is_none());
    /// # Ok(()) }
    /// ```
    pub async fn doctor(&self, options: &DoctorOptions) -> Report {
        let limit = options.probe_limit;
        let servers = options
            .protocols
            .iter()
            .map(|protocol| server(self, *protocol, limit));
        let (discovery, token, servers) = tokio::join!(
            limited(limit, "discovery", discover(self)),
            limited(limit, "token", token(self)),
            join_all(servers)
        );
        let not_there = matches!(&discovery, Err(error) if error.kind() == ErrorKind::TenantNotFound);
        let elsewhere = if not_there {
            elsewhere(self, limit).await
        } else {
            None
        };
        let mailboxes = if token.is_ok() {
            stream::iter(&options.mailboxes)
                .map(|address| mailbox(self, address, options))
                .buffered(MAILBOXES_AT_ONCE)
                .collect()
                .await
        } else {
            let untried = |address: &String| MailboxEvidence {
                address: address.clone(),
                ..MailboxEvidence::default()
            };
            options.mailboxes.iter().map(untried).collect()
        };
        Report::of(Evidence {
            setup: Some(Setup {
                tenant: self.tenant().to_owned(),
                client_id: self.client_id().to_owned(),
                cloud: self.cloud().name().to_owned(),
                scope: self.cloud().scope().to_owned(),
                credential: match self.credential() {
                    Credential::Secret(_) => CredentialKind::Secret,
                    Credential::Certificate(_) => CredentialKind::Certificate,
                },
                protocols: options.protocols.clone(),
            }),
            configuration: None,
            discovery: Outcome::of(discovery),
            elsewhere,
            token: Outcome::of(token),
            servers,
            mailboxes,
        })
    }
}

async fn limited<T>(
    limit: Duration,
    operation: &'static str,
    probe: impl Future<Output = Result<T>>,
) -> Result<T> {
    // Boxed: all probes together would make a future of many kilobytes.
    Deadline::after(limit)
        .limit(operation, Box::pin(probe))
        .await
        .map_err(|error| match error.kind() {
            ErrorKind::TimedOut => error.with_layer(Layer::Network),
            _ => error,
        })
}

async fn discover(app: &App) -> Result<Discovery> {
    ask_authority(app.connector(), app.cloud(), app.tenant()).await
}

/// `/{tenant}/v2.0/.well-known/openid-configuration`, which needs no sign-in.
async fn ask_authority(connector: &Connector, cloud: &Cloud, tenant: &str) -> Result<Discovery> {
    const OPERATION: &str = "discovery";
    let tap = connector.tap(Layer::Token);
    let client = HttpClient::new(connector.tls(), connector.timeouts())?;
    let mut url: Url = cloud.authority().clone();
    url.path_segments_mut()
        .map_err(|()| {
            Error::new(
                ErrorKind::InvalidConfig,
                OPERATION,
                "the authority can't be the base of a URL",
            )
        })?
        .pop_if_empty()
        .extend([tenant, "v2.0", ".well-known", "openid-configuration"]);
    tap.client(|| format!("GET {url}"));
    let request = reqwest::Request::new(reqwest::Method::GET, url);
    let answer = client.send(OPERATION, request).await?;
    tap.note(|| format!("HTTP {}", answer.status));
    let not_entra = || {
        Error::new(
            ErrorKind::Protocol,
            OPERATION,
            format!("the answer (HTTP {}) is not from Entra", answer.status),
        )
        .with_layer(Layer::Network)
        .with_hint("a captive portal or proxy may answer in its place; check the network, the cloud and its login host")
    };
    if answer.status != 200 {
        let refusal: EntraRefusal = serde_json::from_slice(&answer.body).map_err(|_| not_entra())?;
        let reply = refusal.into_reply(answer.status, |text| tap.scrub(text));
        return Err(token_refusal(OPERATION, reply, answer.retry_after));
    }
    let document: Value = serde_json::from_slice(&answer.body).map_err(|_| not_entra())?;
    let text = |key: &str| document.get(key).and_then(Value::as_str).map(str::to_owned);
    // The token URL has the id also where the tenant was named by a domain.
    let endpoint = text("token_endpoint")
        .and_then(|url| Url::parse(&url).ok())
        .ok_or_else(not_entra)?;
    Ok(Discovery {
        tenant_id: endpoint
            .path_segments()
            .and_then(|mut segments| segments.next().map(str::to_owned)),
        cloud_instance: text("cloud_instance_name"),
        region_sub_scope: text("tenant_region_sub_scope").filter(|scope| !scope.is_empty()),
        clock_offset: answer.date.map(|server| seconds_ahead(SystemTime::now(), server)),
    })
}

fn seconds_ahead(ours: SystemTime, theirs: SystemTime) -> i64 {
    let seconds = |duration: Duration| i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
    match ours.duration_since(theirs) {
        Ok(ahead) => seconds(ahead),
        Err(behind) => -seconds(behind.duration()),
    }
}

/// The cloud that knows the tenant, where the one that was asked does not.
async fn elsewhere(app: &App, limit: Duration) -> Option<String> {
    let clouds = [Cloud::global(), Cloud::gcc_high(), Cloud::china()];
    // A custom cloud is nobody's but its owner's.
    if app.cloud().name() == "custom" {
        return None;
    }
    let asked = clouds
        .iter()
        .filter(|cloud| cloud.authority() != app.cloud().authority())
        .map(|cloud| async move {
            let found = limited(
                limit,
                "discovery",
                ask_authority(app.connector(), cloud, app.tenant()),
            )
            .await
            .ok()?;
            let home =
                super::infer::home_cloud(found.cloud_instance.as_deref(), found.region_sub_scope.as_deref());
            Some(home.unwrap_or(cloud.name()).to_owned())
        });
    join_all(asked).await.into_iter().flatten().next()
}

async fn token(app: &App) -> Result<TokenFacts> {
    let token = app.refresh_token().await?;
    Ok(TokenFacts {
        length: token.secret().expose().len(),
        remaining: token.remaining().as_secs(),
        claims: token.claims().ok(),
    })
}

fn endpoint(app: &App, protocol: Protocol) -> &Endpoint {
    match protocol {
        Protocol::Imap => app.cloud().imap(),
        Protocol::Pop3 => app.cloud().pop3(),
        Protocol::Smtp => app.cloud().smtp(),
    }
}

async fn server(app: &App, protocol: Protocol, limit: Duration) -> Server {
    let endpoint = endpoint(app, protocol);
    let connect = limited(limit, "connect", async {
        let mut wire = app.connector().connect(endpoint, protocol.layer()).await?;
        wire.close().await;
        Ok(())
    });
    Server {
        protocol,
        host: endpoint.host.clone(),
        port: endpoint.port,
        connect: Outcome::of(connect.await),
    }
}

async fn mailbox(app: &App, address: &str, options: &DoctorOptions) -> MailboxEvidence {
    let limit = options.probe_limit;
    let imap = async {
        if !options.tries(Protocol::Imap) {
            return Outcome::Skipped;
        }
        Outcome::of(limited(limit, "IMAP", imap(app, address)).await)
    };
    let pop3 = async {
        if !options.tries(Protocol::Pop3) {
            return Outcome::Skipped;
        }
        Outcome::of(limited(limit, "POP3", pop3(app, address)).await)
    };
    let smtp = async {
        if !options.tries(Protocol::Smtp) {
            return Outcome::Skipped;
        }
        Outcome::of(limited(limit, "SMTP", smtp(app, address)).await)
    };
    let (imap, pop3, smtp) = tokio::join!(imap, pop3, smtp);
    let round_trip = if options.send && smtp.passed().is_some() {
        Outcome::of(round_trip(app, address, options).await)
    } else {
        Outcome::Skipped
    };
    MailboxEvidence {
        address: address.to_owned(),
        imap,
        pop3,
        smtp,
        round_trip,
    }
}

/// AUTHENTICATE, NAMESPACE, EXAMINE.
async fn imap(app: &App, address: &str) -> Result<u32> {
    let login = app.login(address)?;
    let mut session = ImapSession::connect(app.connector(), app.cloud().imap(), &login).await?;
    let selected = session.select("INBOX", Access::ReadOnly).await?;
    // What is known is known, whether or not the farewell arrives.
    drop(session.logout().await);
    Ok(selected.exists)
}

async fn pop3(app: &App, address: &str) -> Result<u32> {
    let login = app.login(address)?;
    let mut session = Pop3Session::connect(app.connector(), app.cloud().pop3(), &login).await?;
    let stat = session.stat().await?;
    drop(session.quit().await);
    Ok(stat.messages)
}

async fn smtp(app: &App, address: &str) -> Result<()> {
    let login = app.login(address)?;
    let session = SmtpSession::connect(app.connector(), app.cloud().smtp(), &login).await?;
    drop(session.quit().await);
    Ok(())
}

async fn round_trip(app: &App, address: &str, options: &DoctorOptions) -> Result<RoundTrip> {
    let message = OutgoingMessage::builder()
        .from(address)
        .to(address)
        .subject("exomail doctor: a test of this mailbox")
        .text("Sent by `exomail doctor --send` to see whether mail arrives. It deletes this mail again.\r\n")
        .build()?;
    let message_id = message.message_id().to_owned();
    let envelope = message.envelope().clone();
    limited(options.probe_limit, "send", async {
        let login = app.login(address)?;
        let mut session = SmtpSession::connect(app.connector(), app.cloud().smtp(), &login).await?;
        session
            .send(&envelope, message.into_raw(), &SendOptions::default())
            .await?;
        drop(session.quit().await);
        Ok(())
    })
    .await?;
    let started = Instant::now();
    let mut trip = RoundTrip {
        message_id,
        ..RoundTrip::default()
    };
    let looked = limited(
        options.arrival_limit,
        "look for the mail",
        find_and_delete(app, address, started, &mut trip),
    )
    .await;
    if !trip.arrived {
        trip.seconds = started.elapsed().as_secs();
    }
    // Running out of time is the answer, not a trouble.
    trip.trouble = Outcome::of(looked)
        .failure()
        .filter(|failure| failure.kind != ErrorKind::TimedOut)
        .map(|failure| Box::new(failure.clone()));
    Ok(trip)
}

async fn find_and_delete(app: &App, address: &str, started: Instant, trip: &mut RoundTrip) -> Result<()> {
    let login = app.login(address)?;
    let (mut session, _) = ImapSession::connect_selected(
        app.connector(),
        app.cloud().imap(),
        &login,
        "INBOX",
        Access::ReadWrite,
    )
    .await?;
    let query = Query::all().message_id(&trip.message_id);
    let found = loop {
        let found: UidSet = session.search(&query).await?.into_iter().collect();
        if !found.is_empty() {
            break found;
        }
        tokio::time::sleep(LOOK_AGAIN).await;
        session.noop().await?;
    };
    trip.arrived = true;
    trip.seconds = started.elapsed().as_secs();
    trip.deleted += delete(&mut session, &found).await?;
    let folders = session.folders().await?;
    if let Some(sent) = folders.iter().find(|folder| folder.role == Some(Role::Sent)) {
        session.select(&sent.name, Access::ReadWrite).await?;
        let copies: UidSet = session.search(&query).await?.into_iter().collect();
        if !copies.is_empty() {
            trip.deleted += delete(&mut session, &copies).await?;
        }
    }
    drop(session.logout().await);
    Ok(())
}

/// Only what was named: a bare EXPUNGE would take what others have marked.
async fn delete(session: &mut ImapSession, uids: &UidSet) -> Result<u32> {
    session.store(uids, Store::Add, &[Flag::Deleted]).await?;
    session.uid_expunge(uids).await
}
