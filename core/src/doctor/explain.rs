//! [`explain`]: a text that someone pasted, looked up in the table of causes, without any network.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::link::link;
use super::table::{Row, rows};
use super::{DELEGATED, NO_ROLES, OTHER_ROLES, WRONG_AUDIENCE, entra};
use crate::error::{ErrorKind, Layer, Retry, ServerReply, Step};
use crate::token::codes_in;

/// A longer text is looked into up to here: a log line, not a log.
const MAX_TEXT: usize = 256 * 1024;
/// More explanations help nobody.
const MAX_EXPLANATIONS: usize = 5;

/// How sure it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Confidence {
    /// One cause of several.
    Possible,
    /// The usual cause.
    Likely,
    /// There is no other.
    Certain,
}

impl Confidence {
    /// One lower-case word, as in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Confidence::Possible => "possible",
            Confidence::Likely => "likely",
            Confidence::Certain => "certain",
        }
    }
}

/// What a text means.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Explanation {
    /// The cause's name in the table, such as `smtp-auth-failed`.
    pub id: &'static str,
    /// Who says it.
    pub layer: Layer,
    /// The cause in one sentence.
    pub cause: &'static str,
    /// What to do.
    pub remedy: &'static str,
    /// The step of the set-up that is missing or wrong.
    pub step: Option<Step>,
    /// The kind of error that this library makes of it, where the text alone says so.
    pub kind: Option<ErrorKind>,
    /// Whether trying again can help.
    pub retry: Retry,
    /// How well the text fits.
    pub confidence: Confidence,
    /// Microsoft's page on it.
    pub link: Option<&'static str>,
}

/// What a text of a server, of Entra or of this library means: a whole log line, `535 5.7.139 …`, `AADSTS7000215: …`,
/// `A2 NO AUTHENTICATE failed.`, the JSON of the token endpoint. The best first, at most five; empty when nothing in the
/// table fits. Nothing is sent.
///
/// ```
/// let found = exomail::doctor::explain("A2 NO AUTHENTICATE failed.");
/// assert_eq!(found[0].id, "imap-auth-failed");
/// assert_eq!(found[0].step, Some(exomail::Step::RegisterServicePrincipal));
/// ```
pub fn explain(text: &str) -> Vec<Explanation> {
    let text = text.get(..text.floor_char_boundary(MAX_TEXT)).unwrap_or_default();
    let text = match serde_json::from_str::<Value>(text.trim()) {
        Ok(document @ Value::Object(_)) => said_in(&document),
        _ => text.to_owned(),
    };
    let mut found: Vec<(u32, Explanation)> = Vec::new();
    let mut add = |score: u32, explanation: Explanation| match found
        .iter_mut()
        .find(|(_, known)| known.id == explanation.id)
    {
        Some((known, _)) if *known >= score => {}
        Some(known) => *known = (score, explanation),
        None => found.push((score, explanation)),
    };
    of_entra(&text, &mut add);
    // Each line by itself, so that the code of one does not meet the text of another.
    for line in text.lines() {
        // What this library advises quotes names and texts that nobody said.
        let line = line.split("; hint:").next().unwrap_or_default();
        if line.trim_start().starts_with("hint:") {
            continue;
        }
        of_mail(line, &mut add);
    }
    found.sort_by_key(|(score, _)| std::cmp::Reverse(*score));
    // A guess beside a certainty only confuses.
    let best = found.first().map_or(0, |(score, _)| *score);
    found.retain(|(score, _)| score + 45 > best);
    found.truncate(MAX_EXPLANATIONS);
    found.into_iter().map(|(_, explanation)| explanation).collect()
}

/// The texts of the token endpoint's JSON, of an exomail error and of a GSSAPI-like challenge, one a line.
fn said_in(document: &Value) -> String {
    let text = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
    let mut lines = Vec::new();
    for part in [Some(document), document.get("oauth"), document.get("server")]
        .into_iter()
        .flatten()
    {
        let numbers = part.get("error_codes").or_else(|| part.get("codes"));
        for number in numbers.and_then(Value::as_array).into_iter().flatten() {
            lines.push(format!("AADSTS{number}"));
        }
        let code = part
            .get("code")
            .and_then(Value::as_u64)
            .filter(|code| *code < 600);
        let is_reply = part.get("enhanced").is_some();
        let prefix = match (code, text(part, "enhanced")) {
            (Some(code), Some(enhanced)) if is_reply => format!("{code} {enhanced} "),
            (Some(code), None) if is_reply => format!("{code} "),
            _ => String::new(),
        };
        for key in [
            "error",
            "error_description",
            "description",
            "text",
            "challenge",
            "detail",
            "message",
        ] {
            if let Some(said) = text(part, key) {
                let prefix = if key == "text" { &*prefix } else { "" };
                lines.push(format!(
                    "{prefix}{}",
                    said.replace("\r\n", " ").replace('\n', " ")
                ));
            }
        }
    }
    lines.join("\n")
}

