//! Slide after slide: what becomes of each is printed, reported and counted, whatever became of those before it.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use microtome_ingest::{Earlier, Removed, Report};
use microtome_server::Scope;

use super::sources::{self, Job};
use super::watch::{self, Watch};
use super::{Arguments, Outcome, ingest, summary};
use crate::failure::{Failure, complain};
use crate::output::{print, print_document};
use crate::progress::stop_on_signals;
use crate::publish::unwritable;
use crate::table;

/// Slides that go in one after the other, and what they came to so far.
pub(super) struct Batch<'a> {
    arguments: &'a Arguments,
    report: Option<Lines>,
    begun: Instant,
    counts: Counts,
    /// Whether what became of the slides could not be written everywhere.
    is_unwritten: bool,
    /// Set once no other slide is to begin.
    stop: &'a AtomicBool,
}

/// A file of one document a line.
struct Lines {
    path: PathBuf,
    file: File,
    /// Whether its last line is not a whole one.
    is_cut: bool,
}

#[derive(Default)]
struct Counts {
    all: usize,
    done: usize,
    skipped: usize,
    failed: usize,
    source_bytes: u64,
    container_bytes: u64,
    pixels: u64,
}

impl<'a> Batch<'a> {
    pub(super) fn new(arguments: &'a Arguments) -> Result<Self, Failure> {
        if let Some(folder) = arguments.watch.as_ref().filter(|folder| !folder.is_dir()) {
            return Err(Failure::Usage(format!("{}: is no folder to be watched", folder.display())));
        }
        let report = arguments.report.as_deref().map(Lines::open).transpose()?;
        Ok(Self {
            arguments,
            report,
            begun: Instant::now(),
            counts: Counts::default(),
            is_unwritten: false,
            stop: stop_on_signals(),
        })
    }

    /// Ingests every slide. One alone that fails is a failure; of several, the others go in all the same.
    /// Only those of the shard are: which these are, and what all are called, does not depend on it.
    pub(super) fn every(&mut self, jobs: &[Job], targets: &[PathBuf]) -> Result<(), Failure> {
        let is_alone = jobs.len() == 1 && self.arguments.watch.is_none();
        let is_ours = |job: &Job| self.arguments.shard.is_none_or(|shard| shard.has(job));
        let ours: Vec<_> = jobs.iter().zip(targets).filter(|(job, _)| is_ours(job)).collect();
        for (number, (job, target)) in (1..).zip(&ours) {
            let outcome = match self.is_stopped() {
                true => Err(Failure::Interrupted),
                false => self.one(&job.source, target, (!is_alone).then_some((number, ours.len()))),
            };
            if matches!(outcome, Err(Failure::Interrupted)) {
                let summed_up = self.sum_up();
                self.note(summed_up);
            }
            outcome?;
        }
        Ok(())
    }

    /// Ingests what appears in a folder, until interrupted.
    pub(super) fn watch(&mut self, folder: &Path) -> Result<(), Failure> {
        let mut watch = Watch::new(folder, Duration::from_secs(self.arguments.settle));
        complain(&format!("watching {}; interrupt to end", folder.display()));
        let mut trouble = None;
        loop {
            // A share that is away for a while, a folder that goes while it is looked at: the next look will do.
            let found = watch.complete(Instant::now()).unwrap_or_else(|failure| {
                let new = failure.to_string();
                if trouble.as_ref() != Some(&new) {
                    complain(&new);
                }
                trouble = Some(new);
                vec![]
            });
            for path in found {
                let jobs = Job::found(folder, &path);
                let targets = match sources::files_in(&self.arguments.output, &jobs, true) {
                    Ok(targets) => targets,
                    // Of this folder alone.
                    Err(failure) => {
                        complain(&failure.to_string());
                        continue;
                    }
                };
                for (job, target) in jobs.iter().zip(&targets) {
                    if self.is_stopped() {
                        return self.end();
                    }
                    match self.one(&job.source, target, Some((1, 1))) {
                        Err(Failure::Interrupted) => return self.end(),
                        other => other?,
                    }
                }
            }
            if self.pause(watch::INTERVAL) {
                return self.end();
            }
        }
    }

