//! The commands on the messages of the selected folder (RFC 3501 §6.4, RFC 4315, RFC 6851).

use bytes::Bytes;
use jiff::Timestamp;

use super::command::FlagChange;
use super::connected::Connected;
use super::date;
use super::envelope;
use super::fetch::FetchItem;
use super::header;
use super::matcher::{Candidate, Largest};
use super::mime::Part;
use super::output::{Output, mailbox_name};
use super::reply::{INVALID_SET, INVALID_STATE, Reply};
use super::sequence::{self, SequenceSet};
use super::structure::{self, Shape};
use super::view::{Known, Target};
use crate::state::{Flags, StoreError, Stored, Tenant};

/// One message for FETCH to write, taken out of the state.
#[derive(Debug)]
pub(crate) struct Fetched {
    target: Target,
    pub(crate) stored: Stored,
    /// Reading it set `\Seen`, which the client must be told.
    seen_now: bool,
}

impl Connected {
    /// The messages of a set, or the refusal if there is no folder or no such set.
    pub(crate) fn targets(&self, set: &SequenceSet, by_uid: bool) -> Result<Vec<Target>, Reply> {
        let view = self.view.as_ref().ok_or_else(|| Reply::bad(INVALID_STATE))?;
        view.targets(set, by_uid).ok_or_else(|| Reply::bad(INVALID_SET))
    }

    /// The same for a command that changes the folder: one opened with EXAMINE refuses.
    fn writable_targets(&self, set: &SequenceSet, by_uid: bool) -> Result<Vec<Target>, Reply> {
        let targets = self.targets(set, by_uid)?;
        if self.view.as_ref().is_some_and(|view| view.read_only) {
            Err(Reply::no(INVALID_STATE))
        } else {
            Ok(targets)
        }
    }

    fn selected_name(&self, tenant: &mut Tenant) -> Result<String, Reply> {
        match self.selected(tenant) {
            Some(folder) => Ok(folder.name().to_owned()),
            None => Err(Reply::bad(INVALID_STATE)),
        }
    }

    pub(crate) fn append(
        &self,
        tenant: &mut Tenant,
        name: &str,
        flags: Flags,
        date: Option<Timestamp>,
        message: Bytes,
    ) -> Reply {
        if message.is_empty() {
            // RFC 3502 made this the way to cancel; nobody stores an empty message.
            return Reply::no("APPEND failed.");
        }
        let date = date.unwrap_or(tenant.now());
        match tenant.append(&self.mailbox, name, flags, date, message) {
            Ok(appended) => Reply::ok(format!(
                "[APPENDUID {} {}] APPEND completed.",
                appended.uid_validity, appended.uid
            )),
            Err(StoreError::NoFolder) => try_create(name),
            Err(error) => Reply::refused(error, name),
        }
    }

    /// Everything that a SEARCH may look at. The octets are shared, not copied.
    pub(crate) fn candidates(&self, tenant: &mut Tenant) -> Result<(Vec<Candidate>, Largest), Reply> {
        let view = self.view.as_ref().ok_or_else(|| Reply::bad(INVALID_STATE))?;
        let largest = Largest {
            sequence: view.exists(),
            uid: view.largest_uid(),
        };
        let folder = self.selected(tenant).ok_or_else(|| Reply::bad(INVALID_STATE))?;
        let candidates = view
            .all()
            .filter_map(|target| {
                let stored = folder.message(target.known.uid)?.clone();
                Some(Candidate {
                    sequence: target.sequence,
                    recent: target.known.recent,
                    stored,
                })
            })
            .collect();
        Ok((candidates, largest))
    }

    /// Takes one message out for FETCH, and marks it read where reading does that. `None` if it is gone.
    pub(crate) fn take(
        &mut self,
        tenant: &mut Tenant,
        target: Target,
        items: &[FetchItem],
    ) -> Option<Fetched> {
        let reads = items
            .iter()
            .any(|item| matches!(item, FetchItem::Section(section) if !section.peek));
        let marks = reads && self.view.as_ref().is_some_and(|view| !view.read_only);
        let uid = target.known.uid;
        let folder = self.selected(tenant)?;
        let name = folder.name().to_owned();
        let mut stored = folder.message(uid)?.clone();
        let seen_now = marks && !stored.flags.contains(Flags::SEEN);
        if seen_now {
            let changed = tenant.change_flags(&self.mailbox, &name, &[uid], |flags| flags | Flags::SEEN);
            stored.flags = changed.ok()?.first()?.1;
        }
        if seen_now || items.contains(&FetchItem::Flags) {
            self.view.as_mut()?.told(target.sequence, stored.flags);
        }
        Some(Fetched {
            target,
            stored,
            seen_now,
        })
    }

