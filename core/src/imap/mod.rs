//! IMAP4rev1 (RFC 3501) as Exchange Online speaks it, and other servers.
//!
//! Without I/O: `framer` finds a response's end, `value` and `response` read it, `command` and `query` write. With
//! I/O: `engine` owns the connection, `sign_in`, `fetch`, `transfer`, `append` and `idle` are what it does,
//! [`ImapSession`] is the callers' handle.

mod append;
mod capability;
mod command;
mod copy;
mod date;
mod engine;
mod envelope;
mod fetch;
mod flag;
mod folder;
mod framer;
mod idle;
mod mailbox_name;
#[cfg(test)]
mod oracle;
mod query;
mod response;
mod role;
mod section;
mod select;
mod session;
mod sign_in;
mod status;
mod structure;
mod summary;
mod swallowing;
mod text;
mod transfer;
mod uid;
mod value;

pub use append::AppendUid;
pub use capability::Capabilities;
pub use copy::CopyUid;
pub use envelope::Envelope;
pub use fetch::{Bodies, BodyEvent};
pub use flag::Flag;
pub use folder::{Folder, FolderStatus};
pub use idle::{IdleEvent, IdleOutcome};
pub use query::Query;
pub use role::Role;
pub use section::Section;
pub use select::{Access, Selected};
pub use session::ImapSession;
pub use structure::BodyStructure;
pub use summary::Summary;
pub use transfer::Store;
pub use uid::{Uid, UidSet};

pub use crate::message::Address;
