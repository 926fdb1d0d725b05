//! SMTP refusals: submission to Exchange Online, and what Postfix and other servers say.

use super::table::Row;
use crate::error::ErrorKind::{
    AuthRejected, InvalidConfig, MailboxUnavailable, ProtocolDisabled, QuotaExceeded, RecipientsRejected,
    Rejected, SendAsDenied, State, Throttled, TooLarge, Unavailable, Unsupported,
};
use crate::error::Retry::Backoff;
use crate::error::Step::{Client, GrantMailboxAccess, RegisterServicePrincipal, TenantSetting};

const SEND_AS_DENIED: Row = Row {
    kind: Some(SendAsDenied),
    step: Some(Client),
    detail: "the mailbox that signed in may not send with this From address",
    hint: "sign in as the mailbox of the From address (app-only needs no more than that), or run: \
           Add-RecipientPermission -Identity <from> -Trustee <Object ID of the Enterprise application> -AccessRights \
           SendAs -Confirm:$false",
    ..Row::ANY
};

const DAILY_RECIPIENTS: Row = Row {
    kind: Some(QuotaExceeded),
    retry: Backoff,
    step: Some(Client),
    detail: "the mailbox has used up its 10,000 recipients of 24 hours",
    hint: "stop until 24 hours have passed, spread the mail over several mailboxes, or use High Volume Email for \
           recipients inside the tenant",
    ..Row::ANY
};

const TOO_MANY_CONNECTIONS: Row = Row {
    kind: Some(Throttled),
    retry: Backoff,
    step: Some(Client),
    detail: "more than three connections send as this mailbox at the same time",
    hint: "use one connection a mailbox and send mail after mail on it; look for other programs that send as this \
           mailbox",
    ..Row::ANY
};

