//! Names of front ends and session ids, as they stand in Exchange's greetings and refusals.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use uuid::Uuid;

use crate::time;

/// The front end in SMTP's greeting.
pub(crate) const SMTP_HOST: &str = "AM0PR02CA0134.outlook.office365.com";

/// The mailbox server in SMTP's `[Hostname=…]`.
pub(crate) const SMTP_BACKEND: &str = "AM0PR02MB0001.eurprd02.prod.outlook.com";

/// The front end in the brackets of IMAP's and POP3's greetings.
pub(crate) const CLIENT_HOST: &str = "LO2P123CA0001.GBRP123.PROD.OUTLOOK.COM";

/// The bracket of a greeting: base64 of the front end's name in UTF-16, low byte first.
pub(crate) fn greeting_token() -> String {
    let bytes: Vec<u8> = CLIENT_HOST.encode_utf16().flat_map(u16::to_le_bytes).collect();
    STANDARD.encode(bytes)
}

/// A connection's id in Exchange's form: 16 upper-case hexadecimal digits.
pub(crate) fn session_id() -> String {
    let (high, _) = Uuid::new_v4().as_u64_pair();
    format!("08DC{:012X}", high >> 16)
}

/// What stands in brackets behind SMTP's refusals: front end, time, session.
pub(crate) fn bracket(session: &str, now: Timestamp) -> String {
    format!("[{SMTP_HOST} {} {session}]", time::exchange(now))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_greetings_bracket_is_utf16_in_base64() {
        let bytes = STANDARD.decode(greeting_token()).unwrap();
        let units: Vec<u16> = bytes
            .chunks(2)
            .map(|pair| u16::from_le_bytes([pair[0], pair[1]]))
            .collect();
        assert_eq!(String::from_utf16(&units).unwrap(), CLIENT_HOST);
    }

    #[test]
    fn a_session_id_has_sixteen_hexadecimal_digits() {
        let id = session_id();
        assert_eq!(id.len(), 16);
        assert!(id.bytes().all(|byte| byte.is_ascii_hexdigit()));
    }
}
