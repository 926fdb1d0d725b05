//! Cmdlets for the tenant as a whole.

use serde_json::json;

use super::cmdlet::{Output, Parameters};
use super::error::CmdletError;
use crate::faults::Faults;
use crate::state::Tenant;

pub(super) fn get_transport(tenant: &mut Tenant, _: &Parameters, _: &Faults) -> Result<Output, CmdletError> {
    Ok(Output::rows(vec![json!({
        "Identity": "Transport Settings",
        "Name": "Transport Settings",
        "SmtpClientAuthenticationDisabled": tenant.smtp_auth_disabled,
    })]))
}

pub(super) fn set_transport(
    tenant: &mut Tenant,
    given: &Parameters,
    _: &Faults,
) -> Result<Output, CmdletError> {
    match given.flag("SmtpClientAuthenticationDisabled")? {
        Some(disabled) if disabled != tenant.smtp_auth_disabled => {
            tenant.set_tenant_smtp_disabled(disabled);
            Ok(Output::default())
        }
        _ => Ok(Output::warning(
            "The command completed successfully but no settings of 'Transport Settings' have been modified.",
        )),
    }
}

pub(super) fn enable_customization(
    tenant: &mut Tenant,
    _: &Parameters,
    _: &Faults,
) -> Result<Output, CmdletError> {
    if !tenant.directory.dehydrated {
        return Err(CmdletError::hydrated());
    }
    tenant.directory.dehydrated = false;
    Ok(Output::default())
}
