//! One file per command: its arguments, what it does, how it prints.

pub(crate) mod completions;
pub(crate) mod delete;
pub(crate) mod demo;
pub(crate) mod doctor;
pub(crate) mod explain;
pub(crate) mod fetch;
mod folder;
pub(crate) mod folders;
pub(crate) mod list;
pub(crate) mod mark;
pub(crate) mod move_to;
pub(crate) mod outbox;
pub(crate) mod pop3;
mod query;
pub(crate) mod sandbox;
pub(crate) mod send;
pub(crate) mod show;
pub(crate) mod token;
pub(crate) mod watch;
