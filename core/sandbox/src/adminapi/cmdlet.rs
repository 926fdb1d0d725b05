//! A cmdlet's parameters and output, and the table of cmdlets.

use serde_json::{Map, Value, json};

use super::error::CmdletError;
use super::{mailbox, organization, rbac, service_principal};
use crate::faults::Faults;
use crate::state::Tenant;

/// What a cmdlet gives.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Output {
    pub(super) rows: Vec<Value>,
    pub(super) warnings: Vec<String>,
}

impl Output {
    pub(super) fn rows(rows: Vec<Value>) -> Self {
        Self {
            rows,
            warnings: Vec::new(),
        }
    }

    pub(super) fn warning(text: impl Into<String>) -> Self {
        Self {
            rows: Vec::new(),
            warnings: vec![text.into()],
        }
    }
}

/// Runs one cmdlet.
type Run = fn(&mut Tenant, &Parameters, &Faults) -> Result<Output, CmdletError>;

/// Name, parameters, what runs it.
type Cmdlet = (&'static str, &'static [&'static str], Run);

/// All cmdlets that an Exchange administrator sees here.
const CMDLETS: [Cmdlet; 20] = [
    (
        "New-ServicePrincipal",
        &["AppId", "ObjectId", "ServiceId", "DisplayName", "Organization"],
        service_principal::new,
    ),
    (
        "Get-ServicePrincipal",
        &["Identity", "Organization"],
        service_principal::get,
    ),
    (
        "Remove-ServicePrincipal",
        &["Identity"],
        service_principal::remove,
    ),
    (
        "Get-Mailbox",
        &["Identity", "ResultSize", "RecipientTypeDetails"],
        mailbox::get,
    ),
    (
        "Add-MailboxPermission",
        &[
            "Identity",
            "User",
            "AccessRights",
            "InheritanceType",
            "AutoMapping",
        ],
        mailbox::add_permission,
    ),
    (
        "Get-MailboxPermission",
        &["Identity", "User", "ResultSize"],
        mailbox::get_permission,
    ),
    (
        "Remove-MailboxPermission",
        &["Identity", "User", "AccessRights", "InheritanceType"],
        mailbox::remove_permission,
    ),
    (
        "Add-RecipientPermission",
        &["Identity", "Trustee", "AccessRights"],
        mailbox::add_send_as,
    ),
    (
        "Get-RecipientPermission",
        &["Identity", "Trustee", "AccessRights", "ResultSize"],
        mailbox::get_send_as,
    ),
    (
        "Remove-RecipientPermission",
        &["Identity", "Trustee", "AccessRights"],
        mailbox::remove_send_as,
    ),
    ("Get-CASMailbox", &["Identity", "ResultSize"], mailbox::get_cas),
    (
        "Set-CASMailbox",
        &[
            "Identity",
            "ImapEnabled",
            "PopEnabled",
            "SmtpClientAuthenticationDisabled",
        ],
        mailbox::set_cas,
    ),
    ("Get-TransportConfig", &["Identity"], organization::get_transport),
    (
        "Set-TransportConfig",
        &["Identity", "SmtpClientAuthenticationDisabled"],
        organization::set_transport,
    ),
    (
        "Enable-OrganizationCustomization",
        &["Identity"],
        organization::enable_customization,
    ),
    (
        "New-ManagementScope",
        &["Name", "RecipientRestrictionFilter"],
        rbac::new_scope,
    ),
    (
        "New-ManagementRoleAssignment",
        &["Name", "Role", "App", "CustomResourceScope"],
        rbac::new_assignment,
    ),
    (
        "Get-ManagementRoleAssignment",
        &["Identity", "Role", "App", "RoleAssignee"],
        rbac::get_assignments,
    ),
    (
        "Remove-ManagementRoleAssignment",
        &["Identity"],
        rbac::remove_assignment,
    ),
    (
        "Test-ServicePrincipalAuthorization",
        &["Identity", "Resource"],
        rbac::test_authorization,
    ),
];

/// Parameters that every cmdlet takes, and that change nothing here.
const COMMON: [&str; 7] = [
    "Confirm",
    "Debug",
    "ErrorAction",
    "Force",
    "Verbose",
    "WarningAction",
    "BypassMasterAccountSid",
];

/// Names of all cmdlets.
pub(super) fn names() -> Vec<&'static str> {
    CMDLETS.iter().map(|(name, ..)| *name).collect()
}

/// Runs a cmdlet; `None` if there is none of this name.
pub(super) fn run(
    tenant: &mut Tenant,
    faults: &Faults,
    name: &str,
    parameters: &Map<String, Value>,
) -> Option<Result<Output, CmdletError>> {
    let (_, known, run) = CMDLETS.iter().find(|(own, ..)| own.eq_ignore_ascii_case(name))?;
    let unknown = parameters.keys().find(|given| {
        !known
            .iter()
            .chain(&COMMON)
            .any(|own| own.eq_ignore_ascii_case(given))
    });
    Some(match unknown {
        Some(name) => Err(CmdletError::no_parameter(name)),
        None => run(tenant, &Parameters(parameters.clone()), faults),
    })
}

/// What a cmdlet is called with. Names are the same in any case.
#[derive(Debug)]
pub(super) struct Parameters(Map<String, Value>);

impl Parameters {
    pub(super) fn value(&self, name: &str) -> Option<&Value> {
        self.0
            .iter()
            .find(|(own, _)| own.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }

    /// A text; empty and null are as good as missing.
    pub(super) fn text(&self, name: &str) -> Result<Option<&str>, CmdletError> {
        match self.value(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.trim()).filter(|text| !text.is_empty())),
            Some(_) => Err(CmdletError::bad_value(name)),
        }
    }

    pub(super) fn needed(&self, name: &str) -> Result<&str, CmdletError> {
        self.text(name)?.ok_or_else(|| CmdletError::missing(name))
    }

    /// A switch: `true`, `false`, or the same as PowerShell's texts.
    pub(super) fn flag(&self, name: &str) -> Result<Option<bool>, CmdletError> {
        match self.value(name) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(*flag)),
            Some(Value::String(text)) => match text.trim_start_matches('$').to_ascii_lowercase().as_str() {
                "true" => Ok(Some(true)),
                "false" => Ok(Some(false)),
                _ => Err(CmdletError::bad_value(name)),
            },
            Some(_) => Err(CmdletError::bad_value(name)),
        }
    }

    /// Checks that a list, or a single text, of access rights is this one right.
    pub(super) fn rights(&self, right: &str) -> Result<(), CmdletError> {
        const NAME: &str = "AccessRights";
        let is_right = |value: &Value| {
            value
                .as_str()
                .is_some_and(|text| text.eq_ignore_ascii_case(right))
        };
        match self.value(NAME) {
            None | Some(Value::Null) => Err(CmdletError::missing(NAME)),
            Some(Value::Array(list)) if !list.is_empty() && list.iter().all(is_right) => Ok(()),
            Some(value) if is_right(value) => Ok(()),
            // Exchange has other rights too; they open no mailbox to an application, and are not kept here.
            Some(_) => Err(CmdletError::bad_value(NAME)),
        }
    }
}

/// A row with the types that Exchange writes beside its properties.
pub(super) fn typed(row: Value) -> Value {
    let Value::Object(row) = row else { return row };
    let mut all = Map::new();
    for (name, value) in row {
        match &value {
            Value::String(_) => {
                all.insert(format!("{name}@data.type"), json!("System.String"));
            }
            Value::Bool(_) => {
                all.insert(format!("{name}@data.type"), json!("System.Boolean"));
            }
            Value::Array(_) => {
                all.insert(format!("{name}@odata.type"), json!("#Collection(String)"));
            }
            _ => {}
        }
        all.insert(name, value);
    }
    Value::Object(all)
}
