//! [`Uid`] and [`UidSet`]: how messages are named (RFC 3501 §2.3.1.1).

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind, Layer, Result};

/// A message's unique identifier within its folder, valid as long as the folder's UIDVALIDITY stays the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Uid(NonZeroU32);

impl Uid {
    /// A UID; `None` for 0, which is none.
    pub const fn new(value: u32) -> Option<Self> {
        match NonZeroU32::new(value) {
            Some(value) => Some(Self(value)),
            None => None,
        }
    }

    /// The number.
    pub const fn get(self) -> u32 {
        self.0.get()
    }
}

impl fmt::Display for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Uid {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let value = if digits {
            text.parse().ok().and_then(Self::new)
        } else {
            None
        };
        value.ok_or_else(|| invalid(format!("{text:?} is no UID: a number from 1 to 4294967295")))
    }
}

/// A set of UIDs, as ranges in ascending order.
///
/// ```
/// use exomail::imap::{Uid, UidSet};
///
/// let set: UidSet = "9,1:3,2:5,12:*".parse()?;
/// assert_eq!(set.to_string(), "1:5,9,12:*");
/// assert!(set.contains(Uid::new(4_000).unwrap()));
/// let some: UidSet = [3, 1, 2].into_iter().filter_map(Uid::new).collect();
/// assert_eq!(some.to_string(), "1:3");
/// # Ok::<(), exomail::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct UidSet(Vec<(u32, u32)>);

impl UidSet {
    /// The set without members. Commands on it send nothing.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Every message: `1:*`.
    pub fn all() -> Self {
        Self(vec![(1, u32::MAX)])
    }

    /// The UIDs from `first` on: `first:*`. With [`Selected::uid_next`](super::Selected) of last time: what is new.
    pub fn starting_at(first: Uid) -> Self {
        Self(vec![(first.get(), u32::MAX)])
    }

    /// The UIDs from `first` to `last`, both included, in either order.
    pub fn range(first: Uid, last: Uid) -> Self {
        Self(vec![(first.get().min(last.get()), first.get().max(last.get()))])
    }

    /// Whether there is no UID in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many UIDs are in it, whether messages have them or not.
    pub fn len(&self) -> u64 {
        self.0
            .iter()
            .map(|&(first, last)| u64::from(last - first) + 1)
            .sum()
    }

    /// Whether `uid` is in it.
    pub fn contains(&self, uid: Uid) -> bool {
        let at = self.0.partition_point(|&(_, last)| last < uid.get());
        self.0.get(at).is_some_and(|&(first, _)| first <= uid.get())
    }

    /// The highest UID in the set.
    pub(crate) fn newest(&self) -> Option<Uid> {
        self.0.last().and_then(|&(_, last)| Uid::new(last))
    }

    /// The UIDs in ascending order. A set with `*` has four thousand million of them: mind what is done with it.
    pub fn iter(&self) -> impl Iterator<Item = Uid> + '_ {
        self.0
            .iter()
            .flat_map(|&(first, last)| (first..=last).filter_map(Uid::new))
    }

    /// The highest UID in it.
    pub(crate) fn last(&self) -> Option<Uid> {
        self.0.last().and_then(|&(_, last)| Uid::new(last))
    }

    /// Those of its UIDs that are not above `last`.
    pub(crate) fn up_to(&self, last: Uid) -> Self {
        let ranges = self.0.iter().take_while(|&&(first, _)| first <= last.get());
        Self(ranges.map(|&(first, end)| (first, end.min(last.get()))).collect())
    }

    /// Adds a UID.
    pub fn insert(&mut self, uid: Uid) {
        self.0.push((uid.get(), uid.get()));
        self.normalise();
    }

    /// Sorts, and joins what overlaps or touches.
    fn normalise(&mut self) {
        self.0.sort_unstable();
        let mut joined: Vec<(u32, u32)> = Vec::with_capacity(self.0.len());
        for &(first, last) in &self.0 {
            match joined.last_mut() {
                Some(before) if first <= before.1.saturating_add(1) => before.1 = before.1.max(last),
                _ => joined.push((first, last)),
            }
        }
        self.0 = joined;
    }

    /// The set as texts of at most `max` bytes each (or one range, where that is longer).
    pub(crate) fn chunks(&self, max: usize) -> Vec<String> {
        let mut chunks: Vec<String> = Vec::new();
        for range in &self.0 {
            let range = Range(*range).to_string();
            match chunks.last_mut() {
                Some(chunk) if chunk.len() + 1 + range.len() <= max => {
                    chunk.push(',');
                    chunk.push_str(&range);
                }
                _ => chunks.push(range),
            }
        }
        chunks
    }
}

struct Range((u32, u32));

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            (u32::MAX, u32::MAX) => f.write_str("*"),
            (first, last) if first == last => write!(f, "{first}"),
            (first, u32::MAX) => write!(f, "{first}:*"),
            (first, last) => write!(f, "{first}:{last}"),
        }
    }
}

impl fmt::Display for UidSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.chunks(usize::MAX).concat())
    }
}

impl FromStr for UidSet {
    type Err = Error;

    /// Reads `1,3:5,9:*`, in any order. An empty text is the empty set. `*` alone is refused: which message it means
    /// is known only to the server.
    fn from_str(text: &str) -> Result<Self> {
        let mut set = Self::new();
        if text.is_empty() {
            return Ok(set);
        }
        for range in text.split(',') {
            let (first, last) = range.split_once(':').unwrap_or((range, range));
            let (first, last) = if first == "*" {
                (last, first)
            } else {
                (first, last)
            };
            let first = first.parse::<Uid>()?.get();
            let last = if last == "*" {
                u32::MAX
            } else {
                last.parse::<Uid>()?.get()
            };
            set.0.push((first.min(last), first.max(last)));
        }
        set.normalise();
        Ok(set)
    }
}