fn of_entra(text: &str, add: &mut impl FnMut(u32, Explanation)) {
    let lower = text.to_ascii_lowercase();
    let explanation = |cause: &'static entra::Cause, confidence| Explanation {
        id: cause.id,
        layer: Layer::Token,
        cause: cause.detail,
        remedy: cause.hint,
        step: cause.step,
        kind: Some(cause.kind),
        retry: cause.retry,
        confidence,
        link: link(Layer::Token, cause.step),
    };
    for code in codes_in(text) {
        let row = entra::ROWS
            .iter()
            .find(|row| row.codes.contains(&code) && lower.contains(row.text));
        if let Some(row) = row {
            add(120, explanation(&row.cause, Confidence::Certain));
        }
    }
    let own = entra::ROWS.iter().map(|row| &row.cause).chain([
        &NO_ROLES,
        &OTHER_ROLES,
        &WRONG_AUDIENCE,
        &DELEGATED,
    ]);
    for cause in own {
        if lower.contains(&cause.detail.to_ascii_lowercase()) {
            add(110, explanation(cause, Confidence::Certain));
        }
    }
}

fn of_mail(line: &str, add: &mut impl FnMut(u32, Explanation)) {
    let lower = line.to_ascii_lowercase();
    let spoken = layer_of(&lower);
    let replies = replies_in(line);
    for layer in [Layer::Smtp, Layer::Imap, Layer::Pop3, Layer::Network] {
        let own = rows(layer)
            .iter()
            .find(|row| lower.contains(&row.detail.to_ascii_lowercase()));
        if let Some(row) = own {
            add(110, of_row(layer, row, Confidence::Certain));
        }
        for reply in &replies {
            let Some(row) = rows(layer).iter().find(|row| row.fits(reply, &lower)) else {
                continue;
            };
            let coded = !row.enhanced.is_empty() || row.challenged;
            let mut score: u32 = match (coded, row.codes.is_empty(), row.texts.is_empty()) {
                (true, _, false) => 95,
                (true, _, true) => 80,
                (false, false, false) => 75,
                (false, true, false) => 70,
                (false, _, true) => 40,
            };
            match spoken {
                Some(spoken) if spoken == layer => score += 15,
                Some(_) if layer != Layer::Network => score = score.saturating_sub(50),
                _ => {}
            }
            let confidence = match score {
                85.. => Confidence::Certain,
                55.. => Confidence::Likely,
                _ => Confidence::Possible,
            };
            // A bare number in a log is a port, a size or a process as often as a reply.
            if score >= 40 {
                add(score, of_row(layer, row, confidence));
            }
        }
    }
}

fn of_row(layer: Layer, row: &'static Row, confidence: Confidence) -> Explanation {
    Explanation {
        id: row.id,
        layer,
        cause: row.detail,
        remedy: row.hint,
        step: row.step,
        kind: row.kind,
        retry: row.retry,
        confidence,
        link: link(layer, row.step),
    }
}

/// The protocol, by its name or by how its replies begin.
fn layer_of(lower: &str) -> Option<Layer> {
    let is = |parts: &[&str]| parts.iter().any(|part| lower.contains(part));
    let words: Vec<&str> = lower.split_whitespace().collect();
    // `A2 NO …`, `* BYE …`: a tag, then a verdict. Only near the start of what was said; a log has words before.
    let tagged = words
        .windows(2)
        .any(|pair| matches!(pair, [tag, "no" | "bad" | "bye"] if *tag == "*" || is_tag(tag)));
    if is(&["-err"]) {
        Some(Layer::Pop3)
    } else if is(&["imap", "authenticate xoauth2"]) || tagged {
        Some(Layer::Imap)
    } else if is(&["pop3"]) {
        Some(Layer::Pop3)
    } else if is(&["smtp"]) || !enhanced_in(&words).is_empty() {
        Some(Layer::Smtp)
    } else {
        None
    }
}

