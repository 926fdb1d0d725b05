//! [`Settings`]: tenant, app, credential and servers as an environment or a configuration file names them.

use std::fmt;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use crate::error::{Error, ErrorKind, Layer, Result};
use crate::net::Endpoint;
use crate::secret::Secret;
use crate::token::{Certificate, Credential};
use crate::{App, AppBuilder, Cloud};

/// What a program must know to sign in, gathered from one place or merged from several.
///
/// Every field may be missing; [`app`](Settings::app) says which one is needed. The environment variables are
/// `EXOMAIL_TENANT`, `EXOMAIL_CLIENT_ID`, `EXOMAIL_CLIENT_SECRET`, `EXOMAIL_CLIENT_SECRET_FILE`,
/// `EXOMAIL_CERTIFICATE` (a path), `EXOMAIL_CERTIFICATE_PASSWORD`, `EXOMAIL_CERTIFICATE_PASSWORD_FILE`,
/// `EXOMAIL_CLOUD`, `EXOMAIL_AUTHORITY`, `EXOMAIL_IMAP`, `EXOMAIL_POP3`, `EXOMAIL_SMTP` (URLs, see
/// [`Endpoint::from_url`]), `EXOMAIL_CA_FILE`, `EXOMAIL_MAILBOX` (or the first of `EXOMAIL_MAILBOXES`, separated by
/// commas); and below them Azure's own: `AZURE_TENANT_ID`, `AZURE_CLIENT_ID`, `AZURE_CLIENT_SECRET`,
/// `AZURE_CLIENT_CERTIFICATE_PATH`, `AZURE_CLIENT_CERTIFICATE_PASSWORD`, `AZURE_AUTHORITY_HOST`. An empty variable
/// counts as missing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Tenant: GUID or domain.
    pub tenant: Option<String>,
    /// Application (client) id.
    pub client_id: Option<String>,
    /// How the app proves who it is.
    pub credential: Option<CredentialSource>,
    /// The password of a PFX file.
    pub certificate_password: Option<SecretSource>,
    /// The cloud by name, see [`Cloud::by_name`].
    pub cloud: Option<String>,
    /// The login host as URL.
    pub authority: Option<String>,
    /// The IMAP server, where it is not the cloud's.
    pub imap: Option<Endpoint>,
    /// The POP3 server, where it is not the cloud's.
    pub pop3: Option<Endpoint>,
    /// The SMTP server, where it is not the cloud's.
    pub smtp: Option<Endpoint>,
    /// PEM file with CA certificates to trust besides the system's.
    pub ca_file: Option<PathBuf>,
    /// The mailbox to open.
    pub mailbox: Option<String>,
}

/// Where a secret text is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretSource {
    /// Here.
    Value(Secret),
    /// In this file; one line end behind it does not count.
    File(PathBuf),
}

/// Where the app's credential is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CredentialSource {
    /// A client secret.
    Secret(SecretSource),
    /// A certificate with its private key: a PEM or PFX file.
    Certificate(PathBuf),
}

/// How a PEM text begins, after whatever remarks stand in front of it; a PFX file is binary.
const PEM: &[u8] = b"-----BEGIN ";

/// A file with a secret is a line, not a document.
const MAX_SECRET_FILE: u64 = 64 * 1024;
/// A certificate with its key, or a bundle of CAs: a system's whole store has a quarter of a megabyte.
const MAX_FILE: u64 = 4 * 1024 * 1024;

impl SecretSource {
    /// The secret.
    ///
    /// # Errors
    /// [`ErrorKind::LocalIo`] when the file can't be read, [`ErrorKind::InvalidConfig`] when it is no short text.
    pub fn read(&self) -> Result<Secret> {
        let path = match self {
            SecretSource::Value(secret) => return Ok(secret.clone()),
            SecretSource::File(path) => path,
        };
        let bytes = read(path, MAX_SECRET_FILE)?;
        let mut text = String::from_utf8(bytes).map_err(|_| {
            Error::new(
                ErrorKind::InvalidConfig,
                "read secret",
                format!("{} is not text", path.display()),
            )
        })?;
        // Editors and `echo` end the line; anything else around the secret is refused where it is used.
        if text.ends_with('\n') {
            text.pop();
            if text.ends_with('\r') {
                text.pop();
            }
        }
        Ok(Secret::new(text))
    }
}

