//! Each step of the set-up, taken away by itself: the first finding is the right one, with the right command.

use exomail::doctor::{Confidence, DoctorOptions, Protocol, Report, Severity};
use exomail::{App, Step};
use exomail_sandbox::Sandbox;
use exomail_sandbox::state::RoleScope;

use crate::tenant::{ANN, JOE, Tenant, both, first, only, runs};

#[tokio::test]
async fn a_healthy_tenant_has_nothing_to_do() {
    let tenant = Tenant::start().await;
    let report = tenant.doctor().await;
    assert!(report.worst() <= Severity::Info, "{:#?}", report.findings());
    assert_eq!(report.first(), None);
    let ids: Vec<_> = report.findings().iter().map(|finding| finding.id).collect();
    for id in [
        "tenant",
        "clock",
        "token",
        "server",
        "roles",
        "mailbox-open",
        "signed-in",
    ] {
        assert!(ids.contains(&id), "{id} is not in {ids:?}");
    }
    // 250 would not be "in the inbox"; nothing was even sent.
    assert!(
        report
            .unproven()
            .iter()
            .any(|text| text.contains("nothing was sent"))
    );
    assert!(tenant.sandbox.messages(JOE, "INBOX").is_empty());
}

#[tokio::test]
async fn a_mail_goes_out_comes_in_and_is_cleared_away() {
    let tenant = Tenant::start().await;
    tenant
        .sandbox
        .deliver(JOE, "Subject: old\r\n\r\nStays.\r\n")
        .unwrap();
    let options = DoctorOptions::new().mailbox(JOE).send(true);
    let report = tenant.run(&tenant.healthy_app(), &options).await;
    assert_eq!(report.first(), None, "{:#?}", report.findings());
    let trip = report
        .findings()
        .iter()
        .find(|finding| finding.id == "round-trip")
        .unwrap();
    assert!(trip.cause.contains("2 copies were deleted"), "{trip:?}");
    assert_eq!(tenant.sandbox.messages(JOE, "INBOX").len(), 1);
    assert!(tenant.sandbox.messages(JOE, "Sent Items").is_empty());
    assert!(
        !report
            .unproven()
            .iter()
            .any(|text| text.contains("nothing was sent"))
    );
}

#[tokio::test]
async fn no_consent() {
    let tenant = Tenant::start().await;
    for role in ["IMAP.AccessAsApp", "POP.AccessAsApp", "SMTP.SendAsApp"] {
        tenant
            .sandbox
            .state()
            .remove_role(&tenant.client(), role)
            .unwrap();
    }
    let report = tenant.doctor().await;
    let finding = only(&report, "token-no-roles");
    assert_eq!(finding.step, Some(Step::GrantPermissions));
    let client = tenant.client();
    runs(
        &finding,
        &format!("az ad app permission admin-consent --id {client}"),
    );
    runs(
        &finding,
        &format!(
            "az ad app permission add --id {client} --api 00000002-0000-0ff1-ce00-000000000000 --api-permissions \
             5e5addcd-3e8d-4e90-baf5-964efab2b20a=Role cb842b43-da6e-4506-86fe-bb12199c656d=Role \
             7146a1f0-8703-45b3-9eae-527a64c00995=Role"
        ),
    );
    assert!(
        finding
            .evidence
            .iter()
            .any(|said| said.contains("AUTHENTICATE failed."))
    );
    assert!(
        report
            .unproven()
            .iter()
            .any(|text| text.contains("whether Exchange knows the app"))
    );
}

#[tokio::test]
async fn one_role_is_missing() {
    for (role, id) in [
        ("IMAP.AccessAsApp", "5e5addcd-3e8d-4e90-baf5-964efab2b20a"),
        ("POP.AccessAsApp", "cb842b43-da6e-4506-86fe-bb12199c656d"),
        ("SMTP.SendAsApp", "7146a1f0-8703-45b3-9eae-527a64c00995"),
    ] {
        let tenant = Tenant::start().await;
        tenant
            .sandbox
            .state()
            .remove_role(&tenant.client(), role)
            .unwrap();
        let finding = only(&tenant.doctor().await, "token-other-roles");
        assert!(
            finding.cause.ends_with(&format!(": {role} is missing")),
            "{finding:?}"
        );
        assert!(
            finding.commands[0].ends_with(&format!("--api-permissions {id}=Role")),
            "{finding:?}"
        );
    }
}