/// Letters with a number behind, as clients write tags.
fn is_tag(word: &str) -> bool {
    let digits = word.trim_start_matches(|c: char| c.is_ascii_alphabetic());
    !digits.is_empty() && digits.len() < word.len() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// Every enhanced status code (RFC 3463) with its place among the words.
fn enhanced_in(words: &[&str]) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (at, word) in words.iter().enumerate() {
        // `535-5.7.139` in a log, `5.7.3:`, `(5.7.3)`.
        for part in word.split(|c: char| !c.is_ascii_digit() && c != '.') {
            let part = part.trim_matches('.');
            let numbers: Vec<&str> = part.split('.').collect();
            let good = matches!(numbers[..], [class, subject, detail]
                if matches!(class, "4" | "5") && (1..=3).contains(&subject.len()) && (1..=3).contains(&detail.len()));
            if good {
                found.push((at, part.to_owned()));
            }
        }
    }
    found
}

/// The replies that a line may hold: with each enhanced code, with each bare code, and without any.
fn replies_in(line: &str) -> Vec<ServerReply> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let code = |word: &str| {
        let digits = word
            .trim_start_matches(|c: char| !c.is_ascii_digit())
            .split(|c: char| !c.is_ascii_digit())
            .next()
            .unwrap_or_default();
        let code: u16 = digits.parse().ok()?;
        (digits.len() == 3 && (400..600).contains(&code)).then_some(code)
    };
    let challenge = challenge_in(line, &words);
    let reply = |code, enhanced| ServerReply {
        text: line.to_owned(),
        code,
        enhanced,
        challenge: challenge.clone(),
    };
    let mut replies = Vec::new();
    for (at, enhanced) in enhanced_in(&words) {
        let before = at
            .checked_sub(1)
            .and_then(|at| words.get(at))
            .and_then(|word| code(word));
        let same = words.get(at).and_then(|word| code(word));
        // Behind a code that was cut off, the class is what RFC 5321 gives authentication failures.
        let assumed = (enhanced == "5.7.3").then_some(535);
        replies.push(reply(before.or(same).or(assumed), Some(enhanced)));
    }
    for word in &words {
        if let Some(code) = code(word).filter(|_| word.len() <= 5) {
            replies.push(reply(Some(code), None));
        }
    }
    replies.push(reply(None, None));
    replies
}

