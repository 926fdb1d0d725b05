//! [`Cloud`]: every endpoint of every national cloud, or custom ones.

use serde::Serialize;
use url::Url;

use crate::error::{Error, ErrorKind, Result};
use crate::governor::Limits;
use crate::net::Endpoint;

/// The endpoints of one cloud: authority, Graph, Exchange admin, mail hosts, and the scope to ask for.
///
/// ```
/// use exomail::{Cloud, Endpoint};
///
/// assert_eq!(Cloud::global().scope(), "https://outlook.office365.com/.default");
/// let local = Cloud::custom("https://localhost:8443")?.with_imap(Endpoint::implicit_tls("localhost", 9993));
/// assert_eq!(local.imap().port, 9993);
/// # Ok::<(), exomail::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Cloud {
    name: String,
    authority: Url,
    graph: Url,
    exchange_admin: Url,
    scope: String,
    imap: Endpoint,
    pop3: Endpoint,
    smtp: Endpoint,
    limits: Limits,
}

impl Cloud {
    /// Global and GCC.
    pub fn global() -> Self {
        Self::national(
            "global",
            [
                "login.microsoftonline.com",
                "graph.microsoft.com",
                "outlook.office365.com",
                "smtp.office365.com",
            ],
        )
    }

    /// GCC High (United States Government L4).
    pub fn gcc_high() -> Self {
        Self::national(
            "gcc-high",
            [
                "login.microsoftonline.us",
                "graph.microsoft.us",
                "outlook.office365.us",
                "smtp.office365.us",
            ],
        )
    }

    /// DoD (United States Government L5).
    pub fn dod() -> Self {
        let mail = "outlook-dod.office365.us";
        Self::national(
            "dod",
            ["login.microsoftonline.us", "dod-graph.microsoft.us", mail, mail],
        )
    }

    /// China, operated by 21Vianet.
    pub fn china() -> Self {
        Self::national(
            "china",
            [
                "login.partner.microsoftonline.cn",
                "microsoftgraph.chinacloudapi.cn",
                "partner.outlook.cn",
                "smtp.partner.outlook.cn",
            ],
        )
    }

    /// The cloud of this name: `global`, `gcc`, `gcc-high`, `dod` or `china`.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfig`] for any other name.
    pub fn by_name(name: &str) -> Result<Self> {
        match name.to_ascii_lowercase().as_str() {
            "global" | "gcc" | "public" => Ok(Self::global()),
            "gcc-high" | "gcchigh" => Ok(Self::gcc_high()),
            "dod" => Ok(Self::dod()),
            "china" => Ok(Self::china()),
            _ => Err(Error::new(
                ErrorKind::InvalidConfig,
                "cloud",
                format!("there is no cloud {name:?}"),
            )
            .with_hint("known are global, gcc, gcc-high, dod and china")),
        }
    }

    /// The cloud that a login host belongs to, as `AZURE_AUTHORITY_HOST` names it.
    pub fn by_authority(authority: &Url) -> Option<Self> {
        let host = authority.host_str()?;
        let old_china = host == "login.chinacloudapi.cn";
        [Self::global(), Self::gcc_high(), Self::china()]
            .into_iter()
            .find(|cloud| cloud.authority.host_str() == Some(host) || old_china && cloud.name == "china")
    }

    /// Endpoints of your own, such as the sandbox's: the authority is given, everything else is Exchange Online's
    /// global value until set otherwise.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfig`] when `authority` is no `https` URL.
    pub fn custom(authority: &str) -> Result<Self> {
        Self {
            name: "custom".to_owned(),
            ..Self::global()
        }
        .with_authority(authority)
    }

