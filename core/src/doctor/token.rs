//! [`token_refusal`]: the error for what the token endpoint refuses.

use std::time::Duration;

use super::entra::{Cause, ROWS};
use crate::error::ErrorKind::{
    ConsentMissing, CredentialRejected, PolicyBlocked, TenantNotFound, Throttled, TokenRefused, Unavailable,
};
use crate::error::Retry::Never;
use crate::error::Step::{CreateCredential, GrantPermissions, RegisterApp, TenantSetting};
use crate::error::{Error, Layer, OAuthReply, Retry};

/// The cause of a refusal, where the table knows it.
pub(super) fn cause_of(reply: &OAuthReply) -> Option<&'static Cause> {
    let text = reply.description.to_ascii_lowercase();
    ROWS.iter()
        .find(|row| row.codes.iter().any(|code| reply.codes.contains(code)) && text.contains(row.text))
        .map(|row| &row.cause)
}

/// The error for a refusal of the token endpoint. `retry_after` is the pause that the server asked for.
pub(crate) fn token_refusal(
    operation: &'static str,
    reply: OAuthReply,
    retry_after: Option<Duration>,
) -> Error {
    // What the protocol itself says.
    let plain = match (reply.status, reply.error.as_str()) {
        (429, _) | (_, "slow_down") => Some(Throttled),
        (500.., _) | (_, "temporarily_unavailable" | "server_error") => Some(Unavailable),
        (_, "invalid_client") => Some(CredentialRejected),
        (_, "invalid_tenant") => Some(TenantNotFound),
        (_, "consent_required") => Some(ConsentMissing),
        (_, "interaction_required") => Some(PolicyBlocked),
        _ => None,
    };
    let overload = matches!(plain, Some(Throttled | Unavailable));
    let cause = cause_of(&reply);
    let mut error = match cause {
        // Overload wins over what a text under it may say of the credential.
        Some(cause) if !overload || matches!(cause.kind, Throttled | Unavailable) => cause.error(operation),
        _ => {
            let kind = plain.unwrap_or(TokenRefused);
            let (detail, hint, step) = match kind {
                Throttled => ("the token service asks for a pause", "try again later", None),
                Unavailable => (
                    "the token service can't answer right now",
                    "try again later",
                    None,
                ),
                CredentialRejected => (
                    "the token service refused the credential",
                    "make a new secret or certificate and copy its value",
                    Some(CreateCredential),
                ),
                TenantNotFound => (
                    "the tenant was refused",
                    "check tenant and cloud",
                    Some(RegisterApp),
                ),
                ConsentMissing => (
                    "consent is missing",
                    "an administrator grants admin consent at the app's \"API permissions\"",
                    Some(GrantPermissions),
                ),
                PolicyBlocked => (
                    "a policy of the tenant demands more",
                    "an administrator looks at the sign-in log",
                    Some(TenantSetting),
                ),
                _ => (
                    "the token service refused",
                    "look the code up at https://login.microsoftonline.com/error",
                    None,
                ),
            };
            let error = Error::new(kind, operation, detail)
                .with_layer(Layer::Token)
                .with_hint(hint);
            match step {
                Some(step) => error.with_step(step),
                None => error,
            }
        }
    };
    if let Some(pause) = retry_after
        && error.retry() != Never
    {
        error = error.with_retry(Retry::After(pause));
    }
    error.with_oauth(reply)
}

/// The name of the cause that [`token_refusal`] finds.
#[cfg(test)]
pub(crate) fn entra_cause(reply: &OAuthReply) -> Option<&'static str> {
    cause_of(reply).map(|cause| cause.id)
}

