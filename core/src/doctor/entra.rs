//! Entra's refusals: AADSTS numbers, what they mean and what to do; and what a token that was issued may lack.
//!
//! The OAuth error and the HTTP status say the kind where they can. Microsoft asks not to branch on AADSTS numbers: here
//! they refine the kind and choose step and hint.

use crate::error::ErrorKind::{
    AppNotFound, ConsentMissing, CredentialExpired, CredentialRejected, PolicyBlocked, TenantNotFound,
    Throttled, TokenRefused, TokenUnusable, Unavailable,
};
use crate::error::Retry::{Backoff, Never};
use crate::error::Step::{Client, CreateCredential, GrantPermissions, RegisterApp, TenantSetting};
use crate::error::{Error, ErrorKind, Layer, Retry, Step};

/// One cause.
#[derive(Debug)]
pub(crate) struct Cause {
    /// The cause's name, for logs, tests and vectors.
    pub(crate) id: &'static str,
    pub(crate) kind: ErrorKind,
    pub(crate) retry: Retry,
    pub(crate) step: Option<Step>,
    /// What it means.
    pub(crate) detail: &'static str,
    /// What to do.
    pub(crate) hint: &'static str,
}

impl Cause {
    pub(crate) fn error(&self, operation: &'static str) -> Error {
        tracing::debug!(cause = self.id, "{}", self.detail);
        let error = Error::new(self.kind, operation, self.detail)
            .with_layer(Layer::Token)
            .with_retry(self.retry)
            .with_hint(self.hint);
        match self.step {
            Some(step) => error.with_step(step),
            None => error,
        }
    }
}

pub(super) struct Row {
    /// AADSTS numbers.
    pub(super) codes: &'static [u32],
    /// A part of the description, in lower case; empty where the number says it all.
    pub(super) text: &'static str,
    pub(super) cause: Cause,
}

const fn row(
    codes: &'static [u32],
    text: &'static str,
    id: &'static str,
    kind: ErrorKind,
    step: Option<Step>,
    detail: &'static str,
    hint: &'static str,
) -> Row {
    let cause = Cause {
        id,
        kind,
        retry: Never,
        step,
        detail,
        hint,
    };
    Row { codes, text, cause }
}

const fn retry(mut row: Row) -> Row {
    row.cause.retry = Backoff;
    row
}

