//! How an ingest shows its progress: a bar on terminals, JSON lines for programs, or nothing.

use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressState, ProgressStyle};
use microtome_ingest::{Progress, Unit};

/// How progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Style {
    /// A bar if standard error is a terminal.
    Auto,
    /// A bar in any case.
    Bar,
    /// A JSON object a second on standard error.
    Json,
    /// Nothing.
    None,
}

/// The progress of one ingest.
pub(crate) struct Display {
    name: String,
    bar: ProgressBar,
    json: bool,
    stage: Mutex<Stage>,
    done: AtomicU64,
    stored: std::sync::Arc<AtomicU64>,
}

struct Stage {
    name: &'static str,
    total: u64,
    unit: Unit,
    reported: Instant,
}

impl Display {
    pub(crate) fn new(name: &str, style: Style) -> Self {
        let shown = style == Style::Bar || style == Style::Auto && io::stderr().is_terminal();
        Self {
            name: name.to_owned(),
            bar: if shown { ProgressBar::new(0) } else { ProgressBar::hidden() },
            json: style == Style::Json,
            stage: Mutex::new(Stage { name: "", total: 0, unit: Unit::Bytes, reported: Instant::now() }),
            done: AtomicU64::new(0),
            stored: std::sync::Arc::default(),
        }
    }

    /// Removes the bar.
    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }

    fn style(&self, unit: Unit) -> ProgressStyle {
        let stored = std::sync::Arc::clone(&self.stored);
        let rate = move |state: &ProgressState, out: &mut dyn std::fmt::Write| {
            let _ = match unit {
                Unit::Pixels => write!(out, "{:.1} MP/s", state.per_sec() / 1e6),
                Unit::Bytes => write!(out, "{:.0} MB/s", state.per_sec() / 1e6),
            };
        };
        let bytes = move |_: &ProgressState, out: &mut dyn std::fmt::Write| {
            let _ = write!(out, "{}", crate::table::bytes(stored.load(Ordering::Relaxed)));
        };
        ProgressStyle::with_template("{msg} {wide_bar} {percent:>3} %  {rate}  {stored}  {eta} left")
            .unwrap_or_else(|_| ProgressStyle::default_bar())
            .with_key("rate", rate)
            .with_key("stored", bytes)
    }

    fn report(&self, stage: &mut Stage, now: Instant) {
        stage.reported = now;
        let line = serde_json::json!({
            "source": self.name,
            "stage": stage.name,
            "unit": match stage.unit { Unit::Pixels => "pixels", Unit::Bytes => "bytes" },
            "done": self.done.load(Ordering::Relaxed),
            "total": stage.total,
            "stored_bytes": self.stored.load(Ordering::Relaxed),
        });
        let _ = writeln!(io::stderr(), "{line}");
    }
}

impl Progress for Display {
    fn stage(&self, name: &'static str, total: u64, unit: Unit) {
        let mut stage = self.stage.lock().unwrap_or_else(PoisonError::into_inner);
        *stage = Stage { name, total, unit, reported: Instant::now() };
        self.done.store(0, Ordering::Relaxed);
        self.bar.set_style(self.style(unit));
        self.bar.reset();
        self.bar.set_length(total);
        self.bar.set_message(format!("{}: {name}", crate::output::printable(&self.name)));
        if self.json {
            self.report(&mut stage, Instant::now());
        }
    }

    fn advance(&self, done: u64, stored: u64) {
        self.done.fetch_add(done, Ordering::Relaxed);
        self.stored.fetch_add(stored, Ordering::Relaxed);
        self.bar.inc(done);
        if self.json {
            let now = Instant::now();
            let mut stage = self.stage.lock().unwrap_or_else(PoisonError::into_inner);
            if now.duration_since(stage.reported) >= Duration::from_secs(1) {
                self.report(&mut stage, now);
            }
        }
    }
}

/// Set when the user asks to stop.
static STOP: AtomicBool = AtomicBool::new(false);

/// Makes Ctrl-C (and SIGTERM, SIGHUP) ask for a clean stop; the second one stops at once.
pub(crate) fn stop_on_signals() -> &'static AtomicBool {
    // A second call fails, and changes nothing.
    let _ = ctrlc::set_handler(|| {
        if STOP.swap(true, Ordering::Relaxed) {
            std::process::exit(1);
        }
    });
    &STOP
}
