//! [`Claims`]: what a token says of itself, read without any network.

use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Token;
use crate::cloud::Cloud;
use crate::doctor::{DELEGATED, NO_ROLES, OTHER_ROLES, WRONG_AUDIENCE};
use crate::error::{Error, ErrorKind, Layer, Result, Step};

/// A longer token is not looked into. Entra's have 1.5 to 5 kB.
const MAX_TOKEN: usize = 64 * 1024;

/// The app id of "Office 365 Exchange Online", the same in all clouds; may stand as audience.
const EXCHANGE: &str = "00000002-0000-0ff1-ce00-000000000000";

/// The resource of the global cloud as Microsoft documents it, and another name of it that tokens are issued for too.
const GLOBAL: [&str; 2] = ["https://outlook.office365.com", "https://outlook.office.com"];

/// What a token says of itself.
///
/// The signature is *not* checked: this is for people and for diagnosis, never for a decision on trust. A claim that is
/// missing, or is of another type than Entra writes, is `None` or empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Claims {
    /// Whom the token is for: `https://outlook.office365.com` for mail.
    pub aud: Option<String>,
    /// Who issued it.
    pub iss: Option<String>,
    /// Application permissions that were granted, such as `IMAP.AccessAsApp`. Entra issues a token even with none.
    pub roles: Vec<String>,
    /// `app` in a token of an app itself.
    pub idtyp: Option<String>,
    /// When it ends, in seconds since 1970.
    pub exp: Option<u64>,
    /// When it begins, in seconds since 1970.
    pub nbf: Option<u64>,
    /// When it was issued, in seconds since 1970.
    pub iat: Option<u64>,
    /// The tenant id.
    pub tid: Option<String>,
    /// The client id (`appid`, or `azp` in v2 tokens).
    pub appid: Option<String>,
    /// How the app proved itself (`appidacr`, or `azpacr`): `1` secret, `2` certificate or other assertion.
    pub appidacr: Option<String>,
    /// The app's name.
    pub app_displayname: Option<String>,
    /// The Object ID of the Enterprise application: what `New-ServicePrincipal -ObjectId` must have been given.
    pub oid: Option<String>,
    /// The same as `oid` in an app's own token.
    pub sub: Option<String>,
    /// Delegated permissions: only in a token of a user.
    pub scp: Option<String>,
    /// The token's format, `1.0` or `2.0`.
    pub ver: Option<String>,
    /// The token's own id: quote it to Microsoft's support.
    pub uti: Option<String>,
    /// Directory roles, as template ids.
    pub wids: Vec<String>,
}

impl Token {
    /// What the token says of itself, decoded offline; its signature is not checked.
    ///
    /// ```
    /// use std::time::{Duration, SystemTime};
    /// use exomail::Token;
    ///
    /// let text = "eyJhbGciOiJSUzI1NiJ9.eyJhdWQiOiJodHRwczovL291dGxvb2sub2ZmaWNlMzY1LmNvbSJ9.c2ln";
    /// let token = Token::new(text, SystemTime::now() + Duration::from_secs(3600));
    /// assert_eq!(token.claims()?.aud.as_deref(), Some("https://outlook.office365.com"));
    /// # Ok::<(), exomail::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::TokenUnusable`] when the token is opaque: not a JWT (RFC 7519), or longer than 64 KiB.
    pub fn claims(&self) -> Result<Claims> {
        Claims::decode(self.secret().expose())
    }
}

