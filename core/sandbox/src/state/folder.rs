//! A folder and its messages.

use std::fmt;
use std::ops::{BitOr, BitOrAssign, Sub};

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Serialize, Serializer};

/// The flags that Exchange keeps. Custom keywords are lost there, so there is no place for them here.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Flags(u8);

impl Flags {
    /// No flag.
    pub const NONE: Self = Self(0);
    /// `\Seen`
    pub const SEEN: Self = Self(1);
    /// `\Answered`
    pub const ANSWERED: Self = Self(2);
    /// `\Flagged`
    pub const FLAGGED: Self = Self(4);
    /// `\Deleted`
    pub const DELETED: Self = Self(8);
    /// `\Draft`
    pub const DRAFT: Self = Self(16);
    /// `$MDNSent`
    pub const MDN_SENT: Self = Self(32);

    const NAMES: [(Self, &'static str); 6] = [
        (Self::SEEN, "\\Seen"),
        (Self::ANSWERED, "\\Answered"),
        (Self::FLAGGED, "\\Flagged"),
        (Self::DELETED, "\\Deleted"),
        (Self::DRAFT, "\\Draft"),
        (Self::MDN_SENT, "$MDNSent"),
    ];

    /// Whether all flags of `other` are set.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Their names as IMAP writes them, in Exchange's order.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        Self::NAMES
            .into_iter()
            .filter(move |(flag, _)| self.contains(*flag))
            .map(|(_, name)| name)
    }

    /// The flag of this name, upper or lower case; `None` for one that Exchange does not keep.
    ///
    /// ```
    /// use exomail_sandbox::state::Flags;
    /// assert_eq!(Flags::named("\\SEEN"), Some(Flags::SEEN));
    /// assert_eq!(Flags::named("$Forwarded"), None);
    /// ```
    pub fn named(name: &str) -> Option<Self> {
        Self::NAMES
            .into_iter()
            .find(|(_, known)| known.eq_ignore_ascii_case(name))
            .map(|(flag, _)| flag)
    }
}

impl BitOr for Flags {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitOrAssign for Flags {
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

impl Sub for Flags {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

impl fmt::Display for Flags {
    /// The names with blanks between them: `\Seen \Draft`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, name) in self.names().enumerate() {
            if index > 0 {
                f.write_str(" ")?;
            }
            f.write_str(name)?;
        }
        Ok(())
    }
}

impl fmt::Debug for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({self})")
    }
}

impl Serialize for Flags {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.names())
    }
}

/// One message in a folder.
#[derive(Clone)]
pub struct Stored {
    /// Its number in the folder, never given twice.
    pub uid: u32,
    /// What is known about it.
    pub flags: Flags,
    /// When it came in.
    pub internal_date: Timestamp,
    /// The RFC 5322 message, lines ending in CR LF.
    pub raw: Bytes,
}

impl fmt::Debug for Stored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stored")
            .field("uid", &self.uid)
            .field("flags", &self.flags)
            .field("octets", &self.raw.len())
            .finish_non_exhaustive()
    }
}

/// What a folder is for (RFC 6154).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub enum SpecialUse {
    /// `\Archive`
    Archive,
    /// `\Drafts`
    Drafts,
    /// `\Junk`
    Junk,
    /// `\Sent`
    Sent,
    /// `\Trash`
    Trash,
}

impl SpecialUse {
    /// The attribute in a LIST answer.
    pub const fn attribute(self) -> &'static str {
        match self {
            Self::Archive => "\\Archive",
            Self::Drafts => "\\Drafts",
            Self::Junk => "\\Junk",
            Self::Sent => "\\Sent",
            Self::Trash => "\\Trash",
        }
    }
}

/// Where an appended or copied message went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// UIDVALIDITY of the folder.
    pub uid_validity: u32,
    /// Its UID there.
    pub uid: u32,
}

/// One folder of a mailbox.
#[derive(Debug, Clone)]
pub struct Folder {
    pub(crate) name: String,
    pub(crate) special_use: Option<SpecialUse>,
    pub(crate) uid_validity: u32,
    pub(crate) uid_next: u32,
    /// From this UID on no IMAP session has been told of the messages: they are `\Recent` (RFC 3501 §2.3.2).
    pub(crate) first_recent: u32,
    /// In ascending order of UID.
    pub(crate) messages: Vec<Stored>,
}

impl Folder {
    pub(crate) fn new(name: &str, special_use: Option<SpecialUse>, uid_validity: u32) -> Self {
        Self {
            name: name.to_owned(),
            special_use,
            uid_validity,
            uid_next: 1,
            first_recent: 1,
            messages: Vec::new(),
        }
    }

    /// Its full name, in UTF-8, levels parted by `/`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it is for.
    pub fn special_use(&self) -> Option<SpecialUse> {
        self.special_use
    }

    /// Changes when UIDs of this name's folder are no longer the same messages.
    pub fn uid_validity(&self) -> u32 {
        self.uid_validity
    }

    /// The UID of the next message.
    pub fn uid_next(&self) -> u32 {
        self.uid_next
    }

    /// Its messages in ascending order of UID.
    pub fn messages(&self) -> &[Stored] {
        &self.messages
    }

    /// The message of this UID.
    pub fn message(&self, uid: u32) -> Option<&Stored> {
        let index = self
            .messages
            .binary_search_by_key(&uid, |message| message.uid)
            .ok()?;
        self.messages.get(index)
    }

    pub(crate) fn message_mut(&mut self, uid: u32) -> Option<&mut Stored> {
        let index = self
            .messages
            .binary_search_by_key(&uid, |message| message.uid)
            .ok()?;
        self.messages.get_mut(index)
    }

    pub(crate) fn push(&mut self, flags: Flags, internal_date: Timestamp, raw: Bytes) -> Appended {
        let uid = self.uid_next;
        self.uid_next += 1;
        self.messages.push(Stored {
            uid,
            flags,
            internal_date,
            raw,
        });
        Appended {
            uid_validity: self.uid_validity,
            uid,
        }
    }
}