    /// Ingests a slide and tells what became of it, unless that was cut short: a stop that comes after it is the next one's.
    fn one(&mut self, source: &str, target: &Path, number: Option<(usize, usize)>) -> Result<(), Failure> {
        let begun = Instant::now();
        let outcome = self.outcome(source, target, number);
        let seconds = (begun.elapsed().as_secs_f64() * 1000.0).round() / 1000.0;
        if matches!(outcome, Err(Failure::Interrupted)) {
            return Err(Failure::Interrupted);
        }
        self.count(&outcome);
        let mut document = document(&outcome);
        document["source"] = source.into();
        document["target"] = target.display().to_string().into();
        document["seconds"] = seconds.into();
        let reported = self.write_report(&document);
        self.note(reported);
        if self.arguments.json {
            self.note(print_document(&document.to_string()));
        }
        if outcome.is_ok() && !is_name_of_slide(target) {
            complain(&format!(
                "{}: note: the server shows no slide of that name, which begins with a dot, looks like a pseudonym, is not \
                 UTF-8, or has a backslash or a control character; rename it",
                target.display()
            ));
        }
        match outcome {
            Ok(Outcome::Done(_)) if self.arguments.json => {}
            Ok(Outcome::Done(report)) => {
                for notice in report.metadata.notices.iter().cloned().chain(removed(&report)) {
                    complain(&format!("{source}: note: {notice}"));
                }
                self.note(print(&summary(target, &report, seconds)));
            }
            Ok(Outcome::Skipped) => {
                complain(&format!("{}: made from {source} already, skipped", target.display()));
            }
            Err(failure) if number.is_none() => return Err(failure),
            Err(failure) => complain(&failure.to_string()),
        }
        Ok(())
    }

    /// Waits; whether it was told to stop meanwhile.
    fn pause(&self, time: Duration) -> bool {
        let end = Instant::now() + time;
        while Instant::now() < end && !self.is_stopped() {
            std::thread::sleep(Duration::from_millis(100));
        }
        self.is_stopped()
    }

    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Says once that what became of a slide cannot be written: the others go in all the same.
    fn note(&mut self, written: Result<(), Failure>) {
        if let Err(failure) = written {
            if !self.is_unwritten {
                complain(&failure.to_string());
            }
            self.is_unwritten = true;
        }
    }

    fn outcome(
        &self,
        source: &str,
        target: &Path,
        number: Option<(usize, usize)>,
    ) -> Result<Outcome, Failure> {
        let Arguments { resume, progress, watch, .. } = self.arguments;
        let options = self.arguments.options();
        if (*resume || watch.is_some()) && target.exists() {
            let refused =
                |what: String| Err(Failure::Failed(format!("{}: exists already, {what}", target.display())));
            return match microtome_ingest::earlier(source, target, options)? {
                Earlier::Same => Ok(Outcome::Skipped),
                Earlier::Unreadable(what) => {
                    refused(format!("and whether it is made from this source cannot be told ({what})"))
                }
                Earlier::Other => refused(format!(
                    "and is not what {source} comes to now: the source has changed since, another of its name went in, or \
                     the options are others; remove it, unless it is that other's, to have it made anew"
                )),
                Earlier::OfAnother(name) if name.is_empty() => refused(format!(
                    "and what it was made from, which it does not name, is not what {source} is now: it may be the only \
                     container of another slide; choose another folder or name"
                )),
                Earlier::OfAnother(name) => refused(format!(
                    "made from {name}, which is another source than {source}; choose another folder or name"
                )),
                Earlier::Damaged(what) => {
                    refused(format!("and is no whole container ({what}); remove it to have it made anew"))
                }
            };
        }
        if target.exists() {
            let remedy = "remove it, choose another name, or leave finished slides as they are with --resume";
            return Err(Failure::Failed(format!("{}: exists already; {remedy}", target.display())));
        }
        if let Some(folder) = target.parent().filter(|_| number.is_some() || self.arguments.output != target)
        {
            make_folder(folder)?;
        }
        match ingest(source, target, options, *progress, number) {
            Ok(report) => Ok(Outcome::Done(Box::new(report))),
            Err(microtome_ingest::Error::Interrupted) => Err(Failure::Interrupted),
            Err(error) => Err(error.into()),
        }
    }

