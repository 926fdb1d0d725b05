//! `exomail token`: what the app's token says, or the token itself for another program.

use std::time::{Duration, SystemTime};

use exomail::token::{Claims, Token};
use serde_json::json;

use crate::args::ConnectionArgs;
use crate::context::Context;
use crate::failure::Done;
use crate::output::{bad, clean, faint, good, heading};

/// Obtain a token and show what it says
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The token itself is printed only with --raw, for a pipe. Treat it as a password: it opens the mailboxes for an \
hour.

Examples:
  exomail token                          expiry and the claims that matter
  exomail token --claims | jq .roles     all claims as JSON
  TOKEN=$(exomail token --raw)           for curl --oauth2-bearer and the like")]
pub(crate) struct Args {
    /// Print all claims as JSON
    #[arg(long)]
    claims: bool,
    /// Print the token itself and nothing else
    #[arg(long, conflicts_with_all = ["claims", "json"])]
    raw: bool,
    #[command(flatten)]
    connection: ConnectionArgs,
}

pub(crate) async fn run(args: Args, context: &Context) -> Done {
    let connection = context.connection(&args.connection)?;
    let token = connection.app.token().await?;
    let output = &context.output;
    if args.raw {
        return output.line(token.secret().expose());
    }
    let claims = token.claims()?;
    if args.claims {
        return output.json(&claims);
    }
    let document = json!({
        "expires_at": expiry(&token),
        "expires_in_seconds": token.remaining().as_secs(),
        "claims": claims,
    });
    output.result(&document, || describe(&token, &claims))
}

fn describe(token: &Token, claims: &Claims) -> String {
    let minutes = token.remaining().as_secs() / 60;
    let mut out = format!("{} until {} ({minutes} minutes)\n", good("valid"), expiry(token));
    for line in claim_lines(claims) {
        out += &line;
        out.push('\n');
    }
    out.trim_end().to_owned()
}

/// The claims that decide whether mail works, one a line, with what each is good for.
pub(crate) fn claim_lines(claims: &Claims) -> Vec<String> {
    let row = |name: &str, value: &str, meaning: &str| {
        format!(
            "  {} {}  {}",
            heading(format!("{name:<6}")),
            clean(value),
            faint(meaning)
        )
    };
    let mut lines = vec![row(
        "aud",
        claims.aud.as_deref().unwrap_or("(none)"),
        "the service that takes it",
    )];
    let roles = claims.roles.join(" ");
    if roles.is_empty() {
        lines.push(row(
            "roles",
            &bad("none"),
            "step 3 of the set-up: permissions and admin consent",
        ));
    } else {
        lines.push(row("roles", &roles, "what admins consented to"));
    }
    for (name, value, meaning) in [
        ("idtyp", &claims.idtyp, "app: signs in as itself"),
        ("tid", &claims.tid, "tenant"),
        ("appid", &claims.appid, "client id"),
        (
            "oid",
            &claims.oid,
            "Object ID of the Enterprise application: the one for New-ServicePrincipal",
        ),
    ] {
        if let Some(value) = value {
            lines.push(row(name, value, meaning));
        }
    }
    lines
}

/// RFC 3339, UTC, to the second.
fn expiry(token: &Token) -> String {
    let since_epoch = token
        .expires_at()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or(Duration::ZERO);
    i64::try_from(since_epoch.as_secs())
        .ok()
        .and_then(|seconds| jiff::Timestamp::from_second(seconds).ok())
        .map(|time| time.to_string())
        .unwrap_or_default()
}
