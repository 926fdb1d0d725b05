//! The configuration: flags over environment over the TOML file, and what a person is asked or warned about.

use std::path::{Path, PathBuf};

use exomail::token::Certificate;
use exomail::{CredentialSource, Endpoint, Error, ErrorKind, Layer, Result, Secret, SecretSource, Settings};
use serde::Deserialize;

use crate::failure::file_error;
use crate::output::Output;

/// The keys of the file. Secrets are not among them: the file may be backed up, shared or committed.
#[derive(Debug, Default, Deserialize)]
struct File {
    tenant: Option<String>,
    client_id: Option<String>,
    client_secret_file: Option<PathBuf>,
    certificate: Option<PathBuf>,
    certificate_password_file: Option<PathBuf>,
    cloud: Option<String>,
    authority: Option<String>,
    imap: Option<String>,
    pop3: Option<String>,
    smtp: Option<String>,
    ca_file: Option<PathBuf>,
    mailbox: Option<String>,
}

/// How the parts of a PEM file begin.
const PEM: &[u8] = b"-----BEGIN ";

const KEYS: [&str; 12] = [
    "tenant",
    "client_id",
    "client_secret_file",
    "certificate",
    "certificate_password_file",
    "cloud",
    "authority",
    "imap",
    "pop3",
    "smtp",
    "ca_file",
    "mailbox",
];

/// The settings of one command, and what is wrong with them that does not stop it is said on stderr.
pub(crate) fn load(config: Option<&Path>, flags: Settings, output: &Output) -> Result<Settings> {
    let file = match config_file(config)? {
        Some(path) => read(&path)?,
        None => Settings::default(),
    };
    let settings = flags.or(Settings::from_env()?).or(file);
    for path in secret_files(&settings) {
        if readable_by_others(path) {
            output.warn(format!(
                "{} holds a secret and other users of this machine can read it; run: chmod 600 {}",
                path.display(),
                path.display()
            ));
        }
    }
    Ok(settings)
}

/// Asks for a secret that is needed and not configured, when a person sits at a terminal.
pub(crate) fn ask_for_secrets(settings: &mut Settings) -> Result<()> {
    if let (None, Some(_), Some(client_id)) = (&settings.credential, &settings.tenant, &settings.client_id) {
        let secret = prompt(&format!("Client secret (its Value) of {client_id}: "))?;
        settings.credential = secret.map(|secret| CredentialSource::Secret(SecretSource::Value(secret)));
    }
    if let (Some(CredentialSource::Certificate(path)), None) =
        (&settings.credential, &settings.certificate_password)
    {
        let bytes = std::fs::read(path).map_err(|error| file_error("read file", path, error))?;
        // A PEM file has none, and a PFX file may have none.
        if !bytes.windows(PEM.len()).any(|window| window == PEM)
            && Certificate::from_pfx(&bytes, &Secret::new("")).is_err()
        {
            let password = prompt(&format!("Password of {}: ", path.display()))?;
            settings.certificate_password = password.map(SecretSource::Value);
        }
    }
    Ok(())
}

/// A hidden answer, or `None` without a terminal.
fn prompt(question: &str) -> Result<Option<Secret>> {
    let terminal = console::Term::stderr();
    if !terminal.is_term() {
        return Ok(None);
    }
    let failed = |error: std::io::Error| {
        Error::new(ErrorKind::LocalIo, "prompt", error.to_string()).with_source(error)
    };
    terminal.write_str(question).map_err(failed)?;
    let answer = terminal.read_secure_line().map_err(failed)?;
    Ok((!answer.is_empty()).then(|| Secret::new(answer)))
}

/// The file to read: what the user names must exist, the usual place may be empty.
fn config_file(flag: Option<&Path>) -> Result<Option<PathBuf>> {
    let variable = |name: &str| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    if let Some(path) = flag.map(Path::to_owned).or_else(|| variable("EXOMAIL_CONFIG")) {
        return Ok(Some(path));
    }
    let folder = variable("XDG_CONFIG_HOME")
        .filter(|path| path.is_absolute())
        .or_else(|| std::env::home_dir().map(|home| home.join(".config")));
    Ok(folder
        .map(|folder| folder.join("exomail").join("config.toml"))
        .filter(|path| path.exists()))
}

fn read(path: &Path) -> Result<Settings> {
    let text =
        std::fs::read_to_string(path).map_err(|error| file_error("read configuration", path, error))?;
    let folder = path.parent().unwrap_or(Path::new("."));
    parse(&text, folder).map_err(|error| {
        let detail = format!("{}: {}", path.display(), error.detail());
        let hint = error.hint().map(str::to_owned);
        let error = Error::new(error.kind(), "configuration", detail);
        match hint {
            Some(hint) => error.with_hint(hint),
            None => error,
        }
    })
}

