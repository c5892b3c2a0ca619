//! Bringing a picture to a size.

use std::str::FromStr;

use image::RgbImage;
use serde::{Deserialize, Serialize};

use crate::measure::Measures;

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

/// `image` in `size`, which is width and height in pixels. `measures` are those of `image`.
///
/// A picture or size without pixels gives a black picture of that size.
pub fn fit(_image: &RgbImage, _measures: &Measures, _size: [u32; 2], _fit: Fit) -> RgbImage {
    todo!()
}
