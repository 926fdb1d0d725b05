//! What follows from which answers: every row of the table of cross-inference, on recorded answers and without any server.

use exomail::doctor::{Confidence, Report, Severity};
use serde_json::{Value, json};

use crate::tenant::{ANN, JOE, first, only, runs};

const CLIENT: &str = "22222222-2222-4222-8222-222222222222";
const OID: &str = "44444444-4444-4444-8444-444444444444";
const ALL: [&str; 3] = ["IMAP.AccessAsApp", "POP.AccessAsApp", "SMTP.SendAsApp"];

fn passed(value: Value) -> Value {
    json!({ "passed": value })
}

fn failed(kind: &str, layer: &str, server: Value) -> Value {
    json!({ "failed": {
        "kind": kind, "layer": layer, "operation": "sign-in", "detail": "refused", "hint": null, "step": null,
        "retry": "never", "server": server, "oauth": null,
    }})
}

fn text(text: &str) -> Value {
    json!({ "text": text, "code": null, "enhanced": null, "challenge": null })
}

fn imap_no() -> Value {
    failed("auth_rejected", "imap", text("AUTHENTICATE failed."))
}

fn imap_not_connected() -> Value {
    failed(
        "mailbox_unavailable",
        "imap",
        text("User is authenticated but not connected."),
    )
}

fn pop3_err() -> Value {
    failed(
        "auth_rejected",
        "pop3",
        text("Authentication failure: unknown user name or bad password."),
    )
}

fn smtp(code: u16, enhanced: &str, said: &str) -> Value {
    let reply = json!({ "text": said, "code": code, "enhanced": enhanced, "challenge": null });
    failed("auth_rejected", "smtp", reply)
}

fn smtp_535() -> Value {
    smtp(535, "5.7.3", "Authentication unsuccessful [x]")
}

fn mailbox(address: &str, imap: Value, pop3: Value, smtp: Value, round_trip: Value) -> Value {
    json!({ "address": address, "imap": imap, "pop3": pop3, "smtp": smtp, "round_trip": round_trip })
}

fn evidence(roles: &[&str], length: usize, mailboxes: Vec<Value>) -> Value {
    json!({
        "setup": {
            "tenant": "contoso.example", "client_id": CLIENT, "cloud": "global",
            "scope": "https://outlook.office365.com/.default", "credential": "secret",
            "protocols": ["imap", "pop3", "smtp"],
        },
        "configuration": null,
        "discovery": passed(json!({
            "tenant_id": "11111111-1111-4111-8111-111111111111", "cloud_instance": "microsoftonline.com",
            "region_sub_scope": null, "clock_offset": 0,
        })),
        "elsewhere": null,
        "token": passed(json!({ "length": length, "remaining": 3599, "claims": {
            "aud": "https://outlook.office365.com", "idtyp": "app", "oid": OID, "roles": roles,
            "tid": "11111111-1111-4111-8111-111111111111",
        }})),
        "servers": [],
        "mailboxes": mailboxes,
    })
}

fn report(evidence: Value) -> Report {
    let bundle = json!({ "format": 1, "evidence": evidence });
    Report::replay(&serde_json::to_vec(&bundle).unwrap()).unwrap()
}

/// The table's row for one mailbox, with a token that has all roles.
fn row(imap: Value, pop3: Value, smtp: Value) -> Report {
    report(evidence(
        &ALL,
        1800,
        vec![mailbox(JOE, imap, pop3, smtp, json!("skipped"))],
    ))
}

fn ok() -> Value {
    passed(json!(0))
}

fn smtp_235() -> Value {
    passed(json!(null))
}

#[test]
fn all_three_refuse() {
    let finding = only(&row(imap_no(), pop3_err(), smtp_535()), "service-principal");
    assert_eq!(finding.confidence, Confidence::Likely);
    runs(
        &finding,
        &format!("New-ServicePrincipal -AppId {CLIENT} -ObjectId {OID}"),
    );
    assert_eq!(finding.evidence.len(), 4);
}

