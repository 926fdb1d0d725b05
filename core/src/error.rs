//! [`Error`]: what went wrong, in terms of what the caller can do about it.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The result of everything in this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

macro_rules! kinds {
    ($($(#[doc = $doc:literal])+ $name:ident = $code:literal, $text:literal;)+) => {
        /// The caller's next move. Each kind has a stable number, the same in every language.
        ///
        /// The hundreds tell the area: 1xx the caller's mistake, 2xx the token, 3xx network and TLS, 4xx signing in to
        /// the mailbox, 5xx the server refused or broke its protocol, 6xx out of time, 9xx a bug of this library.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum ErrorKind { $($(#[doc = $doc])+ $name = $code,)+ }

        impl ErrorKind {
            /// Every kind, in the order of the codes.
            pub const ALL: &'static [ErrorKind] = &[$(ErrorKind::$name,)+];

            /// The stable numeric code, the same in the C ABI and every binding.
            pub fn code(self) -> u16 {
                self as u16
            }

            /// The kind as one snake-case word, as used in JSON.
            pub fn name(self) -> &'static str {
                match self { $(ErrorKind::$name => $text,)+ }
            }
        }
    };
}

kinds! {
    /// An argument can't be right: correct the call.
    InvalidArgument = 101, "invalid_argument";
    /// Tenant, client id, credential or endpoint can't be right: correct the configuration. Found without any network.
    InvalidConfig = 102, "invalid_config";
    /// The message can't be sent as it is: correct the message.
    InvalidMessage = 103, "invalid_message";
    /// The session was cut or is in the wrong state: open a new one.
    State = 104, "state";
    /// Another call is under way on this session: wait for it.
    Busy = 105, "busy";
    /// The server does not offer what is needed: use another way.
    Unsupported = 106, "unsupported";
    /// A local file or a reader or writer of the caller failed: look at the source.
    LocalIo = 107, "local_io";

    /// The token service refused for a reason outside the list below: read the hint.
    TokenRefused = 201, "token_refused";
    /// Secret, certificate or assertion is wrong: make a new credential and copy its value.
    CredentialRejected = 202, "credential_rejected";
    /// Secret or certificate has expired: renew it.
    CredentialExpired = 203, "credential_expired";
    /// The client id is not in this tenant: correct client id or tenant.
    AppNotFound = 204, "app_not_found";
    /// The tenant does not exist in this cloud: correct tenant or cloud.
    TenantNotFound = 205, "tenant_not_found";
    /// Permission or consent is missing: grant it in Entra.
    ConsentMissing = 206, "consent_missing";
    /// A policy of the tenant blocks sign-in: ask its administrator.
    PolicyBlocked = 207, "policy_blocked";
    /// The token can't be what is needed (wrong audience or flow, unreadable): ask for another one.
    TokenUnusable = 208, "token_unusable";

    /// The host name was not found.
    Dns = 301, "dns";
    /// No connection could be made.
    Connect = 302, "connect";
    /// TLS failed: certificate, name or protocol version.
    Tls = 303, "tls";
    /// The connection broke or was closed by the other side: reconnect.
    ConnectionLost = 304, "connection_lost";

    /// The mail server refused the sign-in: look at set-up steps 3 and 4.
    AuthRejected = 401, "auth_rejected";
    /// Signed in, but the mailbox can't be opened: grant FullAccess, check the address.
    MailboxUnavailable = 402, "mailbox_unavailable";
    /// The protocol is switched off for mailbox or tenant: switch it on.
    ProtocolDisabled = 403, "protocol_disabled";
    /// The mailbox may not send with this From: grant SendAs or send as the mailbox itself.
    SendAsDenied = 404, "send_as_denied";
    /// The token ran out during the session: reconnect with a fresh one.
    TokenExpired = 405, "token_expired";

    /// Too fast or too many: wait as long as [`Error::retry`] says.
    Throttled = 501, "throttled";
    /// The server can't right now: retry later.
    Unavailable = 502, "unavailable";
    /// The server refused this command or message for good.
    Rejected = 503, "rejected";
    /// The server accepted none of the recipients, or not all where all were demanded.
    RecipientsRejected = 504, "recipients_rejected";
    /// The message is larger than the server takes.
    TooLarge = 505, "too_large";
    /// Folder or message is not there (any more).
    NotFound = 506, "not_found";
    /// A quota is used up: mailbox full, or the day's recipients.
    QuotaExceeded = 507, "quota_exceeded";
    /// The server said something that its protocol does not allow, or more than the limits of this library.
    Protocol = 508, "protocol";
    /// The connection was cut after the message had gone out and before the server's answer: it may or may not have
    /// been sent. Look for its Message-ID before sending it again.
    OutcomeUnknown = 509, "outcome_unknown";

    /// Stopped by the caller.
    Cancelled = 601, "cancelled";
    /// The deadline has passed.
    TimedOut = 602, "timed_out";

    /// A bug in this library.
    Internal = 901, "internal";
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Where it happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Layer {
    /// In this process: arguments, files, configuration.
    Local,
    /// The token endpoint of Entra.
    Token,
    /// Name resolution and TCP.
    Network,
    /// TLS.
    Tls,
    /// SMTP submission.
    Smtp,
    /// IMAP.
    Imap,
    /// POP3.
    Pop3,
    /// Composing or parsing a message.
    Message,
}

impl Layer {
    /// One lower-case word.
    pub fn name(self) -> &'static str {
        match self {
            Layer::Local => "local",
            Layer::Token => "token",
            Layer::Network => "network",
            Layer::Tls => "tls",
            Layer::Smtp => "smtp",
            Layer::Imap => "imap",
            Layer::Pop3 => "pop3",
            Layer::Message => "message",
        }
    }
}

/// Whether trying again can help.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Retry {
    /// Not before something is changed.
    Never,
    /// Yes, with growing pauses.
    Backoff,
    /// Yes, once this much time has passed; the server said so.
    After(Duration),
    /// Yes, at once, with a fresh token.
    FreshToken,
}

