//! Pictures that a drawing links to.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use percent_encoding::percent_decode_str;
use resvg::usvg::ImageKind;
use resvg::usvg::roxmltree::Document;

use super::error::OverlayError;
use super::pictures::Pictures;

/// Where the links of a drawing lead below `folder`, each once.
pub(super) fn targets(drawing: &Document<'_>, folder: &Path) -> Vec<PathBuf> {
    let attributes = drawing.descendants().flat_map(|node| node.attributes());
    let links = attributes.filter(|attribute| attribute.name() == "href");
    // Others are links to elements of the drawing itself.
    let links = links
        .map(|link| link.value())
        .filter(|link| !link.starts_with('#'));
    let targets: BTreeSet<_> = links
        .map(path_of)
        .filter(|path| is_below(path))
        .map(|path| folder.join(&*path))
        .collect();
    targets.into_iter().collect()
}

/// Whether a drawing says of each picture how wide and high it is.
pub(super) fn all_have_sizes(drawing: &Document<'_>) -> bool {
    let mut pictures = drawing
        .descendants()
        .filter(|node| node.tag_name().name() == "image");
    pictures.all(|picture| {
        ["width", "height"]
            .iter()
            .all(|side| picture.has_attribute(*side))
    })
}

/// The path that a link names: an address, in which spaces and others are written as `%20`.
fn path_of(link: &str) -> Cow<'_, str> {
    percent_decode_str(link).decode_utf8_lossy()
}

/// Whether a path is below the folder that it starts from.
fn is_below(link: &str) -> bool {
    let below = |part: Component<'_>| matches!(part, Component::Normal(_) | Component::CurDir);
    // A colon makes an address of the net, or a drive.
    !link.contains(':') && !link.is_empty() && Path::new(link).components().all(below)
}

/// The picture at a link, which must be a path below `folder`.
pub(super) fn linked(
    link: &str,
    folder: &Path,
    pictures: &Pictures,
) -> Result<ImageKind, OverlayError> {
    let outside = || OverlayError::LinkOutside {
        link: link.to_string(),
    };
    let path = path_of(link);
    if !is_below(&path) {
        return Err(outside());
    }
    let path = folder.join(&*path);
    let unreadable = |error: io::Error| picture(&path, &error.to_string());
    // A campaign that is named without a folder is in this one.
    let folder = if folder == Path::new("") {
        Path::new(".")
    } else {
        folder
    };
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
    pictures
        .take(&bytes)
        .map_err(|reason| picture(&path, &reason))
}

/// A picture within the drawing.
pub(super) fn embedded(bytes: &[u8], pictures: &Pictures) -> Result<ImageKind, OverlayError> {
    pictures
        .take(bytes)
        .map_err(|reason| picture(Path::new("(embedded)"), &reason))
}

fn picture(path: &Path, reason: &str) -> OverlayError {
    OverlayError::Picture {
        path: PathBuf::from(path),
        reason: reason.to_string(),
    }
}
