//! The end of the data: who may send as whom, and where the message goes.

use bytes::Bytes;
use jiff::Timestamp;
use mail_parser::MessageParser;
use uuid::Uuid;

use crate::mail::authorize::may_send_as;
use crate::mail::host::SMTP_BACKEND;
use crate::state::{Flags, OutsideMail, StoreError, Tenant};
use crate::time;

/// Exchange's limit for the header of a message.
const MAX_HEADER: usize = 256 * 1024;

/// The mailbox cannot be opened.
pub(super) const LOGON_FAILURE: &str = "430 4.2.0 STOREDRV; mailbox logon failure; STOREDRV.Submission.Exception:\
    ConnectionFailedTransientException.MapiExceptionLogonFailed; Failed to process message due to a transient \
    exception with message Cannot open mailbox.";
/// More connections of one mailbox than may send at a time.
pub(super) const TOO_MANY_CONNECTIONS: &str = "432 4.3.2 Concurrent connections limit exceeded. Visit \
    https://aka.ms/concurrent_sending for more information.";

/// A message with all that is known about it.
#[derive(Debug)]
pub(super) struct Submission {
    /// `user=` of the sign-in.
    pub(super) user: String,
    pub(super) oid: String,
    /// Whether the mailbox could be opened.
    pub(super) connected: bool,
    pub(super) from: String,
    pub(super) to: Vec<String>,
    /// Trace headers and message.
    pub(super) raw: Bytes,
    /// Length of the trace headers.
    pub(super) trace: usize,
}

/// Delivers, or says why not; the reply to the end of data either way.
pub(super) fn submit(tenant: &mut Tenant, submission: Submission, now: Timestamp) -> String {
    match deliver(tenant, submission, now) {
        Ok(id) => format!("250 2.0.0 OK <{id}> [Hostname={SMTP_BACKEND}]"),
        Err(refusal) => refuse(&refusal),
    }
}

/// A refusal by the mailbox server, which says its name.
pub(super) fn refuse(refusal: &str) -> String {
    format!("{refusal} [Hostname={SMTP_BACKEND}]")
}

fn deliver(tenant: &mut Tenant, submission: Submission, now: Timestamp) -> Result<String, String> {
    let Submission {
        user,
        oid,
        connected,
        from,
        to,
        raw,
        trace,
    } = submission;
    if !connected || tenant.mailbox(&user).is_none() {
        return Err(LOGON_FAILURE.to_owned());
    }
    let message = raw.slice(trace.min(raw.len())..);
    let header = Header::read(&message).ok_or("552 5.3.4 Header size exceeds fixed maximum size")?;
    let senders = header
        .from
        .iter()
        .map(String::as_str)
        .chain((!from.is_empty()).then_some(from.as_str()));
    for sender in senders {
        if !may_send_as(tenant, &oid, &user, sender) {
            return Err(format!(
                "554 5.2.252 SendAsDenied; {user} not allowed to send as {}; STOREDRV.Submission.Exception:\
                 SendAsDeniedException.MapiExceptionSendAsDenied; Failed to process message due to a permanent \
                 exception with message Cannot submit message.",
                printable(sender)
            ));
        }
    }
    let id = header
        .message_id
        .clone()
        .unwrap_or_else(|| format!("{}@{SMTP_BACKEND}", Uuid::new_v4().simple()));
    let (delivered, sent) = complete(&raw, trace, &message, &header, &id, now);

    let mut mailboxes = Vec::new();
    let mut outside = Vec::new();
    for address in to {
        match tenant.mailbox_at(&address).map(|mailbox| mailbox.primary.clone()) {
            Some(primary) if !mailboxes.contains(&primary) => mailboxes.push(primary),
            Some(_) => {}
            None => outside.push(address),
        }
    }
    let full = |_: StoreError| {
        "554 5.2.2 mailbox full; STOREDRV.Submission.Exception:QuotaExceededException.MapiException(Shutoff)\
         QuotaExceeded; Failed to process message due to a permanent exception with message Cannot submit message."
            .to_owned()
    };
    // All or nothing: look for room everywhere before anything is stored.
    let copies = mailboxes.len() + usize::from(!outside.is_empty());
    let needed = delivered.len().saturating_mul(copies).saturating_add(sent.len());
    let fits = tenant.octets().saturating_add(needed) <= tenant.max_octets
        && tenant.has_room(&user, sent.len())
        && mailboxes
            .iter()
            .all(|mailbox| tenant.has_room(mailbox, delivered.len()));
    if !fits {
        return Err(full(StoreError::Full));
    }
    tenant
        .append(&user, "Sent Items", Flags::SEEN, now, sent)
        .map_err(full)?;
    for mailbox in &mailboxes {
        tenant
            .append(mailbox, "INBOX", Flags::NONE, now, delivered.clone())
            .map_err(full)?;
    }
    if !outside.is_empty() {
        tenant
            .keep_outside(OutsideMail {
                from,
                to: outside,
                raw: delivered,
            })
            .map_err(full)?;
    }
    Ok(id)
}