    pub(crate) fn store(
        &mut self,
        tenant: &mut Tenant,
        targets: (&SequenceSet, bool),
        change: FlagChange,
        flags: Flags,
        silent: bool,
        output: &mut Output,
    ) -> Result<Reply, Reply> {
        let (set, by_uid) = targets;
        let targets = self.writable_targets(set, by_uid)?;
        let name = self.selected_name(tenant)?;
        let uids: Vec<u32> = targets.iter().map(|target| target.known.uid).collect();
        let changed = tenant
            .change_flags(&self.mailbox, &name, &uids, |old| match change {
                FlagChange::Replace => flags,
                FlagChange::Add => old | flags,
                FlagChange::Remove => old - flags,
            })
            .map_err(|error| Reply::refused(error, &name))?;
        let gone = changed.len() < targets.len();
        let mut targets = targets.into_iter();
        for (uid, flags) in changed {
            let Some(target) = targets.find(|target| target.known.uid == uid) else {
                continue;
            };
            let Some(known) = self
                .view
                .as_mut()
                .and_then(|view| view.told(target.sequence, flags))
            else {
                continue;
            };
            if !silent {
                let uid = if by_uid {
                    format!(" UID {uid}")
                } else {
                    String::new()
                };
                output.line(format!(
                    "* {} FETCH (FLAGS ({}){uid})",
                    target.sequence,
                    known.flag_names()
                ));
            }
        }
        Ok(Reply::completed_unless("STORE", gone))
    }

    pub(crate) fn copy(
        &self,
        tenant: &mut Tenant,
        set: &SequenceSet,
        by_uid: bool,
        to: &str,
    ) -> Result<Reply, Reply> {
        let targets = self.targets(set, by_uid)?;
        let from = self.selected_name(tenant)?;
        let uids: Vec<u32> = targets.iter().map(|target| target.known.uid).collect();
        let (uid_validity, pairs) = tenant
            .copy(&self.mailbox, &from, &uids, to)
            .map_err(|error| refused(error, to))?;
        if pairs.len() < targets.len() {
            return Ok(Reply::no(super::reply::GONE));
        }
        Ok(match copy_uid(uid_validity, &pairs) {
            Some(code) => Reply::ok(format!("{code} COPY completed.")),
            None => Reply::completed("COPY"),
        })
    }

    /// MOVE. The EXPUNGE lines come from the `sync` that follows; COPYUID stands in front of them (RFC 6851 §4.3).
    pub(crate) fn move_to(
        &self,
        tenant: &mut Tenant,
        set: &SequenceSet,
        by_uid: bool,
        to: &str,
        output: &mut Output,
    ) -> Result<Reply, Reply> {
        let targets = self.writable_targets(set, by_uid)?;
        let from = self.selected_name(tenant)?;
        let uids: Vec<u32> = targets.iter().map(|target| target.known.uid).collect();
        let moved = tenant.move_messages(&self.mailbox, &from, &uids, to);
        let (uid_validity, pairs) = moved.map_err(|error| refused(error, to))?;
        if let Some(code) = copy_uid(uid_validity, &pairs) {
            output.line(format!("* OK {code} Moved."));
        }
        Ok(Reply::completed_unless("MOVE", pairs.len() < targets.len()))
    }