/// The first row that fits wins, so rows with a text stand above those without.
pub(super) const ROWS: &[Row] = &[
    // ---- tenant and app ----------------------------------------------------------------------------------
    row(
        &[90002],
        "",
        "entra-tenant-unknown",
        TenantNotFound,
        Some(RegisterApp),
        "the tenant is not in this cloud",
        "copy \"Directory (tenant) ID\" from the app's overview page in Entra; for a national cloud choose that cloud",
    ),
    row(
        &[900023],
        "",
        "entra-tenant-malformed",
        TenantNotFound,
        Some(RegisterApp),
        "the tenant is neither a GUID nor a verified domain",
        "give the Directory (tenant) ID, or a domain that is verified in the tenant",
    ),
    row(
        &[50059, 50128],
        "",
        "entra-tenant-missing",
        TenantNotFound,
        Some(RegisterApp),
        "the request names no tenant",
        "give the Directory (tenant) ID, or a domain that is verified in the tenant",
    ),
    row(
        &[9001023, 90130, 50194],
        "",
        "entra-tenant-common",
        TenantNotFound,
        Some(RegisterApp),
        "the app can't sign in at the shared endpoint",
        "use the tenant's own id instead of common, organizations or consumers",
    ),
    row(
        &[90038, 900382, 900432],
        "",
        "entra-cross-cloud",
        TenantNotFound,
        Some(RegisterApp),
        "the tenant is in another cloud",
        "choose the tenant's cloud: global, gcc-high, dod or china",
    ),
    row(
        &[700016],
        "",
        "entra-app-unknown",
        AppNotFound,
        Some(RegisterApp),
        "the client id is not in this tenant",
        "copy \"Application (client) ID\" from the app's overview page, not an Object ID and not the name, and check \
         the tenant; an app of another tenant needs admin consent first",
    ),
    row(
        &[7000112, 70001],
        "",
        "entra-app-disabled",
        PolicyBlocked,
        Some(TenantSetting),
        "the app is disabled",
        "an administrator switches on \"Enabled for users to sign-in\" on the Enterprise application",
    ),
    row(
        &[501051, 50105],
        "",
        "entra-assignment-required",
        PolicyBlocked,
        Some(TenantSetting),
        "the Enterprise application demands assignment",
        "assign the app, or switch \"Assignment required\" off on the Enterprise application",
    ),
    // ---- client secret -----------------------------------------------------------------------------------
    row(
        &[7000215],
        "",
        "entra-secret-wrong",
        CredentialRejected,
        Some(CreateCredential),
        "the client secret is wrong",
        "create a new client secret and copy its Value (shown once), not its Secret ID; check that nothing was cut \
         off and that it belongs to this app",
    ),
    row(
        &[7000222],
        "",
        "entra-secret-expired",
        CredentialExpired,
        Some(CreateCredential),
        "the client secret has expired",
        "create a new client secret and copy its Value",
    ),
    row(
        &[7000218],
        "",
        "entra-credential-missing",
        CredentialRejected,
        Some(Client),
        "the request held no credential",
        "send the client secret or certificate; a proxy may have changed the request",
    ),
    row(
        &[700025],
        "",
        "entra-public-client",
        CredentialRejected,
        Some(RegisterApp),
        "the app is a public client, which has no credential",
        "register a confidential client: set \"Allow public client flows\" to No",
    ),
    // ---- certificate and assertion -----------------------------------------------------------------------
    retry(row(
        &[700027],
        "key was not found",
        "entra-certificate-unknown",
        CredentialRejected,
        Some(CreateCredential),
        "the certificate is not on this app",
        "upload the certificate at the app's \"Certificates & secrets\"; right after an upload it takes some seconds, \
         so try again 3 times with 10 seconds between",
    )),
    row(
        &[700027],
        "unsupported asymmetric",
        "entra-certificate-not-rsa",
        CredentialRejected,
        Some(CreateCredential),
        "the certificate's key is of a kind that Entra does not take",
        "make a certificate with an RSA key of 2048 bits or more",
    ),
    row(
        &[700027],
        "expired",
        "entra-certificate-expired",
        CredentialExpired,
        Some(CreateCredential),
        "the certificate has expired",
        "make a new certificate and upload it to the app",
    ),
    row(
        &[700027],
        "",
        "entra-assertion-signature",
        CredentialRejected,
        Some(CreateCredential),
        "the signature of the certificate's assertion was refused",
        "check that the certificate that is uploaded to the app is the one in use here",
    ),
    row(
        &[700030],
        "",
        "entra-certificate-subject",
        CredentialRejected,
        Some(CreateCredential),
        "the certificate's subject or issuer was refused",
        "upload the certificate itself to the app, so that it is matched by thumbprint",
    ),
    retry(row(
        &[700024, 500133],
        "",
        "entra-assertion-time",
        CredentialRejected,
        Some(Client),
        "the assertion was outside its time",
        "correct this machine's clock; the server's text says what time it has",
    )),
    row(
        &[700021, 50027, 50013, 700023],
        "",
        "entra-assertion-claims",
        CredentialRejected,
        Some(Client),
        "the assertion's audience, issuer or form was refused",
        "the audience must be the tenant's token URL, issuer and subject the client id: check tenant, client id and cloud",
    ),
    row(
        &[70021, 700211, 700212, 700213, 7002131],
        "",
        "entra-federated-mismatch",
        CredentialRejected,
        Some(CreateCredential),
        "no federated credential of the app fits the assertion",
        "copy issuer, subject and audience from the server's text into the federated credential, letter by letter",
    ),
    row(
        &[700229],
        "",
        "entra-federated-token",
        CredentialRejected,
        Some(CreateCredential),
        "the assertion is not of the kind that a federated credential takes",
        "use an app-only token of a user-assigned managed identity",
    ),
    row(
        &[50012, 50146],
        "",
        "entra-authentication-failed",
        CredentialRejected,
        Some(CreateCredential),
        "the credential was refused",
        "check credential, client id and tenant; make a new credential if in doubt",
    ),
    // ---- the request -------------------------------------------------------------------------------------
    row(
        &[1002012],
        "",
        "entra-scope-not-default",
        TokenRefused,
        Some(Client),
        "client credentials need a scope that ends in /.default",
        "ask for https://outlook.office365.com/.default, or the national cloud's own",
    ),
    row(
        &[70011, 28002, 28003],
        "",
        "entra-scope-invalid",
        TokenRefused,
        Some(Client),
        "the scope is not valid",
        "ask for one scope, https://outlook.office365.com/.default or the national cloud's own",
    ),
    row(
        &[500011],
        "",
        "entra-resource-unknown",
        TokenRefused,
        Some(Client),
        "the tenant does not know what the scope names",
        "check the scope's host for this cloud, and that the tenant has Exchange Online",
    ),
    row(
        &[901002],
        "",
        "entra-resource-parameter",
        TokenRefused,
        Some(Client),
        "the v2 endpoint takes no parameter \"resource\"",
        "use a scope that ends in /.default",
    ),
    row(
        &[900144, 90014, 9002313],
        "",
        "entra-request-malformed",
        TokenRefused,
        Some(Client),
        "the request arrived incomplete or malformed",
        "a proxy may have changed the request",
    ),
    row(
        &[70003, 7000114],
        "",
        "entra-grant-unsupported",
        TokenRefused,
        Some(Client),
        "the app may not use this grant",
        "use client credentials for unattended mail",
    ),
    // ---- consent and policy ------------------------------------------------------------------------------
    row(
        &[65002],
        "",
        "entra-first-party",
        TokenRefused,
        Some(RegisterApp),
        "a client id of Microsoft's own may not ask for this",
        "register an app of your own and use its client id",
    ),
    row(
        &[650052, 650056, 650057],
        "",
        "entra-permission-not-listed",
        ConsentMissing,
        Some(GrantPermissions),
        "the app does not list the permission, or the tenant has no subscription for it",
        "add the permissions of \"Office 365 Exchange Online\" to the app and grant admin consent",
    ),
    row(
        &[65001, 90094, 90095, 65004],
        "",
        "entra-consent-missing",
        ConsentMissing,
        Some(GrantPermissions),
        "nobody has consented to what the app asks for",
        "an administrator grants admin consent at the app's \"API permissions\"",
    ),
    row(
        &[53003, 530032, 53000, 53001],
        "",
        "entra-conditional-access",
        PolicyBlocked,
        Some(TenantSetting),
        "Conditional Access blocks the sign-in",
        "an administrator looks at the sign-in log (service principal sign-ins) and excludes the app, or adds this location",
    ),
    row(
        &[530035, 50074, 50076, 50079],
        "",
        "entra-mfa",
        PolicyBlocked,
        Some(TenantSetting),
        "the tenant demands an interactive sign-in",
        "sign in with a browser, or sign in as an app with client credentials, which this does not touch",
    ),
    // ---- flows with a user -------------------------------------------------------------------------------
    row(
        &[50011, 50049, 900971],
        "",
        "entra-redirect",
        TokenRefused,
        Some(RegisterApp),
        "the redirect address is not registered",
        "add http://localhost as redirect address of a public client to the app",
    ),
    retry(row(
        &[70016],
        "",
        "entra-device-pending",
        TokenRefused,
        Some(Client),
        "the user has not finished signing in",
        "ask again after the interval that was announced",
    )),
    row(
        &[70018, 70019, 70020],
        "",
        "entra-device-expired",
        TokenRefused,
        Some(Client),
        "the device code is wrong or has expired",
        "start the sign-in again",
    ),
    row(
        &[54005, 501481, 70000, 70008],
        "",
        "entra-code-spent",
        TokenRefused,
        Some(Client),
        "the authorization code was used before, has expired or does not fit",
        "start the sign-in again",
    ),
    row(
        &[700082, 700084, 50173, 70043, 50078],
        "",
        "entra-refresh-token-dead",
        TokenRefused,
        Some(Client),
        "the refresh token is no longer valid",
        "sign in again",
    ),
    row(
        &[50034, 50053, 50055, 50057, 50126],
        "",
        "entra-user",
        CredentialRejected,
        None,
        "the user can't sign in",
        "check the user's name, password and state in Entra",
    ),
    // ---- load --------------------------------------------------------------------------------------------
    retry(row(
        &[50196],
        "",
        "entra-loop",
        Throttled,
        Some(Client),
        "the same request was sent too often",
        "keep one App for the whole process: it keeps the token until it is due",
    )),
    retry(row(
        &[90055],
        "",
        "entra-throttled",
        Throttled,
        None,
        "the tenant is sending too many requests",
        "wait, and keep one App for the whole process",
    )),
    retry(row(
        &[50033, 90033],
        "",
        "entra-transient",
        Unavailable,
        None,
        "the token service has a passing problem",
        "try again later",
    )),
];