pub(super) const ROWS: &[Row] = &[
    // ---- a code and a text -------------------------------------------------------------------------------
    Row {
        id: "smtp-auth-off-for-tenant",
        enhanced: &["5.7.139"],
        texts: &["disabled for the tenant"],
        kind: Some(ProtocolDisabled),
        step: Some(TenantSetting),
        detail: "SMTP AUTH is switched off for the whole tenant, for OAuth too",
        hint: "run in Exchange Online PowerShell: Set-CASMailbox -Identity <mailbox> -SmtpClientAuthenticationDisabled \
               $false (this mailbox only, which is the better way) or Set-TransportConfig \
               -SmtpClientAuthenticationDisabled $false (all); it takes minutes to an hour",
        ..Row::ANY
    },
    Row {
        id: "smtp-auth-off-for-mailbox",
        enhanced: &["5.7.139"],
        texts: &["disabled for the mailbox"],
        kind: Some(ProtocolDisabled),
        step: Some(TenantSetting),
        detail: "SMTP AUTH is switched off for this mailbox, for OAuth too",
        hint: "run in Exchange Online PowerShell: Set-CASMailbox -Identity <mailbox> -SmtpClientAuthenticationDisabled \
               $false; it takes minutes to an hour",
        ..Row::ANY
    },
    Row {
        id: "smtp-security-defaults",
        enhanced: &["5.7.139"],
        texts: &["security defaults"],
        kind: Some(ProtocolDisabled),
        step: Some(TenantSetting),
        detail: "the tenant's security defaults block SMTP AUTH",
        hint: "keep the security defaults and open this mailbox for SMTP AUTH: Set-CASMailbox -Identity <mailbox> \
               -SmtpClientAuthenticationDisabled $false; if it stays, ask the tenant's administrator",
        ..Row::ANY
    },
    Row {
        id: "smtp-policy",
        enhanced: &["5.7.139"],
        texts: &["did not meet the criteria"],
        kind: Some(AuthRejected),
        step: Some(TenantSetting),
        detail: "a policy of the tenant (Conditional Access or an authentication policy) blocks the sign-in",
        hint: "ask the tenant's administrator which policy blocked it: Entra admin center > Sign-in logs > Service \
               principal sign-ins; make sure that the sign-in is by XOAUTH2 and not by password",
        ..Row::ANY
    },
    Row {
        id: "smtp-password",
        enhanced: &["5.7.139"],
        texts: &[
            "credentials were incorrect",
            "basic authentication is disabled",
            "federated sts",
        ],
        kind: Some(AuthRejected),
        step: Some(Client),
        detail: "the server took it for a sign-in by password, which Exchange Online refuses",
        hint: "sign in by XOAUTH2 with a token of the app; a proxy or relay between may have turned it into a password",
        ..Row::ANY
    },
    Row {
        id: "smtp-sender-throttled-for-errors",
        enhanced: &["5.2.251", "5.2.252", "5.2.253", "5.2.254", "5.2.255"],
        texts: &["due to continuous"],
        kind: Some(Throttled),
        retry: Backoff,
        step: Some(TenantSetting),
        detail: "the sender is blocked for a while because the same error was ignored many times",
        hint: "stop sending and mend the cause by the code: 5.2.251 mailbox full, 5.2.252 SendAs missing, 5.2.253 licence, \
               5.2.254 too many recipients, 5.2.255 bad recipients; the block ends by itself, support can't lift it",
        ..Row::ANY
    },
    Row {
        id: "smtp-too-many-connections",
        enhanced: &["4.3.2"],
        texts: &["concurrent connections limit"],
        ..TOO_MANY_CONNECTIONS
    },
    Row {
        id: "smtp-own-mailbox-full",
        enhanced: &["5.2.2"],
        texts: &["storedrv", "quotaexceeded"],
        kind: Some(QuotaExceeded),
        step: Some(TenantSetting),
        detail: "the sending mailbox is full: each mail sent leaves a copy in Sent Items",
        hint: "empty Sent Items or give the mailbox an archive or a larger licence; look with Get-MailboxStatistics \
               -Identity <mailbox> | fl TotalItemSize",
        ..Row::ANY
    },
    Row {
        id: "smtp-starttls-first",
        codes: &[530],
        texts: &["starttls"],
        kind: Some(InvalidConfig),
        step: Some(Client),
        detail: "the server wants TLS before anything else",
        hint: "connect with STARTTLS (port 587) or implicit TLS (port 465), not in plain text",
        ..Row::ANY
    },
    Row {
        id: "smtp-token-cut",
        codes: &[501, 535],
        texts: &["invalid base64", "base64 decod"],
        kind: Some(AuthRejected),
        step: Some(Client),
        detail: "the server did not get the whole token: it is longer than the server's line limit",
        hint: "ask for a token with fewer roles or groups in it, or raise the server's limit (Postfix: \
               line_length_limit = 16384)",
        ..Row::ANY
    },
    Row {
        id: "smtp-line-too-long",
        codes: &[500, 501, 555],
        texts: &["too long"],
        step: Some(Client),
        detail: "the command is longer than the server takes",
        hint: "if it was AUTH, ask for a token with fewer roles or groups in it; otherwise shorten the address",
        ..Row::ANY
    },
    Row {
        id: "smtp-not-owned",
        codes: &[550, 553],
        texts: &["not owned by user"],
        kind: Some(SendAsDenied),
        step: Some(Client),
        detail: "the sender's address does not belong to the mailbox that signed in",
        hint: "sign in as the mailbox of the From address",
        ..Row::ANY
    },
    // ---- a code ------------------------------------------------------------------------------------------
    Row {
        id: "smtp-auth-off",
        enhanced: &["5.7.139"],
        kind: Some(AuthRejected),
        step: Some(TenantSetting),
        detail: "a setting or policy of the tenant blocks SMTP AUTH",
        hint: "look at Get-TransportConfig | fl SmtpClientAuthenticationDisabled and Get-CASMailbox -Identity <mailbox> | \
               fl SmtpClientAuthenticationDisabled, then at Conditional Access and the authentication policies",
        ..Row::ANY
    },
    Row {
        id: "smtp-auth-failed",
        codes: &[535],
        enhanced: &["5.7.3"],
        kind: Some(AuthRejected),
        step: Some(RegisterServicePrincipal),
        detail: "Exchange does not take this app's token for this mailbox",
        hint: "compare the token's oid claim (`exomail token`) with Get-ServicePrincipal | ? AppId -eq <client id> | fl \
               ObjectId; where it is missing or differs: Remove-ServicePrincipal the wrong one, then New-ServicePrincipal \
               -AppId <client id> -ObjectId <Object ID of the Enterprise application>. Then check that the token's roles \
               hold SMTP.SendAsApp, that Add-MailboxPermission -Identity <mailbox> -User <that Object ID> -AccessRights \
               FullAccess was run, and that the user is the mailbox's primary address. A change takes minutes, up to 2 \
               hours with RBAC for Applications",
        ..Row::ANY
    },
    Row {
        id: "smtp-bad-xoauth2",
        enhanced: &["5.5.124"],
        kind: Some(AuthRejected),
        step: Some(Client),
        detail: "the server can't use the XOAUTH2 data: the user is not an address it knows",
        hint: "give the mailbox's primary address as the user; smtp-hve.office365.com takes only High Volume Email \
               accounts with Mail.Send of Office 365 Exchange Online",
        ..Row::ANY
    },
    Row {
        id: "smtp-auth-not-offered",
        enhanced: &["5.7.4"],
        kind: Some(Unsupported),
        step: Some(Client),
        detail: "the server does not take this way of signing in here",
        hint: "use STARTTLS on smtp.office365.com port 587: AUTH is only there behind TLS",
        ..Row::ANY
    },
    Row {
        id: "smtp-not-signed-in",
        codes: &[530],
        kind: Some(AuthRejected),
        step: Some(Client),
        detail: "the server wants a sign-in before mail, and there was none on this connection",
        hint: "check that host and port are the submission service (smtp.office365.com:587) and that nothing between \
               strips AUTH from the EHLO reply",
        ..Row::ANY
    },
    Row {
        id: "smtp-send-as-denied",
        enhanced: &["5.2.252", "5.7.60"],
        ..SEND_AS_DENIED
    },
    Row {
        id: "smtp-daily-recipients",
        enhanced: &["5.1.90"],
        ..DAILY_RECIPIENTS
    },
    Row {
        id: "smtp-external-recipients",
        enhanced: &["5.7.233"],
        kind: Some(QuotaExceeded),
        retry: Backoff,
        step: Some(TenantSetting),
        detail: "the tenant has used up its limit of external recipients",
        hint: "look at Exchange admin center > Reports > Mail flow > Tenant outbound external recipients; wait, or add \
               licences",
        ..Row::ANY
    },
    Row {
        id: "smtp-sender-blocked",
        enhanced: &[
            "5.1.8", "5.7.501", "5.7.502", "5.7.503", "5.7.504", "5.7.505", "5.7.506", "5.7.507", "5.7.508",
            "5.7.509", "5.7.510", "5.7.511", "5.7.512", "5.7.705", "5.7.708",
        ],
        kind: Some(Rejected),
        step: Some(TenantSetting),
        detail: "Microsoft has blocked this sender or tenant, mostly because of mail that looked like spam",
        hint: "look at the Microsoft Defender portal > Email & collaboration > Review > Restricted entities and unblock the \
               sender once the cause is mended",
        ..Row::ANY
    },
    Row {
        id: "smtp-too-large",
        enhanced: &["5.3.4", "5.2.3"],
        kind: Some(TooLarge),
        step: Some(Client),
        detail: "the message is larger than server or mailbox take",
        hint: "make it smaller (base64 adds a third), or raise the limit up to 150 MB: Set-Mailbox -Identity <mailbox> \
               -MaxSendSize 150MB",
        ..Row::ANY
    },
    Row {
        id: "smtp-too-many-recipients",
        enhanced: &["4.5.3", "5.5.3"],
        kind: Some(RecipientsRejected),
        step: Some(Client),
        detail: "the message has more recipients than the server takes at once",
        hint: "split the recipients over several mails: Exchange Online takes 500 unless the mailbox says otherwise \
               (Get-Mailbox -Identity <mailbox> | fl RecipientLimits)",
        ..Row::ANY
    },
    Row {
        id: "smtp-mailbox-full",
        enhanced: &["4.2.2", "5.2.2"],
        retry: Backoff,
        detail: "the mailbox is full",
        hint: "its owner has to make room; try again later",
        ..Row::ANY
    },
    Row {
        id: "smtp-unknown-recipient",
        enhanced: &["5.1.0", "5.1.1", "5.1.2", "5.1.3", "5.1.10", "5.4.1"],
        step: Some(Client),
        detail: "the address is not known there",
        hint: "check the address; right after a mailbox was made, wait some minutes",
        ..Row::ANY
    },
    Row {
        id: "smtp-domain-authentication",
        enhanced: &["5.7.23", "5.7.25", "5.7.26", "5.7.27"],
        kind: Some(Rejected),
        step: Some(TenantSetting),
        detail: "the message fails SPF, DKIM or DMARC",
        hint: "set up SPF, DKIM and DMARC for the domain of the From address",
        ..Row::ANY
    },
    Row {
        id: "smtp-session-too-long",
        enhanced: &["4.4.1", "4.4.2"],
        kind: Some(Unavailable),
        retry: Backoff,
        detail: "the server ends the connection: it was idle or open for too long",
        hint: "connect again",
        ..Row::ANY
    },
    Row {
        id: "smtp-auth-for-now",
        codes: &[454],
        kind: Some(Unavailable),
        retry: Backoff,
        detail: "the server can't do TLS or check the sign-in right now",
        hint: "try again later; nothing is known to be wrong with the set-up",
        ..Row::ANY
    },
    Row {
        id: "smtp-token-refused",
        codes: &[535],
        ..Row::TOKEN_REFUSED
    },
    Row {
        id: "smtp-temporary",
        codes: &[451],
        enhanced: &["4.7.0"],
        kind: Some(Unavailable),
        retry: Backoff,
        detail: "the server has a passing trouble",
        hint: "try again later",
        ..Row::ANY
    },
    Row {
        id: "smtp-closing",
        codes: &[421],
        kind: Some(Unavailable),
        retry: Backoff,
        detail: "the server is not available and closes the connection",
        hint: "connect again later",
        ..Row::ANY
    },
    Row {
        id: "smtp-unknown-command",
        codes: &[500, 502, 504],
        kind: Some(Unsupported),
        step: Some(Client),
        detail: "the server does not know this command or argument",
        hint: "check that host and port are a submission service, such as smtp.office365.com:587",
        ..Row::ANY
    },
    Row {
        id: "smtp-out-of-order",
        codes: &[503],
        kind: Some(State),
        retry: Backoff,
        step: Some(Client),
        detail: "the server did not expect this command now",
        hint: "open a new session",
        ..Row::ANY
    },
    // ---- a text: older forms of the above, and one whose code says nothing ---------------------------------
    Row {
        id: "smtp-mailbox-logon",
        texts: &["mailbox logon failure", "mapiexceptionlogonfailed"],
        kind: Some(MailboxUnavailable),
        step: Some(GrantMailboxAccess),
        detail: "signed in, but Exchange can't open the mailbox; the code says temporary, but it lasts until the right is \
                 there",
        hint: "run: Add-MailboxPermission -Identity <mailbox> -User <Object ID of the Enterprise application> -AccessRights \
               FullAccess -InheritanceType All -AutoMapping $false; then wait some minutes, up to an hour",
        ..Row::ANY
    },
    Row {
        id: "smtp-send-as-denied-text",
        texts: &["sendasdenied", "to send as this sender"],
        ..SEND_AS_DENIED
    },
    Row {
        id: "smtp-daily-recipients-text",
        texts: &["submissionquotaexceeded"],
        ..DAILY_RECIPIENTS
    },
    Row {
        id: "smtp-sender-threads-text",
        texts: &["sender thread limit"],
        ..TOO_MANY_CONNECTIONS
    },
];