/// The step of the set-up walk-through that is missing or wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// 1: register a single-tenant app in Entra; note tenant id and client id.
    RegisterApp,
    /// 2: create the secret (its Value) or the certificate.
    CreateCredential,
    /// 3: IMAP.AccessAsApp, POP.AccessAsApp, SMTP.SendAsApp of "Office 365 Exchange Online", and admin consent.
    GrantPermissions,
    /// 4: `New-ServicePrincipal` with the Object ID of the Enterprise application.
    RegisterServicePrincipal,
    /// 4: `Add-MailboxPermission -AccessRights FullAccess` on the mailbox.
    GrantMailboxAccess,
    /// Outside the walk-through: a switch or policy of tenant or mailbox.
    TenantSetting,
    /// In the program's own request or configuration.
    Client,
}

impl Step {
    /// The number in the walk-through, where it has one.
    pub fn number(self) -> Option<&'static str> {
        match self {
            Step::RegisterApp => Some("1"),
            Step::CreateCredential => Some("2"),
            Step::GrantPermissions => Some("3"),
            Step::RegisterServicePrincipal => Some("4b"),
            Step::GrantMailboxAccess => Some("4c"),
            Step::TenantSetting | Step::Client => None,
        }
    }

    /// What the step is, in a few words.
    pub fn title(self) -> &'static str {
        match self {
            Step::RegisterApp => "register the app in Entra",
            Step::CreateCredential => "create the client secret or certificate",
            Step::GrantPermissions => "add the application permissions and grant admin consent",
            Step::RegisterServicePrincipal => "register the service principal in Exchange",
            Step::GrantMailboxAccess => "give the service principal FullAccess to the mailbox",
            Step::TenantSetting => "a setting of the tenant or mailbox",
            Step::Client => "the program's own request",
        }
    }
}

/// What a mail server answered, word for word (credentials it may have echoed are blanked).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerReply {
    /// The text as the server sent it; lines of a multi-line reply are joined by `\n`.
    pub text: String,
    /// SMTP: the three-digit reply code (RFC 5321 §4.2).
    pub code: Option<u16>,
    /// SMTP: the enhanced status code, such as `5.7.3` (RFC 3463).
    pub enhanced: Option<String>,
    /// The decoded SASL failure challenge, where the server sent one (RFC 7628 §3.2.2).
    pub challenge: Option<String>,
}

impl ServerReply {
    /// A reply that is only a text (IMAP, POP3).
    pub fn text(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            ..Self::default()
        }
    }
}

