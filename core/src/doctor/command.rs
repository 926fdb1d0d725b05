//! The commands that put things right, with the real ids in them.

use super::evidence::{Protocol, Setup};

/// The app id of "Office 365 Exchange Online", the same in all clouds.
const EXCHANGE: &str = "00000002-0000-0ff1-ce00-000000000000";

/// A PowerShell argument: bare where it can only be a word, else in single quotes. What comes from a server or a user must
/// not become a command.
fn quote(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || ".@_-".contains(c);
    if !text.is_empty() && text.chars().all(plain) && text.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        return text.to_owned();
    }
    literal(text)
}

/// A PowerShell string in single quotes.
fn literal(text: &str) -> String {
    let mut quoted = String::from("'");
    for c in text.chars().filter(|c| !c.is_control()) {
        // PowerShell ends a string at typographic quotes, too.
        if matches!(c, '\'' | '\u{2018}'..='\u{201b}') {
            quoted.push(c);
        }
        quoted.push(c);
    }
    quoted.push('\'');
    quoted
}

/// Opens the session that the other Exchange commands run in.
fn connect(setup: &Setup) -> String {
    let environment = match setup.cloud.as_str() {
        "gcc-high" => " -ExchangeEnvironmentName O365USGovGCCHigh",
        "dod" => " -ExchangeEnvironmentName O365USGovDoD",
        "china" => " -ExchangeEnvironmentName O365China",
        _ => "",
    };
    format!("Connect-ExchangeOnline{environment}")
}

/// Step 4b: removes registrations of this app under another Object ID, and makes the right one.
pub(super) fn register(setup: &Setup, oid: &str) -> Vec<String> {
    let (client_text, oid_text) = (literal(&setup.client_id), literal(oid));
    let (client, oid) = (quote(&setup.client_id), quote(oid));
    vec![
        connect(setup),
        format!(
            "Get-ServicePrincipal | Where-Object {{ $_.AppId -eq {client_text} -and $_.ObjectId -ne {oid_text} }} | \
             ForEach-Object {{ Remove-ServicePrincipal -Identity $_.ObjectId }}"
        ),
        format!("New-ServicePrincipal -AppId {client} -ObjectId {oid}"),
    ]
}

/// Step 4c on one mailbox.
pub(super) fn full_access(mailbox: &str, oid: &str) -> String {
    format!(
        "Add-MailboxPermission -Identity {} -User {} -AccessRights FullAccess -InheritanceType All -AutoMapping $false",
        quote(mailbox),
        quote(oid)
    )
}

/// Exchange commands, with the session they need in front.
pub(super) fn exchange(setup: &Setup, commands: impl IntoIterator<Item = String>) -> Vec<String> {
    std::iter::once(connect(setup)).chain(commands).collect()
}

/// A switch of one mailbox.
pub(super) fn switch(mailbox: &str, switch: &str) -> String {
    format!("Set-CASMailbox -Identity {} {switch}", quote(mailbox))
}

/// The mailbox's addresses and switches.
pub(super) fn look_at(mailbox: &str) -> [String; 2] {
    let mailbox = quote(mailbox);
    [
        format!("Get-Mailbox -Identity {mailbox} | Format-List PrimarySmtpAddress,UserPrincipalName"),
        format!(
            "Get-CASMailbox -Identity {mailbox} | Format-List ImapEnabled,PopEnabled,SmtpClientAuthenticationDisabled"
        ),
    ]
}

/// What RBAC for Applications allows the app on this mailbox.
pub(super) fn test_rbac(mailbox: &str, oid: &str) -> String {
    format!(
        "Test-ServicePrincipalAuthorization -Identity {} -Resource {}",
        quote(oid),
        quote(mailbox)
    )
}

/// Step 3: the application permissions and the consent.
pub(super) fn grant(setup: &Setup, protocols: &[Protocol]) -> Vec<String> {
    let client = quote(&setup.client_id);
    let roles: Vec<String> = protocols
        .iter()
        .map(|protocol| format!("{}=Role", protocol.role().1))
        .collect();
    vec![
        format!(
            "az ad app permission add --id {client} --api {EXCHANGE} --api-permissions {}",
            roles.join(" ")
        ),
        format!("az ad app permission admin-consent --id {client}"),
    ]
}

/// Step 2: another secret beside those that are there.
pub(super) fn new_secret(setup: &Setup) -> String {
    format!(
        "az ad app credential reset --id {} --append --query password --output tsv",
        quote(&setup.client_id)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_word_is_quoted() {
        assert_eq!(quote("joe@contoso.com"), "joe@contoso.com");
        assert_eq!(quote("o'hara@contoso.com"), "'o''hara@contoso.com'");
        assert_eq!(quote("a; Remove-Mailbox b"), "'a; Remove-Mailbox b'");
        assert_eq!(quote("a\u{2019}; x"), "'a\u{2019}\u{2019}; x'");
        assert_eq!(quote("-Force"), "'-Force'");
        assert_eq!(quote("a\r\nb"), "'ab'");
        assert_eq!(quote(""), "''");
    }
}
