//! `microtome`: the command line. Parses, calls the library crates, prints; decides nothing about slides itself.
//!
//! stdout is data, stderr is talk. Exit codes: 0 done, 1 failed, 2 wrong usage, 3 done but some inputs failed,
//! 4 verification failed.

mod commands;
mod containers;
mod failure;
mod output;
mod progress;
mod publish;
mod settings;
mod table;
mod targets;

use std::ffi::OsString;

use clap::{Arg, CommandFactory, FromArgMatches, Parser, Subcommand};

use failure::Failure;
use settings::Parsed;

/// Whole-slide images in one file, served tile by tile to any viewer.
#[derive(Parser)]
#[command(name = "microtome", version)]
#[command(after_help = "Options without a command are those of `serve`: microtome --slides-root DIR")]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Ingest(commands::ingest::Arguments),
    Serve(commands::serve::Arguments),
    Sign(commands::sign::Arguments),
    Config(commands::config::Arguments),
    Info(commands::info::Arguments),
    Verify(commands::verify::Arguments),
    Tile(commands::tile::Arguments),
    Export(commands::export::Arguments),
    Demo(commands::demo::Arguments),
    #[cfg(feature = "bench")]
    Bench(commands::bench::Arguments),
}

fn main() -> std::process::ExitCode {
    match run() {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

fn run() -> Result<(), Failure> {
    let words = with_command(std::env::args_os().collect());
    let Parsed { matches, settings, strangers } =
        settings::parse(&with_negative_numbers(CommandLine::command()), &words)?;
    for variable in strangers {
        failure::complain(&format!("{variable} is set and is no setting: docs/configuration.md lists them"));
    }
    let done = match CommandLine::from_arg_matches(&matches).unwrap_or_else(|error| error.exit()).command {
        Command::Ingest(arguments) => commands::ingest::run(&arguments),
        Command::Serve(arguments) => commands::serve::run(&arguments),
        Command::Sign(arguments) => commands::sign::run(&arguments),
        Command::Config(arguments) => commands::config::run(&arguments, &settings),
        Command::Info(arguments) => commands::info::run(&arguments),
        Command::Verify(arguments) => commands::verify::run(&arguments),
        Command::Tile(arguments) => commands::tile::run(&arguments),
        Command::Export(arguments) => commands::export::run(&arguments),
        Command::Demo(arguments) => commands::demo::run(&arguments),
        #[cfg(feature = "bench")]
        Command::Bench(arguments) => commands::bench::run(&arguments),
    };
    done.map_err(|failure| failure.with_origin(&settings))
}

/// The command whose values may begin with a minus sign, so that what complains of -1 is its bound, not a search for an option.
fn with_negative_numbers(command: clap::Command) -> clap::Command {
    let allow = |argument: Arg| match argument.get_action().takes_values() {
        true => argument.allow_negative_numbers(true),
        false => argument,
    };
    command.mut_args(allow).mut_subcommands(with_negative_numbers)
}

/// The words with `serve` put in where an option stands in a command's place.
fn with_command(mut words: Vec<OsString>) -> Vec<OsString> {
    let own = ["-h", "--help", "-V", "--version"];
    if words.get(1).and_then(|word| word.to_str()).is_some_and(|w| w.starts_with('-') && !own.contains(&w)) {
        words.insert(1, "serve".into());
    }
    words
}
