//! Signs in as an app and shows what the token says. Configured by EXOMAIL_* or AZURE_* variables.

use exomail::App;

#[tokio::main]
async fn main() -> exomail::Result<()> {
    let app = App::from_env()?;
    let token = app.token().await?;
    let claims = token.claims()?;
    println!("tenant     {}", app.tenant());
    println!("client id  {}", app.client_id());
    println!("object id  {}", claims.oid.as_deref().unwrap_or("(none)"));
    println!("roles      {}", claims.roles.join(" "));
    println!("valid for  {} minutes", token.remaining().as_secs() / 60);
    Ok(())
}