    fn count(&mut self, outcome: &Result<Outcome, Failure>) {
        let counts = &mut self.counts;
        counts.all += 1;
        match outcome {
            Ok(Outcome::Done(report)) => {
                counts.done += 1;
                counts.source_bytes += report.metadata.source.bytes;
                counts.container_bytes += report.container_bytes;
                counts.pixels += report.pixels;
            }
            Ok(Outcome::Skipped) => counts.skipped += 1,
            Err(_) => counts.failed += 1,
        }
    }

    /// A line at a time, whole, so that several processes may append to one file.
    fn write_report(&mut self, document: &serde_json::Value) -> Result<(), Failure> {
        let Some(report) = &mut self.report else { return Ok(()) };
        let line = format!("{}{document}\n", if report.is_cut { "\n" } else { "" });
        report.write(line.as_bytes()).map_err(|error| unwritable(&report.path, &error))
    }

    /// Sums up and says whether anything failed.
    pub(super) fn end(&mut self) -> Result<(), Failure> {
        let summed_up = self.sum_up();
        self.note(summed_up);
        let Counts { all, failed, .. } = self.counts;
        match failed {
            0 if self.is_unwritten => {
                let what =
                    "slides went in, but not all that became of them could be written; see the lines above";
                Err(Failure::Failed(what.to_owned()))
            }
            0 => Ok(()),
            _ if failed == all => {
                Err(Failure::Failed(format!("all {all} inputs failed; see the lines above")))
            }
            _ => Err(Failure::SomeFailed { failed, all }),
        }
    }

    /// Sums up, if there is anything to sum up.
    fn sum_up(&self) -> Result<(), Failure> {
        let Counts { all, done, skipped, failed, source_bytes, container_bytes, pixels } = self.counts;
        if all > 1 && !self.arguments.json {
            let seconds = self.begun.elapsed().as_secs_f64();
            let rate = pixels as f64 / 1e6 / seconds.max(1e-3);
            let row = |name: &str, value: String| vec![name.to_owned(), value];
            table::print(&[
                row("slides", all.to_string()),
                row("ingested", done.to_string()),
                row("skipped", skipped.to_string()),
                row("failed", failed.to_string()),
                row("from", table::bytes(source_bytes)),
                row("to", table::bytes(container_bytes)),
                row("time", format!("{seconds:.1} s")),
                row("rate", format!("{rate:.1} MP/s")),
            ])?;
        }
        Ok(())
    }
}

impl Lines {
    /// The file, to be written on; it is made if it is not there.
    fn open(path: &Path) -> Result<Self, Failure> {
        let (mut start, mut end) = ([b'{'], [b'\n']);
        // What is no file, a pipe, has nothing in it, and may wait for ever for a writer.
        if path.is_file()
            && let Ok(mut file) = File::open(path)
        {
            // Of an empty file neither is read.
            let _ = file.read_exact(&mut start);
            let _ = file.seek(SeekFrom::End(-1)).and_then(|_| file.read_exact(&mut end));
        }
        if start != *b"{" {
            let what = "holds something else than reports; name another file to --report";
            return Err(Failure::Usage(format!("{}: {what}", path.display())));
        }
        let file = File::options().create(true).append(true).open(path);
        let file = file.map_err(|error| unwritable(path, &error))?;
        Ok(Self { path: path.to_owned(), file, is_cut: end != *b"\n" })
    }

