//! Addresses and parameters of MAIL and RCPT.

/// MAIL's arguments.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct MailArguments {
    /// Empty for the null reverse-path.
    pub(super) address: String,
    pub(super) size: Option<u64>,
    pub(super) binary: bool,
    pub(super) smtputf8: bool,
}

/// Why arguments are refused; the reply's text behind the code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    Address,
    Parameter,
}

/// Reads `<address> SIZE=… BODY=… SMTPUTF8 RET=… ENVID=… AUTH=…`.
pub(super) fn mail(arguments: &str) -> Result<MailArguments, Fault> {
    let (address, parameters) = path(arguments)?;
    let mut read = MailArguments {
        address: address.to_owned(),
        ..MailArguments::default()
    };
    for parameter in parameters.split_ascii_whitespace() {
        let (name, value) = parameter
            .split_once('=')
            .map_or((parameter, None), |(name, value)| (name, Some(value)));
        match (name.to_ascii_uppercase().as_str(), value) {
            ("SIZE", Some(value)) => read.size = Some(value.parse().map_err(|_| Fault::Parameter)?),
            ("BODY", Some(value)) => match value.to_ascii_uppercase().as_str() {
                "7BIT" | "8BITMIME" => {}
                "BINARYMIME" => read.binary = true,
                _ => return Err(Fault::Parameter),
            },
            ("SMTPUTF8", None) => read.smtputf8 = true,
            ("RET", Some(value))
                if value.eq_ignore_ascii_case("FULL") || value.eq_ignore_ascii_case("HDRS") => {}
            ("ENVID", Some(value)) if !value.is_empty() && value.len() <= 100 => {}
            ("AUTH", Some(_)) => {}
            _ => return Err(Fault::Parameter),
        }
    }
    if !read.address.is_empty() {
        check(&read.address, read.smtputf8)?;
    }
    Ok(read)
}

/// Reads `<address> NOTIFY=… ORCPT=…`.
pub(super) fn rcpt(arguments: &str, smtputf8: bool) -> Result<String, Fault> {
    let (address, parameters) = path(arguments)?;
    for parameter in parameters.split_ascii_whitespace() {
        let (name, value) = parameter.split_once('=').ok_or(Fault::Parameter)?;
        match name.to_ascii_uppercase().as_str() {
            // RFC 3461 §4.1: NEVER stands alone.
            "NOTIFY" => {
                let words: Vec<_> = value.split(',').map(str::to_ascii_uppercase).collect();
                let known = words
                    .iter()
                    .all(|word| matches!(word.as_str(), "SUCCESS" | "FAILURE" | "DELAY"));
                if !known && words != ["NEVER"] {
                    return Err(Fault::Parameter);
                }
            }
            "ORCPT" if value.contains(';') && value.len() <= 500 => {}
            _ => return Err(Fault::Parameter),
        }
    }
    check(address, smtputf8)?;
    Ok(address.to_owned())
}

/// Parts `<address> rest`. A quoted local part may hold `>`; a source route (RFC 5321 §4.1.2) is dropped.
fn path(arguments: &str) -> Result<(&str, &str), Fault> {
    let inside = arguments.strip_prefix('<').ok_or(Fault::Address)?;
    let mut quoted = false;
    let mut escaped = false;
    for (at, c) in inside.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '>' if !quoted => {
                let (address, rest) = inside.split_at(at);
                let rest = rest.get(1..).unwrap_or_default();
                if !rest.is_empty() && !rest.starts_with(' ') {
                    return Err(Fault::Parameter);
                }
                let routed = address.strip_prefix('@').and_then(|route| route.split_once(':'));
                return Ok((routed.map_or(address, |(_, address)| address), rest));
            }
            _ => {}
        }
    }
    Err(Fault::Address)
}

fn check(address: &str, smtputf8: bool) -> Result<(), Fault> {
    let (local, domain) = address.rsplit_once('@').ok_or(Fault::Address)?;
    let quoted = local.len() > 1 && local.starts_with('"') && local.ends_with('"');
    let plain = |text: &str| {
        !text.contains(|c: char| c.is_whitespace() || c.is_control() || "<>()@,;:\\\"".contains(c))
    };
    let good = address.len() <= 320
        && !local.is_empty()
        && !domain.is_empty()
        && (address.is_ascii() || smtputf8)
        && (quoted || plain(local))
        && (domain.starts_with('[') && domain.ends_with(']') || plain(domain) && !domain.starts_with('.'));
    if good { Ok(()) } else { Err(Fault::Address) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_of_mail_are_read() {
        let read = mail("<a@b.example> SIZE=10 BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=QQ314159").unwrap();
        assert_eq!(read.address, "a@b.example");
        assert_eq!((read.size, read.smtputf8, read.binary), (Some(10), true, false));
        assert!(mail("<> BODY=BINARYMIME").unwrap().binary);
        assert_eq!(mail("<@relay.example:a@b>").unwrap().address, "a@b");
        assert_eq!(mail("<\"a>b\"@c>").unwrap().address, "\"a>b\"@c");
        assert_eq!(mail("<a@b> MAGIC=1"), Err(Fault::Parameter));
        assert_eq!(mail("<a@b>SIZE=1"), Err(Fault::Parameter));
        assert_eq!(mail("<a@b> SIZE=x"), Err(Fault::Parameter));
    }

    #[test]
    fn addresses_are_checked() {
        for bad in [
            "a@b", "<a>", "<a@>", "<@b>", "<a b@c>", "<a@b", "<a@b@c>", "<>", "<>>",
        ] {
            assert!(rcpt(bad, false).is_err(), "{bad}");
        }
        assert_eq!(rcpt("<jörg@b.example>", false), Err(Fault::Address));
        assert_eq!(rcpt("<jörg@b.example>", true).unwrap(), "jörg@b.example");
        assert_eq!(
            rcpt("<a@b> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;a@b", false).unwrap(),
            "a@b"
        );
        assert_eq!(rcpt("<a@b> NOTIFY=NEVER", false).unwrap(), "a@b");
        assert_eq!(rcpt("<a@b> NOTIFY=NEVER,DELAY", false), Err(Fault::Parameter));
    }
}
