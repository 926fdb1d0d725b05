//! IMAP refusals: Exchange Online's texts, and the response codes of RFC 5530.

use super::table::Row;
use crate::error::ErrorKind::{
    AuthRejected, ConnectionLost, InvalidConfig, MailboxUnavailable, NotFound, ProtocolDisabled,
    QuotaExceeded, Rejected, Throttled, TokenExpired, TooLarge, Unavailable, Unsupported,
};
use crate::error::Retry::{Backoff, FreshToken};
use crate::error::Step::{Client, GrantMailboxAccess, RegisterServicePrincipal, TenantSetting};

pub(super) const ROWS: &[Row] = &[
    // Whatever words follow it, a failure challenge means that the server has looked at the token.
    Row {
        id: "imap-challenged",
        challenged: true,
        ..Row::TOKEN_REFUSED
    },
    // ---- Exchange Online ---------------------------------------------------------------------------------
    Row {
        id: "imap-token-expired",
        texts: &["accesstokenexpired"],
        kind: Some(TokenExpired),
        retry: FreshToken,
        detail: "the token ran out during the session",
        hint: "connect again with a fresh token",
        ..Row::ANY
    },
    Row {
        id: "imap-disabled",
        // Stands on a line that says OK.
        texts: &["userdisabled"],
        kind: Some(ProtocolDisabled),
        step: Some(TenantSetting),
        detail: "IMAP is switched off for this mailbox",
        hint: "run in Exchange Online PowerShell: Set-CASMailbox -Identity <mailbox> -ImapEnabled $true; it takes minutes \
               to an hour",
        ..Row::ANY
    },
    Row {
        id: "imap-password",
        texts: &["basicauthblocked", "login failed", "logindisabled"],
        kind: Some(AuthRejected),
        step: Some(Client),
        detail: "the server took it for a sign-in by password, which Exchange Online refuses",
        hint: "sign in by XOAUTH2 with a token of the app",
        ..Row::ANY
    },
    Row {
        id: "imap-no-such-mailbox",
        texts: &["noadrecipient", "authresultfrompopimapend=8"],
        kind: Some(MailboxUnavailable),
        step: Some(Client),
        detail: "the tenant's directory has no mailbox of this address",
        hint: "give the mailbox's primary SMTP address as the user: Get-Mailbox -Identity <mailbox> | fl \
               PrimarySmtpAddress; and check that the token is of the mailbox's tenant",
        ..Row::ANY
    },
    Row {
        id: "imap-not-connected",
        texts: &["authenticated but not connected"],
        kind: Some(MailboxUnavailable),
        retry: Backoff,
        step: Some(GrantMailboxAccess),
        detail: "the token was taken, but the app can't open this mailbox",
        hint: "run: Add-MailboxPermission -Identity <mailbox> -User <Object ID of the Enterprise application> -AccessRights \
               FullAccess -InheritanceType All -AutoMapping $false; then wait some minutes, up to an hour. If the right \
               is there: the user must be the primary SMTP address, and Get-CASMailbox -Identity <mailbox> must show \
               ImapEnabled True",
        ..Row::ANY
    },
    Row {
        id: "imap-auth-failed",
        texts: &["authenticate failed", "authfailed", "logondenied"],
        kind: Some(AuthRejected),
        step: Some(RegisterServicePrincipal),
        detail: "Exchange does not take this app's token for this mailbox",
        hint: "compare the token's oid claim (`exomail token`) with Get-ServicePrincipal | ? AppId -eq <client id> | fl \
               ObjectId; where it is missing or differs: Remove-ServicePrincipal the wrong one, then New-ServicePrincipal \
               -AppId <client id> -ObjectId <Object ID of the Enterprise application>. Then check that the token's roles \
               hold IMAP.AccessAsApp and that it is of the mailbox's tenant. A change takes minutes, up to an hour",
        ..Row::ANY
    },
    Row {
        id: "imap-throttled",
        texts: &["throttled", "suggested backoff time"],
        kind: Some(Throttled),
        retry: Backoff,
        detail: "the mailbox or tenant makes too many requests",
        hint: "wait as long as the server says; use fewer connections and fetch many messages with one command",
        ..Row::ANY
    },
    Row {
        id: "imap-unavailable",
        texts: &["server unavailable", "[unavailable]", "[serverbug]"],
        kind: Some(Unavailable),
        retry: Backoff,
        detail: "the server behind the mailbox is not available; the mailbox may be moving",
        hint: "connect again later",
        ..Row::ANY
    },
    Row {
        id: "imap-argument",
        texts: &["command argument error"],
        step: Some(Client),
        detail: "the server does not understand an argument of this command",
        hint: "if the argument is not yours (a search, a folder's name), report it with the transcript",
        ..Row::ANY
    },
    Row {
        id: "imap-command",
        texts: &["command error"],
        step: Some(Client),
        detail: "the server does not understand this command, or it is longer than the server takes",
        hint: "ask for fewer messages at once; if it stays, report it with the transcript",
        ..Row::ANY
    },
    Row {
        id: "imap-messages-gone",
        texts: &["no longer exist", "[expungeissued]"],
        kind: Some(NotFound),
        detail: "some of the messages are not there any more: another program moved or deleted them",
        hint: "search again and go on with what is there",
        ..Row::ANY
    },
    Row {
        id: "imap-closed",
        texts: &["connection closed", "connection is closed"],
        kind: Some(ConnectionLost),
        retry: Backoff,
        detail: "the server closed the connection",
        hint: "connect again; an idle connection is closed after about 30 minutes",
        ..Row::ANY
    },
    Row {
        id: "imap-search-charset",
        texts: &["badcharset"],
        kind: Some(Unsupported),
        step: Some(Client),
        detail: "the server searches for US-ASCII text only",
        hint: "search without letters outside US-ASCII (by date, flag, address) and compare the rest yourself",
        ..Row::ANY
    },
    // ---- RFC 5530 and others -----------------------------------------------------------------------------
    Row {
        id: "imap-token-refused",
        texts: &["[authenticationfailed]"],
        ..Row::TOKEN_REFUSED
    },
    Row {
        id: "imap-not-authorized",
        texts: &["[authorizationfailed]"],
        kind: Some(MailboxUnavailable),
        step: Some(GrantMailboxAccess),
        detail: "the token is good, but not for this mailbox",
        hint: "give the app the right to open this mailbox",
        ..Row::ANY
    },
    Row {
        id: "imap-credential-expired",
        texts: &["[expired]"],
        kind: Some(TokenExpired),
        retry: FreshToken,
        detail: "the server says that the token has run out",
        hint: "connect again with a fresh token; if it stays, compare the clocks",
        ..Row::ANY
    },
    Row {
        id: "imap-tls-first",
        texts: &["[privacyrequired]"],
        kind: Some(InvalidConfig),
        step: Some(Client),
        detail: "the server wants TLS before anything else",
        hint: "connect with implicit TLS (port 993) or STARTTLS (port 143)",
        ..Row::ANY
    },
    Row {
        id: "imap-limit",
        texts: &["[limit]", "maximum number of connections"],
        kind: Some(Throttled),
        retry: Backoff,
        step: Some(Client),
        detail: "a limit of the server is reached, mostly connections of one mailbox",
        hint: "close sessions that are not used, and look for other programs on this mailbox",
        ..Row::ANY
    },
    Row {
        id: "imap-in-use",
        texts: &["[inuse]"],
        kind: Some(Unavailable),
        retry: Backoff,
        detail: "another session holds what is needed",
        hint: "try again in a moment",
        ..Row::ANY
    },
    Row {
        id: "imap-quota",
        texts: &["[overquota]", "quota exceeded"],
        kind: Some(QuotaExceeded),
        step: Some(TenantSetting),
        detail: "the mailbox is full",
        hint: "make room, or give the mailbox an archive or a larger licence",
        ..Row::ANY
    },
    Row {
        id: "imap-too-large",
        texts: &["[toobig]", "message size exceeds", "exceeds the maximum"],
        kind: Some(TooLarge),
        step: Some(Client),
        detail: "the message is larger than the mailbox takes",
        hint: "make it smaller, or raise the limit: Set-Mailbox -Identity <mailbox> -MaxReceiveSize 150MB",
        ..Row::ANY
    },
    Row {
        id: "imap-not-permitted",
        texts: &["[noperm]", "[cannot]", "[alreadyexists]"],
        kind: Some(Rejected),
        detail: "the server does not allow this here",
        hint: "read the server's words: a right on the folder, a name that is taken or not allowed",
        ..Row::ANY
    },
    Row {
        id: "imap-not-found",
        texts: &["[nonexistent]", "[trycreate]", "doesn't exist", "does not exist"],
        kind: Some(NotFound),
        step: Some(Client),
        detail: "the folder is not there",
        hint: "look at the list of folders: names depend on the mailbox's language, levels are separated by the folder's \
               delimiter",
        ..Row::ANY
    },
];