#[tokio::test]
async fn an_app_that_only_sends_by_rbac_rightly_has_no_role() {
    let tenant = Tenant::start().await;
    let client = tenant.client();
    {
        let mut state = tenant.sandbox.state();
        for role in ["IMAP.AccessAsApp", "POP.AccessAsApp", "SMTP.SendAsApp"] {
            state.remove_role(&client, role).unwrap();
        }
        state.revoke_full_access(JOE, &client).unwrap();
        let scope = RoleScope::Mailboxes([JOE.to_owned()].into());
        state.new_management_role_assignment("Application SMTP.SendAsApp", &client, scope);
    }
    let smtp = |address: &str| DoctorOptions::new().mailbox(address).protocols(&[Protocol::Smtp]);
    let app = tenant.healthy_app();
    let report = tenant.run(&app, &smtp(JOE)).await;
    assert_eq!(report.first(), None, "{:#?}", report.findings());
    assert_eq!(report.worst(), Severity::Info);
    // Outside the scope it is refused, and then the role is the first thing to look at, but not for sure.
    let finding = only(&tenant.run(&app, &smtp(ANN)).await, "token-no-roles");
    assert_eq!(finding.confidence, Confidence::Likely);
    let oid = tenant.oid();
    runs(
        &finding,
        &format!("Test-ServicePrincipalAuthorization -Identity {oid} -Resource {ANN}"),
    );
}

#[tokio::test]
async fn no_service_principal_or_one_under_the_wrong_object_id() {
    let tenant = Tenant::start().await;
    let (client, oid) = (tenant.client(), tenant.oid());
    tenant.sandbox.state().remove_service_principal(&oid).unwrap();
    for wrong in [false, true] {
        if wrong {
            let mut state = tenant.sandbox.state();
            let registration = state.application_object_id(&client).unwrap().to_owned();
            state.new_service_principal(&client, &registration, "wrong");
        }
        let finding = only(&tenant.doctor().await, "service-principal");
        assert_eq!(finding.step, Some(Step::RegisterServicePrincipal));
        assert_eq!(finding.mailboxes, [JOE, ANN]);
        assert!(finding.propagation.is_some());
        runs(
            &finding,
            &format!("New-ServicePrincipal -AppId {client} -ObjectId {oid}"),
        );
        runs(
            &finding,
            &format!(
                "Add-MailboxPermission -Identity {JOE} -User {oid} -AccessRights FullAccess -InheritanceType All \
                 -AutoMapping $false"
            ),
        );
        assert!(
            finding.evidence.iter().any(|said| said.contains("535 5.7.3")),
            "{finding:?}"
        );
    }
}

#[tokio::test]
async fn no_full_access_on_one_of_two_mailboxes() {
    for (builder, expected) in [
        (Sandbox::builder(), Confidence::Certain),
        (Sandbox::builder().smtp_refuse_at_auth(), Confidence::Likely),
    ] {
        let tenant = Tenant::with(builder).await;
        tenant
            .sandbox
            .state()
            .revoke_full_access(ANN, &tenant.client())
            .unwrap();
        let finding = only(&tenant.doctor().await, "full-access");
        assert_eq!(finding.step, Some(Step::GrantMailboxAccess));
        assert_eq!(finding.mailboxes, [ANN]);
        assert!(finding.cause.contains("other mailboxes"), "{finding:?}");
        let oid = tenant.oid();
        runs(
            &finding,
            &format!(
                "Add-MailboxPermission -Identity {ANN} -User {oid} -AccessRights FullAccess -InheritanceType All \
                 -AutoMapping $false"
            ),
        );
        // Where SMTP lets the app in, a mail that is refused makes it certain; where not, none is sent.
        let report = tenant.run(&tenant.healthy_app(), &both().send(true)).await;
        let sure = only(&report, "full-access").confidence;
        assert_eq!(sure, expected);
    }
}