impl From<Uid> for UidSet {
    fn from(uid: Uid) -> Self {
        Self(vec![(uid.get(), uid.get())])
    }
}

impl FromIterator<Uid> for UidSet {
    fn from_iter<I: IntoIterator<Item = Uid>>(uids: I) -> Self {
        let mut set = Self(uids.into_iter().map(|uid| (uid.get(), uid.get())).collect());
        set.normalise();
        set
    }
}

impl<'a> FromIterator<&'a Uid> for UidSet {
    fn from_iter<I: IntoIterator<Item = &'a Uid>>(uids: I) -> Self {
        uids.into_iter().copied().collect()
    }
}

impl Serialize for UidSet {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Reads a set as a server writes it in COPYUID and APPENDUID, in its own order. `None` when it is malformed or has
/// more than `max` members: nothing that a server says may choose how much we keep.
pub(crate) fn ordered(text: &str, max: u64) -> Option<Vec<Uid>> {
    let mut uids = Vec::new();
    for range in text.split(',') {
        let (first, last) = range.split_once(':').unwrap_or((range, range));
        let (first, last) = (first.parse::<Uid>().ok()?.get(), last.parse::<Uid>().ok()?.get());
        let (low, high) = (first.min(last), first.max(last));
        if uids.len() as u64 + u64::from(high - low) >= max {
            return None;
        }
        // RFC 4315 §3: 5:3 means the same as 3:5.
        uids.extend((low..=high).filter_map(Uid::new));
    }
    Some(uids)
}

fn invalid(detail: String) -> Error {
    Error::new(ErrorKind::InvalidArgument, "UID set", detail)
        .with_layer(Layer::Local)
        .with_hint("write a set as 1,3:5,9:*")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(text: &str) -> UidSet {
        text.parse().unwrap()
    }

    #[test]
    fn sets_are_normalised() {
        for (text, normal) in [
            ("", ""),
            ("7", "7"),
            ("5:3", "3:5"),
            ("*:4", "4:*"),
            ("4294967295", "*"),
            ("1,2,3,5,7:9,8:12", "1:3,5,7:12"),
            ("10:*,3,11", "3,10:*"),
        ] {
            assert_eq!(set(text).to_string(), normal, "{text}");
        }
        assert_eq!(UidSet::all().to_string(), "1:*");
        let nine = Uid::new(9).unwrap();
        assert_eq!(UidSet::from(nine).to_string(), "9");
        assert_eq!(UidSet::starting_at(nine).to_string(), "9:*");
        assert_eq!(UidSet::range(nine, Uid::new(3).unwrap()).to_string(), "3:9");
        assert_eq!(set("1:3,9").len(), 4);
        assert_eq!(
            set("1:3,9").iter().map(Uid::get).collect::<Vec<_>>(),
            [1, 2, 3, 9]
        );
    }

    #[test]
    fn what_is_no_set_is_refused() {
        for text in [
            "0",
            "1:",
            ":",
            "a",
            "1,",
            "1 2",
            "1\r\nA1 NOOP",
            "+1",
            "-1",
            "4294967296",
            "*",
            "1:2:3",
        ] {
            assert_eq!(
                text.parse::<UidSet>().unwrap_err().kind(),
                ErrorKind::InvalidArgument,
                "{text:?}"
            );
        }
    }

    #[test]
    fn membership() {
        let set = set("2:4,9,100:*");
        for (uid, there) in [
            (1, false),
            (2, true),
            (4, true),
            (5, false),
            (9, true),
            (99, false),
            (4_000_000, true),
        ] {
            assert_eq!(set.contains(Uid::new(uid).unwrap()), there, "{uid}");
        }
    }

    #[test]
    fn sets_are_cut_at_a_uid() {
        for (last, rest) in [(1, ""), (2, "2"), (9, "2:4,9"), (200, "2:4,9,100:200")] {
            assert_eq!(
                set("2:4,9,100:*").up_to(Uid::new(last).unwrap()).to_string(),
                rest
            );
        }
        assert_eq!(set("2:4,9").last(), Uid::new(9));
        assert_eq!(UidSet::new().last(), None);
    }

    #[test]
    fn long_sets_are_cut_into_commands() {
        let set: UidSet = (1..=20_000).step_by(2).filter_map(Uid::new).collect();
        let chunks = set.chunks(7_500);
        assert!(chunks.len() > 1 && chunks.iter().all(|chunk| chunk.len() <= 7_500));
        assert_eq!(chunks.join(",").parse::<UidSet>().unwrap(), set);
        assert!(UidSet::new().chunks(7_500).is_empty());
    }

    #[test]
    fn a_servers_set_keeps_its_order_and_is_bounded() {
        let uids =
            |text, max| ordered(text, max).map(|uids| uids.into_iter().map(Uid::get).collect::<Vec<_>>());
        assert_eq!(uids("304,319:320,7", 10), Some(vec![304, 319, 320, 7]));
        assert_eq!(uids("5:3", 10), Some(vec![3, 4, 5]));
        assert_eq!(uids("1:4294967295", 100_000), None);
        assert_eq!(uids("x", 10), None);
    }
}
