//! New-, Get- and Remove-ServicePrincipal.

use serde_json::{Value, json};

use super::cmdlet::{Output, Parameters};
use super::error::CmdletError;
use crate::faults::Faults;
use crate::state::{ExchangeServicePrincipal, Tenant};

/// How many service principals Exchange takes here.
const MAX_PRINCIPALS: usize = 1_000;

/// The principal that an identity names: object id, application id, SID or display name.
pub(super) fn find<'a>(tenant: &'a Tenant, identity: &str) -> Option<&'a ExchangeServicePrincipal> {
    tenant.service_principals().iter().find(|known| {
        [
            &known.object_id,
            &known.client_id,
            &known.sid,
            &known.display_name,
        ]
        .into_iter()
        .any(|own| own.eq_ignore_ascii_case(identity))
    })
}

fn row(known: &ExchangeServicePrincipal) -> Value {
    json!({
        "DisplayName": known.display_name,
        "AppId": known.client_id,
        "ObjectId": known.object_id,
        "Sid": known.sid,
        "Identity": known.object_id,
        "Id": known.object_id,
        "Name": known.object_id,
        "DistinguishedName": format!("CN={},OU=Service Principals,OU=sandbox", known.object_id),
        "ObjectState": "Unchanged",
        "IsValid": true,
    })
}

/// As in Exchange, nothing checks that the object id belongs to the application.
pub(super) fn new(tenant: &mut Tenant, given: &Parameters, _: &Faults) -> Result<Output, CmdletError> {
    let app_id = given.needed("AppId")?;
    let object_id = match given.text("ObjectId")? {
        Some(id) => id,
        // The older name of the same parameter.
        None => given
            .text("ServiceId")?
            .ok_or_else(|| CmdletError::missing("ObjectId"))?,
    };
    let known = tenant.service_principals();
    if known.iter().any(|known| {
        known.client_id.eq_ignore_ascii_case(app_id) || known.object_id.eq_ignore_ascii_case(object_id)
    }) {
        return Err(CmdletError::exists(object_id));
    }
    if known.len() >= MAX_PRINCIPALS {
        return Err(CmdletError::full());
    }
    let display_name = given.text("DisplayName")?.unwrap_or(object_id);
    let sid = tenant.new_service_principal(app_id, object_id, display_name);
    Ok(Output::rows(vec![row(&ExchangeServicePrincipal {
        client_id: app_id.to_owned(),
        object_id: object_id.to_owned(),
        sid,
        display_name: display_name.to_owned(),
    })]))
}

/// An identity that nobody has gives all of them, as in Exchange (facts §4.2).
pub(super) fn get(tenant: &mut Tenant, given: &Parameters, _: &Faults) -> Result<Output, CmdletError> {
    let found = given
        .text("Identity")?
        .and_then(|identity| find(tenant, identity));
    Ok(Output::rows(match found {
        Some(one) => vec![row(one)],
        None => tenant.service_principals().iter().map(row).collect(),
    }))
}

pub(super) fn remove(tenant: &mut Tenant, given: &Parameters, _: &Faults) -> Result<Output, CmdletError> {
    let identity = given.needed("Identity")?;
    let object_id = find(tenant, identity)
        .map(|known| known.object_id.clone())
        .ok_or_else(|| CmdletError::no_object(identity))?;
    tenant
        .remove_service_principal(&object_id)
        .map_err(|_| CmdletError::no_object(identity))?;
    Ok(Output::default())
}