    fn national(name: &str, [login, graph, mail, smtp]: [&'static str; 4]) -> Self {
        Self {
            name: name.to_owned(),
            authority: https(login),
            graph: https(graph),
            exchange_admin: https(mail),
            scope: format!("https://{mail}/.default"),
            imap: Endpoint::implicit_tls(mail, 993),
            pop3: Endpoint::implicit_tls(mail, 995),
            smtp: Endpoint::start_tls(smtp, 587),
            limits: Limits::default(),
        }
    }

    /// Sets the login host.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfig`] when it is no `https` URL.
    pub fn with_authority(mut self, authority: &str) -> Result<Self> {
        self.authority = parse_https("authority", authority)?;
        Ok(self)
    }

    /// Sets the base of Microsoft Graph.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfig`] when it is no `https` URL.
    pub fn with_graph(mut self, graph: &str) -> Result<Self> {
        self.graph = parse_https("Graph", graph)?;
        Ok(self)
    }

    /// Sets the base of Exchange's admin API.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfig`] when it is no `https` URL.
    pub fn with_exchange_admin(mut self, base: &str) -> Result<Self> {
        self.exchange_admin = parse_https("Exchange admin", base)?;
        Ok(self)
    }

    /// Sets the scope that tokens for mail are asked for.
    #[must_use]
    pub fn with_scope(mut self, scope: impl Into<String>) -> Self {
        self.scope = scope.into();
        self
    }

    /// Sets the IMAP server.
    #[must_use]
    pub fn with_imap(mut self, endpoint: Endpoint) -> Self {
        self.imap = endpoint;
        self
    }

    /// Sets the POP3 server.
    #[must_use]
    pub fn with_pop3(mut self, endpoint: Endpoint) -> Self {
        self.pop3 = endpoint;
        self
    }

    /// Sets the SMTP submission server.
    #[must_use]
    pub fn with_smtp(mut self, endpoint: Endpoint) -> Self {
        self.smtp = endpoint;
        self
    }

    /// Sets what one mailbox may do at once, in a minute and in a day.
    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// `global`, `gcc-high`, `dod`, `china` or `custom`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The login host.
    pub fn authority(&self) -> &Url {
        &self.authority
    }

    /// The base of Microsoft Graph.
    pub fn graph(&self) -> &Url {
        &self.graph
    }

    /// The base of Exchange's admin API.
    pub fn exchange_admin(&self) -> &Url {
        &self.exchange_admin
    }

    /// The scope that tokens for mail are asked for.
    pub fn scope(&self) -> &str {
        &self.scope
    }

    /// The IMAP server.
    pub fn imap(&self) -> &Endpoint {
        &self.imap
    }

    /// The POP3 server.
    pub fn pop3(&self) -> &Endpoint {
        &self.pop3
    }

    /// The SMTP submission server.
    pub fn smtp(&self) -> &Endpoint {
        &self.smtp
    }

    /// What one mailbox may do at once, in a minute and in a day.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }
}

impl Default for Cloud {
    fn default() -> Self {
        Self::global()
    }
}

/// Only for the host names in this file.
fn https(host: &'static str) -> Url {
    Url::parse(&format!("https://{host}/")).expect("a literal host name makes a URL")
}

fn parse_https(what: &'static str, text: &str) -> Result<Url> {
    let refuse = |detail: String| Error::new(ErrorKind::InvalidConfig, what, detail);
    let url = Url::parse(text)
        .map_err(|error| refuse(format!("{text:?} is not a URL: {error}")).with_source(error))?;
    if url.scheme() != "https" || !url.has_host() {
        return Err(refuse(format!("{text:?} is not an https URL"))
            .with_hint("credentials and tokens are only sent over TLS"));
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cloud_is_found_by_name_and_by_login_host() {
        for name in ["global", "gcc", "gcc-high", "dod", "china"] {
            let cloud = Cloud::by_name(name).unwrap();
            assert!(cloud.scope().ends_with("/.default"));
            assert_eq!(
                (cloud.imap().port, cloud.pop3().port, cloud.smtp().port),
                (993, 995, 587)
            );
        }
        assert_eq!(
            Cloud::by_name("mars").unwrap_err().kind(),
            ErrorKind::InvalidConfig
        );
        let china = Url::parse("https://login.chinacloudapi.cn/").unwrap();
        assert_eq!(Cloud::by_authority(&china).unwrap().name(), "china");
        let us = Url::parse("https://login.microsoftonline.us").unwrap();
        assert_eq!(Cloud::by_authority(&us).unwrap().name(), "gcc-high");
        assert_eq!(
            Cloud::by_authority(&Url::parse("https://example.com").unwrap()),
            None
        );
    }

    #[test]
    fn an_authority_without_tls_is_refused() {
        for authority in ["http://login.example.com", "login.example.com", "", "file:///x"] {
            assert_eq!(
                Cloud::custom(authority).unwrap_err().kind(),
                ErrorKind::InvalidConfig,
                "{authority:?}"
            );
        }
    }
}
