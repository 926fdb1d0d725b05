//! What the three mail servers share: connections, sign-in, and the rule who may open which mailbox.

pub(crate) mod authorize;
pub(crate) mod conn;
pub(crate) mod host;
pub(crate) mod listener;
pub(crate) mod sign_in;
pub(crate) mod spool;
pub(crate) mod token;
pub(crate) mod xoauth2;
