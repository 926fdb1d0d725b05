//! Microsoft's own pages on what a finding is about.

use crate::error::{Layer, Step};

const OAUTH: &str = "https://learn.microsoft.com/exchange/client-developer/legacy-protocols/how-to-authenticate-an-imap-pop-smtp-application-by-using-oauth";
const AADSTS: &str = "https://learn.microsoft.com/entra/identity-platform/reference-error-codes";
const CREDENTIALS: &str = "https://learn.microsoft.com/entra/identity-platform/how-to-add-credentials";
const REGISTER: &str = "https://learn.microsoft.com/entra/identity-platform/quickstart-register-app";
const SMTP_SWITCH: &str = "https://learn.microsoft.com/exchange/clients-and-mobile-in-exchange-online/authenticated-client-smtp-submission";
const POP_IMAP_SWITCH: &str = "https://learn.microsoft.com/exchange/clients-and-mobile-in-exchange-online/pop3-and-imap4/enable-or-disable-pop3-or-imap4-access";

/// The page that treats this step at this layer, where there is one.
pub(super) fn link(layer: Layer, step: Option<Step>) -> Option<&'static str> {
    match (layer, step) {
        (Layer::Token, Some(Step::RegisterApp)) => Some(REGISTER),
        (_, Some(Step::CreateCredential)) => Some(CREDENTIALS),
        (Layer::Smtp, Some(Step::TenantSetting)) => Some(SMTP_SWITCH),
        (Layer::Imap | Layer::Pop3, Some(Step::TenantSetting)) => Some(POP_IMAP_SWITCH),
        (_, Some(Step::GrantPermissions | Step::RegisterServicePrincipal | Step::GrantMailboxAccess)) => {
            Some(OAUTH)
        }
        (Layer::Token, _) => Some(AADSTS),
        _ => None,
    }
}