impl Settings {
    /// The environment of this process: `EXOMAIL_*`, and for what is missing there `AZURE_*`.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfig`] naming the variable that can't be right.
    pub fn from_env() -> Result<Self> {
        Self::from_variables(|name| match std::env::var(name) {
            Ok(value) => Ok(Some(value)),
            Err(std::env::VarError::NotPresent) => Ok(None),
            Err(std::env::VarError::NotUnicode(_)) => Err(invalid(name, "is not UTF-8")),
        })
    }

    /// As [`from_env`](Self::from_env), from variables that are held elsewhere.
    ///
    /// ```
    /// use exomail::Settings;
    ///
    /// let settings = Settings::from_variables(|name| Ok((name == "AZURE_TENANT_ID").then(|| "contoso.com".to_owned())))?;
    /// assert_eq!(settings.tenant.as_deref(), Some("contoso.com"));
    /// # Ok::<(), exomail::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`from_env`](Self::from_env).
    pub fn from_variables(variable: impl Fn(&'static str) -> Result<Option<String>>) -> Result<Self> {
        let get = |name| variable(name).map(|value| value.filter(|value| !value.is_empty()));
        Ok(Self::exomail_variables(&get)?.or(Self::azure_variables(&get)?))
    }

    fn exomail_variables(get: &impl Fn(&'static str) -> Result<Option<String>>) -> Result<Self> {
        let endpoint = |layer, name| match get(name)? {
            Some(url) => Endpoint::from_url(layer, &url)
                .map(Some)
                .map_err(|error| error.with_operation(name)),
            None => Ok(None),
        };
        let secret = one_of(
            ("EXOMAIL_CLIENT_SECRET", get("EXOMAIL_CLIENT_SECRET")?.map(value)),
            (
                "EXOMAIL_CLIENT_SECRET_FILE",
                get("EXOMAIL_CLIENT_SECRET_FILE")?.map(file),
            ),
        )?;
        let certificate = get("EXOMAIL_CERTIFICATE")?.map(PathBuf::from);
        Ok(Self {
            tenant: get("EXOMAIL_TENANT")?,
            client_id: get("EXOMAIL_CLIENT_ID")?,
            credential: one_of(
                ("EXOMAIL_CLIENT_SECRET", secret.map(CredentialSource::Secret)),
                (
                    "EXOMAIL_CERTIFICATE",
                    certificate.map(CredentialSource::Certificate),
                ),
            )?,
            certificate_password: one_of(
                (
                    "EXOMAIL_CERTIFICATE_PASSWORD",
                    get("EXOMAIL_CERTIFICATE_PASSWORD")?.map(value),
                ),
                (
                    "EXOMAIL_CERTIFICATE_PASSWORD_FILE",
                    get("EXOMAIL_CERTIFICATE_PASSWORD_FILE")?.map(file),
                ),
            )?,
            cloud: get("EXOMAIL_CLOUD")?,
            authority: get("EXOMAIL_AUTHORITY")?,
            imap: endpoint(Layer::Imap, "EXOMAIL_IMAP")?,
            pop3: endpoint(Layer::Pop3, "EXOMAIL_POP3")?,
            smtp: endpoint(Layer::Smtp, "EXOMAIL_SMTP")?,
            ca_file: get("EXOMAIL_CA_FILE")?.map(PathBuf::from),
            mailbox: match get("EXOMAIL_MAILBOX")? {
                Some(mailbox) => Some(mailbox),
                None => get("EXOMAIL_MAILBOXES")?
                    .and_then(|all| all.split(',').next().map(|first| first.trim().to_owned())),
            },
        })
    }

    fn azure_variables(get: &impl Fn(&'static str) -> Result<Option<String>>) -> Result<Self> {
        let secret = get("AZURE_CLIENT_SECRET")?.map(|text| CredentialSource::Secret(value(text)));
        let certificate = get("AZURE_CLIENT_CERTIFICATE_PATH")?.map(PathBuf::from);
        Ok(Self {
            tenant: get("AZURE_TENANT_ID")?,
            client_id: get("AZURE_CLIENT_ID")?,
            // With both, Azure's own libraries take the secret.
            credential: secret.or(certificate.map(CredentialSource::Certificate)),
            certificate_password: get("AZURE_CLIENT_CERTIFICATE_PASSWORD")?.map(value),
            authority: get("AZURE_AUTHORITY_HOST")?,
            ..Self::default()
        })
    }

    /// What is missing here is taken from `lower`.
    ///
    /// A credential here hides every credential there, also one of another sort. A cloud here hides an authority
    /// there; an authority here that belongs to another cloud hides a cloud there.
    #[must_use]
    pub fn or(self, lower: Self) -> Self {
        let (cloud, authority) = match (self.cloud, self.authority) {
            (None, None) => (lower.cloud, lower.authority),
            (None, Some(authority)) => (
                lower.cloud.filter(|cloud| !belongs_elsewhere(&authority, cloud)),
                Some(authority),
            ),
            given => given,
        };
        Self {
            tenant: self.tenant.or(lower.tenant),
            client_id: self.client_id.or(lower.client_id),
            credential: self.credential.or(lower.credential),
            certificate_password: self.certificate_password.or(lower.certificate_password),
            cloud,
            authority,
            imap: self.imap.or(lower.imap),
            pop3: self.pop3.or(lower.pop3),
            smtp: self.smtp.or(lower.smtp),
            ca_file: self.ca_file.or(lower.ca_file),
            mailbox: self.mailbox.or(lower.mailbox),
        }
    }

    /// The app that these settings describe, ready for what they do not cover. Reads the files, no network.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfig`] naming what is missing or can't be right; [`ErrorKind::LocalIo`] when a file can't
    /// be read.
    pub fn app(&self) -> Result<AppBuilder> {
        let missing = |what: &str, hint: &'static str| {
            Error::new(
                ErrorKind::InvalidConfig,
                "configuration",
                format!("no {what} is configured"),
            )
            .with_hint(hint)
        };
        let tenant = self.tenant.as_deref();
        let tenant = tenant.ok_or_else(|| missing("tenant", "set EXOMAIL_TENANT or AZURE_TENANT_ID"))?;
        let client_id = self.client_id.as_deref();
        let client_id =
            client_id.ok_or_else(|| missing("client id", "set EXOMAIL_CLIENT_ID or AZURE_CLIENT_ID"))?;
        let credential = self.credential.as_ref().ok_or_else(|| {
            missing(
                "credential",
                "set EXOMAIL_CLIENT_SECRET, EXOMAIL_CLIENT_SECRET_FILE or EXOMAIL_CERTIFICATE, or AZURE_CLIENT_SECRET or \
                 AZURE_CLIENT_CERTIFICATE_PATH",
            )
        })?;
        let credential = match credential {
            CredentialSource::Secret(source) => Credential::Secret(source.read()?),
            CredentialSource::Certificate(path) => Credential::Certificate(self.certificate(path)?),
        };
        let mut builder = App::builder(tenant, client_id)
            .credential(credential)
            .cloud(self.resolve_cloud()?);
        if let Some(path) = &self.ca_file {
            builder = builder.extra_ca_pem(&read(path, MAX_FILE)?);
        }
        Ok(builder)
    }

    fn certificate(&self, path: &Path) -> Result<Certificate> {
        let bytes = read(path, MAX_FILE)?;
        if bytes.windows(PEM.len()).any(|window| window == PEM) {
            return Certificate::from_pem(&bytes);
        }
        let password = match &self.certificate_password {
            Some(source) => source.read()?,
            None => Secret::new(""),
        };
        Certificate::from_pfx(&bytes, &password)
    }

    /// The cloud that these settings describe: Global when they name none.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfig`] for a cloud that does not exist or an authority that is no `https` URL.
    pub fn resolve_cloud(&self) -> Result<Cloud> {
        let mut cloud = match (&self.cloud, &self.authority) {
            (Some(name), None) => Cloud::by_name(name)?,
            (Some(name), Some(authority)) => Cloud::by_name(name)?.with_authority(&https(authority))?,
            (None, Some(authority)) => {
                let custom = Cloud::custom(&https(authority))?;
                Cloud::by_authority(custom.authority()).unwrap_or(custom)
            }
            (None, None) => Cloud::global(),
        };
        if let Some(endpoint) = &self.imap {
            cloud = cloud.with_imap(endpoint.clone());
        }
        if let Some(endpoint) = &self.pop3 {
            cloud = cloud.with_pop3(endpoint.clone());
        }
        if let Some(endpoint) = &self.smtp {
            cloud = cloud.with_smtp(endpoint.clone());
        }
        Ok(cloud)
    }
}

/// `AZURE_AUTHORITY_HOST` may be a bare host name.
fn https(authority: &str) -> String {
    if authority.contains("://") {
        authority.to_owned()
    } else {
        format!("https://{authority}")
    }
}

/// Whether an authority is the login host of a known cloud other than the one named. DoD shares GCC High's host, so
/// hosts are compared, not names.
fn belongs_elsewhere(authority: &str, cloud: &str) -> bool {
    let Ok(custom) = Cloud::custom(&https(authority)) else {
        return false;
    };
    let known = Cloud::by_authority(custom.authority()).is_some();
    known
        && Cloud::by_name(cloud)
            .is_ok_and(|named| named.authority().host_str() != custom.authority().host_str())
}

fn value(text: String) -> SecretSource {
    SecretSource::Value(Secret::new(text))
}

fn file(path: String) -> SecretSource {
    SecretSource::File(PathBuf::from(path))
}

fn one_of<T>(first: (&'static str, Option<T>), second: (&'static str, Option<T>)) -> Result<Option<T>> {
    match (first, second) {
        ((name, Some(_)), (other, Some(_))) => {
            Err(invalid(name, format!("is set, and {other} too")).with_hint("set only one of them"))
        }
        ((_, one), (_, other)) => Ok(one.or(other)),
    }
}

fn invalid(name: &'static str, why: impl fmt::Display) -> Error {
    Error::new(ErrorKind::InvalidConfig, "configuration", format!("{name} {why}"))
}

/// The whole file. Its size is not asked for beforehand: a pipe or device has none.
fn read(path: &Path, max: u64) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(max + 1).read_to_end(&mut bytes))
        .map_err(|error| {
            Error::new(
                ErrorKind::LocalIo,
                "read file",
                format!("{}: {error}", path.display()),
            )
            .with_source(error)
        })?;
    if bytes.len() as u64 > max {
        return Err(Error::new(
            ErrorKind::InvalidConfig,
            "read file",
            format!(
                "{} has more than {max} bytes: it is not what is wanted here",
                path.display()
            ),
        ));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(variables: &[(&str, &str)]) -> Result<Settings> {
        Settings::from_variables(|name| {
            Ok(variables
                .iter()
                .find(|(known, _)| *known == name)
                .map(|(_, value)| (*value).to_owned()))
        })
    }

    #[test]
    fn exomails_variables_win_over_azures_one_by_one() {
        let settings = from(&[
            ("EXOMAIL_TENANT", "contoso.com"),
            ("AZURE_TENANT_ID", "other.com"),
            ("AZURE_CLIENT_ID", "7d1c"),
            ("EXOMAIL_CLIENT_ID", ""),
            ("AZURE_CLIENT_SECRET", "hidden"),
            ("EXOMAIL_CERTIFICATE", "/c.pem"),
            ("AZURE_AUTHORITY_HOST", "login.microsoftonline.us"),
            ("EXOMAIL_IMAP", "imap://localhost:1143"),
            ("EXOMAIL_MAILBOXES", "joe@contoso.com, ann@contoso.com"),
        ])
        .unwrap();
        assert_eq!(settings.tenant.as_deref(), Some("contoso.com"));
        assert_eq!(settings.client_id.as_deref(), Some("7d1c"));
        assert_eq!(
            settings.credential,
            Some(CredentialSource::Certificate("/c.pem".into()))
        );
        assert_eq!(settings.mailbox.as_deref(), Some("joe@contoso.com"));
        let cloud = settings.resolve_cloud().unwrap();
        assert_eq!(cloud.name(), "gcc-high");
        assert_eq!(cloud.imap(), &Endpoint::start_tls("localhost", 1143));
        assert_eq!(cloud.pop3().host, "outlook.office365.us");
        assert!(!format!("{settings:?}").contains("hidden"));
    }

    #[test]
    fn two_credentials_in_one_place_are_refused() {
        let error = from(&[("EXOMAIL_CLIENT_SECRET", "s3"), ("EXOMAIL_CERTIFICATE", "/c.pem")]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidConfig);
        assert!(error.detail().contains("EXOMAIL_CERTIFICATE"), "{error}");
        let both = [
            ("EXOMAIL_CLIENT_SECRET", "s3"),
            ("EXOMAIL_CLIENT_SECRET_FILE", "/s"),
        ];
        assert_eq!(from(&both).unwrap_err().kind(), ErrorKind::InvalidConfig);
        let error = from(&[("EXOMAIL_SMTP", "localhost:587")]).unwrap_err();
        assert_eq!(error.operation(), "EXOMAIL_SMTP");
    }

    #[test]
    fn what_is_missing_is_named_and_files_are_read() {
        let detail = |settings: &Settings| settings.app().unwrap_err().detail().to_owned();
        let mut settings = Settings::default();
        assert_eq!(detail(&settings), "no tenant is configured");
        settings.tenant = Some("contoso.com".to_owned());
        assert_eq!(detail(&settings), "no client id is configured");
        settings.client_id = Some("11111111-2222-4333-8444-555555555555".to_owned());
        assert_eq!(detail(&settings), "no credential is configured");
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, content: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, content).unwrap();
            path
        };
        settings.credential = Some(CredentialSource::Secret(SecretSource::File(file(
            "secret",
            "s3cr3t~\n",
        ))));
        let app = settings.app().unwrap().build().unwrap();
        assert_eq!(app.tenant(), "contoso.com");
        // By its content, not its name: a certificate may be called anything.
        let kind = |settings: &Settings| settings.app().map(drop).unwrap_err().kind();
        let certificate = |path| Some(CredentialSource::Certificate(path));
        settings.credential = certificate(file("c.pfx", "-----BEGIN CERTIFICATE-----\nAAAA\n"));
        assert_eq!(kind(&settings), ErrorKind::InvalidConfig);
        settings.credential = certificate(file("c.pem", "not a certificate"));
        assert_eq!(kind(&settings), ErrorKind::InvalidConfig);
        settings.credential = certificate(folder.path().join("nowhere"));
        assert_eq!(kind(&settings), ErrorKind::LocalIo);
    }

    #[test]
    fn cloud_and_authority_do_not_mix_across_places() {
        let cloud = |name: &str| Settings {
            cloud: Some(name.to_owned()),
            ..Settings::default()
        };
        let authority = |url: &str| Settings {
            authority: Some(url.to_owned()),
            ..Settings::default()
        };
        let us = "https://login.microsoftonline.us";
        let resolve = |settings: Settings| settings.resolve_cloud().unwrap();
        // A cloud named above hides the authority below, as AZURE_AUTHORITY_HOST may be set for another tool.
        assert_eq!(resolve(cloud("global").or(authority(us))), Cloud::global());
        // DoD has the login host of GCC High and keeps its own mail servers.
        assert_eq!(resolve(authority(us).or(cloud("dod"))), Cloud::dod());
        assert_eq!(resolve(authority(us).or(cloud("china"))), Cloud::gcc_high());
        let local = resolve(authority("https://localhost:8443").or(cloud("dod")));
        assert_eq!(local.imap(), Cloud::dod().imap());
        assert_eq!(local.authority().as_str(), "https://localhost:8443/");
    }

    #[test]
    fn a_secret_file_loses_its_line_end_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        for (content, expected) in [
            ("s3 \r\n", "s3 "),
            ("s3\n", "s3"),
            ("s3\n\n", "s3\n"),
            ("s3", "s3"),
        ] {
            std::fs::write(&path, content).unwrap();
            let secret = SecretSource::File(path.clone()).read().unwrap();
            assert_eq!(secret.expose(), expected);
        }
        std::fs::write(&path, [0xff, 0xfe]).unwrap();
        let read = || SecretSource::File(path.clone()).read().unwrap_err().kind();
        assert_eq!(read(), ErrorKind::InvalidConfig);
        std::fs::remove_file(&path).unwrap();
        assert_eq!(read(), ErrorKind::LocalIo);
    }

    #[cfg(unix)]
    #[test]
    fn a_file_that_does_not_end_is_read_no_further_than_needed() {
        let settings = Settings {
            tenant: Some("contoso.com".to_owned()),
            client_id: Some("22222222-2222-4222-8222-222222222222".to_owned()),
            ca_file: Some("/dev/zero".into()),
            ..Settings::default()
        };
        for credential in [
            CredentialSource::Secret(SecretSource::File("/dev/zero".into())),
            CredentialSource::Certificate("/dev/zero".into()),
            CredentialSource::Secret(SecretSource::Value("8Q~value".into())),
        ] {
            let settings = Settings {
                credential: Some(credential),
                ..settings.clone()
            };
            let error = settings.app().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidConfig);
            assert!(error.detail().starts_with("/dev/zero has more than"), "{error}");
        }
    }
}
