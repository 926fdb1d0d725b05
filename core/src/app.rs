//! [`App`]: who we are in a tenant.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use futures_util::future::BoxFuture;
use tokio::time::Instant;
use url::Url;

use crate::cloud::Cloud;
use crate::error::{Error, ErrorKind, Result, Step};
use crate::mailbox::{Mailbox, WeakMailbox};
use crate::net::{Connector, Timeouts, Tls, Transcript};
use crate::sasl::Login;
use crate::secret::Secret;
use crate::settings::Settings;
use crate::token::{
    Certificate, Credential, Key, Refresh, Slot, Source, Token, TokenEndpoint, TokenProvider, is_guid, slot,
};

/// Personal Microsoft accounts as a tenant: what `consumers` stands for.
const CONSUMERS: &str = "9188040d-6c67-4c5b-b112-36a304b66dad";
/// How much longer than the fetch itself a caller waits for a fetch on another runtime.
const GRACE: Duration = Duration::from_secs(5);
/// Tokens are not forced more often than this when a server refuses one.
const REFRESH_EACH: Duration = Duration::from_secs(60);

/// An app in a tenant, signing in as itself with the OAuth2 client credentials grant.
///
/// Cheap to clone. Tokens are cached for the whole process: two `App`s with the same values share them, however many
/// callers wait there is one request, and a token is renewed about 5 minutes before it ends, while the old one serves.
/// It may be used from any number of tokio runtimes, which must have time and I/O enabled.
///
/// ```
/// use exomail::App;
///
/// let app = App::builder("contoso.onmicrosoft.com", "11111111-2222-4333-8444-555555555555")
///     .client_secret("8Q~the-Value-not-the-Secret-ID")
///     .build()?;
/// let login = app.login("joe@contoso.com")?;
/// assert_eq!(login.user(), "joe@contoso.com");
/// # Ok::<(), exomail::Error>(())
/// ```
#[derive(Clone)]
pub struct App(Arc<Inner>);

struct Inner {
    tenant: String,
    endpoint: Arc<TokenEndpoint>,
    cloud: Cloud,
    connector: Connector,
    slot: Arc<Slot>,
    source: Source,
    /// The mailboxes in use by lower-case address, so that all who open one share its connections and their limits.
    mailboxes: Mutex<HashMap<String, WeakMailbox>>,
}

impl App {
    /// Starts an app: `tenant` is the Directory (tenant) ID or a verified domain, `client_id` the Application (client) ID.
    pub fn builder(tenant: &str, client_id: &str) -> AppBuilder {
        AppBuilder {
            tenant: tenant.to_owned(),
            client_id: client_id.to_owned(),
            credential: None,
            cloud: Cloud::global(),
            extra_ca_pem: None,
            timeouts: Timeouts::default(),
            transcript: None,
        }
    }

    /// The app that the environment describes by `EXOMAIL_*` and `AZURE_*` variables; see [`Settings`].
    ///
    /// # Errors
    /// As [`Settings::from_env`], [`Settings::app`] and [`AppBuilder::build`].
    pub fn from_env() -> Result<Self> {
        Settings::from_env()?.app()?.build()
    }

    /// A token for mail that is valid now, from the cache where that has one.
    ///
    /// Dropping the future does not stop the request: others may wait for it, and the next caller finds its token.
    ///
    /// # Errors
    /// A kind of the 2xx (what Entra refused, with hint and step) or 3xx (network and TLS);
    /// [`ErrorKind::Throttled`] and [`ErrorKind::Unavailable`] after two further tries, and without any while a pause
    /// lasts that Entra asked for: [`Error::retry`] says how long;
    /// [`ErrorKind::State`] outside a tokio runtime.
    pub async fn token(&self) -> Result<Token> {
        self.0.slot.token(Refresh::IfNeeded, &self.0.source).await
    }

