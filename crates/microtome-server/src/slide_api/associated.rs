//! Associated images as they are stored: `/associated/{slide}/{name}`. Those that show who the slide is of, the label and
//! the macro (on which the label is often to be seen), only where the operator says so.

use std::sync::Arc;

use bytes::Bytes;
use http::request::Parts;
use microtome_slide::metadata::AssociatedImage;
use percent_encoding::percent_decode_str;

use crate::app::App;
use crate::body::Response;
use crate::error::{Error, Failure};
use crate::response::{Freshness, Representation};
use crate::routes::below;
use crate::slide_id::SlideId;

/// Associated images in which no name is to be expected.
const HARMLESS: [&str; 1] = ["thumbnail"];

/// Whether an associated image is given out.
pub(super) fn is_shown(app: &App, image: &AssociatedImage) -> bool {
    media_type(image).is_some() && (app.serve_labels || HARMLESS.contains(&image.name.as_str()))
}

/// The media type, if it is one that containers have.
fn media_type(image: &AssociatedImage) -> Option<&'static str> {
    ["image/jpeg", "image/png"].into_iter().find(|known| *known == image.media_type)
}

/// `GET /associated/{slide}/{name}`
pub(crate) async fn associated(app: &Arc<App>, request: &Parts) -> Result<Response, Failure> {
    let (slide, name) = below(request, "/associated/").rsplit_once('/').ok_or(Error::NoSuchPage)?;
    let name = percent_decode_str(name).decode_utf8_lossy().into_owned();
    let open = app.slide(request, &SlideId::from_raw_path(slide)?).await?;
    let image = open.slide.metadata().associated.iter().find(|image| image.name == name);
    let image = image.filter(|image| is_shown(app, image)).ok_or(Error::NoSuchImage)?;
    let content_type = media_type(image).ok_or(Error::NoSuchImage)?;
    let etag = format!("\"{}-associated-{}\"", open.content_id, image.index);
    let freshness = Freshness::of_version(request.uri.query(), &open.content_id);
    let representation = Representation { etag: &etag, content_type, freshness };
    if let Some(not_modified) = representation.not_modified(&request.headers) {
        return Ok(not_modified);
    }
    let reading = Arc::clone(&open);
    let read = move || reading.slide.associated(&name);
    let bytes = app.pipeline.readers.read(&open, "reading of an image", read).await?;
    let bytes = match bytes {
        Ok(bytes) => bytes,
        Err(source) => {
            let error = Error::BadPicture { slide: open.id.clone(), source };
            return Err(open.unless_replaced(error.into()).await);
        }
    };
    Ok(representation.full(Bytes::from(bytes.ok_or(Error::NoSuchImage)?)))
}
