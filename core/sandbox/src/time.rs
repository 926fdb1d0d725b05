//! Dates as the two services print them, always in UTC.

use jiff::Timestamp;
use jiff::fmt::strtime;
use jiff::tz::TimeZone;

fn format(pattern: &str, at: Timestamp) -> String {
    strtime::format(pattern, &at.to_zoned(TimeZone::UTC)).unwrap_or_default()
}

/// RFC 5322's date, as in SMTP's greeting and in Received headers: `Thu, 11 Jul 2024 11:46:42 +0000`.
pub(crate) fn rfc5322(at: Timestamp) -> String {
    format("%a, %d %b %Y %H:%M:%S +0000", at)
}

/// Entra's form in error answers: `2022-08-02 12:02:24Z`.
pub(crate) fn entra(at: Timestamp) -> String {
    format("%Y-%m-%d %H:%M:%SZ", at)
}

/// Entra's form of a certificate's dates: `05/24/2024 09:14:42`.
pub(crate) fn entra_key(at: Timestamp) -> String {
    format("%m/%d/%Y %H:%M:%S", at)
}

/// Exchange's form in the bracket behind a 535: `2024-02-14T14:50:26.590Z`.
pub(crate) fn exchange(at: Timestamp) -> String {
    format("%Y-%m-%dT%H:%M:%S.%3fZ", at)
}

/// Graph's form in error answers: `2024-02-14T14:50:26`.
pub(crate) fn graph(at: Timestamp) -> String {
    format("%Y-%m-%dT%H:%M:%S", at)
}

/// Graph's form of an object's dates: `2024-02-14T14:50:26Z`.
pub(crate) fn graph_property(at: Timestamp) -> String {
    format("%Y-%m-%dT%H:%M:%SZ", at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_have_the_services_forms() {
        let at: Timestamp = "2024-02-14T14:50:26.590Z".parse().unwrap();
        assert_eq!(rfc5322(at), "Wed, 14 Feb 2024 14:50:26 +0000");
        assert_eq!(entra(at), "2024-02-14 14:50:26Z");
        assert_eq!(exchange(at), "2024-02-14T14:50:26.590Z");
    }
}
