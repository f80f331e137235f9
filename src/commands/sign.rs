//! `microtome sign`: an address that opens by itself, for a while.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use microtome_server::{Scope, Secret, SigningKey, signed_url};

use crate::commands::serve::base_url;
use crate::failure::{Failure, complain};
use crate::output::{print, print_document};

/// Longest life of an address: ten years.
const LONGEST: Duration = Duration::from_secs(3653 * 24 * 3600);

/// Make an address of a slide that whoever has it can open, until it expires.
///
/// The server needs the same key, as --signing-key or --previous-signing-key: docs/access.md.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The slide, as in the server's list: its path below the slides root without .mtm. With a slash at its end, a folder
    /// of slides.
    #[arg(value_name = "SLIDE")]
    slide: Scope,
    /// What the address opens: the slide alone unless you say a folder that it is in, as in cases/17/, or / for all.
    #[arg(long, value_name = "SLIDE|FOLDER/")]
    scope: Option<Scope>,
    /// How long it is good, as in 30m, 12h or 7d.
    #[arg(long, value_name = "TIME", default_value = "24h", value_parser = lifetime)]
    expires: Duration,
    /// Address that clients know the server by.
    #[arg(long, env = "MICROTOME_BASE_URL", value_name = "URL", default_value = "http://localhost:3007")]
    #[arg(value_parser = base_url)]
    base_url: String,
    /// The server's key: the text itself, or @FILE for the line in a file.
    #[arg(long, env = "MICROTOME_SIGNING_KEY", value_name = "KEY", hide_env_values = true)]
    signing_key: String,
    /// Print one JSON document: url, access (what goes into other addresses of the slide as ?access=), scope, expires (in
    /// seconds of Unix time).
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let Arguments { slide, scope, expires, base_url, signing_key, json } = arguments;
    let scope = scope.as_ref().unwrap_or(slide);
    if !scope.includes(slide) {
        let what = "does not open it: give the slide, or a folder that it is in with a slash at its end";
        return Err(Failure::Usage(format!("{slide}: --scope {scope} {what}")));
    }
    if slide.as_str().ends_with(".mtm") {
        complain(&format!(
            "{slide}: note: addresses name slides without .mtm, which this one would have twice"
        ));
    }
    let key = Secret::read_key(signing_key);
    let key = key.map_err(|error| Failure::Usage(format!("--signing-key: {error}")))?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.map_err(|_early| Failure::Failed("the clock of this machine is before 1970".to_owned()))?;
    let expires = (now + *expires).as_secs();
    let ticket = SigningKey::new(&key).ticket(scope, expires);
    let url = signed_url(base_url.trim_end_matches('/'), slide, &ticket);
    if !json {
        return print(&url);
    }
    let document =
        serde_json::json!({ "url": url, "access": ticket, "scope": scope.as_str(), "expires": expires });
    print_document(&serde_json::to_string_pretty(&document).map_err(std::io::Error::other)?)
}

fn lifetime(text: &str) -> Result<Duration, String> {
    let time = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    match (Duration::from_secs(1)..=LONGEST).contains(&time) {
        true => Ok(time),
        false => Err("not from a second to ten years".to_owned()),
    }
}
