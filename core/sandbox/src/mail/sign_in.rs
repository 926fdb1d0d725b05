//! From a SASL response to what becomes of it.

use super::authorize::{Outcome, Protocol, authorize};
use super::token;
use super::xoauth2::Xoauth2;
use crate::shared::Shared;

/// Verifies the token and applies the rule to the tenant as it is now.
pub(crate) async fn sign_in(shared: &Shared, protocol: Protocol, response: &Xoauth2) -> Outcome {
    let verified = token::verify(&response.token, shared.clock.now()).await;
    let outcome = authorize(
        &shared.tenant(),
        verified.as_ref().map_err(|fault| *fault),
        protocol,
        &response.user,
        shared.options.rule,
    );
    tracing::debug!(?protocol, user = response.user, ?outcome, "sign-in");
    outcome
}