/// `folder` is where relative paths start.
fn parse(text: &str, folder: &Path) -> Result<Settings> {
    let refuse = |detail: String| Error::new(ErrorKind::InvalidConfig, "configuration", detail);
    // The parser's own Display quotes the line, which may hold a secret that someone put there; so line and message.
    let at = |error: &toml::de::Error| {
        let before = error
            .span()
            .and_then(|span| text.get(..span.start))
            .unwrap_or_default();
        format!("line {}", before.matches('\n').count() + 1)
    };
    let table: toml::Table =
        toml::from_str(text).map_err(|error| refuse(format!("{}: this is not TOML", at(&error))))?;
    if let Some(key) = table.keys().find(|key| !KEYS.contains(&key.as_str())) {
        return Err(unknown_key(key));
    }
    let file: File =
        toml::from_str(text).map_err(|error| refuse(format!("{}: {}", at(&error), error.message())))?;
    if file.client_secret_file.is_some() && file.certificate.is_some() {
        return Err(
            refuse("client_secret_file and certificate are both set".to_owned())
                .with_hint("keep only one of them"),
        );
    }
    let path = |path: PathBuf| match (path.strip_prefix("~"), std::env::home_dir()) {
        (Ok(rest), Some(home)) => home.join(rest),
        _ => folder.join(path),
    };
    let endpoint = |layer, url: Option<String>| url.map(|url| Endpoint::from_url(layer, &url)).transpose();
    let secret = file
        .client_secret_file
        .map(|secret| CredentialSource::Secret(SecretSource::File(path(secret))));
    Ok(Settings {
        tenant: file.tenant,
        client_id: file.client_id,
        credential: secret.or(file
            .certificate
            .map(|file| CredentialSource::Certificate(path(file)))),
        certificate_password: file
            .certificate_password_file
            .map(|file| SecretSource::File(path(file))),
        cloud: file.cloud,
        authority: file.authority,
        imap: endpoint(Layer::Imap, file.imap)?,
        pop3: endpoint(Layer::Pop3, file.pop3)?,
        smtp: endpoint(Layer::Smtp, file.smtp)?,
        ca_file: file.ca_file.map(path),
        mailbox: file.mailbox,
    })
}

fn unknown_key(key: &str) -> Error {
    let error = Error::new(
        ErrorKind::InvalidConfig,
        "configuration",
        format!("there is no key {key:?}"),
    );
    if key.contains("secret") || key.contains("password") {
        return error.with_hint(
            "secrets do not belong into this file: name a file in client_secret_file or certificate_password_file, \
             or set EXOMAIL_CLIENT_SECRET",
        );
    }
    let nearest = KEYS
        .iter()
        .map(|known| (strsim::jaro_winkler(key, known), known))
        .max_by(|left, right| left.0.total_cmp(&right.0));
    match nearest {
        Some((likeness, known)) if likeness > 0.75 => error.with_hint(format!("did you mean {known}?")),
        _ => error.with_hint(format!("known are {}", KEYS.join(", "))),
    }
}

fn secret_files(settings: &Settings) -> Vec<&Path> {
    let mut files = Vec::new();
    match &settings.credential {
        Some(CredentialSource::Secret(SecretSource::File(path)) | CredentialSource::Certificate(path)) => {
            files.push(path.as_path());
        }
        Some(CredentialSource::Secret(SecretSource::Value(_))) | None => {}
    }
    if let Some(SecretSource::File(path)) = &settings.certificate_password {
        files.push(path.as_path());
    }
    files
}

/// Only where the file system has Unix permissions; a pipe such as `<(pass show exomail)` is nobody else's.
#[cfg(unix)]
fn readable_by_others(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path)
        .is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o004 != 0)
}

#[cfg(not(unix))]
fn readable_by_others(_: &Path) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> Error {
        parse(text, Path::new("/etc")).expect_err(text)
    }

    #[test]
    fn every_key_is_known_and_paths_start_at_the_file() {
        let all: String = KEYS
            .iter()
            .filter(|key| !["certificate", "imap", "pop3", "smtp"].contains(key))
            .map(|key| format!("{key} = \"x\"\n"))
            .collect();
        let text = all + "imap = \"imaps://a\"\npop3 = \"pop3s://b\"\nsmtp = \"smtp://c\"\n";
        let settings = parse(&text, Path::new("/etc")).expect("all keys are known");
        let secret = CredentialSource::Secret(SecretSource::File("/etc/x".into()));
        assert_eq!(settings.credential, Some(secret));
        assert_eq!(settings.ca_file, Some("/etc/x".into()));
        assert_eq!(settings.smtp, Some(Endpoint::start_tls("c", 587)));
        let settings = parse("certificate = '/abs/c.pem'", Path::new("/etc")).expect("certificate");
        assert_eq!(
            settings.credential,
            Some(CredentialSource::Certificate("/abs/c.pem".into()))
        );
    }

    #[test]
    fn an_unknown_key_is_refused_with_a_suggestion() {
        let hint = |text: &str| refused(text).hint().map(str::to_owned).unwrap_or_default();
        assert_eq!(hint("tennant = 'x'"), "did you mean tenant?");
        assert_eq!(hint("client-id = 'x'"), "did you mean client_id?");
        assert!(hint("zzz = 1").starts_with("known are tenant"));
        assert!(hint("client_secret = 'x'").contains("do not belong"));
    }

    #[test]
    fn a_secret_put_into_the_file_is_not_quoted() {
        for text in [
            "tenant = 'x'\nclient_secret = qX8~hunter2",
            "client_secret = 'qX8~hunter2'",
        ] {
            let error = refused(text);
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
        }
        assert!(
            refused("tenant = 'x'\nclient_secret = qX8~hunter2")
                .detail()
                .starts_with("line 2")
        );
        let both = refused("client_secret_file = 'a'\ncertificate = 'b'");
        assert_eq!(both.kind(), ErrorKind::InvalidConfig);
        assert!(refused("tenant = 5").detail().contains("line 1"));
    }
}
