//! How long a server asks us to wait, read from its text.

use std::time::Duration;

/// A server's wish is heard up to here: a program that runs unattended must come back and look.
const MAX_WAIT: Duration = Duration::from_secs(300);

/// What stands before the number, in lower case.
const MARKERS: [&str; 6] = [
    "backoff time",
    "retry after",
    "retry-after",
    "retry in",
    "try again in",
    "try again after",
];

/// The pause that a text such as `Suggested Backoff Time: 92415 milliseconds` asks for, at most five minutes.
/// `None` where there is no number with a unit right behind one of the usual phrases.
pub(super) fn parse(text: &str) -> Option<Duration> {
    let text = text.to_ascii_lowercase();
    MARKERS.iter().find_map(|marker| {
        let (_, rest) = text.split_once(marker)?;
        amount(rest)
    })
}

fn amount(rest: &str) -> Option<Duration> {
    let rest = rest.trim_start_matches([' ', ':', '=']);
    let unit_at = rest.find(|char: char| !char.is_ascii_digit())?;
    let (number, rest) = rest.split_at_checked(unit_at)?;
    let unit: String = rest
        .trim_start()
        .chars()
        .take_while(char::is_ascii_alphabetic)
        .collect();
    let millis = match unit.as_str() {
        "ms" | "msec" | "millisecond" | "milliseconds" => 1,
        "s" | "sec" | "secs" | "second" | "seconds" => 1_000,
        "m" | "min" | "mins" | "minute" | "minutes" => 60_000,
        "h" | "hour" | "hours" => 3_600_000,
        _ => return None,
    };
    if number.is_empty() {
        return None;
    }
    // A number that does not fit is a long time.
    let number = number.parse::<u64>().unwrap_or(u64::MAX);
    Some(Duration::from_millis(number.saturating_mul(millis)).min(MAX_WAIT))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_read() {
        for (text, millis) in [
            (
                "Request is throttled. Suggested Backoff Time: 92415 milliseconds",
                92_415,
            ),
            ("Suggested Backoff Time:1500 ms.", 1_500),
            ("too fast, please try again in 2 minutes", 120_000),
            ("Retry-After: 7 s", 7_000),
            ("backoff time: 86400 seconds", 300_000),
            ("backoff time: 99999999999999999999999 milliseconds", 300_000),
        ] {
            assert_eq!(parse(text), Some(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn what_is_no_wait_is_none() {
        for text in [
            "",
            "backoff time",
            "backoff time: soon",
            "backoff time: 12",
            "backoff time: seconds",
            "retry after 5 moons",
            "message 12 seconds the motion",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
