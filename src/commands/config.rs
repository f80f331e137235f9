//! `microtome config show`: which settings are in force, and why.

use crate::commands::serve;
use crate::failure::Failure;
use crate::output::{print_document, printable};
use crate::settings::Setting;
use crate::table;

/// Say what the settings of the server are.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Config,
}

#[derive(clap::Subcommand)]
enum Config {
    Show(Show),
}

/// Print the settings that `serve` would have with the same flags, and where each comes from.
#[derive(clap::Args)]
struct Show {
    #[command(flatten)]
    serve: serve::Arguments,
    /// Print one JSON document.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments, settings: &[Setting]) -> Result<(), Failure> {
    let Config::Show(show) = &arguments.command;
    show.serve.check()?;
    if show.json {
        let document: serde_json::Map<_, _> = settings
            .iter()
            .map(|s| (s.key.clone(), serde_json::json!({ "value": s.value, "source": s.source })))
            .collect();
        return print_document(&serde_json::to_string_pretty(&document).map_err(std::io::Error::other)?);
    }
    let mut rows = vec![["setting", "value", "from"].map(str::to_owned).to_vec()];
    rows.extend(settings.iter().map(|s| vec![s.key.clone(), shown(&s.value), s.source.to_owned()]));
    table::print(&rows)
}

fn shown(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::Null => "-".to_owned(),
        serde_json::Value::String(text) => printable(text),
        other => other.to_string(),
    }
}
