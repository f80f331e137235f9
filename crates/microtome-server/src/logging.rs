//! The log subscriber that suits a server in the foreground or under a service manager.

use std::io::IsTerminal;

/// Sends log lines of level INFO and above to stderr, in colour only on a terminal.
///
/// Does nothing if the program has installed a subscriber before.
pub fn init_logging() {
    let installed = tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_max_level(tracing::Level::INFO)
        .try_init();
    if let Err(reason) = installed {
        tracing::debug!(%reason, "the log subscriber in place is kept");
    }
}