/// What the token endpoint answered (RFC 6749 §5.2 with Entra's additions).
///
/// Microsoft asks programs not to branch on the AADSTS numbers; here they only choose the hint.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OAuthReply {
    /// `error`, such as `invalid_client`.
    pub error: String,
    /// `error_description`, for people.
    pub description: String,
    /// AADSTS numbers from `error_codes`, or from the description where that is missing.
    pub codes: Vec<u32>,
    /// `suberror`.
    pub suberror: Option<String>,
    /// `correlation_id`: quote it to Microsoft's support.
    pub correlation_id: Option<String>,
    /// `trace_id`.
    pub trace_id: Option<String>,
    /// `timestamp`, in Entra's own form.
    pub timestamp: Option<String>,
    /// `claims`: the Conditional Access challenge.
    pub claims: Option<String>,
    /// The HTTP status.
    pub status: u16,
}

/// An error: one struct with everything that is known.
///
/// `Display` is one line for people: operation, detail, the server's own words, hint. Nothing in an error is secret.
#[derive(Clone)]
pub struct Error(Box<Inner>);

#[derive(Clone)]
struct Inner {
    kind: ErrorKind,
    layer: Layer,
    operation: Cow<'static, str>,
    detail: Cow<'static, str>,
    hint: Option<Cow<'static, str>>,
    step: Option<Step>,
    retry: Retry,
    server: Option<ServerReply>,
    oauth: Option<OAuthReply>,
    source: Option<Arc<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// A new error. Layer is [`Layer::Local`] and the retry class follows from the kind until set otherwise.
    pub fn new(
        kind: ErrorKind,
        operation: impl Into<Cow<'static, str>>,
        detail: impl Into<Cow<'static, str>>,
    ) -> Self {
        let retry = match kind {
            ErrorKind::Busy
            | ErrorKind::Dns
            | ErrorKind::Connect
            | ErrorKind::ConnectionLost
            | ErrorKind::Throttled
            | ErrorKind::Unavailable
            | ErrorKind::State
            | ErrorKind::TimedOut => Retry::Backoff,
            ErrorKind::TokenExpired => Retry::FreshToken,
            _ => Retry::Never,
        };
        Self(Box::new(Inner {
            kind,
            layer: Layer::Local,
            operation: operation.into(),
            detail: detail.into(),
            hint: None,
            step: None,
            retry,
            server: None,
            oauth: None,
            source: None,
        }))
    }

    /// Sets where it happened.
    #[must_use]
    pub fn with_layer(mut self, layer: Layer) -> Self {
        self.0.layer = layer;
        self
    }

    /// Sets what to do next.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<Cow<'static, str>>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// Sets the step of the set-up that is missing or wrong.
    #[must_use]
    pub fn with_step(mut self, step: Step) -> Self {
        self.0.step = Some(step);
        self
    }

    /// Sets the retry class.
    #[must_use]
    pub fn with_retry(mut self, retry: Retry) -> Self {
        self.0.retry = retry;
        self
    }

    /// Keeps the server's own words.
    #[must_use]
    pub fn with_server(mut self, reply: ServerReply) -> Self {
        self.0.server = Some(reply);
        self
    }

    /// Keeps the token endpoint's answer.
    #[must_use]
    pub fn with_oauth(mut self, reply: OAuthReply) -> Self {
        self.0.oauth = Some(reply);
        self
    }

    /// Keeps the underlying error.
    #[must_use]
    pub fn with_source(mut self, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        self.0.source = Some(Arc::new(source));
        self
    }

    /// Replaces the name of the operation, for a caller that knows it better.
    #[must_use]
    pub fn with_operation(mut self, operation: impl Into<Cow<'static, str>>) -> Self {
        self.0.operation = operation.into();
        self
    }

    /// The caller's next move.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The stable number of the kind.
    pub fn code(&self) -> u16 {
        self.0.kind.code()
    }

    /// Where it happened.
    pub fn layer(&self) -> Layer {
        self.0.layer
    }

    /// What was being done, such as `MAIL FROM` or `token`.
    pub fn operation(&self) -> &str {
        &self.0.operation
    }

    /// What went wrong, in this library's words.
    pub fn detail(&self) -> &str {
        &self.0.detail
    }

