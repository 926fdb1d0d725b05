//! What may stand between the angle brackets of MAIL and RCPT (RFC 5321 §4.1.2).

/// RFC 5321 §4.5.3.1.1.
const MAX_LOCAL_PART: usize = 64;
/// RFC 5321 §4.5.3.1.2.
const MAX_DOMAIN: usize = 255;
/// RFC 5321 §4.5.3.1.3: 256 octets with the two brackets.
const MAX_ADDRESS: usize = 254;

/// Says what is wrong with an address, or nothing.
///
/// It keeps to what can't be misread by a server: no control character, no bracket, no space outside quotes. Dots may
/// stand where RFC 5321 has none, because providers gave such addresses to people.
pub(super) fn check(address: &str) -> Result<(), &'static str> {
    if address.is_empty() {
        return Err("it is empty");
    }
    if address.chars().any(char::is_control) {
        return Err("it holds a control character");
    }
    if address.len() > MAX_ADDRESS {
        return Err("it is longer than 254 octets");
    }
    // RFC 5321 §4.5.1: the one address without a domain.
    if address.eq_ignore_ascii_case("postmaster") {
        return Ok(());
    }
    let (local, domain) = address.rsplit_once('@').ok_or("it has no @")?;
    if local.is_empty() || local.len() > MAX_LOCAL_PART {
        return Err("the part before the @ is empty or longer than 64 octets");
    }
    let local_is_valid = match local.strip_prefix('"') {
        Some(quoted) => is_quoted(quoted),
        None => local.chars().all(|c| is_atext(c) || c == '.'),
    };
    if !local_is_valid {
        return Err("the part before the @ holds a character that needs quotes");
    }
    if domain.is_empty() || domain.len() > MAX_DOMAIN {
        return Err("the domain is empty or longer than 255 octets");
    }
    let domain_is_valid = match domain.strip_prefix('[') {
        Some(literal) => literal.strip_suffix(']').is_some_and(|inner| {
            !inner.is_empty()
                && inner
                    .chars()
                    .all(|c| c.is_ascii_graphic() && !"[]\\<>".contains(c))
        }),
        None => domain
            .split('.')
            .all(|label| !label.is_empty() && label.chars().all(is_label)),
    };
    if !domain_is_valid {
        return Err("the domain is not valid");
    }
    Ok(())
}

/// atext of RFC 5322 §3.2.3, and everything beyond ASCII (RFC 6531 §3.3).
fn is_atext(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c) || is_beyond_ascii(c)
}

/// Letters, digits and hyphen; the underscore, because such hosts exist; and everything beyond ASCII.
fn is_label(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '-' || c == '_' || is_beyond_ascii(c)
}

/// A space beyond ASCII would be taken for a separator by some servers.
fn is_beyond_ascii(c: char) -> bool {
    !c.is_ascii() && !c.is_whitespace()
}

/// The rest of a quoted string, up to its closing quote (RFC 5321 §4.1.2).
fn is_quoted(rest: &str) -> bool {
    let mut chars = rest.chars();
    loop {
        match chars.next() {
            None => return false,
            Some('"') => return chars.next().is_none(),
            Some('\\') => match chars.next() {
                Some(' '..='~') => {}
                _ => return false,
            },
            Some(' '..='~') => {}
            Some(c) if is_beyond_ascii(c) => {}
            Some(_) => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_and_odd_addresses_pass() {
        for address in [
            "joe@example.com",
            "Postmaster",
            "o'neil+tag=x/y@sub.example.co.uk",
            "a..b.@docomo.example",
            "\"joe smith\"@example.com",
            "\"a@b<c>\\\"d\\\\\"@example.com",
            "joe@[192.0.2.1]",
            "joe@[IPv6:2001:db8::1]",
            "joe@localhost",
            "jörg@exämple.de",
            "用户@例子.广告",
        ] {
            assert_eq!(check(address), Ok(()), "{address}");
        }
    }

    #[test]
    fn nothing_that_could_be_read_as_more_than_an_address_passes() {
        let long_local = format!("{}@example.com", "a".repeat(65));
        let long = format!("joe@{}com", "example.".repeat(40));
        for address in [
            "",
            "joe",
            "@example.com",
            "joe@",
            "joe@example.com\r\nRCPT TO:<eve@example.com>",
            "joe@example.com\n",
            "joe\r@example.com",
            "joe\0@example.com",
            "joe\u{85}@example.com",
            "\"joe\r\n\"@example.com",
            "joe smith@example.com",
            "<joe@example.com>",
            "joe@example.com> BODY=8BITMIME",
            "joe@example.com SIZE=1",
            "a>b@example.com",
            "\"open@example.com",
            "\"closed\"x@example.com",
            "\"end\\\"@example.com",
            "joe@exa mple.com",
            "joe@example..com",
            "joe@.example.com",
            "joe@[192.0.2.1",
            "joe@[]",
            "joe@[a]b]",
            "joe\u{a0}x@example.com",
            "joe@example\u{2003}com",
            "a@b@example.com",
            &long_local,
            &long,
        ] {
            assert!(check(address).is_err(), "{address:?}");
        }
    }
}
