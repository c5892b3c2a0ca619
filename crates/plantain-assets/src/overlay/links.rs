//! Pictures that a drawing links to.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Cursor};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use image::{ImageFormat, ImageReader, Limits};
use resvg::usvg::ImageKind;
use resvg::usvg::roxmltree::Document;

use super::error::OverlayError;

/// Longest side of a linked picture, in pixels.
const SIDE: u32 = 8192;

/// Where the links of a drawing lead below `folder`, each once.
pub(super) fn targets(drawing: &Document<'_>, folder: &Path) -> Vec<PathBuf> {
    let attributes = drawing.descendants().flat_map(|node| node.attributes());
    let links = attributes.filter(|attribute| attribute.name() == "href");
    // Others are links to elements of the drawing itself.
    let links = links
        .map(|link| link.value())
        .filter(|link| !link.starts_with('#'));
    let targets: BTreeSet<_> = links
        .filter(|link| is_below(link))
        .map(|link| folder.join(link))
        .collect();
    targets.into_iter().collect()
}

/// Whether a link is a path below the folder that it starts from.
fn is_below(link: &str) -> bool {
    let below = |part: Component<'_>| matches!(part, Component::Normal(_) | Component::CurDir);
    // A colon makes an address of the net, or a drive.
    !link.contains(':') && !link.is_empty() && Path::new(link).components().all(below)
}

/// The picture at a link, which must be a path below `folder`.
pub(super) fn linked(link: &str, folder: &Path) -> Result<ImageKind, OverlayError> {
    let outside = || OverlayError::LinkOutside {
        link: link.to_string(),
    };
    if !is_below(link) {
        return Err(outside());
    }
    let path = folder.join(link);
    let unreadable = |error: io::Error| picture(&path, &error.to_string());
    let root = folder.canonicalize().map_err(unreadable)?;
    let file = path.canonicalize().map_err(unreadable)?;
    // A symbolic link leads anywhere.
    if !file.starts_with(root) {
        return Err(outside());
    }
    if !file.is_file() {
        return Err(picture(&path, "it is no file"));
    }
    let bytes = fs::read(&file).map_err(unreadable)?;
    kind(&bytes).map_err(|reason| picture(&path, &reason))
}

/// A picture within the drawing.
pub(super) fn embedded(bytes: &[u8]) -> Result<ImageKind, OverlayError> {
    kind(bytes).map_err(|reason| picture(Path::new("(embedded)"), &reason))
}

fn picture(path: &Path, reason: &str) -> OverlayError {
    OverlayError::Picture {
        path: PathBuf::from(path),
        reason: reason.to_string(),
    }
}

/// What the bytes of a picture are. They are decoded to see that they can be, as a damaged picture
/// would be left out of the drawing in silence.
fn kind(bytes: &[u8]) -> Result<ImageKind, String> {
    let mut reader = ImageReader::new(Cursor::new(bytes))
        .with_guessed_format()
        .map_err(|error| error.to_string())?;
    let mut limits = Limits::default();
    limits.max_image_width = Some(SIDE);
    limits.max_image_height = Some(SIDE);
    reader.limits(limits);
    let kind = match reader.format() {
        Some(ImageFormat::Png) => ImageKind::PNG,
        Some(ImageFormat::Jpeg) => ImageKind::JPEG,
        _ => return Err("it is neither PNG nor JPEG".to_string()),
    };
    reader.decode().map_err(|error| error.to_string())?;
    Ok(kind(Arc::new(bytes.to_vec())))
}