    /// What to do next.
    pub fn hint(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }

    /// The step of the set-up that is missing or wrong.
    pub fn step(&self) -> Option<Step> {
        self.0.step
    }

    /// Whether trying again can help.
    pub fn retry(&self) -> Retry {
        self.0.retry
    }

    /// The mail server's own words.
    pub fn server(&self) -> Option<&ServerReply> {
        self.0.server.as_ref()
    }

    /// The token endpoint's answer.
    pub fn oauth(&self) -> Option<&OAuthReply> {
        self.0.oauth.as_ref()
    }

    /// The error as JSON, as `--json` prints it and the bindings hand it out.
    pub fn to_json(&self) -> serde_json::Value {
        let retry_after = match self.0.retry {
            Retry::After(duration) => Some(duration.as_secs_f64()),
            _ => None,
        };
        serde_json::json!({
            "kind": self.0.kind,
            "code": self.code(),
            "layer": self.0.layer,
            "operation": self.0.operation,
            "detail": self.0.detail,
            "hint": self.0.hint,
            "step": self.0.step.map(|step| serde_json::json!({
                "id": step, "number": step.number(), "title": step.title(),
            })),
            "retry": match self.0.retry {
                Retry::Never => "never",
                Retry::Backoff => "backoff",
                Retry::After(_) => "after",
                Retry::FreshToken => "fresh_token",
            },
            "retry_after_seconds": retry_after,
            "server": self.0.server,
            "oauth": self.0.oauth,
        })
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.operation, self.0.detail)?;
        if let Some(server) = &self.0.server {
            write!(
                f,
                "; the server said: {}",
                printable(&server.text.replace('\n', " / "))
            )?;
            if let Some(challenge) = &server.challenge {
                write!(f, " ({})", printable(challenge))?;
            }
        }
        if let Some(oauth) = &self.0.oauth {
            let description = oauth.description.replace("\r\n", " ");
            write!(f, "; {}: {}", printable(&oauth.error), printable(&description))?;
        }
        if let Some(hint) = &self.0.hint {
            write!(f, "; hint: {hint}")?;
        }
        Ok(())
    }
}

/// What another machine said, as it may be shown: a control character could end the line of a log or steer a terminal.
pub(crate) fn printable(text: &str) -> String {
    text.replace(char::is_control, " ")
}

/// Equal to `Display` with the code in front: some languages show this form to users.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{} {}] {self}", self.code(), self.0.kind)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_ref().map(|source| source.as_ref() as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_and_rising() {
        assert!(
            ErrorKind::ALL
                .windows(2)
                .all(|pair| pair[0].code() < pair[1].code())
        );
    }

    #[test]
    fn the_servers_words_survive() {
        let error = Error::new(
            ErrorKind::AuthRejected,
            "AUTHENTICATE",
            "the server refused to sign in",
        )
        .with_layer(Layer::Imap)
        .with_server(ServerReply::text("AUTHENTICATE failed."))
        .with_step(Step::RegisterServicePrincipal)
        .with_hint("compare the Object ID");
        let text = error.to_string();
        assert!(text.contains("AUTHENTICATE failed."), "{text}");
        assert!(text.contains("compare the Object ID"), "{text}");
        assert!(format!("{error:?}").starts_with("[401 auth_rejected] "));
        assert_eq!(error.to_json()["step"]["number"], "4b");
    }

    #[test]
    fn what_is_shown_is_one_line_and_steers_no_terminal() {
        let hostile = "550-no\n550 \x1b[2Jno\rfine\u{9b}0m";
        let oauth = OAuthReply {
            error: "invalid\nclient".to_owned(),
            description: "one\r\ntwo\nthree".to_owned(),
            ..OAuthReply::default()
        };
        let reply = ServerReply {
            challenge: Some("status\x07".to_owned()),
            ..ServerReply::text(hostile)
        };
        let error = Error::new(ErrorKind::Rejected, "DATA", "no")
            .with_server(reply)
            .with_oauth(oauth);
        let shown = error.to_string();
        assert!(!shown.contains(char::is_control), "{shown:?}");
        assert!(shown.contains("550-no / 550"), "{shown}");
        assert_eq!(error.server().unwrap().text, hostile);
    }
}
