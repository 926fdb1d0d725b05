//! Dates in IMAP's forms (RFC 3501 §9: date, date-time) and of the Date header.

use jiff::civil;
use jiff::tz::{Offset, TimeZone};
use jiff::{SignedDuration, Timestamp};

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

fn month_name(date: civil::Date) -> &'static str {
    usize::try_from(date.month() - 1)
        .ok()
        .and_then(|at| MONTHS.get(at))
        .copied()
        .unwrap_or("Jan")
}

/// `1-Feb-1994`, for SEARCH.
pub(crate) fn search_date(date: civil::Date) -> String {
    format!("{}-{}-{:04}", date.day(), month_name(date), date.year())
}

/// ` 1-Feb-1994 21:52:25 +0000`, for APPEND; always in UTC.
pub(crate) fn date_time(at: Timestamp) -> String {
    let at = at.to_zoned(TimeZone::UTC).datetime();
    let (date, time) = (at.date(), at.time());
    format!(
        "{:>2}-{}-{:04} {:02}:{:02}:{:02} +0000",
        date.day(),
        month_name(date),
        date.year(),
        time.hour(),
        time.minute(),
        time.second()
    )
}

/// INTERNALDATE: ` 1-Feb-1994 21:52:25 -0800`.
pub(crate) fn read_date_time(text: &str) -> Option<Timestamp> {
    let mut words = text.split_ascii_whitespace();
    let mut date = words.next()?.split('-');
    let day: i8 = date.next()?.parse().ok()?;
    let name = date.next()?;
    let month = MONTHS.iter().position(|month| month.eq_ignore_ascii_case(name))?;
    let year: i16 = date.next()?.parse().ok()?;
    let mut time = words.next()?.split(':');
    let (hour, minute, second) = (
        time.next()?.parse().ok()?,
        time.next()?.parse().ok()?,
        time.next()?.parse().ok()?,
    );
    let zone = words.next().unwrap_or("+0000");
    let (sign, digits) = zone.split_at_checked(1)?;
    let zone = i64::from(digits.parse::<u16>().ok()?);
    let seconds = (zone / 100 * 60 + zone % 100) * 60 * if sign == "-" { -1 } else { 1 };
    let local =
        civil::DateTime::new(year, i8::try_from(month + 1).ok()?, day, hour, minute, second, 0).ok()?;
    let offset = Offset::from_seconds(i32::try_from(seconds).ok()?).ok()?;
    offset.to_timestamp(local).ok()
}

/// The Date header, as leniently as programs write it.
pub(crate) fn read_header_date(text: &str) -> Option<Timestamp> {
    let date = mail_parser::DateTime::parse_rfc822(text)?;
    if !date.is_valid() {
        return None;
    }
    let (year, month, day) = (i16::try_from(date.year).ok()?, date.month, date.day);
    let (hour, minute) = (i8::try_from(date.hour).ok()?, i8::try_from(date.minute).ok()?);
    // A leap second (:60) is written as the second before it.
    let second = i8::try_from(date.second.min(59)).ok()?;
    let local = civil::DateTime::new(
        year,
        i8::try_from(month).ok()?,
        i8::try_from(day).ok()?,
        hour,
        minute,
        second,
        0,
    )
    .ok()?;
    let offset = (i64::from(date.tz_hour) * 60 + i64::from(date.tz_minute)) * 60;
    let offset = SignedDuration::from_secs(if date.tz_before_gmt { -offset } else { offset });
    Offset::UTC.to_timestamp(local).ok()?.checked_sub(offset).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn internal_dates() {
        let at = |text| read_date_time(text).map(|at| at.to_string());
        assert_eq!(
            at("17-Jul-1996 02:44:25 -0700").as_deref(),
            Some("1996-07-17T09:44:25Z")
        );
        assert_eq!(
            at(" 1-feb-2026 00:00:00 +0530").as_deref(),
            Some("2026-01-31T18:30:00Z")
        );
        for text in [
            "",
            "1-Feb",
            "32-Feb-2026 00:00:00 +0000",
            "1-Feb-2026 00:00 +0000",
            "x-y-z a:b:c é",
            "1-Feb-2026 1:1:1 +9999999",
            // Once an overflow.
            "1-Feb-2026 1:1:1 +9000000000000000000",
            "1-Feb-2026 1:1:1 --100",
        ] {
            assert_eq!(at(text), None, "{text}");
        }
        let now: Timestamp = "2026-02-01T03:04:05Z".parse().unwrap();
        assert_eq!(date_time(now), " 1-Feb-2026 03:04:05 +0000");
        assert_eq!(read_date_time(&date_time(now)), Some(now));
        assert_eq!(search_date(civil::date(2026, 12, 31)), "31-Dec-2026");
    }

    #[test]
    fn header_dates() {
        let at = |text| read_header_date(text).map(|at| at.to_string());
        assert_eq!(
            at("Wed, 17 Jul 1996 02:23:25 -0700 (PDT)").as_deref(),
            Some("1996-07-17T09:23:25Z")
        );
        assert_eq!(
            at("17 Jul 2026 02:23:25 GMT").as_deref(),
            Some("2026-07-17T02:23:25Z")
        );
        assert_eq!(at("yesterday"), None);
        assert_eq!(at(""), None);
    }
}
