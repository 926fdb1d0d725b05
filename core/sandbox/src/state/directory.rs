//! Microsoft's own service principals in the tenant's directory, and their application roles.

use std::collections::BTreeSet;

use uuid::Uuid;

/// An application role that a service principal of Microsoft offers. The ids are the same in all tenants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct AppRole {
    pub(crate) id: &'static str,
    pub(crate) value: &'static str,
    pub(crate) display_name: &'static str,
}

/// Microsoft Graph's application id, the same in all tenants.
pub(crate) const GRAPH_APP_ID: &str = "00000003-0000-0000-c000-000000000000";

/// What "Office 365 Exchange Online" offers to applications (facts §4.1): the three mail roles, the one for cmdlets,
/// and EWS's, which is often taken by mistake.
pub(crate) const EXCHANGE_ROLES: [AppRole; 5] = [
    AppRole {
        id: "5e5addcd-3e8d-4e90-baf5-964efab2b20a",
        value: "IMAP.AccessAsApp",
        display_name: "IMAP.AccessAsApp",
    },
    AppRole {
        id: "cb842b43-da6e-4506-86fe-bb12199c656d",
        value: "POP.AccessAsApp",
        display_name: "POP.AccessAsApp",
    },
    AppRole {
        id: "7146a1f0-8703-45b3-9eae-527a64c00995",
        value: "SMTP.SendAsApp",
        display_name: "Application access for sending emails via SMTP AUTH",
    },
    AppRole {
        id: "dc50a0fb-09a3-484d-be87-e023b12c6440",
        value: "Exchange.ManageAsApp",
        display_name: "Manage Exchange As Application",
    },
    AppRole {
        id: "dc890d15-9560-4a4c-9b7f-a736ec74ec40",
        value: "full_access_as_app",
        display_name: "Use Exchange Web Services with full access to all mailboxes",
    },
];

/// What Microsoft Graph offers to applications, as far as a mail set-up may come across it: the wrong choices for a
/// mail app, and the rights to run the set-up itself.
pub(crate) const GRAPH_ROLES: [AppRole; 4] = [
    AppRole {
        id: "b633e1c5-b582-4048-a93e-9f11b44c7e96",
        value: "Mail.Send",
        display_name: "Send mail as any user",
    },
    AppRole {
        id: "e2a3a72e-5f79-4c64-b1b1-878b674786c9",
        value: "Mail.ReadWrite",
        display_name: "Read and write mail in all mailboxes",
    },
    AppRole {
        id: "1bfefb4e-e0b5-418b-a88f-73c46d2cc8e9",
        value: "Application.ReadWrite.All",
        display_name: "Read and write all applications",
    },
    AppRole {
        id: "06b708a9-e830-4db3-a914-8e69da51d44f",
        value: "AppRoleAssignment.ReadWrite.All",
        display_name: "Manage app permission grants and app role assignments",
    },
];

/// What belongs to the tenant as a whole and not to one application or mailbox.
#[derive(Debug)]
pub(crate) struct Directory {
    /// Object id of Exchange's service principal, which differs between tenants.
    pub(crate) exchange_object_id: String,
    /// Object id of Microsoft Graph's.
    pub(crate) graph_object_id: String,
    /// As a new tenant is until `Enable-OrganizationCustomization`: no management scopes or role assignments.
    pub(crate) dehydrated: bool,
    pub(crate) scopes: Vec<ManagementScope>,
}

/// `New-ManagementScope -RecipientRestrictionFilter …`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ManagementScope {
    pub(crate) name: String,
    /// Primary addresses that the filter names, in lower case.
    pub(crate) mailboxes: BTreeSet<String>,
}

impl Directory {
    pub(crate) fn new() -> Self {
        Self {
            exchange_object_id: Uuid::new_v4().to_string(),
            graph_object_id: Uuid::new_v4().to_string(),
            dehydrated: false,
            scopes: Vec::new(),
        }
    }
}
