//! Any part of a slide, at any size, as a picture.
//!
//! A [`View`] says what is to be seen, a [`Drawing`] turns it into pixels, a row of tiles after the other, and [`encode`]
//! turns those into a file. [`Drawing::fetch`] reads and [`Drawing::advance`] decodes, as with tiles, so that whoever waits
//! for storage never decodes.
//!
//! Not here: tiles that are passed on as they are, addresses, limits of what may be asked for, caches.

mod drawing;
mod encode;
mod error;
mod scale;
#[cfg(test)]
mod tests;
mod turn;
mod view;

pub use drawing::{Drawing, Kept};
pub use encode::{EXTENSIONS, Format, encode, jpeg_with_profile};
pub use error::Error;
pub use scale::resized;
pub use turn::{luma, turned};
pub use view::{Tone, View};
