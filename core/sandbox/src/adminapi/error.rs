//! Errors of cmdlets, in the JSON of `InvokeCommand`.

use axum::http::StatusCode;
use serde_json::{Value, json};

/// The domain controller that Exchange's texts name.
const CONTROLLER: &str = "AM9PR01A001DC01.EURPR01A001.PROD.OUTLOOK.COM";

/// A cmdlet that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CmdletError {
    pub(super) status: StatusCode,
    code: &'static str,
    /// Exchange's own short code, such as `Ex6F9304`; often there is none.
    id: &'static str,
    /// The exception's .NET type.
    kind: &'static str,
    text: String,
}

impl CmdletError {
    fn bad_request(id: &'static str, kind: &'static str, text: impl Into<String>) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            code: "BadRequest",
            id,
            kind,
            text: text.into(),
        }
    }

    fn not_found(id: &'static str, text: String) -> Self {
        Self {
            status: StatusCode::NOT_FOUND,
            code: "NotFound",
            id,
            kind: "Microsoft.Exchange.Configuration.Tasks.ManagementObjectNotFoundException",
            text,
        }
    }

    pub(super) fn no_object(identity: &str) -> Self {
        Self::not_found(
            "Ex6F9304",
            format!(
                "The operation couldn't be performed because object '{identity}' couldn't be found on '{CONTROLLER}'."
            ),
        )
    }

    pub(super) fn no_mailbox() -> Self {
        Self::not_found("Ex41BAF5", "The specified mailbox doesn't exist.".to_owned())
    }

    pub(super) fn exists(name: &str) -> Self {
        Self::bad_request(
            "Ex9A5B1C",
            "Microsoft.Exchange.Data.Directory.ADObjectAlreadyExistsException",
            format!(
                "Active Directory operation failed on {CONTROLLER}. The object 'CN={name}' already exists."
            ),
        )
    }

    pub(super) fn no_parameter(name: &str) -> Self {
        Self::bad_request(
            "",
            "System.Management.Automation.ParameterBindingException",
            format!("A parameter cannot be found that matches parameter name '{name}'."),
        )
    }

    pub(super) fn missing(name: &str) -> Self {
        Self::bad_request(
            "",
            "System.Management.Automation.ParameterBindingException",
            format!("Cannot process command because of one or more missing mandatory parameters: {name}."),
        )
    }

    pub(super) fn bad_value(name: &str) -> Self {
        Self::bad_request(
            "",
            "System.Management.Automation.ParameterBindingException",
            format!("Cannot process argument transformation on parameter '{name}'."),
        )
    }

    pub(super) fn dehydrated() -> Self {
        Self::bad_request(
            "",
            "Microsoft.Exchange.Configuration.Tasks.InvalidOperationInDehydratedContextException",
            "The command you tried to run isn't currently allowed in your organization. To run this command, you \
             first need to run the command: Enable-OrganizationCustomization.",
        )
    }

    pub(super) fn hydrated() -> Self {
        Self::bad_request(
            "",
            "System.InvalidOperationException",
            "This operation is not required. Organization is already enabled for customization.",
        )
    }

    pub(super) fn not_delegating(role: &str) -> Self {
        Self::bad_request(
            "",
            "System.InvalidOperationException",
            format!(
                "You don't have access to create, change, or remove the \"{role}\" management role assignment. You \
                 must be assigned a delegating role assignment to the management role or its parent in the hierarchy \
                 without a scope restriction."
            ),
        )
    }

    /// The tenant takes no more of something.
    pub(super) fn full() -> Self {
        Self::bad_request(
            "",
            "Microsoft.Exchange.Data.Directory.ADOperationException",
            "The operation couldn't be performed because the maximum number of objects has been reached.",
        )
    }

    pub(super) fn unreadable() -> Self {
        Self::bad_request(
            "",
            "System.ArgumentException",
            "The request body has no CmdletInput with a CmdletName.",
        )
    }

    /// The JSON that goes with it (facts §4.3).
    pub(super) fn json(&self) -> Value {
        json!({
            "error": {
                "code": self.code,
                "message": "Error executing cmdlet",
                "details": [{
                    "code": "Context",
                    "target": "",
                    "message": format!("{}|{}|{}", self.id, self.kind, self.text),
                }],
                "innererror": {
                    "message": "Error executing cmdlet",
                    "type": "Microsoft.Exchange.Admin.OData.Core.ODataServiceException",
                    "stacktrace": "   at Microsoft.Exchange.AdminApi.CommandInvocation.CommandInvocation.InvokeCommand()",
                    "internalexception": {
                        "message": self.text,
                        "type": self.kind,
                        "stacktrace": "",
                    },
                },
            },
            "adminapi.warnings@odata.type": "#Collection(String)",
            "@adminapi.warnings": [],
        })
    }
}
