//! Bringing a picture to a size.

mod extend;
mod resample;
mod window;

use std::str::FromStr;

use image::RgbImage;
use serde::{Deserialize, Serialize};

use crate::measure::Measures;
use extend::extend;
use resample::resample;
use window::{Window, inner_size};

/// What gives way where a picture and a size differ in shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fit {
    /// `Crop`, unless that cuts the subject and there is a plain background: then `Extend`.
    #[default]
    Auto,
    /// The largest window of the size's shape, with the subject as near its middle as can be.
    Crop,
    /// The whole picture, its background continued, with the subject as near the middle as can be.
    Extend,
}

/// A name that is no way of fitting.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no way of fitting `{0}`; choose auto, crop or extend")]
pub struct UnknownFit(String);

impl Fit {
    /// Every way.
    pub const ALL: [Self; 3] = [Self::Auto, Self::Crop, Self::Extend];

    /// Name in files and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Crop => "crop",
            Self::Extend => "extend",
        }
    }
}

impl FromStr for Fit {
    type Err = UnknownFit;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let named = Self::ALL.into_iter().find(|fit| fit.name() == name);
        named.ok_or_else(|| UnknownFit(name.to_string()))
    }
}

/// Strips along the sides of a size, in pixels.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Insets {
    /// At the left side.
    pub left: u32,
    /// At the upper side.
    pub top: u32,
    /// At the right side.
    pub right: u32,
    /// At the lower side.
    pub bottom: u32,
}

impl Insets {
    /// Corner and size of what they leave of `size`, a pixel at least.
    fn room(self, size: [u32; 2]) -> [[u32; 2]; 2] {
        let (near, far) = ([self.left, self.top], [self.right, self.bottom]);
        let corner = [0, 1].map(|axis| near[axis].min(size[axis] - 1));
        let left = |axis: usize| (size[axis] - corner[axis]).saturating_sub(far[axis]);
        [corner, [0, 1].map(|axis| left(axis).max(1))]
    }
}

/// `image` in `size`, which is width and height in pixels. `measures` are those of `image`.
///
/// `Extend` crops where the background is not plain, for there is nothing to continue. A picture or
/// size without pixels gives a black picture of that size.
pub fn fit(image: &RgbImage, measures: &Measures, size: [u32; 2], fit: Fit) -> RgbImage {
    fit_beside(image, measures, size, Insets::default(), fit)
}

/// [`fit()`] with the picture kept out of `covered`, where only background goes; `Auto` extends for that,
/// and what crops takes no notice of it.
pub fn fit_beside(
    image: &RgbImage,
    measures: &Measures,
    size: [u32; 2],
    covered: Insets,
    fit: Fit,
) -> RgbImage {
    let [width, height] = size;
    if image.is_empty() || width == 0 || height == 0 {
        return RgbImage::new(width, height);
    }
    let window = Window::around(&measures.subject, image.dimensions().into(), size);
    let cuts = || !window.holds(&measures.subject, image.dimensions().into());
    let extends = match fit {
        Fit::Auto => covered != Insets::default() || cuts(),
        Fit::Crop => false,
        Fit::Extend => true,
    };
    let extended = (extends && measures.background.is_some())
        .then(|| extend(image, &measures.subject, size, covered.room(size)))
        .flatten();
    extended.unwrap_or_else(|| resample(image, &window, size))
}

/// The whole of a picture as large as fits in `size`, which are width and height, resampled in linear light.
///
/// # Panics
/// When the picture or `size` is without pixels.
///
/// ```
/// use plantain_assets::contained;
///
/// let wide = image::RgbImage::new(64, 32);
/// assert_eq!(contained(&wide, [16, 16]).dimensions(), (16, 8));
/// ```
pub fn contained(image: &RgbImage, size: [u32; 2]) -> RgbImage {
    let picture = image.dimensions().into();
    resample(image, &Window::whole(picture), inner_size(picture, size))
}
