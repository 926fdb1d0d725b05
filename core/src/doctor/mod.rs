//! The table of texts and causes: what a refusal means, which step of the set-up is missing, what to do.

mod table;

pub(crate) use table::refusal;
