//! `exomail completions`: a completion script for a shell.

use clap::CommandFactory;
use clap_complete::Shell;

use crate::args::Cli;
use crate::context::Context;
use crate::failure::Done;

/// Print a completion script for a shell
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  exomail completions bash > ~/.local/share/bash-completion/completions/exomail
  exomail completions zsh  > ~/.zfunc/_exomail
  exomail completions fish > ~/.config/fish/completions/exomail.fish
  exomail completions powershell >> $PROFILE")]
pub(crate) struct Args {
    /// bash, zsh, fish, powershell or elvish
    shell: Shell,
}

pub(crate) fn run(args: &Args, context: &Context) -> Done {
    // Into memory first: written straight to stdout, a reader that goes away would make the generator panic.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "exomail", &mut script);
    context.output.bytes(&script)
}