impl Claims {
    /// Reads the payload of a JWT in its compact form (RFC 7515 §3.1).
    fn decode(token: &str) -> Result<Self> {
        // No source is kept in the error: a decoder's own error may quote a part of the token.
        let opaque = |detail: &'static str| {
            Error::new(ErrorKind::TokenUnusable, "claims", detail)
                .with_layer(Layer::Token)
                .with_step(Step::Client)
                .with_hint("only tokens in JWT form can be looked into; a mail server may take this one all the same")
        };
        if token.len() > MAX_TOKEN {
            return Err(opaque("the token is too long to be looked into"));
        }
        let mut parts = token.split('.');
        let (Some(_), Some(payload), Some(_), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(opaque("the token is not a signed JWT"));
        };
        let json = BASE64_URL_SAFE_NO_PAD
            .decode(payload.trim_end_matches('='))
            .map_err(|_| opaque("the token's payload is not base64url"))?;
        // serde_json stops at 128 levels of nesting.
        let map: Map<String, Value> =
            serde_json::from_slice(&json).map_err(|_| opaque("the token's payload is not a JSON object"))?;
        Ok(Self {
            aud: strings(&map, "aud").into_iter().next(),
            iss: text(&map, "iss"),
            roles: strings(&map, "roles"),
            idtyp: text(&map, "idtyp"),
            exp: seconds(&map, "exp"),
            nbf: seconds(&map, "nbf"),
            iat: seconds(&map, "iat"),
            tid: text(&map, "tid"),
            appid: text(&map, "appid").or_else(|| text(&map, "azp")),
            appidacr: text(&map, "appidacr").or_else(|| text(&map, "azpacr")),
            app_displayname: text(&map, "app_displayname"),
            oid: text(&map, "oid"),
            sub: text(&map, "sub"),
            scp: text(&map, "scp"),
            ver: text(&map, "ver"),
            uti: text(&map, "uti"),
            wids: strings(&map, "wids"),
        })
    }

    /// Whether the token is the app's own rather than a user's.
    pub fn is_app_only(&self) -> bool {
        match &self.idtyp {
            Some(kind) => kind == "app",
            // Older tokens lack the claim; there, an app is its own subject and has no delegated scopes.
            None => self.scp.is_none() && self.oid.is_some() && self.oid == self.sub,
        }
    }

    /// Whether this application permission was granted, such as `IMAP.AccessAsApp`.
    pub fn has_role(&self, role: &str) -> bool {
        self.roles.iter().any(|held| held == role)
    }

    /// Whether the token is for this cloud's Exchange Online.
    pub fn is_for_exchange(&self, cloud: &Cloud) -> bool {
        self.is_for_scope(cloud.scope())
    }

    /// Whether the token is for what this scope names.
    pub(crate) fn is_for_scope(&self, scope: &str) -> bool {
        let bare = |text: &str| text.trim_end_matches('/').to_ascii_lowercase();
        let resource = bare(scope.strip_suffix("/.default").unwrap_or(scope));
        self.aud.as_deref().map(bare).is_some_and(|aud| {
            aud == EXCHANGE
                || aud == resource
                || [&resource, &aud]
                    .iter()
                    .all(|name| GLOBAL.contains(&name.as_str()))
        })
    }

    /// When the token ends.
    pub fn expires_at(&self) -> Option<SystemTime> {
        SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(self.exp?))
    }

    /// Checks that the token can open mail for the app itself: issued for this cloud's Exchange Online, not for a user, and
    /// with `role`: `IMAP.AccessAsApp`, `POP.AccessAsApp` or `SMTP.SendAsApp`.
    ///
    /// An app that sends by RBAC for Applications rightly has no `SMTP.SendAsApp`.
    ///
    /// # Errors
    /// [`ErrorKind::TokenUnusable`] for a wrong audience or a user's token, [`ErrorKind::ConsentMissing`] for a missing
    /// role; each says what to do.
    pub fn require_role(&self, cloud: &Cloud, role: &str) -> Result<()> {
        let cause = if !self.is_for_exchange(cloud) {
            &WRONG_AUDIENCE
        } else if self.scp.is_some() && !self.is_app_only() {
            &DELEGATED
        } else if self.roles.is_empty() {
            &NO_ROLES
        } else if !self.has_role(role) {
            &OTHER_ROLES
        } else {
            return Ok(());
        };
        Err(cause.error("claims"))
    }
}