    /// A new token, though the cache has one: a permission was just granted, or a server refused the last token.
    /// Callers who ask for this at the same time share one request.
    ///
    /// # Errors
    /// As [`App::token`].
    pub async fn refresh_token(&self) -> Result<Token> {
        self.0.slot.token(Refresh::Force, &self.0.source).await
    }

    /// Whether a token was forced within the last minute: once more would bring nothing new, and a wrong set-up must not
    /// hammer Entra.
    pub(crate) fn was_just_refreshed(&self) -> bool {
        self.0
            .slot
            .forced_at()
            .is_some_and(|at| at.elapsed() < REFRESH_EACH)
    }

    /// Whether the token in the cache came from the endpoint after this moment.
    pub(crate) fn has_token_since(&self, moment: Instant) -> bool {
        self.0.slot.came_at().is_some_and(|at| at >= moment)
    }

    /// Opens `user`'s mailbox with tokens of this app: its primary SMTP address.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] when the user is empty or holds a control character.
    pub fn login(&self, user: impl Into<String>) -> Result<Login> {
        Login::new(user, self.clone())
    }

    /// The mailbox with this address: its primary SMTP address. Does nothing on the network yet.
    ///
    /// Whoever asks for the same address again shares its connections.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] when it is no mail address.
    pub fn mailbox(&self, address: &str) -> Result<Mailbox> {
        if !address.contains('@') {
            let detail = format!("{address:?} is no mail address");
            return Err(Error::new(ErrorKind::InvalidArgument, "mailbox", detail)
                .with_hint("give the mailbox's primary SMTP address, such as joe@example.com"));
        }
        let login = self.login(address)?;
        let mut mailboxes = self.0.mailboxes.lock().unwrap_or_else(PoisonError::into_inner);
        let key = address.to_lowercase();
        if let Some(mailbox) = mailboxes.get(&key).and_then(WeakMailbox::upgrade) {
            return Ok(mailbox);
        }
        mailboxes.retain(|_, mailbox| mailbox.upgrade().is_some());
        let mailbox = Mailbox::new(self.clone(), login);
        mailboxes.insert(key, mailbox.downgrade());
        Ok(mailbox)
    }

    /// The tenant, in lower case: GUID or domain.
    pub fn tenant(&self) -> &str {
        &self.0.tenant
    }

    /// The client id, in lower case.
    pub fn client_id(&self) -> &str {
        &self.0.endpoint.client_id
    }

    /// The endpoints in use.
    pub fn cloud(&self) -> &Cloud {
        &self.0.cloud
    }

    /// How the app proves who it is.
    pub(crate) fn credential(&self) -> &Credential {
        &self.0.endpoint.credential
    }

    /// What sessions connect with.
    pub fn connector(&self) -> &Connector {
        &self.0.connector
    }
}

impl TokenProvider for App {
    fn token(&self, refresh: Refresh) -> BoxFuture<'_, Result<Token>> {
        Box::pin(self.0.slot.token(refresh, &self.0.source))
    }
}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("App")
            .field("tenant", &self.0.tenant)
            .field("client_id", &self.0.endpoint.client_id)
            .field("credential", &self.0.endpoint.credential)
            .field("cloud", &self.0.cloud.name())
            .finish_non_exhaustive()
    }
}

/// The values of an [`App`]; [`build`](AppBuilder::build) checks them.
#[derive(Debug)]
pub struct AppBuilder {
    tenant: String,
    client_id: String,
    credential: Option<Credential>,
    cloud: Cloud,
    extra_ca_pem: Option<Vec<u8>>,
    timeouts: Timeouts,
    transcript: Option<Transcript>,
}

impl AppBuilder {
    /// Proves itself by a client secret: its Value, not its Secret ID.
    #[must_use]
    pub fn client_secret(self, secret: impl Into<Secret>) -> Self {
        self.credential(Credential::Secret(secret.into()))
    }

    /// Proves itself by a certificate.
    #[must_use]
    pub fn certificate(self, certificate: Certificate) -> Self {
        self.credential(Credential::Certificate(certificate))
    }

