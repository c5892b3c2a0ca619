//! Pictures within a drawing, as the renderer takes them.
//!
//! It decodes JPEGs of four colours to something else, passes over the way round that a camera notes, and looks at few pixels of a picture
//! that it draws much smaller. So pictures are decoded here, turned, and made smaller by whole factors.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Cursor;
use std::sync::{Arc, Mutex, PoisonError};

use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits};
use resvg::usvg::{Group, ImageKind, Node, Tree};

use crate::shrink::shrink;

/// Longest side of a picture, in pixels.
const SIDE: u32 = 8192;

/// Least side of a picture that was made smaller, in pixels.
const LEAST_SIDE: u32 = 16;

/// By what whole number the sides of each picture are divided, by the hash of its file.
type Factors = HashMap<u64, u32>;

/// What has become of the pictures of a drawing.
#[derive(Default)]
pub(crate) struct Pictures {
    factors: Factors,
    /// The pictures by their files' hashes, and whether the file is a PNG that says the same.
    decoded: Mutex<HashMap<u64, (Arc<DynamicImage>, bool)>>,
    /// The files' hashes, by where the bytes are that the renderer was given.
    given: Mutex<HashMap<usize, u64>>,
}

impl Pictures {
    /// The picture in a file, or why there is none. It is decoded in any case, as a damaged one would be left out of the drawing in silence.
    pub(super) fn take(&self, bytes: &[u8]) -> Result<ImageKind, String> {
        let mut hasher = DefaultHasher::new();
        bytes.hash(&mut hasher);
        let hash = hasher.finish();
        let factor = self.factors.get(&hash).copied().unwrap_or(1);
        let (picture, as_it_is) = self.decoded(hash, bytes)?;
        let bytes = if as_it_is && factor == 1 {
            bytes.to_vec()
        } else {
            encoded(&picture, factor)?
        };
        let bytes = Arc::new(bytes);
        let mut given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
        given.insert(place(&bytes), hash);
        Ok(ImageKind::PNG(bytes))
    }

    /// Those of the same drawing again, each as much smaller as it is drawn where the tree is enlarged by `scale`; nothing where all are
    /// well as they are.
    pub(super) fn reduced(&self, tree: &Tree, scale: f32) -> Option<Self> {
        let given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
        // A picture may be drawn in several sizes.
        let mut largest = HashMap::new();
        each_image(tree.root(), true, &mut |bytes, drawn| {
            if let Some(hash) = given.get(&place(bytes)) {
                let known = largest.entry(*hash).or_insert(0.0_f32);
                *known = known.max(drawn * scale);
            }
        });
        let factors = largest.into_iter().filter_map(|(hash, drawn)| {
            let factor = (1.0 / drawn).floor();
            (factor >= 2.0).then_some((hash, factor.min(SIDE as f32) as u32))
        });
        let factors: Factors = factors.collect();
        let decoded = self.decoded.lock().unwrap_or_else(PoisonError::into_inner);
        (!factors.is_empty()).then(|| Self {
            factors,
            decoded: Mutex::new(decoded.clone()),
            given: Mutex::default(),
        })
    }

    /// The picture in a file with this hash, decoded once.
    fn decoded(&self, hash: u64, bytes: &[u8]) -> Result<(Arc<DynamicImage>, bool), String> {
        let mut known = self.decoded.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(picture) = known.get(&hash) {
            return Ok(picture.clone());
        }
        let (picture, as_it_is) = decoded(bytes)?;
        let picture = (Arc::new(picture), as_it_is);
        known.insert(hash, picture.clone());
        Ok(picture)
    }
}

fn place(bytes: &Arc<Vec<u8>>) -> usize {
    Arc::as_ptr(bytes) as usize
}

/// Calls `look` with the bytes of every picture of a group, and of patterns and masks in it, and how large its pixels are drawn; as large as
/// can be where that is not `known`, as in patterns, whose transforms lack what they are stretched to.
fn each_image(group: &Group, known: bool, look: &mut dyn FnMut(&Arc<Vec<u8>>, f32)) {
    for node in group.children() {
        match node {
            Node::Group(group) => each_image(group, known, look),
            Node::Image(image) => {
                if let ImageKind::PNG(bytes) = image.kind() {
                    let (across, down) = image.abs_transform().get_scale();
                    let drawn = if known {
                        across.max(down)
                    } else {
                        f32::INFINITY
                    };
                    look(bytes, drawn);
                }
            }
            _ => {}
        }
        node.subroots(|root| each_image(root, false, look));
    }
}

/// The picture in a file, upright, and whether the file is a PNG that says the same.
fn decoded(bytes: &[u8]) -> Result<(DynamicImage, bool), String> {
    let mut reader = ImageReader::new(Cursor::new(bytes))
        .with_guessed_format()
        .map_err(|error| error.to_string())?;
    let mut limits = Limits::default();
    limits.max_image_width = Some(SIDE);
    limits.max_image_height = Some(SIDE);
    reader.limits(limits);
    let format = reader.format();
    if !matches!(format, Some(ImageFormat::Png | ImageFormat::Jpeg)) {
        return Err("it is neither PNG nor JPEG".to_string());
    }
    let mut decoder = reader.into_decoder().map_err(|error| error.to_string())?;
    let orientation = decoder.orientation().map_err(|error| error.to_string())?;
    let mut picture = DynamicImage::from_decoder(decoder).map_err(|error| error.to_string())?;
    picture.apply_orientation(orientation);
    let upright = orientation == Orientation::NoTransforms;
    Ok((picture, upright && format == Some(ImageFormat::Png)))
}

/// A picture as a PNG, its sides divided by a factor, as far as that leaves them long enough to keep their shape.
fn encoded(picture: &DynamicImage, factor: u32) -> Result<Vec<u8>, String> {
    let most = picture.width().min(picture.height()) / LEAST_SIDE;
    let pixels = match factor.min(most) {
        0 | 1 => picture.to_rgba8(),
        factor => shrink(&picture.to_rgba8(), factor),
    };
    let mut bytes = Vec::new();
    let encoder =
        PngEncoder::new_with_quality(&mut bytes, CompressionType::Fast, FilterType::Adaptive);
    pixels
        .write_with_encoder(encoder)
        .map_err(|error| error.to_string())?;
    Ok(bytes)
}
