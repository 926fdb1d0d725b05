//! The command line: what every command shares. Each command's own arguments stand in its own file.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::styling::{AnsiColor, Styles};
use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint};
use exomail::{CredentialSource, Endpoint, Layer, SecretSource, Settings};

use crate::commands;

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default().bold())
    .placeholder(AnsiColor::Cyan.on_default());

const AFTER_HELP: &str = "\
Examples:
  exomail demo            the whole job on a tenant of its own
  exomail sandbox         a tenant on this machine to try things on
  exomail token           what the app's token says
  exomail doctor          what is wrong with the set-up, and what to do first
  exomail list --mailbox joe@contoso.com --unseen
  exomail send --to ann@contoso.com --subject Hello --text 'Hi Ann'
  exomail watch --checkpoint inbox.json --exec ./import.sh

Configuration, the first that is found wins:
  flags, EXOMAIL_* variables, AZURE_* variables, the TOML file
  (--config, $EXOMAIL_CONFIG, $XDG_CONFIG_HOME/exomail/config.toml,
  ~/.config/exomail/config.toml). Secrets come from EXOMAIL_CLIENT_SECRET,
  from a file, or from a prompt; never from a flag.

Exit codes:
    0  done
    1  `demo`: something did not match; `doctor`: an error was found;
       `explain`: nothing known fits
    2  the command line is wrong
    3  argument, configuration or local file (error codes 1xx)
    4  no token (2xx)
    5  network or TLS (3xx)
    6  the mailbox refused the sign-in (4xx)
    7  the server refused (5xx)
    8  timed out or interrupted (6xx)
    9  a bug of exomail (9xx)
   10  partly done: some recipients or messages were refused, or are of unknown outcome;
       `doctor`: warnings
  141  whoever read the output went away";

/// Unattended mail on Exchange Online: sign in as an app, send by SMTP, read by IMAP and POP3.
#[derive(Debug, Parser)]
#[command(name = "exomail", version, styles = STYLES, after_help = AFTER_HELP, max_term_width = 110)]
#[command(propagate_version = true, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: GlobalArgs,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What every command understands.
#[derive(Debug, Args)]
#[command(next_help_heading = "Everywhere")]
pub(crate) struct GlobalArgs {
    /// Print JSON: one document, or one a line from commands that list; errors as JSON on stderr
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Print the conversation with each server to stderr as it happens; secrets and bodies are blanked
    #[arg(long, global = true)]
    pub(crate) trace: bool,
    /// When to use colour; auto heeds NO_COLOR and whether the output is a terminal
    #[arg(long, global = true, value_name = "WHEN", value_enum, default_value_t = Color::Auto)]
    pub(crate) color: Color,
    /// Give up after this long in all: 30 (seconds), 30s, 5m, 1h
    #[arg(long, global = true, value_name = "DURATION", value_parser = duration)]
    pub(crate) timeout: Option<Duration>,
    /// Configuration file [env: EXOMAIL_CONFIG]
    #[arg(long, global = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) config: Option<PathBuf>,
}

/// When to use colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    Auto,
    Always,
    Never,
}

/// Who signs in, and where. There is no flag for a secret: other users of the machine can read command lines.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Connection")]
pub(crate) struct AppArgs {
    /// Tenant: GUID or domain [env: EXOMAIL_TENANT, AZURE_TENANT_ID]
    #[arg(long, value_name = "TENANT")]
    tenant: Option<String>,
    /// Application (client) id [env: EXOMAIL_CLIENT_ID, AZURE_CLIENT_ID]
    #[arg(long, value_name = "GUID")]
    client_id: Option<String>,
    /// File with the client secret's value [env: EXOMAIL_CLIENT_SECRET_FILE; the value itself: EXOMAIL_CLIENT_SECRET]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, conflicts_with = "certificate")]
    client_secret_file: Option<PathBuf>,
    /// PEM or PFX file with certificate and private key [env: EXOMAIL_CERTIFICATE]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    certificate: Option<PathBuf>,
    /// File with the PFX file's password [env: EXOMAIL_CERTIFICATE_PASSWORD_FILE; itself: EXOMAIL_CERTIFICATE_PASSWORD]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    certificate_password_file: Option<PathBuf>,
    /// global, gcc, gcc-high, dod or china [env: EXOMAIL_CLOUD]
    #[arg(long, value_name = "NAME")]
    cloud: Option<String>,
    /// Login host as URL [env: EXOMAIL_AUTHORITY, AZURE_AUTHORITY_HOST]
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url)]
    authority: Option<String>,
    /// imaps://host:port, or imap:// for STARTTLS [env: EXOMAIL_IMAP]
    #[arg(long, value_name = "URL", value_parser = |url: &str| endpoint(Layer::Imap, url))]
    imap: Option<Endpoint>,
    /// pop3s://host:port, or pop3:// for STLS [env: EXOMAIL_POP3]
    #[arg(long, value_name = "URL", value_parser = |url: &str| endpoint(Layer::Pop3, url))]
    pop3: Option<Endpoint>,
    /// smtp://host:port (STARTTLS), or smtps:// [env: EXOMAIL_SMTP]
    #[arg(long, value_name = "URL", value_parser = |url: &str| endpoint(Layer::Smtp, url))]
    smtp: Option<Endpoint>,
    /// PEM file with CA certificates to trust besides the system's [env: EXOMAIL_CA_FILE]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    ca_file: Option<PathBuf>,
}

