//! Taking a plain background away.

mod matte;

use image::{RgbImage, Rgba, RgbaImage};

use crate::ground::Ground;
use crate::measure::Measures;
use matte::Matte;

/// `image` with its background transparent, or nothing where the background is not plain.
/// `measures` are those of `image`.
///
/// What the border reaches without crossing the subject is background; so is what the subject encloses, where the background is of a
/// colour and not grey: on a white one the white of an eye would go, too. Pixels at the edge are as transparent as they show background, and
/// have the colour of the subject beside them.
pub fn cut_out(image: &RgbImage, measures: &Measures) -> Option<RgbaImage> {
    measures.background?;
    let ground = Ground::of(image)?;
    let matte = Matte::of(image, &ground);
    let (width, height) = image.dimensions();
    let mut out = RgbaImage::new(width, height);
    for (index, pixel) in out.pixels_mut().enumerate() {
        let ([r, g, b], alpha) = matte.pixel(index);
        *pixel = Rgba([r, g, b, alpha]);
    }
    Some(out)
}