    /// Proves itself by this credential.
    #[must_use]
    pub fn credential(mut self, credential: Credential) -> Self {
        self.credential = Some(credential);
        self
    }

    /// Sets the endpoints; without it those of the global cloud.
    #[must_use]
    pub fn cloud(mut self, cloud: Cloud) -> Self {
        self.cloud = cloud;
        self
    }

    /// Trusts the CA certificates of a PEM text besides those of the operating system.
    #[must_use]
    pub fn extra_ca_pem(mut self, pem: &[u8]) -> Self {
        self.extra_ca_pem = Some(pem.to_vec());
        self
    }

    /// Sets the time limits.
    #[must_use]
    pub fn timeouts(mut self, timeouts: Timeouts) -> Self {
        self.timeouts = timeouts;
        self
    }

    /// Records every conversation, redacted, in `transcript`.
    #[must_use]
    pub fn transcript(mut self, transcript: Transcript) -> Self {
        self.transcript = Some(transcript);
        self
    }

    /// Checks all values and makes the app. Nothing is sent.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfig`] for a value that can't be right, with a hint; [`ErrorKind::CredentialExpired`] for a
    /// certificate that has expired; [`ErrorKind::Tls`] when the system has no CA certificates.
    pub fn build(self) -> Result<App> {
        let tenant = check_tenant(&self.tenant)?;
        let client_id = check_client_id(&self.client_id)?;
        if tenant == client_id {
            return Err(refuse("client id", "the client id is the tenant id").with_hint(
                "copy \"Application (client) ID\" from the app's overview page; \"Directory (tenant) ID\" is the tenant",
            ));
        }
        let credential = self.credential.ok_or_else(|| {
            Error::new(ErrorKind::InvalidConfig, "credential", "there is no credential")
                .with_step(Step::CreateCredential)
                .with_hint("give the Value of a client secret, or a certificate with its key")
        })?;
        credential.check(SystemTime::now())?;
        check_scope(self.cloud.scope())?;
        let tls = match &self.extra_ca_pem {
            Some(pem) => Tls::with_extra_ca_pem(pem)?,
            None => Tls::system()?,
        };
        let mut connector = Connector::new(tls).with_timeouts(self.timeouts);
        if let Some(transcript) = self.transcript {
            connector = connector.with_transcript(transcript);
        }
        let url = token_url(self.cloud.authority(), &tenant)?;
        let key = Key {
            token_url: url.to_string(),
            client_id: client_id.clone(),
            fingerprint: credential.fingerprint(),
            scope: self.cloud.scope().to_owned(),
        };
        let scope = self.cloud.scope().to_owned();
        let endpoint = Arc::new(TokenEndpoint::new(
            url,
            client_id,
            credential,
            scope,
            connector.clone(),
        )?);
        let fetcher = endpoint.clone();
        let source = Source {
            fetch: Arc::new(move || {
                let endpoint = fetcher.clone();
                Box::pin(async move { endpoint.fetch().await })
            }),
            limit: endpoint.limit() + GRACE,
        };
        let slot = slot(key);
        Ok(App(Arc::new(Inner {
            tenant,
            endpoint,
            cloud: self.cloud,
            connector,
            slot,
            source,
            mailboxes: Mutex::default(),
        })))
    }
}

fn refuse(what: &'static str, detail: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::InvalidConfig, what, detail).with_step(Step::RegisterApp)
}

fn check_tenant(tenant: &str) -> Result<String> {
    let refuse = |detail: String, hint: &'static str| Err(refuse("tenant", detail).with_hint(hint));
    if tenant.is_empty() {
        return refuse(
            "the tenant is empty".to_owned(),
            "give the Directory (tenant) ID from the app's overview page, or a verified domain",
        );
    }
    if tenant.trim() != tenant {
        return refuse(
            "the tenant begins or ends with white space".to_owned(),
            "cut off the blank or line end",
        );
    }
    let lower = tenant.to_ascii_lowercase();
    if ["common", "organizations", "consumers", CONSUMERS].contains(&lower.as_str()) {
        return refuse(
            format!("{tenant} is not a tenant"),
            "client credentials need the tenant's own id: give the Directory (tenant) ID, or a verified domain",
        );
    }
    if !is_guid(&lower) && !is_domain(&lower) {
        return refuse(
            // Not quoted: what stands in the wrong field may be the secret.
            "the tenant is neither a GUID nor a domain".to_owned(),
            "give the Directory (tenant) ID alone, without braces or URL, or a domain such as contoso.onmicrosoft.com",
        );
    }
    Ok(lower)
}

