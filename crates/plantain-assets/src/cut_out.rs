//! Taking a plain background away.

mod matte;

use image::{RgbImage, Rgba, RgbaImage};

use crate::ground::Ground;
use matte::Matte;

/// Smallest side of a picture to cut out, in pixels: an edge is found where there are enough of them to tell it. Smaller ones are better
/// drawn larger, cut out, and [made small](crate::shrink()).
pub const SIDE_TO_CUT: u32 = 256;

/// Why a picture cannot be cut out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CutOutError {
    /// There is more than one colour or a soft gradient behind the subject.
    #[error("its background is not plain, so it cannot become transparent")]
    NotPlain,
    /// Much of the subject would go with the background.
    #[error(
        "its subject is too much like its background, so it cannot become transparent; ask for another background"
    )]
    TooAlike,
}

/// `image` with its background transparent.
///
/// What the border reaches without crossing the subject is background; so is what the subject encloses, where the background is of a
/// colour and not grey: on a white one the white of an eye would go, too. Pixels at the edge are as transparent as they show background, and
/// have the colour of the subject beside them.
///
/// # Errors
/// When the background is not plain, or much of the subject has nearly its colour.
pub fn cut_out(image: &RgbImage) -> Result<RgbaImage, CutOutError> {
    let ground = Ground::of(image).ok_or(CutOutError::NotPlain)?;
    let matte = Matte::of(image, &ground);
    if matte.loses_the_subject() {
        return Err(CutOutError::TooAlike);
    }
    let (width, height) = image.dimensions();
    let mut out = RgbaImage::new(width, height);
    for (index, pixel) in out.pixels_mut().enumerate() {
        let ([r, g, b], alpha) = matte.pixel(index);
        *pixel = Rgba([r, g, b, alpha]);
    }
    Ok(out)
}
