//! Label, macro, thumbnail and whatever else OpenSlide has beside the slide, as PNG.
//!
//! They are read through a handle of their own, since an error stays with its handle: a damaged label is left out with a
//! word, and the slide goes in all the same.

use std::ffi::CStr;

use super::ffi::Handle;
use super::{Opener, over};
use crate::Error;
use crate::source::Associated;

/// Pixels of an associated image, which is decoded whole.
const MAX_PIXELS: u64 = 64 << 20;
/// More than any vendor has.
const MAX_IMAGES: usize = 64;

/// Reads all associated images over a background colour; those that cannot be read become notices.
pub(super) fn read_all(
    opener: &Opener<'_>,
    background: [u8; 3],
    notices: &mut Vec<String>,
) -> Result<Vec<Associated>, Error> {
    let mut handle = opener.handle()?;
    let mut names =
        handle.associated_names().map_err(|why| opener.malformed("names of associated images", &why))?;
    if names.len() > MAX_IMAGES {
        notices.push(format!("{} associated images are left out", names.len() - MAX_IMAGES));
        names.truncate(MAX_IMAGES);
    }
    let mut images = vec![];
    for name in names {
        match read(&handle, &name, background) {
            Ok(image) => images.push(image),
            Err(why) => {
                let name = name.to_string_lossy();
                notices
                    .push(format!("associated image {name:?} is left out: OpenSlide cannot read it ({why})"));
                handle = opener.handle()?;
            }
        }
    }
    Ok(images)
}

fn read(handle: &Handle, name: &CStr, background: [u8; 3]) -> Result<Associated, String> {
    let pixels = over(&handle.associated(name, MAX_PIXELS)?, background);
    Associated::png(&name.to_string_lossy(), &pixels).map_err(|error| error.to_string())
}
