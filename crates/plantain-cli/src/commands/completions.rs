//! `plantain completions`

use clap::CommandFactory;
use clap_complete::Shell;

use crate::args::Args;
use crate::failure::Failure;

pub(crate) fn run(shell: Shell) -> Result<(), Failure> {
    clap_complete::generate(
        shell,
        &mut Args::command(),
        "plantain",
        &mut std::io::stdout(),
    );
    Ok(())
}