#[test]
fn not_connected_and_430_after_the_data() {
    let data = smtp(
        430,
        "4.2.0",
        "STOREDRV; mailbox logon failure; MapiExceptionLogonFailed",
    );
    let joe = mailbox(JOE, imap_not_connected(), pop3_err(), smtp_235(), data.clone());
    let finding = only(&report(evidence(&ALL, 1800, vec![joe])), "full-access");
    assert_eq!(finding.confidence, Confidence::Certain);
    // Without the mail it is only likely.
    let finding = only(&row(imap_not_connected(), pop3_err(), smtp_235()), "full-access");
    assert_eq!(finding.confidence, Confidence::Likely);
    // And SMTP's word alone is enough.
    let joe = mailbox(JOE, json!("skipped"), json!("skipped"), smtp_235(), data);
    only(&report(evidence(&ALL, 1800, vec![joe])), "full-access");
}

#[test]
fn only_pop3_refuses() {
    let finding = only(&row(ok(), pop3_err(), smtp_235()), "pop3-disabled");
    runs(
        &finding,
        &format!("Set-CASMailbox -Identity {JOE} -PopEnabled $true"),
    );
    let joe = || vec![mailbox(JOE, ok(), pop3_err(), smtp_235(), json!("skipped"))];
    let finding = only(
        &report(evidence(&[ALL[0], ALL[2]], 1800, joe())),
        "token-other-roles",
    );
    assert!(finding.cause.contains("POP.AccessAsApp"));
    only(&report(evidence(&ALL, 4097, joe())), "pop3-token-too-long");
    // At the limit it is not the length.
    only(&report(evidence(&ALL, 4096, joe())), "pop3-disabled");
}

#[test]
fn only_smtp_refuses() {
    let off = smtp(
        535,
        "5.7.139",
        "Authentication unsuccessful, SmtpClientAuthentication is disabled for the Tenant.",
    );
    let finding = only(&row(ok(), ok(), off), "smtp-auth-off-for-tenant");
    runs(
        &finding,
        &format!("Set-CASMailbox -Identity {JOE} -SmtpClientAuthenticationDisabled $false"),
    );
    let joe = mailbox(JOE, ok(), ok(), smtp_535(), json!("skipped"));
    let finding = only(&report(evidence(&ALL[..2], 1800, vec![joe])), "token-other-roles");
    assert!(finding.cause.contains("SMTP.SendAsApp"));
    // With the role in the token only time or RBAC is left.
    let finding = only(&row(ok(), ok(), smtp_535()), "refused-by-one-protocol");
    assert_eq!(finding.confidence, Confidence::Possible);
}

#[test]
fn only_imap_does_not_open() {
    let disabled = failed(
        "protocol_disabled",
        "imap",
        text("[Error=\"UserDisabled\" AuthResult=27 Proxy=x Service=Imap4] AUTHENTICATE completed."),
    );
    let sure = only(&row(disabled, ok(), smtp_235()), "imap-disabled").confidence;
    assert_eq!(sure, Confidence::Certain);
    let finding = only(&row(imap_not_connected(), ok(), smtp_235()), "imap-disabled");
    assert_eq!(finding.confidence, Confidence::Likely);
    runs(
        &finding,
        &format!("Set-CASMailbox -Identity {JOE} -ImapEnabled $true"),
    );
}

#[test]
fn one_mailbox_of_two() {
    let joe = mailbox(JOE, ok(), ok(), smtp_235(), json!("skipped"));
    let ann = mailbox(
        ANN,
        imap_not_connected(),
        pop3_err(),
        smtp_235(),
        json!("skipped"),
    );
    let finding = only(
        &report(evidence(&ALL, 1800, vec![joe.clone(), ann])),
        "full-access",
    );
    assert_eq!(finding.mailboxes, [ANN]);
    // Refused outright, while the other is open: not the service principal.
    let ann = mailbox(ANN, imap_no(), pop3_err(), smtp_535(), json!("skipped"));
    let finding = only(&report(evidence(&ALL, 1800, vec![joe, ann])), "mailbox-refused");
    assert_eq!(finding.mailboxes, [ANN]);
}

#[test]
fn without_roles_smtp_may_still_be_right() {
    let skipped = || json!("skipped");
    let mut only_smtp = evidence(
        &[],
        1800,
        vec![mailbox(JOE, skipped(), skipped(), smtp_235(), skipped())],
    );
    only_smtp["setup"]["protocols"] = json!(["smtp"]);
    let report_ = report(only_smtp.clone());
    assert_eq!((report_.first(), report_.worst()), (None, Severity::Info));
    only_smtp["mailboxes"][0]["smtp"] = smtp_535();
    only(&report(only_smtp), "token-no-roles");
    // IMAP needs it, whatever SMTP says.
    let joe = mailbox(JOE, imap_no(), pop3_err(), smtp_235(), skipped());
    let finding = only(&report(evidence(&[], 1800, vec![joe])), "token-no-roles");
    assert!(!finding.cause.contains("SMTP.SendAsApp"), "{finding:?}");
    assert_eq!(finding.confidence, Confidence::Certain);
}