#[tokio::test]
async fn an_alias_or_no_mailbox_at_all() {
    let tenant = Tenant::start().await;
    tenant
        .sandbox
        .state()
        .add_alias(JOE, "info@contoso.example")
        .unwrap();
    for address in ["info@contoso.example", "nobody@contoso.example"] {
        let options = DoctorOptions::new().mailbox(address);
        let finding = only(&tenant.run(&tenant.healthy_app(), &options).await, "full-access");
        assert!(
            finding.remedy.as_deref().unwrap().contains("primary address"),
            "{finding:?}"
        );
        runs(
            &finding,
            &format!("Get-Mailbox -Identity {address} | Format-List PrimarySmtpAddress,UserPrincipalName"),
        );
    }
}

#[tokio::test]
async fn the_switches_of_mailbox_and_tenant() {
    let builders = [
        Sandbox::builder(),
        Sandbox::builder().imap_plain_ok_when_disabled(),
    ];
    for builder in builders {
        let tenant = Tenant::with(builder).await;
        tenant.sandbox.state().set_imap_enabled(JOE, false).unwrap();
        let finding = only(&tenant.doctor().await, "imap-disabled");
        assert_eq!(
            (finding.step, &*finding.mailboxes),
            (Some(Step::TenantSetting), &[JOE.to_owned()][..])
        );
        runs(
            &finding,
            &format!("Set-CASMailbox -Identity {JOE} -ImapEnabled $true"),
        );
    }
    let tenant = Tenant::start().await;
    tenant.sandbox.state().set_pop_enabled(ANN, false).unwrap();
    let finding = only(&tenant.doctor().await, "pop3-disabled");
    assert_eq!(finding.confidence, Confidence::Likely);
    runs(
        &finding,
        &format!("Set-CASMailbox -Identity {ANN} -PopEnabled $true"),
    );
    tenant.sandbox.state().set_pop_enabled(ANN, true).unwrap();

    let switch = format!("Set-CASMailbox -Identity {JOE} -SmtpClientAuthenticationDisabled $false");
    tenant.sandbox.state().set_smtp_disabled(JOE, Some(true)).unwrap();
    let finding = only(&tenant.doctor().await, "smtp-auth-off-for-mailbox");
    assert_eq!(finding.mailboxes, [JOE]);
    runs(&finding, &switch);
    tenant.sandbox.state().set_smtp_disabled(JOE, None).unwrap();

    tenant.sandbox.state().set_tenant_smtp_disabled(true);
    let finding = only(&tenant.doctor().await, "smtp-auth-off-for-tenant");
    runs(&finding, &switch);
    assert!(
        finding.evidence[0].contains("disabled for the Tenant"),
        "{finding:?}"
    );
}

#[tokio::test]
async fn the_secret_is_wrong_expired_or_an_id() {
    let tenant = Tenant::start().await;
    let (client, sandbox) = (tenant.client(), &tenant.sandbox);
    let renew = format!("az ad app credential reset --id {client} --append --query password --output tsv");
    let wrong = tenant.app(sandbox.tenant(), &client, "8Q~wrong", tenant.cloud());
    let report = tenant.run(&wrong, &both()).await;
    let finding = only(&report, "entra-secret-wrong");
    assert_eq!(finding.step, Some(Step::CreateCredential));
    runs(&finding, &renew);
    assert!(
        finding
            .evidence
            .iter()
            .any(|said| said.starts_with("correlation id ")),
        "{finding:?}"
    );
    assert!(
        report
            .unproven()
            .iter()
            .any(|text| text.contains("there is no token"))
    );

    sandbox
        .state()
        .expire_secret(&client, sandbox.client_secret())
        .unwrap();
    let finding = only(&tenant.doctor().await, "entra-secret-expired");
    runs(&finding, &renew);

    // A Secret ID does not even make an app.
    let error = App::builder(sandbox.tenant(), &client)
        .client_secret("33333333-3333-4333-8333-333333333333")
        .build()
        .unwrap_err();
    let report = Report::of_configuration(&error);
    let finding = first(&report, "invalid_config");
    assert!(
        finding
            .remedy
            .as_deref()
            .unwrap()
            .contains("this is the Secret ID"),
        "{finding:?}"
    );
    assert_eq!(finding.step, Some(Step::CreateCredential));
}

