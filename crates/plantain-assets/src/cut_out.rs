//! Taking a plain background away.

use image::{RgbImage, RgbaImage};

use crate::measure::Measures;

/// `image` with its background transparent, or nothing where the background is not plain.
/// `measures` are those of `image`.
///
/// What the border reaches without crossing the subject is background; a part of the same colour
/// that the subject encloses stays.
pub fn cut_out(_image: &RgbImage, _measures: &Measures) -> Option<RgbaImage> {
    todo!()
}