fn check_client_id(client_id: &str) -> Result<String> {
    if client_id.is_empty() {
        return Err(refuse("client id", "the client id is empty")
            .with_hint("give the Application (client) ID from the app's overview page"));
    }
    if client_id.trim() != client_id {
        return Err(
            refuse("client id", "the client id begins or ends with white space")
                .with_hint("cut off the blank or line end"),
        );
    }
    if !is_guid(client_id) {
        // Not quoted: what stands in the wrong field may be the secret.
        return Err(refuse("client id", "the client id is not a GUID").with_hint(
            "give the Application (client) ID from the app's overview page, not the app's name or its secret",
        ));
    }
    Ok(client_id.to_ascii_lowercase())
}

fn check_scope(scope: &str) -> Result<()> {
    let valid = scope.len() > "/.default".len()
        && scope.ends_with("/.default")
        && scope.bytes().all(|byte| byte.is_ascii_graphic());
    if valid {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::InvalidConfig,
        "scope",
        format!("the scope {scope:?} is not one that client credentials can ask for"),
    )
    .with_step(Step::Client)
    .with_hint(
        "it must end in /.default: https://outlook.office365.com/.default, or the national cloud's own",
    ))
}

/// A DNS name of at least two labels (RFC 1123 §2.1) whose last is not a number, as in an IP address.
fn is_domain(name: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    name.len() <= 253
        && name.split('.').all(label)
        && name
            .rsplit_once('.')
            .is_some_and(|(_, last)| !last.bytes().all(|byte| byte.is_ascii_digit()))
}

