//! IMAP's dates: `date` of SEARCH and `date-time` of APPEND and INTERNALDATE (RFC 3501 §9).

use jiff::Timestamp;
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::Offset;

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// `1-Feb-2024`.
pub(crate) fn parse_day(text: &str) -> Option<Date> {
    let mut parts = text.trim_start().split('-');
    let day: i8 = digits(parts.next()?, 1..=2)?.parse().ok()?;
    let name = parts.next()?;
    let month = MONTHS.iter().position(|month| month.eq_ignore_ascii_case(name))? + 1;
    let year: i16 = digits(parts.next()?, 4..=4)?.parse().ok()?;
    if parts.next().is_some() {
        return None;
    }
    Date::new(year, i8::try_from(month).ok()?, day).ok()
}

/// `" 1-Feb-2024 03:04:05 +0100"`, without the quotes.
pub(crate) fn parse_instant(text: &str) -> Option<Timestamp> {
    let mut words = text.split_ascii_whitespace();
    let day = parse_day(words.next()?)?;
    let mut clock = words.next()?.split(':');
    let mut number = || -> Option<i8> { digits(clock.next()?, 2..=2)?.parse().ok() };
    let (hour, minute, second) = (number()?, number()?, number()?);
    // A leap second cannot be said in POSIX time.
    let time = Time::new(hour, minute, second.min(59), 0).ok()?;
    let zone = words.next()?;
    let (sign, zone) = match zone.split_at_checked(1)? {
        ("+", zone) => (1, zone),
        ("-", zone) => (-1, zone),
        _ => return None,
    };
    let zone: i32 = digits(zone, 4..=4)?.parse().ok()?;
    let offset = Offset::from_seconds(sign * (zone / 100 * 3600 + zone % 100 * 60)).ok()?;
    if words.next().is_some() {
        return None;
    }
    offset.to_timestamp(DateTime::from_parts(day, time)).ok()
}

fn digits(text: &str, length: std::ops::RangeInclusive<usize>) -> Option<&str> {
    (length.contains(&text.len()) && text.bytes().all(|octet| octet.is_ascii_digit())).then_some(text)
}

/// `01-Feb-2024 03:04:05 +0000`: Exchange answers in UTC.
pub(crate) fn format_instant(instant: Timestamp) -> String {
    let moment = Offset::UTC.to_datetime(instant);
    let month = usize::try_from(moment.month() - 1)
        .ok()
        .and_then(|index| MONTHS.get(index))
        .unwrap_or(&"Jan");
    format!(
        "{:02}-{month}-{:04} {:02}:{:02}:{:02} +0000",
        moment.day(),
        moment.year(),
        moment.hour(),
        moment.minute(),
        moment.second()
    )
}

/// The day on which `instant` falls, in UTC.
pub(crate) fn day_of(instant: Timestamp) -> Date {
    Offset::UTC.to_datetime(instant).date()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_are_read() {
        assert_eq!(parse_day("1-feb-2024"), Some(jiff::civil::date(2024, 2, 1)));
        let instant = parse_instant(" 7-Feb-1994 21:52:25 -0800").unwrap();
        assert_eq!(format_instant(instant), "08-Feb-1994 05:52:25 +0000");
        assert_eq!(day_of(instant), jiff::civil::date(1994, 2, 8));
    }

    #[test]
    fn nonsense_is_refused() {
        for text in [
            "",
            "1-Feb",
            "30-Feb-2024",
            "1-Foo-2024",
            "1-Feb-24",
            "+1-Feb-2024",
            "1-Feb-2024-1",
        ] {
            assert_eq!(parse_day(text), None, "{text}");
        }
        for text in [
            "1-Feb-2024",
            "1-Feb-2024 25:00:00 +0000",
            "1-Feb-2024 10:00:00 0000",
            "1-Feb-2024 10:00:00 +99999",
            "1-Feb-2024 10:00:00 +9999",
            "1-Feb-2024 10:00 +0000",
            "1-Feb-2024 10:00:00 +0000 x",
            "1-Feb-2024 10:00:00 é",
        ] {
            assert_eq!(parse_instant(text), None, "{text}");
        }
    }
}