/// What the server has to know of a message's header.
#[derive(Debug, Default)]
struct Header {
    from: Vec<String>,
    /// Without angle brackets, fit for a reply.
    message_id: Option<String>,
    has_date: bool,
}

impl Header {
    /// Reads the header only: parsing bodies of strangers is work, and nesting is a risk. `None` if it is too long.
    fn read(message: &Bytes) -> Option<Self> {
        let end = memchr::memmem::find(message, b"\r\n\r\n").map_or(message.len(), |at| at + 4);
        let head = if message.starts_with(b"\r\n") {
            b"\r\n"
        } else {
            message.get(..end).unwrap_or_default()
        };
        if head.len() > MAX_HEADER {
            return None;
        }
        let Some(parsed) = MessageParser::new().parse_headers(head) else {
            return Some(Self::default());
        };
        let from = parsed
            .from()
            .map(|addresses| {
                addresses
                    .iter()
                    .filter_map(|one| one.address.as_deref())
                    .map(str::to_owned)
                    .collect()
            })
            .unwrap_or_default();
        let message_id = parsed
            .message_id()
            .filter(|id| id.len() <= 250 && id.bytes().all(|byte| byte.is_ascii_graphic()))
            .map(str::to_owned);
        Some(Self {
            from,
            message_id,
            has_date: parsed.header("Date").is_some(),
        })
    }
}

/// The delivered copy, with trace headers, and the one in Sent Items, without them. Message-ID and Date are added
/// where the client left them out, as Exchange does; without additions both share the memory of `raw`.
fn complete(
    raw: &Bytes,
    trace: usize,
    message: &Bytes,
    header: &Header,
    id: &str,
    now: Timestamp,
) -> (Bytes, Bytes) {
    let mut added = String::new();
    if header.message_id.is_none() {
        added.push_str(&format!("Message-ID: <{id}>\r\n"));
    }
    if !header.has_date {
        added.push_str(&format!("Date: {}\r\n", time::rfc5322(now)));
    }
    if added.is_empty() {
        return (raw.clone(), message.clone());
    }
    let trace_headers = raw.get(..trace).unwrap_or_default();
    let whole = Bytes::from([trace_headers, added.as_bytes(), message].concat());
    let sent = whole.slice(trace_headers.len()..);
    (whole, sent)
}

/// An address that came in a header, fit for a reply line.
fn printable(address: &str) -> String {
    address.chars().filter(|c| !c.is_control()).take(320).collect()
}

