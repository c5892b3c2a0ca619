//! Taking a plain background away.

mod matte;

use image::{RgbImage, Rgba, RgbaImage};

use crate::ground::Ground;
use crate::measure::Measures;
use matte::Matte;

/// `image` with its background transparent, or nothing where the background is not plain.
/// `measures` are those of `image`.
///
/// What the border reaches without crossing the subject is background; a part of the same colour
/// that the subject encloses stays. Pixels at the edge are as transparent as they show background, and
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