#[tokio::test]
async fn app_or_tenant_is_unknown() {
    let tenant = Tenant::start().await;
    let sandbox = &tenant.sandbox;
    let other = "99999999-9999-4999-8999-999999999999";
    let app = tenant.app(sandbox.tenant(), other, sandbox.client_secret(), tenant.cloud());
    let finding = only(&tenant.run(&app, &both()).await, "entra-app-unknown");
    assert_eq!(finding.step, Some(Step::RegisterApp));
    let app = tenant.app(other, &tenant.client(), sandbox.client_secret(), tenant.cloud());
    let report = tenant.run(&app, &both()).await;
    let finding = only(&report, "entra-tenant-unknown");
    assert!(finding.evidence[0].contains("AADSTS90002"), "{finding:?}");
    // Discovery and token say the same: one finding.
    let same = report
        .findings()
        .iter()
        .filter(|finding| finding.id == "entra-tenant-unknown");
    assert_eq!(same.count(), 1);
}

#[tokio::test]
async fn the_app_is_disabled() {
    let tenant = Tenant::start().await;
    tenant
        .sandbox
        .state()
        .set_application_enabled(&tenant.client(), false)
        .unwrap();
    only(&tenant.doctor().await, "entra-app-disabled");
}

#[tokio::test]
async fn the_token_is_too_long_for_pop3() {
    let tenant = Tenant::with(Sandbox::builder().token_minimum_length(5000)).await;
    let report = tenant.doctor().await;
    let finding = only(&report, "pop3-token-too-long");
    assert!(finding.evidence[0].starts_with("the token has 5"), "{finding:?}");
    let without = both().protocols(&[Protocol::Imap, Protocol::Smtp]);
    let report = tenant.run(&tenant.healthy_app(), &without).await;
    assert_eq!(report.first(), None, "{:#?}", report.findings());
}

#[tokio::test]
async fn the_token_is_for_graph() {
    let tenant = Tenant::start().await;
    let sandbox = &tenant.sandbox;
    let cloud = tenant.cloud().with_scope("https://graph.microsoft.com/.default");
    let app = tenant.app(sandbox.tenant(), &tenant.client(), sandbox.client_secret(), cloud);
    let finding = only(&tenant.run(&app, &both()).await, "token-wrong-audience");
    assert_eq!(finding.evidence, ["aud https://graph.microsoft.com"]);
    assert!(
        finding
            .remedy
            .as_deref()
            .unwrap()
            .contains("https://outlook.office365.com/.default")
    );
}

#[tokio::test]
async fn of_two_faults_the_earlier_step_comes_first() {
    let tenant = Tenant::start().await;
    let (client, oid) = (tenant.client(), tenant.oid());
    tenant
        .sandbox
        .state()
        .remove_role(&client, "IMAP.AccessAsApp")
        .unwrap();
    tenant.sandbox.state().set_tenant_smtp_disabled(true);
    let report = tenant.doctor().await;
    first(&report, "token-other-roles");
    assert!(
        report
            .findings()
            .iter()
            .any(|finding| finding.id == "smtp-auth-off-for-tenant")
    );
    tenant.sandbox.state().remove_service_principal(&oid).unwrap();
    let report = tenant.doctor().await;
    first(&report, "token-other-roles");
    assert!(
        report
            .findings()
            .iter()
            .any(|finding| finding.id == "service-principal")
    );
}
