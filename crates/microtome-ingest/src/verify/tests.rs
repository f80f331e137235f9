use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use microtome_codec::Rgb;
use microtome_codec::turbo::{self, Subsampling};
use microtome_container::{Level, NewSection, SectionKind, SlideId, Writer};
use microtome_slide::{Caches, deepzoom};

use super::*;
use crate::material::tests::Silent;
use crate::{Options, ingest};

/// Bytes that are there for so many reads.
#[derive(Debug)]
struct Failing {
    bytes: Arc<[u8]>,
    reads: Arc<AtomicUsize>,
}

impl microtome_container::Source for Failing {
    fn length(&self) -> io::Result<u64> {
        Ok(self.bytes.len() as u64)
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let left = self.reads.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        left.map_err(|_none| io::Error::from(io::ErrorKind::TimedOut))?;
        buffer.copy_from_slice(&self.bytes[offset as usize..][..buffer.len()]);
        Ok(())
    }

    fn read_at_once(&self, _buffer: &mut [u8], _offset: u64) -> bool {
        false
    }

    fn forget(&self, _offset: u64, _length: u64) -> bool {
        false
    }

    fn is_unchanged(&self) -> bool {
        true
    }
}

/// A container, and what became of reading it with something where its storage fails after so many reads.
struct Trial {
    target: std::path::PathBuf,
    bytes: Arc<[u8]>,
    reads: Arc<AtomicUsize>,
}

impl Trial {
    fn of(target: std::path::PathBuf) -> Self {
        let bytes = std::fs::read(&target).expect("a container").into();
        Self { target, bytes, reads: Arc::default() }
    }

    fn run<T>(&self, most: usize, with: impl Fn(&Slide) -> T + Send + Sync) -> T
    where
        T: Send,
    {
        self.reads.store(usize::MAX, Ordering::Relaxed);
        let source = Failing { bytes: Arc::clone(&self.bytes), reads: Arc::clone(&self.reads) };
        let container = microtome_container::Container::read_from(Box::new(source), &self.target);
        let slide = Slide::of_container(container.expect("opens"), &Caches::default()).expect("opens");
        self.reads.store(most, Ordering::Relaxed);
        // As many reads each time.
        let one_thread = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a thread");
        one_thread.install(|| with(&slide))
    }

    /// Whatever the read that fails is, that is all that is said.
    fn fails_at_each_read<T: Send>(&self, with: impl Fn(&Slide) -> Result<T, Error> + Send + Sync) {
        assert!(self.run(usize::MAX, &with).is_ok());
        let all = usize::MAX - self.reads.load(Ordering::Relaxed);
        assert!(all > 20, "{all}");
        for most in 0..all {
            let error = self.run(most, &with).err().expect("it fails on the way");
            assert!(
                matches!(error, Error::Container(microtome_container::Error::Io { .. })),
                "{most} of {all}: {error}"
            );
        }
    }
}

#[test]
fn storage_that_fails_on_the_way_proves_nothing_and_finds_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let never = AtomicBool::new(false);
    let make = |spec: &str, name: &str| {
        let target = folder.path().join(name);
        ingest(spec, &target, Options::default(), &Silent, &never).expect("ingests");
        target
    };
    let trial = Trial::of(make("synthetic:1100x700", "a.mtm"));
    let verified = trial.run(usize::MAX, |slide| verify(slide, &never)).expect("is read");
    assert_eq!(verified.findings, [""; 0]);
    trial.fails_at_each_read(|slide| verify(slide, &never));

    let source = folder.path().join("b.dzi");
    export(&Slide::open(&trial.target).expect("opens"), &source);
    let source = source.to_str().expect("a path");
    let trial = Trial::of(make(source, "b.mtm"));
    let compared = trial.run(usize::MAX, |slide| compare(slide, source)).expect("is compared");
    assert!(compared.differences.is_empty() && compared.identical > 15, "{compared:?}");
    trial.fails_at_each_read(|slide| compare(slide, source));
}

#[test]
fn an_associated_image_that_is_not_there_is_found() {
    let folder = tempfile::tempdir().expect("a folder");
    let target = folder.path().join("a.mtm");
    let levels = [16, 8, 4, 2, 1].map(|side| Level { width: side, height: side, stored: true }).to_vec();
    let writer = Writer::create(&target, 0, 16, 0, levels).expect("a writer");
    for level in 0..5 {
        let side = 16 >> level;
        let jpeg = turbo::encode(&Rgb::filled(side, side, [200; 3]), 80, Subsampling::Chroma444);
        writer.put(TileId { level, column: 0, row: 0 }, &jpeg.expect("a tile")).expect("room for it");
    }
    let (derived_quality, derived_subsampling) = (80, Subsampling::Chroma444);
    let parameters = VerbatimParams { derived_quality, derived_subsampling, streams: vec![] }.to_bytes();
    let named =
        br#"{"associated":[{"name":"label","media_type":"image/png","width":9,"height":9,"index":3}]}"#
            .to_vec();
    let section = |kind, critical, bytes| NewSection { kind, critical, codec: 0, bytes };
    let sections = [
        section(SectionKind::CODEC_PARAMETERS, true, parameters),
        section(SectionKind::METADATA, false, named),
    ];
    writer.finish(SlideId([7; 16]), &sections, &mut |_| ControlFlow::Continue(())).expect("a container");
    let verified = verify(&Slide::open(&target).expect("opens"), &AtomicBool::new(false));
    let findings = verified.expect("is read").findings;
    assert!(matches!(&findings[..], [one] if one.contains("label")), "{findings:?}");
}

/// Writes a slide's tiles as Deep Zoom.
fn export(slide: &Slide, descriptor: &std::path::Path) {
    std::fs::write(descriptor, deepzoom::descriptor(slide)).expect("a file");
    for level in 0..=deepzoom::level_number(slide, 0) {
        let folder = descriptor.with_extension("").with_file_name(format!("b_files/{level}"));
        std::fs::create_dir_all(&folder).expect("a folder");
        for (column, row) in (0..5).flat_map(|column| (0..5).map(move |row| (column, row))) {
            let Some(tile) = deepzoom::tile(slide, level, column, row) else { continue };
            let Ok(jpeg) = slide.tile(tile) else { continue };
            std::fs::write(folder.join(format!("{column}_{row}.jpg")), jpeg).expect("a file");
        }
    }
}
