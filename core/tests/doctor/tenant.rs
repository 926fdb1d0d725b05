//! A sandbox and the doctor on it.

use exomail::doctor::{DoctorOptions, Finding, Report, Severity};
use exomail::{App, Cloud, Endpoint, Transcript};
use exomail_sandbox::{Sandbox, SandboxBuilder};

pub(crate) const JOE: &str = "joe@contoso.example";
pub(crate) const ANN: &str = "ann@contoso.example";

pub(crate) struct Tenant {
    pub(crate) sandbox: Sandbox,
    pub(crate) transcript: Transcript,
}

impl Tenant {
    pub(crate) async fn start() -> Self {
        Self::with(Sandbox::builder()).await
    }

    pub(crate) async fn with(builder: SandboxBuilder) -> Self {
        let sandbox = builder.mailbox(JOE).mailbox(ANN).start().await.unwrap();
        Self {
            sandbox,
            transcript: Transcript::new(),
        }
    }

    pub(crate) fn cloud(&self) -> Cloud {
        let implicit = |(host, port): (&str, u16)| Endpoint::implicit_tls(host, port);
        let (host, port) = self.sandbox.smtp();
        Cloud::custom(self.sandbox.authority())
            .unwrap()
            .with_imap(implicit(self.sandbox.imap()))
            .with_pop3(implicit(self.sandbox.pop3()))
            .with_smtp(Endpoint::start_tls(host, port))
    }

    pub(crate) fn client(&self) -> String {
        self.sandbox.client_id().to_owned()
    }

    /// The Object ID of the Enterprise application.
    pub(crate) fn oid(&self) -> String {
        let state = self.sandbox.state();
        state
            .enterprise_object_id(self.sandbox.client_id())
            .unwrap()
            .to_owned()
    }

    pub(crate) fn app(&self, tenant: &str, client: &str, secret: &str, cloud: Cloud) -> App {
        App::builder(tenant, client)
            .client_secret(secret)
            .cloud(cloud)
            .extra_ca_pem(self.sandbox.ca_pem().as_bytes())
            .transcript(self.transcript.clone())
            .build()
            .unwrap()
    }

    pub(crate) fn healthy_app(&self) -> App {
        let sandbox = &self.sandbox;
        self.app(
            sandbox.tenant(),
            sandbox.client_id(),
            sandbox.client_secret(),
            self.cloud(),
        )
    }

    /// A run over both mailboxes, which its own replay must repeat to the letter.
    pub(crate) async fn doctor(&self) -> Report {
        self.run(&self.healthy_app(), &both()).await
    }

    pub(crate) async fn run(&self, app: &App, options: &DoctorOptions) -> Report {
        let report = app.doctor(options).await;
        let bundle = serde_json::to_vec(&report.bundle(&self.transcript)).unwrap();
        assert_eq!(Report::replay(&bundle).unwrap(), report);
        report
    }
}

pub(crate) fn both() -> DoctorOptions {
    DoctorOptions::new().mailbox(JOE).mailbox(ANN)
}

/// The first finding, which must be this one, and nothing else may be an error.
#[track_caller]
pub(crate) fn only(report: &Report, id: &str) -> Finding {
    let first = first(report, id);
    let errors: Vec<_> = report
        .findings()
        .iter()
        .filter(|finding| finding.severity == Severity::Error && finding.id != id)
        .collect();
    assert!(errors.is_empty(), "{errors:#?}");
    first
}

#[track_caller]
pub(crate) fn first(report: &Report, id: &str) -> Finding {
    let first = report
        .first()
        .unwrap_or_else(|| panic!("nothing found, not {id}"));
    assert_eq!(first.id, id, "{:#?}", report.findings());
    first.clone()
}

#[track_caller]
pub(crate) fn runs(finding: &Finding, command: &str) {
    assert!(
        finding.commands.iter().any(|known| known == command),
        "{command} is not in {:#?}",
        finding.commands
    );
}