/// A SASL failure challenge (RFC 7628 §3.2.2): JSON with a status, or the same in base64.
fn challenge_in(line: &str, words: &[&str]) -> Option<String> {
    let is_challenge = |text: &str| text.contains("\"status\"") && text.contains("\"sch");
    if is_challenge(line) {
        return Some(line.to_owned());
    }
    words.iter().find_map(|word| {
        let decoded = BASE64_STANDARD.decode(word).ok()?;
        let text = String::from_utf8(decoded).ok()?;
        is_challenge(&text).then_some(text)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first(text: &str) -> (&'static str, Confidence) {
        let found = explain(text);
        let best = found.first().unwrap_or_else(|| panic!("nothing for {text:?}"));
        (best.id, best.confidence)
    }

    #[test]
    fn what_people_paste_is_found() {
        for (text, id) in [
            (
                "AADSTS7000215: Invalid client secret provided.",
                "entra-secret-wrong",
            ),
            (
                "2026-11-22 ERROR [pool-7] token: aadsts error AADSTS700016 app not found",
                "entra-app-unknown",
            ),
            (
                r#"{"error":"invalid_client","error_description":"AADSTS7000222: The provided client secret keys for app 'x' are expired.","error_codes":[7000222]}"#,
                "entra-secret-expired",
            ),
            ("A2 NO AUTHENTICATE failed.", "imap-auth-failed"),
            (
                "A3 BAD User is authenticated but not connected.",
                "imap-not-connected",
            ),
            (
                "-ERR Authentication failure: unknown user name or bad password.",
                "pop3-auth-failed",
            ),
            ("-ERR Protocol error. 14", "pop3-protocol-error"),
            (
                "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Tenant. Visit \
                 https://aka.ms/smtp_auth_disabled for more information. [FR0P281CA0123.DEUP281.PROD.OUTLOOK.COM]",
                "smtp-auth-off-for-tenant",
            ),
            (
                "Nov 22 20:11:07 mx1 postfix/smtp[4711]: 5F2A: SASL authentication failed; server \
                 smtp.office365.com[40.99.200.1] said: 535 5.7.3 Authentication unsuccessful [AM0PR.eurprd]",
                "smtp-auth-failed",
            ),
            (
                "smtplib.SMTPAuthenticationError: (535, b'5.7.3 Authentication unsuccessful')",
                "smtp-auth-failed",
            ),
            (
                "430 4.2.0 STOREDRV; mailbox logon failure; MapiExceptionLogonFailed",
                "smtp-mailbox-logon",
            ),
            (
                "554 5.2.252 SendAsDenied; a@b not allowed to send as c@d",
                "smtp-send-as-denied",
            ),
            (
                "claims: the token holds no roles; hint: add IMAP.AccessAsApp",
                "token-no-roles",
            ),
            (
                "connect: localhost:993 (127.0.0.1:993): Connection refused (os error 111)",
                "network-port-refused",
            ),
            (
                "ssl.SSLCertVerificationError: certificate verify failed: self-signed certificate",
                "tls-unknown-ca",
            ),
        ] {
            let (found, confidence) = first(text);
            assert_eq!(found, id, "{text}");
            assert!(confidence >= Confidence::Likely, "{text}: {confidence:?}");
        }
    }

    #[test]
    fn an_error_of_this_library_is_explained_from_any_of_its_forms() {
        let reply = ServerReply {
            code: Some(535),
            enhanced: Some("5.7.3".into()),
            ..ServerReply::text("Authentication unsuccessful [x]")
        };
        let error = super::super::refusal(Layer::Smtp, "AUTH", ErrorKind::AuthRejected, reply);
        for text in [
            error.to_string(),
            format!("{error:?}"),
            error.to_json().to_string(),
        ] {
            assert_eq!(first(&text), ("smtp-auth-failed", Confidence::Certain), "{text}");
        }
    }

    #[test]
    fn a_challenge_is_known_by_what_is_in_it() {
        let challenge = BASE64_STANDARD.encode(r#"{"status":"invalid_token","schemes":"bearer"}"#);
        assert_eq!(first(&format!("A1 NO imap + {challenge}")).0, "imap-challenged");
    }

    #[test]
    fn a_guess_stands_behind_what_fits_better() {
        let both = explain("535 5.7.3 Authentication unsuccessful\nA2 NO AUTHENTICATE failed.");
        let ids: Vec<_> = both.iter().map(|found| found.id).collect();
        assert!(
            ids.contains(&"smtp-auth-failed") && ids.contains(&"imap-auth-failed"),
            "{ids:?}"
        );
        assert!(
            both.windows(2)
                .all(|pair| pair[0].confidence >= pair[1].confidence)
        );
    }

    #[test]
    fn nothing_is_made_up() {
        for text in [
            "",
            "hello",
            "{}",
            "{\"error\":5}",
            "250 2.0.0 OK",
            "AADSTS",
            "AADSTS999999999",
            "listening on 10.0.0.53:5357, 535 clients",
            "version 5.7.139.2",
            &"x".repeat(MAX_TEXT * 2),
            "ü".repeat(MAX_TEXT).as_str(),
        ] {
            let found = explain(text);
            assert!(
                found.iter().all(|found| found.confidence == Confidence::Possible),
                "{:?}: {found:?}",
                text.get(..40)
            );
        }
        assert_eq!(explain("hello"), []);
        assert_eq!(explain("version 5.7.139.2"), []);
    }

    #[test]
    fn every_row_is_found_by_its_own_words() {
        for layer in [Layer::Smtp, Layer::Imap, Layer::Pop3, Layer::Network] {
            for row in rows(layer) {
                let text = format!("{}: {}", layer.name(), row.detail);
                assert!(
                    explain(&text).iter().any(|found| found.cause == row.detail),
                    "{text}"
                );
            }
        }
        for row in entra::ROWS {
            assert!(
                explain(row.cause.detail)
                    .iter()
                    .any(|found| found.cause == row.cause.detail),
                "{}",
                row.cause.id
            );
        }
    }
}