/// A token was issued without any role: Entra does that when consent is missing.
pub(crate) const NO_ROLES: Cause = Cause {
    id: "token-no-roles",
    kind: ConsentMissing,
    retry: Never,
    step: Some(GrantPermissions),
    detail: "the token holds no roles",
    hint: "add IMAP.AccessAsApp, POP.AccessAsApp and SMTP.SendAsApp of \"Office 365 Exchange Online\" as Application (not \
           Delegated) permissions, grant admin consent, then ask for a new token: one that was issued before stays as it is. \
           Only for SMTP by RBAC for Applications is a token without roles right",
};

/// The token holds roles, but not the one that is needed.
pub(crate) const OTHER_ROLES: Cause = Cause {
    id: "token-other-roles",
    kind: ConsentMissing,
    retry: Never,
    step: Some(GrantPermissions),
    detail: "the token does not hold the role that the protocol needs",
    hint: "add IMAP.AccessAsApp, POP.AccessAsApp and SMTP.SendAsApp of \"Office 365 Exchange Online\" (roles for EWS or Graph \
           do not open these protocols), grant admin consent, then ask for a new token",
};

/// The token is for something else, such as Graph.
pub(crate) const WRONG_AUDIENCE: Cause = Cause {
    id: "token-wrong-audience",
    kind: TokenUnusable,
    retry: Never,
    step: Some(Client),
    detail: "the token is not for Exchange Online",
    hint: "ask for the scope https://outlook.office365.com/.default, or the national cloud's own",
};

/// A user's token where an app's is needed.
pub(crate) const DELEGATED: Cause = Cause {
    id: "token-delegated",
    kind: TokenUnusable,
    retry: Never,
    step: Some(Client),
    detail: "the token was issued for a user, not for the app itself",
    hint: "use the client credentials grant",
};
