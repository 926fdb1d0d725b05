//! POP3 refusals: Exchange Online's texts, and the response codes of RFC 2449 and RFC 3206.

use super::table::Row;
use crate::error::ErrorKind::{AuthRejected, NotFound, State, Throttled, TokenExpired, Unavailable};
use crate::error::Retry::{Backoff, FreshToken};
use crate::error::Step::{Client, RegisterServicePrincipal};

pub(super) const ROWS: &[Row] = &[
    // ---- Exchange Online ---------------------------------------------------------------------------------
    Row {
        id: "pop3-token-expired",
        texts: &["accesstokenexpired"],
        kind: Some(TokenExpired),
        retry: FreshToken,
        detail: "the token ran out during the session",
        hint: "connect again with a fresh token",
        ..Row::ANY
    },
    Row {
        id: "pop3-throttled",
        texts: &["throttled", "suggested backoff time"],
        kind: Some(Throttled),
        retry: Backoff,
        detail: "the mailbox or tenant makes too many requests",
        hint: "wait as long as the server says; use one connection a mailbox",
        ..Row::ANY
    },
    Row {
        id: "pop3-protocol-error",
        texts: &["protocol error"],
        step: Some(Client),
        detail: "the server could not read the command: at sign-in, the token is longer than Exchange's POP3 takes (4096 \
                 characters), or token and command came on one line",
        hint: "look at the token's length (`exomail token`): ask for one with fewer roles or groups in it, or read by IMAP, \
               which takes longer tokens",
        ..Row::ANY
    },
    Row {
        id: "pop3-auth-failed",
        texts: &["unknown user name or bad password", "logon failure"],
        kind: Some(AuthRejected),
        step: Some(RegisterServicePrincipal),
        detail: "Exchange refused the sign-in; POP3 has one text for every cause",
        hint: "sign in by IMAP with the same app, which tells more. If that works: check that the token's roles hold \
               POP.AccessAsApp (`exomail token`) and that Get-CASMailbox -Identity <mailbox> shows PopEnabled True \
               (Set-CASMailbox -Identity <mailbox> -PopEnabled $true). If not: compare the token's oid claim with \
               Get-ServicePrincipal | ? AppId -eq <client id> | fl ObjectId, and run Add-MailboxPermission -Identity \
               <mailbox> -User <that Object ID> -AccessRights FullAccess",
        ..Row::ANY
    },
    Row {
        id: "pop3-wrong-state",
        texts: &["not valid in this state"],
        kind: Some(State),
        retry: Backoff,
        detail: "the server gave the session up: too many connections, or the mailbox's server is busy",
        hint: "open a new session after a pause, and use one connection a mailbox",
        ..Row::ANY
    },
    Row {
        id: "pop3-unavailable",
        texts: &["server unavailable", "[sys/temp]"],
        kind: Some(Unavailable),
        retry: Backoff,
        detail: "the server behind the mailbox is not available",
        hint: "connect again later",
        ..Row::ANY
    },
    Row {
        id: "pop3-no-such-message",
        texts: &[
            "out of range",
            "no such message",
            "there's no message",
            "message is deleted",
        ],
        kind: Some(NotFound),
        step: Some(Client),
        detail: "the mailbox has no message of this number",
        hint: "numbers hold for one session: ask for the list in this session, and know messages by their UIDL",
        ..Row::ANY
    },
    // ---- RFC 2449, RFC 3206 ------------------------------------------------------------------------------
    Row {
        id: "pop3-in-use",
        texts: &["[in-use]"],
        kind: Some(Unavailable),
        retry: Backoff,
        detail: "another POP3 session has the mailbox open",
        hint: "try again in a moment",
        ..Row::ANY
    },
    Row {
        id: "pop3-login-delay",
        texts: &["[login-delay]"],
        kind: Some(Throttled),
        retry: Backoff,
        detail: "the last sign-in was too short a while ago",
        hint: "wait, and sign in less often",
        ..Row::ANY
    },
    Row {
        id: "pop3-token-refused",
        texts: &["[auth]", "authentication failed"],
        ..Row::TOKEN_REFUSED
    },
];
