//! Pictures from files: what a run starts from, and masks.

use std::fs::File;
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};

use image::{DynamicImage, GrayImage, ImageDecoder, ImageReader, RgbImage, Rgba};

/// Largest side of a picture that is opened.
const MAX_SIDE: u32 = 16_384;
/// Most bytes of its pixels.
const MAX_BYTES: u64 = 512 << 20;

/// Why a picture cannot be opened.
///
/// ```
/// use plantain::{OpenError, open_picture};
///
/// let error = open_picture("no-such-file.png".as_ref()).unwrap_err();
/// assert!(matches!(error, OpenError::Open { .. }));
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The file cannot be read.
    #[error("cannot open {path}: {source}")]
    Open {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The path leads to a folder or a device.
    #[error("{path} is not a file")]
    NotAFile {
        /// The path.
        path: PathBuf,
    },
    /// The file is no picture, or a damaged one.
    #[error("{path} is not a readable picture ({reason}); PNG, JPEG and WebP are")]
    NotAPicture {
        /// The file.
        path: PathBuf,
        /// What the decoder said.
        reason: String,
    },
    /// The picture is too large.
    #[error(
        "{path} has {width}x{height} pixels; pictures of up to {MAX_SIDE} pixels a side and 512 MiB are opened: make it smaller"
    )]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
    },
}

/// Reads the picture at `path`, turned as its camera says; what is transparent lies on white.
///
/// # Errors
/// When the file cannot be read, is no PNG, JPEG or WebP, or is too large.
///
/// ```
/// use plantain::{Request, open_picture};
///
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("photo.png");
/// # plantain::RgbImage::new(64, 48).save(&path)?;
/// let photo = open_picture(&path)?;
/// let request = Request::new("a lighthouse at dusk").init_image(photo).strength(0.6);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn open_picture(path: &Path) -> Result<RgbImage, OpenError> {
    Ok(laid_on(open(path)?, 255).to_rgb8())
}

/// Reads the mask at `path` as grey levels; what is transparent is black.
///
/// # Errors
/// As [`open_picture`].
///
/// ```
/// use plantain::{Request, open_mask, open_picture};
///
/// # let folder = tempfile::tempdir()?;
/// # let [photo, sea] = ["photo.png", "sea.png"].map(|name| folder.path().join(name));
/// # plantain::RgbImage::new(64, 48).save(&photo)?;
/// # plantain::GrayImage::new(64, 48).save(&sea)?;
/// let (photo, sea) = (open_picture(&photo)?, open_mask(&sea)?);
/// let request = Request::new("a sailing boat").init_image(photo).mask(sea);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn open_mask(path: &Path) -> Result<GrayImage, OpenError> {
    Ok(laid_on(open(path)?, 0).to_luma8())
}

fn open(path: &Path) -> Result<DynamicImage, OpenError> {
    let failed = |source| OpenError::Open {
        path: path.to_path_buf(),
        source,
    };
    let not_a_picture = |reason: String| OpenError::NotAPicture {
        path: path.to_path_buf(),
        reason,
    };
    // A pipe would be waited for, and a folder be an error that depends on the system.
    if !path.metadata().map_err(failed)?.is_file() {
        let path = path.to_path_buf();
        return Err(OpenError::NotAFile { path });
    }
    let file = BufReader::new(File::open(path).map_err(failed)?);
    let reader = ImageReader::new(file);
    let reader = reader.with_guessed_format().map_err(failed)?;
    let decoder = reader.into_decoder();
    let mut decoder = decoder.map_err(|e| not_a_picture(e.to_string()))?;
    let (width, height) = decoder.dimensions();
    if width > MAX_SIDE || height > MAX_SIDE || decoder.total_bytes() > MAX_BYTES {
        return Err(OpenError::TooLarge {
            path: path.to_path_buf(),
            width,
            height,
        });
    }
    let orientation = decoder.orientation();
    let orientation = orientation.map_err(|e| not_a_picture(e.to_string()))?;
    let image = DynamicImage::from_decoder(decoder);
    let mut image = image.map_err(|e| not_a_picture(e.to_string()))?;
    image.apply_orientation(orientation);
    Ok(image)
}

/// The picture without transparency, on a ground of one grey level.
fn laid_on(image: DynamicImage, grey: u8) -> DynamicImage {
    if !image.color().has_alpha() {
        return image;
    }
    let mut pixels = image.to_rgba8();
    for Rgba([red, green, blue, alpha]) in pixels.pixels_mut() {
        let share = u32::from(*alpha);
        for channel in [red, green, blue] {
            let mixed = share * u32::from(*channel) + (255 - share) * u32::from(grey);
            *channel = ((mixed + 127) / 255) as u8;
        }
    }
    DynamicImage::ImageRgba8(pixels)
}

#[cfg(test)]
mod tests {
    use image::{Luma, Rgb, RgbaImage};

    use super::*;

    #[test]
    fn transparent_parts_are_white_in_pictures_and_black_in_masks() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.png");
        let alpha = |x: u32| [0, 51, 255][x as usize];
        let image = RgbaImage::from_fn(3, 1, |x, _| Rgba([100, 100, 100, alpha(x)]));
        image.save(&path).unwrap();
        let picture = open_picture(&path).unwrap();
        let expected = [[255; 3], [224; 3], [100; 3]];
        assert!(picture.pixels().zip(expected).all(|(a, b)| a == &Rgb(b)));
        let mask = open_mask(&path).unwrap();
        let expected = [[0], [20], [100]];
        assert!(mask.pixels().zip(expected).all(|(a, b)| a == &Luma(b)));
    }
}
