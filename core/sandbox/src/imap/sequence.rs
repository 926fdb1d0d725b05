//! Sets of message numbers or UIDs (RFC 3501 `sequence-set`).

use super::arguments::{Arguments, Bad};

/// A set as written: `None` stands for `*`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SequenceSet(Vec<(Option<u32>, Option<u32>)>);

/// A set with `*` filled in: ascending ranges that do not overlap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ranges(Vec<(u32, u32)>);

impl SequenceSet {
    pub(crate) fn parse(arguments: &mut Arguments<'_>) -> Result<Self, Bad> {
        let mut ranges = Vec::new();
        loop {
            let first = bound(arguments)?;
            let last = if arguments.take(b':') {
                bound(arguments)?
            } else {
                first
            };
            ranges.push((first, last));
            if !arguments.take(b',') {
                return Ok(Self(ranges));
            }
        }
    }

    /// Whether `number` is in the set, `largest` standing for `*`. For many numbers [`Self::resolve`] is quicker.
    pub(crate) fn contains(&self, number: u32, largest: u32) -> bool {
        self.0.iter().any(|&(first, last)| {
            let (first, last) = (first.unwrap_or(largest), last.unwrap_or(largest));
            (first.min(last)..=first.max(last)).contains(&number)
        })
    }

    /// Fills in `*` with `largest`, the highest number or UID there is (0 in an empty folder).
    pub(crate) fn resolve(&self, largest: u32) -> Ranges {
        let mut ranges: Vec<(u32, u32)> = self
            .0
            .iter()
            .map(|&(first, last)| {
                let (first, last) = (first.unwrap_or(largest), last.unwrap_or(largest));
                (first.min(last), first.max(last))
            })
            .collect();
        ranges.sort_unstable();
        let mut merged: Vec<(u32, u32)> = Vec::with_capacity(ranges.len());
        for (first, last) in ranges {
            match merged.last_mut() {
                Some(previous) if first <= previous.1.saturating_add(1) => previous.1 = previous.1.max(last),
                _ => merged.push((first, last)),
            }
        }
        Ranges(merged)
    }
}

fn bound(arguments: &mut Arguments<'_>) -> Result<Option<u32>, Bad> {
    if arguments.take(b'*') {
        return Ok(None);
    }
    match arguments.number()? {
        0 => Err(Bad::Argument),
        number => Ok(Some(number)),
    }
}

impl Ranges {
    pub(crate) fn contains(&self, number: u32) -> bool {
        let after = self.0.partition_point(|&(first, _)| first <= number);
        after
            .checked_sub(1)
            .and_then(|index| self.0.get(index))
            .is_some_and(|&(_, last)| number <= last)
    }

    /// The highest number named, or 0.
    pub(crate) fn largest(&self) -> u32 {
        self.0.last().map_or(0, |&(_, last)| last)
    }
}

/// Writes numbers as a set: `1:3,7`. They keep their order, since COPYUID pairs two sets by position (RFC 4315 §3).
pub(crate) fn compact(numbers: &[u32]) -> String {
    let mut set = String::new();
    let mut index = 0;
    while let Some(&first) = numbers.get(index) {
        let mut last = first;
        index += 1;
        while numbers
            .get(index)
            .is_some_and(|&next| Some(next) == last.checked_add(1))
        {
            last = numbers[index];
            index += 1;
        }
        if !set.is_empty() {
            set.push(',');
        }
        set.push_str(&first.to_string());
        if last != first {
            set.push(':');
            set.push_str(&last.to_string());
        }
    }
    set
}

#[cfg(test)]
mod tests {
    use super::super::arguments::Segment;
    use super::*;

    fn parse(text: &str) -> Result<SequenceSet, Bad> {
        let segments = [Segment {
            line: text.as_bytes().to_vec(),
            literal: None,
        }];
        let mut arguments = Arguments::new(&segments);
        let set = SequenceSet::parse(&mut arguments)?;
        arguments.end()?;
        Ok(set)
    }

    #[test]
    fn star_is_the_largest_and_ranges_turn_round() {
        let ranges = parse("2,4:7,9,12:*").unwrap().resolve(15);
        let within: Vec<u32> = (1..=20).filter(|&number| ranges.contains(number)).collect();
        assert_eq!(within, [2, 4, 5, 6, 7, 9, 12, 13, 14, 15]);
        let ranges = parse("*:4,5:7").unwrap().resolve(3);
        assert_eq!(ranges, Ranges(vec![(3, 7)]));
        assert_eq!(parse("559:*").unwrap().resolve(3), Ranges(vec![(3, 559)]));
        assert_eq!(
            parse("4294967295,1:4294967295").unwrap().resolve(1).largest(),
            u32::MAX
        );
    }

    #[test]
    fn refuses_what_is_no_set() {
        for text in [
            "",
            "0",
            "1,",
            ",1",
            "1:",
            ":1",
            "a",
            "1:0",
            "1::2",
            "4294967296",
            "1 ,2",
        ] {
            assert_eq!(parse(text), Err(Bad::Argument), "{text}");
        }
    }

    #[test]
    fn compact_keeps_the_order() {
        assert_eq!(compact(&[1, 2, 3, 7, 9, 10]), "1:3,7,9:10");
        assert_eq!(compact(&[5, 4, 5]), "5,4:5");
        assert_eq!(compact(&[]), "");
    }
}
