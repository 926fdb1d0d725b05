//! `exomail folders`: the folders of a mailbox.

use console::Style;
use exomail::imap::ImapSession;

use crate::args::ConnectionArgs;
use crate::context::Context;
use crate::failure::Done;
use crate::output::Table;

/// List the folders of a mailbox
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    connection: ConnectionArgs,
}

pub(crate) async fn run(args: Args, context: &Context) -> Done {
    let output = &context.output;
    let connection = context.connection(&args.connection)?;
    let (app, login) = (&connection.app, connection.login()?);
    let mut session = ImapSession::connect(app.connector(), app.cloud().imap(), &login).await?;
    let folders = session.folders().await?;
    session.logout().await?;
    if output.is_json() {
        return folders.iter().try_for_each(|folder| output.json(folder));
    }
    let mut table = Table::new(&["FOLDER", "ROLE"]);
    for folder in folders {
        let role = folder.role.map(|role| role.name()).unwrap_or_default();
        let style = if folder.selectable {
            Style::new()
        } else {
            Style::new().dim()
        };
        table.row(vec![folder.name, role.to_owned()], style);
    }
    table.print(output)
}