/// The trace headers of RFC 5321 §4.4, as the first mailbox server writes them.
pub(super) fn trace(
    from: &str,
    client: &str,
    peer: std::net::IpAddr,
    session: &str,
    now: Timestamp,
) -> String {
    format!(
        "Return-Path: <{from}>\r\n\
         Received: from {client} ({peer}) by {SMTP_BACKEND} with Microsoft SMTP\r\n Server id {session}; {}\r\n",
        time::rfc5322(now)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const JOE: &str = "joe@contoso.example";

    fn tenant() -> (Tenant, String) {
        let mut tenant = Tenant::new("contoso.example", 1 << 20);
        let app = tenant.register_application("x");
        tenant.add_mailbox(JOE).unwrap();
        tenant.add_mailbox("ann@contoso.example").unwrap();
        tenant.grant_full_access(JOE, &app.client_id).unwrap();
        (tenant, app.enterprise_object_id)
    }

    fn submission(oid: &str, from: &str, to: &[&str], message: &str) -> Submission {
        let trace = trace(
            from,
            "c.example",
            [127, 0, 0, 1].into(),
            "1",
            Timestamp::UNIX_EPOCH,
        );
        Submission {
            user: JOE.to_owned(),
            oid: oid.to_owned(),
            connected: true,
            from: from.to_owned(),
            to: to.iter().map(|to| (*to).to_owned()).collect(),
            raw: Bytes::from(format!("{trace}{message}")),
            trace: trace.len(),
        }
    }

    const MESSAGE: &str = "From: Joe <joe@contoso.example>\r\nMessage-ID: <1@x>\r\nDate: Thu, 1 Jan 1970 00:00:00 +0000\r\n\r\nHi\r\n";

    #[test]
    fn recipients_sender_and_the_outside_get_their_copies() {
        let (mut tenant, oid) = tenant();
        let to = ["ann@contoso.example", "ANN@contoso.example", "x@fabrikam.example"];
        let reply = submit(
            &mut tenant,
            submission(&oid, JOE, &to, MESSAGE),
            Timestamp::UNIX_EPOCH,
        );
        assert_eq!(reply, format!("250 2.0.0 OK <1@x> [Hostname={SMTP_BACKEND}]"));
        let inbox = tenant.folder("ann@contoso.example", "INBOX").unwrap().messages();
        assert_eq!(inbox.len(), 1, "two spellings are one mailbox");
        let text = String::from_utf8(inbox[0].raw.to_vec()).unwrap();
        assert!(
            text.starts_with("Return-Path: <joe@contoso.example>\r\nReceived: from c.example (127.0.0.1)"),
            "{text}"
        );
        assert!(text.ends_with(MESSAGE), "{text}");
        let sent = tenant.folder(JOE, "Sent Items").unwrap().messages();
        assert_eq!(
            (sent[0].raw.as_ref(), sent[0].flags),
            (MESSAGE.as_bytes(), Flags::SEEN)
        );
        assert_eq!(tenant.outside_mail()[0].to, ["x@fabrikam.example"]);
    }

    #[test]
    fn missing_headers_are_added() {
        let (mut tenant, oid) = tenant();
        let reply = submit(
            &mut tenant,
            submission(&oid, JOE, &[JOE], "Subject: x\r\n\r\n"),
            Timestamp::UNIX_EPOCH,
        );
        assert!(reply.starts_with("250 2.0.0 OK <"), "{reply}");
        let sent = tenant.folder(JOE, "Sent Items").unwrap().messages();
        let text = String::from_utf8(sent[0].raw.to_vec()).unwrap();
        assert!(text.starts_with("Message-ID: <"), "{text}");
        assert!(
            text.contains("\r\nDate: Thu, 01 Jan 1970 00:00:00 +0000\r\nSubject: x\r\n\r\n"),
            "{text}"
        );
    }

    #[test]
    fn sending_as_somebody_else_needs_the_right() {
        let (mut tenant, oid) = tenant();
        let ann = "ann@contoso.example";
        let by_header = MESSAGE.replace("joe@", "ann@");
        for (from, message) in [
            (ann, MESSAGE),
            (JOE, by_header.as_str()),
            ("x@fabrikam.example", MESSAGE),
        ] {
            let reply = submit(
                &mut tenant,
                submission(&oid, from, &[JOE], message),
                Timestamp::UNIX_EPOCH,
            );
            assert!(
                reply.starts_with("554 5.2.252 SendAsDenied; joe@contoso.example not allowed to send as "),
                "{reply}"
            );
        }
        tenant.grant_send_as(ann, &oid).unwrap();
        let reply = submit(
            &mut tenant,
            submission(&oid, ann, &[JOE], &by_header),
            Timestamp::UNIX_EPOCH,
        );
        assert!(reply.starts_with("250 "), "{reply}");
        tenant.add_alias(JOE, "joseph@contoso.example").unwrap();
        let reply = submit(
            &mut tenant,
            submission(&oid, "joseph@contoso.example", &[JOE], MESSAGE),
            Timestamp::UNIX_EPOCH,
        );
        assert!(reply.starts_with("250 "), "{reply}");
    }

    #[test]
    fn a_full_mailbox_stores_nothing_at_all() {
        let (mut tenant, oid) = tenant();
        tenant.set_quota("ann@contoso.example", 10).unwrap();
        let to = [JOE, "ann@contoso.example"];
        let reply = submit(
            &mut tenant,
            submission(&oid, JOE, &to, MESSAGE),
            Timestamp::UNIX_EPOCH,
        );
        assert!(
            reply.starts_with("554 5.2.2 mailbox full; STOREDRV.Submission.Exception:QuotaExceeded"),
            "{reply}"
        );
        assert_eq!(tenant.octets(), 0);
    }

    #[test]
    fn a_mailbox_that_cannot_be_opened_looks_like_a_passing_fault() {
        let (mut tenant, oid) = tenant();
        let mut closed = submission(&oid, JOE, &[JOE], MESSAGE);
        closed.connected = false;
        let reply = submit(&mut tenant, closed, Timestamp::UNIX_EPOCH);
        assert!(
            reply.starts_with("430 4.2.0 STOREDRV; mailbox logon failure; "),
            "{reply}"
        );
        assert!(reply.contains("Cannot open mailbox."), "{reply}");
    }
}