fn text(map: &Map<String, Value>, name: &str) -> Option<String> {
    match map.get(name)? {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// A string, or the strings of an array.
fn strings(map: &Map<String, Value>, name: &str) -> Vec<String> {
    match map.get(name) {
        Some(Value::String(text)) => vec![text.clone()],
        Some(Value::Array(items)) => items
            .iter()
            .filter_map(|item| item.as_str().map(str::to_owned))
            .collect(),
        _ => Vec::new(),
    }
}

/// A NumericDate (RFC 7519 §2): seconds, maybe with a fraction, maybe written as a string.
fn seconds(map: &Map<String, Value>, name: &str) -> Option<u64> {
    let number = match map.get(name)? {
        Value::Number(number) => number
            .as_u64()
            .map_or_else(|| number.as_f64(), |whole| Some(whole as f64)),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }?;
    // The cast saturates; years past 9999 are nonsense.
    (0.0..253_402_300_800.0)
        .contains(&number)
        .then_some(number as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(payload: &str) -> Token {
        let payload = BASE64_URL_SAFE_NO_PAD.encode(payload);
        Token::new(format!("eyJhbGciOiJSUzI1NiJ9.{payload}.c2ln"), SystemTime::now())
    }

    const GOOD: &str = r#"{"aud":"https://outlook.office365.com","iss":"https://sts.windows.net/11111111-1111-4111-8111-111111111111/",
        "iat":1690000000,"nbf":1690000000,"exp":1690003900,"aio":"E2Fg","app_displayname":"Mailer",
        "appid":"22222222-2222-4222-8222-222222222222","appidacr":"1","idp":"https://sts.windows.net/x/","idtyp":"app",
        "oid":"33333333-3333-4333-8333-333333333333","rh":"0.A","roles":["POP.AccessAsApp","IMAP.AccessAsApp","SMTP.SendAsApp"],
        "sid":"x","sub":"33333333-3333-4333-8333-333333333333","tid":"11111111-1111-4111-8111-111111111111",
        "uti":"u","ver":"1.0","wids":["0997a1d0-0d1d-4acb-b408-d5ca73121e90"],"xms_idrel":"7 18"}"#;

    #[test]
    fn an_app_only_token_is_read_in_full() {
        let claims = token(GOOD).claims().unwrap();
        assert_eq!(claims.aud.as_deref(), Some("https://outlook.office365.com"));
        assert_eq!(
            claims.appid.as_deref(),
            Some("22222222-2222-4222-8222-222222222222")
        );
        assert_eq!(
            claims.oid.as_deref(),
            Some("33333333-3333-4333-8333-333333333333")
        );
        assert_eq!(
            (claims.iat, claims.nbf, claims.exp),
            (Some(1_690_000_000), Some(1_690_000_000), Some(1_690_003_900))
        );
        assert_eq!(
            claims.expires_at(),
            Some(SystemTime::UNIX_EPOCH + Duration::from_secs(1_690_003_900))
        );
        assert_eq!(claims.wids.len(), 1);
        assert!(claims.is_app_only());
        assert!(claims.has_role("IMAP.AccessAsApp") && !claims.has_role("imap"));
        assert!(claims.is_for_exchange(&Cloud::global()) && !claims.is_for_exchange(&Cloud::china()));
        claims.require_role(&Cloud::global(), "SMTP.SendAsApp").unwrap();
        let json = serde_json::to_value(&claims).unwrap();
        assert_eq!(json["roles"][0], "POP.AccessAsApp");
        assert_eq!(json["tid"], "11111111-1111-4111-8111-111111111111");
    }

    #[test]
    fn odd_types_cost_only_their_own_claim() {
        let claims = token(
            r#"{"aud":["00000002-0000-0FF1-ce00-000000000000","b"],"roles":"IMAP.AccessAsApp","exp":"1690003900","nbf":1690000000.5,
               "iat":-5,"azp":"a","tid":{"x":1},"oid":null,"ver":2,"wids":[1,"w"]}"#,
        )
        .claims()
        .unwrap();
        assert!(claims.is_for_exchange(&Cloud::gcc_high()));
        let other_name = token(r#"{"aud":"https://Outlook.office.com/"}"#)
            .claims()
            .unwrap();
        assert!(other_name.is_for_exchange(&Cloud::global()) && !other_name.is_for_exchange(&Cloud::dod()));
        assert_eq!(claims.roles, ["IMAP.AccessAsApp"]);
        assert_eq!(
            (claims.exp, claims.nbf, claims.iat),
            (Some(1_690_003_900), Some(1_690_000_000), None)
        );
        assert_eq!(
            (claims.appid.as_deref(), claims.tid, claims.oid),
            (Some("a"), None, None)
        );
        assert_eq!(
            (claims.ver.as_deref(), claims.wids),
            (Some("2"), vec!["w".to_owned()])
        );
    }

    #[test]
    fn what_is_wrong_with_a_token_is_named() {
        let cloud = Cloud::global();
        for (payload, kind, step, hint) in [
            (
                r#"{"aud":"https://graph.microsoft.com","idtyp":"app"}"#,
                ErrorKind::TokenUnusable,
                Step::Client,
                "scope",
            ),
            (
                r#"{"aud":"https://outlook.office365.com","scp":"IMAP.AccessAsUser.All","idtyp":"user"}"#,
                ErrorKind::TokenUnusable,
                Step::Client,
                "client credentials",
            ),
            (
                r#"{"aud":"https://outlook.office365.com/","idtyp":"app"}"#,
                ErrorKind::ConsentMissing,
                Step::GrantPermissions,
                "Delegated",
            ),
            (
                r#"{"aud":"https://outlook.office365.com","idtyp":"app","roles":["full_access_as_app"]}"#,
                ErrorKind::ConsentMissing,
                Step::GrantPermissions,
                "EWS",
            ),
        ] {
            let error = token(payload)
                .claims()
                .unwrap()
                .require_role(&cloud, "IMAP.AccessAsApp")
                .unwrap_err();
            assert_eq!((error.kind(), error.step()), (kind, Some(step)), "{payload}");
            assert!(error.hint().unwrap().contains(hint), "{payload}");
        }
    }

    #[test]
    fn an_app_without_the_type_claim_is_its_own_subject() {
        assert!(token(r#"{"oid":"a","sub":"a"}"#).claims().unwrap().is_app_only());
        assert!(!token(r#"{"oid":"a","sub":"b"}"#).claims().unwrap().is_app_only());
        assert!(
            !token(r#"{"oid":"a","sub":"a","scp":"Mail.Read"}"#)
                .claims()
                .unwrap()
                .is_app_only()
        );
        assert!(
            !token(r#"{"oid":"a","sub":"a","idtyp":"user"}"#)
                .claims()
                .unwrap()
                .is_app_only()
        );
    }

    #[test]
    fn an_opaque_token_is_refused_without_quoting_it() {
        let nested = token(&format!("{{\"a\":{}", "[".repeat(5_000)));
        let huge = "x".repeat(MAX_TOKEN + 1);
        for text in [
            "EwBAAl3BAAUFFpUAo7J3",
            "",
            "..",
            "a.b",
            "a.!!.c",
            "a.W10.c",
            "a.e30.c.d",
            &huge,
            nested.secret().expose(),
        ] {
            let error = Token::new(text, SystemTime::now()).claims().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::TokenUnusable);
            assert!(text.len() < 8 || !format!("{error:?}").contains(text));
        }
        assert_eq!(
            Token::new("a.e30=.c", SystemTime::now()).claims().unwrap(),
            Claims::default()
        );
    }
}
