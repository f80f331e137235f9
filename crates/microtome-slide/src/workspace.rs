//! What coding a tile needs besides: one per thread, so that nothing is allocated from tile to tile.

use std::cell::Cell;

use microtome_codec::cross_scale::Workspace;

thread_local! {
    static WORKSPACE: Cell<Option<Box<Workspace>>> = const { Cell::new(None) };
}

/// Runs with the calling thread's workspace; within another run, with a new one.
pub fn with<R>(run: impl FnOnce(&mut Workspace) -> R) -> R {
    let mut workspace = WORKSPACE.take().unwrap_or_default();
    let result = run(&mut workspace);
    WORKSPACE.set(Some(workspace));
    result
}
