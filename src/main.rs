//! `microtome`: the command line. Parses, calls the library crates, prints; decides nothing about slides itself.
//!
//! stdout is data, stderr is talk. Exit codes: 0 done, 1 failed, 2 wrong usage, 3 done but some inputs failed,
//! 4 verification failed.

mod commands;
mod failure;
mod output;
mod progress;
mod publish;
mod table;
mod targets;

use clap::{Parser, Subcommand};

use failure::Failure;

/// Whole-slide images in one file, served tile by tile to any viewer.
#[derive(Parser)]
#[command(name = "microtome", version, arg_required_else_help = true, args_conflicts_with_subcommands = true)]
struct CommandLine {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: commands::serve::Arguments,
}

#[derive(Subcommand)]
enum Command {
    Ingest(commands::ingest::Arguments),
    Serve(commands::serve::Arguments),
    Info(commands::info::Arguments),
    Verify(commands::verify::Arguments),
    Tile(commands::tile::Arguments),
    Export(commands::export::Arguments),
    Demo(commands::demo::Arguments),
    #[cfg(feature = "bench")]
    Bench(commands::bench::Arguments),
}

fn main() -> std::process::ExitCode {
    let CommandLine { command, serve } = CommandLine::parse();
    let result = match command {
        Some(Command::Ingest(arguments)) => commands::ingest::run(&arguments),
        Some(Command::Serve(arguments)) => commands::serve::run(&arguments),
        Some(Command::Info(arguments)) => commands::info::run(&arguments),
        Some(Command::Verify(arguments)) => commands::verify::run(&arguments),
        Some(Command::Tile(arguments)) => commands::tile::run(&arguments),
        Some(Command::Export(arguments)) => commands::export::run(&arguments),
        Some(Command::Demo(arguments)) => commands::demo::run(&arguments),
        #[cfg(feature = "bench")]
        Some(Command::Bench(arguments)) => commands::bench::run(&arguments),
        None => commands::serve::run(&serve),
    };
    match result {
        Ok(()) => std::process::ExitCode::SUCCESS,
        // Whoever reads our output may stop early (`| head`): no reason to complain.
        Err(Failure::Output(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => {
            std::process::ExitCode::SUCCESS
        }
        Err(failure) => failure.report(),
    }
}
