//! Which messages of a folder: shared by `list` and `fetch`.

use exomail::imap::{Flag, Query};
use jiff::civil::Date;

/// Conditions; all given ones must hold.
#[derive(Debug, Default, clap::Args)]
#[command(next_help_heading = "Which messages")]
pub(crate) struct QueryArgs {
    /// Not read yet
    #[arg(long)]
    unseen: bool,
    /// Flagged
    #[arg(long)]
    flagged: bool,
    /// Sender's name or address holds this text
    #[arg(long, value_name = "TEXT")]
    from: Option<String>,
    /// A recipient's name or address holds this text
    #[arg(long, value_name = "TEXT")]
    to: Option<String>,
    /// Subject holds this text
    #[arg(long, value_name = "TEXT")]
    subject: Option<String>,
    /// Headers or body hold this text
    #[arg(long, value_name = "TEXT")]
    text: Option<String>,
    /// Arrived on this day or later (server's time zone)
    #[arg(long, value_name = "YYYY-MM-DD")]
    since: Option<Date>,
    /// Arrived before this day
    #[arg(long, value_name = "YYYY-MM-DD")]
    before: Option<Date>,
    /// Larger than this many bytes
    #[arg(long, value_name = "BYTES")]
    larger: Option<u32>,
}

impl QueryArgs {
    pub(crate) fn query(&self) -> Query {
        let mut query = Query::all();
        if self.unseen {
            query = query.unseen();
        }
        if self.flagged {
            query = query.flag(&Flag::Flagged);
        }
        if let Some(text) = &self.from {
            query = query.from(text);
        }
        if let Some(text) = &self.to {
            query = query.to(text);
        }
        if let Some(text) = &self.subject {
            query = query.subject(text);
        }
        if let Some(text) = &self.text {
            query = query.text(text);
        }
        if let Some(date) = self.since {
            query = query.since(date);
        }
        if let Some(date) = self.before {
            query = query.before(date);
        }
        if let Some(size) = self.larger {
            query = query.larger(size);
        }
        query
    }
}