    /// Writes a line, and keeps in mind whether all of it got there, or a part.
    fn write(&mut self, line: &[u8]) -> io::Result<()> {
        let mut rest = line;
        while !rest.is_empty() {
            match self.file.write(rest) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => {
                    rest = &rest[written..];
                    self.is_cut = !rest.is_empty();
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// What became of a source, for programs.
fn document(outcome: &Result<Outcome, Failure>) -> serde_json::Value {
    match outcome {
        Ok(Outcome::Done(report)) => done(report),
        Ok(Outcome::Skipped) => serde_json::json!({ "status": "skipped" }),
        Err(failure) => serde_json::json!({ "status": "failed", "error": failure.to_string() }),
    }
}

fn done(report: &Report) -> serde_json::Value {
    serde_json::json!({
        "status": "done",
        "content_id": report.content_id.to_string(),
        "source_bytes": report.metadata.source.bytes,
        "container_bytes": report.container_bytes,
        "pixels": report.pixels,
        "tiles": report.tiles,
        "records": report.records,
        "codings": {
            "verbatim": report.codings.verbatim,
            "alone": report.codings.alone,
            "predicted": report.codings.predicted,
        },
        "metadata": report.metadata,
        "removed": report.removed.as_ref().map(|removed| serde_json::json!({
            "properties": removed.properties,
            "images": removed.images,
            "notices": removed.notices,
            "profile": removed.profile,
        })),
    })
}

/// What de-identification has left out, in a line.
fn removed(report: &Report) -> Option<String> {
    let Removed { properties, images, notices, profile } = report.removed.as_ref()?;
    let profile = if *profile { ", the ICC profile" } else { "" };
    let listed =
        |names: &[String]| if names.is_empty() { String::new() } else { format!(" ({})", names.join(", ")) };
    Some(format!(
        "de-identified: left out {} images{}, {} properties{}, {notices} notices{profile}; a container that is named \
         after its source may still identify",
        images.len(),
        listed(images),
        properties.len(),
        listed(properties),
    ))
}

/// Whether a server would show a container of this name.
fn is_name_of_slide(target: &Path) -> bool {
    // A scope of one slide is its name.
    target.file_stem().and_then(|name| name.to_str()).is_some_and(|name| name.parse::<Scope>().is_ok())
}

fn make_folder(folder: &Path) -> Result<(), Failure> {
    std::fs::create_dir_all(folder)
        .map_err(|e| Failure::Failed(format!("{}: cannot make the folder: {e}", folder.display())))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        arguments: Arguments,
    }

    #[test]
    fn what_became_of_a_slide_is_told_though_a_stop_came_meanwhile() {
        let folder = tempfile::tempdir().expect("a folder");
        let [out, report] = ["out", "r.jsonl"].map(|name| folder.path().join(name).display().to_string());
        let line = ["ingest", "synthetic:100x90", "gone.svs", "-o", &out, "--report", &report];
        let Line { arguments } = Line::parse_from(line);
        let mut batch = Batch::new(&arguments).expect("a report");
        // The ingest itself does not see it, as if it came when the container was there.
        let stop = AtomicBool::new(true);
        batch.stop = &stop;
        let target = |name: &str| Path::new(&out).join(name);
        batch.one("synthetic:100x90", &target("one.mtm"), Some((1, 2))).expect("told");
        batch.one("gone.svs", &target("gone.mtm"), Some((2, 2))).expect("told");
        assert_eq!((batch.counts.done, batch.counts.failed), (1, 1));
        let told = std::fs::read_to_string(&report).expect("a report");
        let statuses: Vec<_> = told.lines().map(|line| line.contains("\"done\"")).collect();
        assert_eq!(statuses, [true, false], "{told}");
        let ended = batch.every(&[Job::named("synthetic:90x100")], &[target("next.mtm")]);
        assert!(matches!(ended, Err(Failure::Interrupted)) && !target("next.mtm").exists());
    }
}
