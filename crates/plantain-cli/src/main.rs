//! The `plantain` command.

mod args;
mod commands;
mod failure;
mod interrupt;
mod out;
mod progress;
mod version;

use std::process::ExitCode;

use clap::Parser;

use args::{Args, Command};
use failure::Failure;

fn main() -> ExitCode {
    let args = Args::parse();
    plantain::keep_freed_memory();
    match run(args) {
        Ok(code) => code,
        Err(failure) => failure.report(),
    }
}

fn run(args: Args) -> Result<ExitCode, Failure> {
    match args.command {
        Command::Generate(args) => commands::generate::run(&args),
        Command::Batch(args) => return commands::batch::run(&args),
        Command::Info(args) => commands::info::run(&args),
        Command::Convert(args) => commands::convert::run(*args),
        #[cfg(feature = "pull")]
        Command::Pull(args) => commands::pull::run(&args),
        #[cfg(not(feature = "pull"))]
        Command::Pull { .. } => Err(Failure::new("this build cannot download models").help(
            "build it with `--features pull`, or download the model's folder yourself and name it to `plantain convert`",
        )),
        Command::Prune(args) => commands::prune::run(&args),
        Command::Inspect(args) => commands::inspect::run(&args),
        Command::Trace(args) => commands::trace::run(&args),
        Command::Bench(args) => commands::bench::run(&args),
        Command::Doctor(args) => return commands::doctor::run(&args),
        Command::Devices => commands::devices::run(),
        Command::Warmup(args) => commands::warmup::run(&args),
        Command::Styles => commands::styles::run(),
        Command::Completions { shell } => commands::completions::run(shell),
    }?;
    Ok(ExitCode::SUCCESS)
}
