//! The tenant: who is registered, who may what, and the mail itself.
//!
//! [`Tenant`]'s methods are named after what an administrator does in Entra or in Exchange. Nothing here does I/O;
//! the servers read and change the state under one lock. Mail that comes in is seen by the next command, a change of
//! permissions by the next sign-in.

mod application;
mod delivery;
mod directory;
mod exchange;
mod folder;
mod mailbox;
mod propagation;
mod tenant;

pub use application::{
    AppCertificate, Application, ClientSecret, ExchangeServicePrincipal, ManagementRoleAssignment, NewSecret,
    Registration, RoleScope, ServicePrincipal,
};
pub use delivery::{OutsideMail, StoreError};
pub(crate) use directory::{AppRole, EXCHANGE_ROLES, GRAPH_APP_ID, GRAPH_ROLES, ManagementScope};
pub use folder::{Appended, Flags, Folder, SpecialUse, Stored};
pub use mailbox::Mailbox;
pub use tenant::{StateError, Tenant};

/// The roles of "Office 365 Exchange Online" that open the mail protocols to an application.
pub const MAIL_ROLES: [&str; 3] = ["IMAP.AccessAsApp", "POP.AccessAsApp", "SMTP.SendAsApp"];

/// The audience of Exchange's tokens, and the base of their scope.
pub const EXCHANGE_RESOURCE: &str = "https://outlook.office365.com";

/// Exchange's own application id, the same in all tenants; allowed as an audience.
pub const EXCHANGE_APP_ID: &str = "00000002-0000-0ff1-ce00-000000000000";

/// The audience of Microsoft Graph's tokens.
pub(crate) const GRAPH_RESOURCE: &str = "https://graph.microsoft.com";
