//! The `exomail` command: unattended mail on Exchange Online from a shell.
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test that fails should panic"))]

mod args;
mod checkpoint;
mod commands;
mod config;
mod context;
mod failure;
mod files;
mod handler;
mod output;

use std::process::ExitCode;

use clap::Parser;
use exomail::{Error, ErrorKind};

use crate::args::{Cli, Command};
use crate::context::Context;
use crate::failure::Done;
use crate::output::Output;

/// Exit code of a wrong command line, as everywhere.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return wrong_command_line(&error),
    };
    let output = Output::new(&cli.global);
    match run(cli, output.clone()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            output.failure(&failure);
            failure.exit_code().into()
        }
    }
}

/// Also the way of `--help` and `--version`, which clap hands out as errors.
fn wrong_command_line(error: &clap::Error) -> ExitCode {
    let wants_json = std::env::args_os().any(|argument| argument == "--json");
    if error.use_stderr() && wants_json {
        Output::usage(error);
    } else {
        // Nothing is left to do when the reader of the help is gone.
        drop(error.print());
    }
    if error.use_stderr() {
        USAGE.into()
    } else {
        ExitCode::SUCCESS
    }
}

fn run(cli: Cli, output: Output) -> Done {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| {
            Error::new(ErrorKind::LocalIo, "start", format!("no runtime: {error}")).with_source(error)
        })?;
    let result = runtime.block_on(async {
        let context = Context::new(&cli.global, output);
        let name = cli.command.name();
        let deadline = context.deadline.clone();
        match cli.command {
            // The signal is how these end, not how they fail.
            Command::Sandbox(args) => commands::sandbox::run(args, &context).await,
            Command::Watch(args) => commands::watch::run(args, &context).await,
            // It settles what is under way before it ends.
            Command::Outbox(args) => commands::outbox::run(args, &context).await,
            command => {
                deadline
                    .limit(name, async { Ok(command.run(&context).await) })
                    .await?
            }
        }
    });
    // A read of stdin may never return; nothing that runs on is worth waiting for.
    runtime.shutdown_background();
    result
}

impl Command {
    async fn run(self, context: &Context) -> Done {
        match self {
            Command::Demo(args) => commands::demo::run(args, context).await,
            Command::Sandbox(args) => commands::sandbox::run(args, context).await,
            Command::Token(args) => commands::token::run(args, context).await,
            Command::Send(args) => commands::send::run(args, context).await,
            Command::Outbox(args) => commands::outbox::run(args, context).await,
            Command::Folders(args) => commands::folders::run(args, context).await,
            Command::List(args) => commands::list::run(args, context).await,
            Command::Show(args) => commands::show::run(args, context).await,
            Command::Fetch(args) => commands::fetch::run(args, context).await,
            Command::Watch(args) => commands::watch::run(args, context).await,
            Command::Mark(args) => commands::mark::run(args, context).await,
            Command::Move(args) => commands::move_to::run(args, context).await,
            Command::Delete(args) => commands::delete::run(args, context).await,
            Command::Pop3(args) => commands::pop3::run(args, context).await,
            Command::Doctor(args) => commands::doctor::run(args, context).await,
            Command::Explain(args) => commands::explain::run(args, context).await,
            Command::Completions(args) => commands::completions::run(&args, context),
        }
    }
}
