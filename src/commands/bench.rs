//! `microtome bench`: what the codec saves and what it costs, against JPEG, with the project's targets beside it.

mod containers;
mod decode;
mod family;
mod found;
mod input;
mod ladder;
mod lepton;
mod metrics;
mod pyramid;
mod rd;
mod report;
mod standard;
mod targets;
mod timing;

use crate::failure::Failure;

/// Measure sizes, quality and speed against JPEG.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(clap::Subcommand)]
enum What {
    Rd(rd::Arguments),
    Decode(decode::Arguments),
    Family(family::Arguments),
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    match &arguments.what {
        What::Rd(arguments) => rd::run(arguments),
        What::Decode(arguments) => decode::run(arguments),
        What::Family(arguments) => family::run(arguments),
    }
}