    /// Removes the messages marked `\Deleted`, of all or of a set of UIDs. The EXPUNGE lines come from `sync`.
    pub(crate) fn expunge(&self, tenant: &mut Tenant, only: Option<&SequenceSet>) -> Result<Reply, Reply> {
        let view = self.view.as_ref().ok_or_else(|| Reply::bad(INVALID_STATE))?;
        if view.read_only {
            return Err(Reply::no(INVALID_STATE));
        }
        let ranges = only.map(|set| set.resolve(view.largest_uid()));
        let folder = self.selected(tenant).ok_or_else(|| Reply::bad(INVALID_STATE))?;
        let name = folder.name().to_owned();
        let uids: Vec<u32> = folder
            .messages()
            .iter()
            .filter(|message| message.flags.contains(Flags::DELETED))
            .map(|message| message.uid)
            .filter(|uid| ranges.as_ref().is_none_or(|ranges| ranges.contains(*uid)))
            .collect();
        match tenant.remove_messages(&self.mailbox, &name, &uids) {
            Ok(_) => Ok(Reply::completed("EXPUNGE")),
            Err(error) => Err(Reply::refused(error, &name)),
        }
    }

    /// CLOSE: an EXPUNGE that is not told, and nothing is selected any more.
    pub(crate) fn close(&mut self, tenant: &mut Tenant) -> Result<Reply, Reply> {
        match self.expunge(tenant, None) {
            Err(reply) if self.view.is_none() => return Err(reply),
            _ => self.view = None,
        }
        Ok(Reply::completed("CLOSE"))
    }
}

fn refused(error: StoreError, to: &str) -> Reply {
    if error == StoreError::NoFolder {
        try_create(to)
    } else {
        Reply::refused(error, to)
    }
}

fn try_create(name: &str) -> Reply {
    Reply::no(format!("[TRYCREATE] {} doesn't exist.", mailbox_name(name)))
}

fn copy_uid(uid_validity: u32, pairs: &[(u32, u32)]) -> Option<String> {
    let (from, to): (Vec<u32>, Vec<u32>) = pairs.iter().copied().unzip();
    (!pairs.is_empty()).then(|| {
        format!(
            "[COPYUID {uid_validity} {} {}]",
            sequence::compact(&from),
            sequence::compact(&to)
        )
    })
}

impl Fetched {
    /// Whether the items ask for something that only the tree of parts tells.
    pub(crate) fn needs_parts(items: &[FetchItem]) -> bool {
        items.iter().any(|item| match item {
            FetchItem::Body | FetchItem::BodyStructure => true,
            FetchItem::Section(section) => section.section.needs_parts(),
            _ => false,
        })
    }

    /// Writes the FETCH line.
    pub(crate) fn write(
        &self,
        items: &[FetchItem],
        by_uid: bool,
        parts: Option<&Part>,
        shape: Shape,
        output: &mut Output,
    ) {
        let stored = &self.stored;
        let known = Known {
            flags: stored.flags,
            ..self.target.known
        };
        output.push(format!("* {} FETCH (", self.target.sequence));
        let mut blank = "";
        for item in items {
            output.push(blank);
            blank = " ";
            match item {
                FetchItem::Flags => output.push(format!("FLAGS ({})", known.flag_names())),
                FetchItem::Uid => output.push(format!("UID {}", stored.uid)),
                FetchItem::InternalDate => {
                    output.push(format!(
                        "INTERNALDATE \"{}\"",
                        date::format_instant(stored.internal_date)
                    ));
                }
                FetchItem::Size => output.push(format!("RFC822.SIZE {}", stored.raw.len())),
                FetchItem::Envelope => {
                    output.push("ENVELOPE ");
                    let block = stored
                        .raw
                        .get(..header::block_length(&stored.raw))
                        .unwrap_or_default();
                    envelope::write(output, block);
                }
                FetchItem::Body | FetchItem::BodyStructure => {
                    let extended = *item == FetchItem::BodyStructure;
                    output.push(if extended { "BODYSTRUCTURE " } else { "BODY " });
                    match parts {
                        Some(parts) => structure::write(output, &stored.raw, parts, extended, shape),
                        None => output.push("NIL"),
                    }
                }
                FetchItem::Section(section) => {
                    output.push(section.label());
                    output.push(" ");
                    match section.extract(&stored.raw, parts) {
                        Some(octets) => output.literal(&octets),
                        None => output.push("NIL"),
                    }
                }
            }
        }
        if by_uid && !items.contains(&FetchItem::Uid) {
            output.push(format!("{blank}UID {}", stored.uid));
        }
        if self.seen_now && !items.contains(&FetchItem::Flags) {
            output.push(format!("{blank}FLAGS ({})", known.flag_names()));
        }
        output.line(")");
    }
}
