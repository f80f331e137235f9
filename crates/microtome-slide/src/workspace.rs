//! What coding tiles needs besides: kept by each thread, so that nothing is allocated from tile to tile.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use microtome_codec::cross_scale::{Picture, Workspace};

/// Spare pictures of a thread: those of a family.
const MAX_SPARE: usize = 20;
/// Bytes of the largest picture kept as a spare one: some of 256 x 256 px without chroma subsampling.
const MAX_SPARE_BYTES: usize = 256 << 10;

thread_local! {
    static WORKSPACE: Cell<Option<Box<Workspace>>> = const { Cell::new(None) };
    static SPARE: RefCell<Vec<Arc<Picture>>> = const { RefCell::new(vec![]) };
}

/// Runs with the calling thread's workspace; within another run, with a new one.
pub fn with<R>(run: impl FnOnce(&mut Workspace) -> R) -> R {
    let mut workspace = WORKSPACE.take().unwrap_or_default();
    let result = run(&mut workspace);
    WORKSPACE.set(Some(workspace));
    result
}

/// A picture, if `fill` has one. Its memory has been used before where it can: new memory from the system costs more
/// than the samples that go into it.
///
/// # Errors
/// Those of `fill`.
pub fn picture<E>(fill: impl FnOnce(&mut Picture) -> Result<bool, E>) -> Result<Option<Arc<Picture>>, E> {
    let mut picture = SPARE.with_borrow_mut(Vec::pop).unwrap_or_default();
    let filled = fill(Arc::get_mut(&mut picture).expect("spare pictures are nobody else's"));
    if matches!(filled, Ok(true)) {
        return Ok(Some(picture));
    }
    give_back([picture]);
    filled.map(|_| None)
}

/// Gives pictures back to the calling thread, but for those that are used elsewhere.
pub fn give_back(pictures: impl IntoIterator<Item = Arc<Picture>>) {
    SPARE.with_borrow_mut(|spare| {
        let unused = pictures.into_iter().filter_map(|mut p| Arc::get_mut(&mut p).is_some().then_some(p));
        let usable = unused.filter(|picture| (1..=MAX_SPARE_BYTES).contains(&picture.bytes()));
        spare.extend(usable.take(MAX_SPARE - spare.len()));
    });
}
