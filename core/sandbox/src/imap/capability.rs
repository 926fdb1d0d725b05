//! The capability lists, as Exchange has them before and behind the sign-in (exchange-online.md §3.3).

/// On the plain port, before STARTTLS.
const PLAIN: &str = "* CAPABILITY IMAP4 IMAP4rev1 LOGINDISABLED STARTTLS UIDPLUS ID UNSELECT CHILDREN IDLE NAMESPACE LITERAL+";
const BEFORE: &str = "* CAPABILITY IMAP4 IMAP4rev1 AUTH=PLAIN AUTH=XOAUTH2 SASL-IR UIDPLUS ID UNSELECT CHILDREN IDLE NAMESPACE LITERAL+";
/// The form of 2025 and 2026.
const BEFORE_MODERN: &str = "* CAPABILITY IMAP4 IMAP4rev1 AUTH=XOAUTH2 LOGINDISABLED SASL-IR UIDPLUS ID UNSELECT \
CHILDREN IDLE NAMESPACE LITERAL+";
/// MOVE is told only here.
const BEHIND: &str = "* CAPABILITY IMAP4 IMAP4rev1 AUTH=PLAIN AUTH=XOAUTH2 SASL-IR UIDPLUS MOVE ID UNSELECT \
CLIENTACCESSRULES CLIENTNETWORKPRESENCELOCATION BACKENDAUTHENTICATE CHILDREN IDLE NAMESPACE LITERAL+";

/// The untagged line.
pub(crate) fn list(tls: bool, authenticated: bool, modern: bool) -> &'static str {
    match (tls, authenticated, modern) {
        (false, _, _) => PLAIN,
        (true, true, _) => BEHIND,
        (true, false, false) => BEFORE,
        (true, false, true) => BEFORE_MODERN,
    }
}