#[test]
fn the_wrong_cloud_is_found_where_the_tenant_is() {
    let mut moved = evidence(&ALL, 1800, vec![]);
    moved["discovery"]["passed"]["region_sub_scope"] = json!("DODCON");
    let finding = first(&report(moved.clone()), "cloud-mismatch");
    runs(&finding, "exomail doctor --cloud gcc-high");
    moved["discovery"]["passed"]["region_sub_scope"] = json!("GCC");
    assert_eq!(report(moved.clone()).first(), None);
    moved["elsewhere"] = json!("china");
    let refused = json!({ "failed": {
        "kind": "tenant_not_found", "layer": "token", "operation": "discovery", "detail": "x", "hint": null,
        "step": "register_app", "retry": "never", "server": null, "oauth": {
            "error": "invalid_tenant", "description": "AADSTS90002: Tenant 'x' not found.", "codes": [90002],
            "suberror": null, "correlation_id": null, "trace_id": null, "timestamp": null, "claims": null, "status": 400,
        },
    }});
    moved["discovery"] = refused.clone();
    moved["token"] = refused;
    runs(
        &only(&report(moved), "cloud-mismatch"),
        "exomail doctor --cloud china",
    );
}

#[test]
fn a_clock_that_is_off_breaks_assertions_and_else_only_warns() {
    let mut off = evidence(&ALL, 1800, vec![]);
    off["discovery"]["passed"]["clock_offset"] = json!(-400);
    let finding = first(&report(off.clone()), "clock-off");
    assert_eq!(finding.severity, Severity::Warning);
    assert!(finding.cause.contains("400 s behind"), "{finding:?}");
    off["setup"]["credential"] = json!("certificate");
    assert_eq!(first(&report(off.clone()), "clock-off").severity, Severity::Error);
    off["discovery"]["passed"]["clock_offset"] = json!(119);
    assert_eq!(report(off).first(), None);
}

#[test]
fn a_token_for_the_other_name_of_outlook_is_only_warned_about() {
    let mut other = evidence(
        &ALL,
        1800,
        vec![mailbox(JOE, ok(), ok(), smtp_235(), json!("skipped"))],
    );
    other["token"]["passed"]["claims"]["aud"] = json!("https://outlook.office.com");
    other["setup"]["scope"] = json!("https://outlook.office.com/.default");
    let finding = first(&report(other.clone()), "token-other-audience");
    assert_eq!(finding.severity, Severity::Warning);
    other["token"]["passed"]["claims"] =
        json!({ "aud": "https://outlook.office.com", "idtyp": "user", "scp": "IMAP.AccessAsUser.All" });
    first(&report(other), "token-delegated");
}

#[test]
fn a_mail_that_is_taken_and_does_not_arrive_is_no_success() {
    let trip = passed(
        json!({ "message_id": "a@b", "arrived": false, "seconds": 60, "deleted": 0, "trouble": null }),
    );
    let joe = mailbox(JOE, ok(), ok(), smtp_235(), trip);
    let finding = first(&report(evidence(&ALL, 1800, vec![joe])), "not-arrived");
    assert_eq!(finding.severity, Severity::Warning);
    assert!(finding.evidence[0].contains("a@b"));
}

#[test]
fn what_is_no_bundle_is_refused() {
    for bytes in [&b"{}"[..], b"", b"[1]", br#"{"format":2,"evidence":{}}"#, b"\xff"] {
        assert!(Report::replay(bytes).is_err());
    }
    let mut newer = json!({ "format": 2, "evidence": evidence(&ALL, 1, vec![]) });
    let error = Report::replay(newer.to_string().as_bytes()).unwrap_err();
    assert!(error.detail().contains("form 2"), "{error}");
    newer["format"] = json!(1);
    assert!(Report::replay(newer.to_string().as_bytes()).is_ok());
}