/// The names of all causes of a refusal.
#[cfg(test)]
pub(crate) fn entra_causes() -> impl Iterator<Item = &'static str> {
    ROWS.iter().map(|row| row.cause.id)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::error::ErrorKind::{AppNotFound, CredentialExpired};
    use crate::error::Retry::Backoff;

    fn refuse(error: &str, status: u16, description: &str, codes: &[u32]) -> Error {
        let reply = OAuthReply {
            error: error.to_owned(),
            description: description.to_owned(),
            codes: codes.to_vec(),
            status,
            ..OAuthReply::default()
        };
        token_refusal("token", reply, None)
    }

    #[test]
    fn ids_are_unique_and_no_row_is_hidden_by_another() {
        let ids: BTreeSet<_> = ROWS.iter().map(|row| row.cause.id).collect();
        assert_eq!(ids.len(), ROWS.len());
        for row in ROWS {
            assert_eq!(row.text, row.text.to_ascii_lowercase());
            for &code in row.codes {
                let reply = OAuthReply {
                    description: format!("AADSTS{code}: {}", row.text),
                    codes: vec![code],
                    ..OAuthReply::default()
                };
                assert_eq!(cause_of(&reply).unwrap().id, row.cause.id, "AADSTS{code}");
            }
        }
    }

    #[test]
    fn real_answers_find_their_step() {
        let wrong = refuse(
            "invalid_client",
            401,
            "AADSTS7000215: Invalid client secret provided. Ensure the secret being sent in the request is the client \
             secret value, not the client secret ID, for a secret added to app '00000000-…'.",
            &[7000215],
        );
        assert_eq!(wrong.kind(), CredentialRejected);
        assert_eq!(wrong.step(), Some(CreateCredential));
        assert_eq!(wrong.retry(), Never);
        assert!(wrong.hint().unwrap().contains("not its Secret ID"));
        assert!(wrong.to_string().contains("AADSTS7000215"));

        let fresh = refuse(
            "invalid_client",
            401,
            "AADSTS700027: Client assertion contains an invalid signature. [Reason - The key was not found., \
             Thumbprint of key used by client: 'AB']",
            &[700027],
        );
        assert_eq!((fresh.kind(), fresh.retry()), (CredentialRejected, Backoff));
        let old = refuse(
            "invalid_client",
            401,
            "AADSTS700027: Client assertion contains an invalid signature. [Reason - The key used is expired., Found key \
             'Start=05/01/2020, End=05/01/2021']",
            &[700027],
        );
        assert_eq!((old.kind(), old.retry()), (CredentialExpired, Never));
        assert_eq!(
            refuse("unauthorized_client", 400, "AADSTS700016", &[700016]).kind(),
            AppNotFound
        );
    }

    #[test]
    fn error_and_status_speak_where_no_number_does() {
        for (error, status, kind) in [
            ("invalid_client", 401, CredentialRejected),
            ("invalid_tenant", 400, TenantNotFound),
            ("consent_required", 400, ConsentMissing),
            ("temporarily_unavailable", 400, Unavailable),
            ("invalid_client", 503, Unavailable),
            ("invalid_request", 429, Throttled),
            ("something_new", 400, TokenRefused),
        ] {
            let refusal = refuse(error, status, "", &[999]);
            assert_eq!(refusal.kind(), kind, "{error} {status}");
            assert!(refusal.hint().is_some());
        }
        // A number under a 5xx does not make a passing problem lasting.
        assert_eq!(refuse("invalid_client", 503, "", &[7000215]).kind(), Unavailable);
        assert_eq!(refuse("invalid_client", 400, "", &[90033]).kind(), Unavailable);
    }

    #[test]
    fn the_servers_pause_is_kept_only_where_trying_again_helps() {
        let pause = Some(Duration::from_secs(7));
        let reply = |status, codes: &[u32]| OAuthReply {
            codes: codes.to_vec(),
            status,
            ..OAuthReply::default()
        };
        assert_eq!(
            token_refusal("token", reply(429, &[]), pause).retry(),
            Retry::After(Duration::from_secs(7))
        );
        assert_eq!(
            token_refusal("token", reply(401, &[7000215]), pause).retry(),
            Never
        );
    }
}