/// Who signs in, where, and to which mailbox.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Connection")]
pub(crate) struct ConnectionArgs {
    #[command(flatten)]
    app: AppArgs,
    /// The mailbox to open: its primary address [env: EXOMAIL_MAILBOX]
    #[arg(long, short = 'm', value_name = "ADDRESS", value_hint = ValueHint::EmailAddress)]
    pub(crate) mailbox: Option<String>,
}

impl ConnectionArgs {
    /// The flags as the topmost layer of the configuration.
    pub(crate) fn settings(&self) -> Settings {
        Settings {
            mailbox: self.mailbox.clone(),
            ..self.app.settings()
        }
    }
}

impl AppArgs {
    /// The flags as the topmost layer of the configuration.
    pub(crate) fn settings(&self) -> Settings {
        let secret = self.client_secret_file.clone().map(SecretSource::File);
        let certificate = self.certificate.clone().map(CredentialSource::Certificate);
        Settings {
            tenant: self.tenant.clone(),
            client_id: self.client_id.clone(),
            credential: secret.map(CredentialSource::Secret).or(certificate),
            certificate_password: self.certificate_password_file.clone().map(SecretSource::File),
            cloud: self.cloud.clone(),
            authority: self.authority.clone(),
            imap: self.imap.clone(),
            pop3: self.pop3.clone(),
            smtp: self.smtp.clone(),
            ca_file: self.ca_file.clone(),
            mailbox: None,
        }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Demo(commands::demo::Args),
    Sandbox(commands::sandbox::Args),
    Token(commands::token::Args),
    Send(commands::send::Args),
    Outbox(commands::outbox::Args),
    Folders(commands::folders::Args),
    List(commands::list::Args),
    Show(commands::show::Args),
    Fetch(commands::fetch::Args),
    Watch(commands::watch::Args),
    Mark(commands::mark::Args),
    Move(commands::move_to::Args),
    Delete(commands::delete::Args),
    Pop3(commands::pop3::Args),
    Doctor(commands::doctor::Args),
    Explain(commands::explain::Args),
    Completions(commands::completions::Args),
}

impl Command {
    /// The command as typed, for errors.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Command::Demo(_) => "demo",
            Command::Sandbox(_) => "sandbox",
            Command::Token(_) => "token",
            Command::Send(_) => "send",
            Command::Outbox(_) => "outbox",
            Command::Folders(_) => "folders",
            Command::List(_) => "list",
            Command::Show(_) => "show",
            Command::Fetch(_) => "fetch",
            Command::Watch(_) => "watch",
            Command::Mark(_) => "mark",
            Command::Move(_) => "move",
            Command::Delete(_) => "delete",
            Command::Pop3(_) => "pop3",
            Command::Doctor(_) => "doctor",
            Command::Explain(_) => "explain",
            Command::Completions(_) => "completions",
        }
    }
}

fn endpoint(protocol: Layer, url: &str) -> Result<Endpoint, String> {
    Endpoint::from_url(protocol, url).map_err(|error| match error.hint() {
        Some(hint) => format!("{}; {hint}", error.detail()),
        None => error.detail().to_owned(),
    })
}

/// A bare number counts seconds; otherwise jiff's friendly format, such as `1m 30s`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let refuse = || format!("{text:?} is not a duration; write 30, 30s, 5m or 1h");
    let duration = match text.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => text
            .parse::<jiff::SignedDuration>()
            .ok()
            .and_then(|signed| Duration::try_from(signed).ok())
            .ok_or_else(refuse)?,
    };
    if duration.is_zero() {
        Err(refuse())
    } else {
        Ok(duration)
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn durations_are_read_and_refused() {
        assert_eq!(duration("30"), Ok(Duration::from_secs(30)));
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("1m 30s"), Ok(Duration::from_secs(90)));
        for text in ["", "0", "-5", "-5s", "soon", "1e9999"] {
            assert!(duration(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn no_flag_takes_a_secret() {
        fn check(command: &clap::Command) {
            for argument in command.get_arguments() {
                let name = argument.get_id().as_str();
                let secret = name.contains("secret") || name.contains("password");
                assert!(
                    !secret || name.ends_with("_file"),
                    "{} --{name}",
                    command.get_name()
                );
            }
            command.get_subcommands().for_each(check);
        }
        check(&Cli::command());
    }
}