fn token_url(authority: &Url, tenant: &str) -> Result<Url> {
    let mut url = authority.clone();
    url.set_query(None);
    url.set_fragment(None);
    url.path_segments_mut()
        .map_err(|()| {
            Error::new(
                ErrorKind::InvalidConfig,
                "authority",
                "the authority can't be the base of a URL",
            )
        })?
        .pop_if_empty()
        .extend([tenant, "oauth2", "v2.0", "token"]);
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TENANT: &str = "11111111-1111-4111-8111-111111111111";
    const CLIENT: &str = "22222222-2222-4222-8222-222222222222";

    fn refusal(builder: AppBuilder) -> Error {
        builder.build().unwrap_err()
    }

    #[test]
    fn a_tenant_that_cant_be_right_is_refused() {
        let long = format!("{}.com", "a".repeat(64));
        for (tenant, hint) in [
            ("", "Directory (tenant) ID"),
            (" contoso.com", "cut off"),
            ("contoso.com\n", "cut off"),
            ("common", "tenant's own id"),
            ("Organizations", "tenant's own id"),
            ("consumers", "tenant's own id"),
            (CONSUMERS, "tenant's own id"),
            ("contoso", "onmicrosoft.com"),
            ("your-tenant-id", "onmicrosoft.com"),
            ("{11111111-1111-4111-8111-111111111111}", "braces"),
            ("https://login.microsoftonline.com/contoso.com", "URL"),
            ("contoso.com/../x", "URL"),
            ("contoso..com", "URL"),
            ("-contoso.com", "URL"),
            ("10.0.0.1", "URL"),
            ("8Q~the-secret", "URL"),
            ("8Q~the-secret\n", "cut off"),
            (&long, "URL"),
        ] {
            let error = refusal(App::builder(tenant, CLIENT).client_secret("8Q~value"));
            assert_eq!(error.kind(), ErrorKind::InvalidConfig, "{tenant:?}");
            assert_eq!(
                (error.operation(), error.step()),
                ("tenant", Some(Step::RegisterApp))
            );
            assert!(error.hint().unwrap().contains(hint), "{tenant:?}: {error}");
            assert!(
                !format!("{error:?}").contains("8Q~"),
                "a secret in the wrong field is not shown"
            );
        }
    }

    #[test]
    fn a_client_id_that_cant_be_right_is_refused() {
        for (client, hint) in [
            ("", "Application (client) ID"),
            ("22222222-2222-4222-8222-222222222222 ", "cut off"),
            ("my app", "not the app's name"),
            ("8Q~the-secret", "not the app's name"),
            ("8Q~the-secret\n", "cut off"),
            (TENANT, "Directory (tenant) ID"),
        ] {
            let error = refusal(App::builder(TENANT, client).client_secret("8Q~value"));
            assert_eq!(
                (error.kind(), error.operation()),
                (ErrorKind::InvalidConfig, "client id"),
                "{client:?}"
            );
            assert!(error.hint().unwrap().contains(hint), "{client:?}: {error}");
            assert!(
                !format!("{error:?}").contains("8Q~"),
                "a secret in the wrong field is not shown"
            );
        }
    }

    #[test]
    fn credential_scope_and_ca_are_checked() {
        let error = refusal(App::builder(TENANT, CLIENT));
        assert_eq!(
            (error.kind(), error.step()),
            (ErrorKind::InvalidConfig, Some(Step::CreateCredential))
        );
        let error = refusal(App::builder(TENANT, CLIENT).client_secret(TENANT));
        assert!(
            error
                .hint()
                .unwrap()
                .contains("this is the Secret ID, not the Value")
        );
        for scope in [
            "",
            "/.default",
            "https://outlook.office365.com/IMAP.AccessAsApp",
            "https://a b/.default",
        ] {
            let cloud = Cloud::global().with_scope(scope);
            let error = refusal(
                App::builder(TENANT, CLIENT)
                    .client_secret("8Q~value")
                    .cloud(cloud),
            );
            assert_eq!(
                (error.kind(), error.operation()),
                (ErrorKind::InvalidConfig, "scope"),
                "{scope:?}"
            );
        }
        let error = refusal(
            App::builder(TENANT, CLIENT)
                .client_secret("8Q~value")
                .extra_ca_pem(b"x"),
        );
        assert_eq!(error.kind(), ErrorKind::InvalidConfig);
    }

    #[test]
    fn the_token_url_is_below_the_authority() {
        for (authority, url) in [
            (
                "https://login.microsoftonline.com",
                "https://login.microsoftonline.com/contoso.com/oauth2/v2.0/token",
            ),
            (
                "https://localhost:8443/entra/?x=1#y",
                "https://localhost:8443/entra/contoso.com/oauth2/v2.0/token",
            ),
        ] {
            let made = token_url(&Url::parse(authority).unwrap(), "contoso.com").unwrap();
            assert_eq!(made.as_str(), url);
        }
    }

    #[test]
    fn an_app_shows_who_it_is_and_no_secret() {
        let app = App::builder(&TENANT.to_ascii_uppercase(), CLIENT)
            .client_secret("8Q~value")
            .build()
            .unwrap();
        assert_eq!((app.tenant(), app.client_id()), (TENANT, CLIENT));
        assert_eq!(app.cloud(), &Cloud::global());
        let debug = format!(
            "{app:?} {:?}",
            App::builder(TENANT, CLIENT).client_secret("8Q~value")
        );
        assert!(debug.contains(CLIENT) && debug.contains("fingerprint"), "{debug}");
        assert!(!debug.contains("8Q~"), "{debug}");
        assert_eq!(app.login("joe@contoso.com").unwrap().user(), "joe@contoso.com");
        assert_eq!(
            app.login("joe\r\n").unwrap_err().kind(),
            ErrorKind::InvalidArgument
        );
    }
}
