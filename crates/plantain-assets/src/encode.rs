//! Pictures as the bytes of files.

use std::str::FromStr;

use image::{RgbImage, RgbaImage};
use serde::{Deserialize, Serialize};

/// File format of an asset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AssetFormat {
    /// Lossless; carries a text.
    Png,
    /// Lossy, without transparency.
    Jpeg,
    /// Lossless.
    WebP,
}

/// A name that is no known format.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no asset format `{0}`; choose png, jpeg or webp")]
pub struct UnknownAssetFormat(String);

/// A picture with or without alpha.
#[derive(Debug, Clone, Copy)]
pub enum Pixels<'a> {
    /// Without.
    Rgb(&'a RgbImage),
    /// With, straight.
    Rgba(&'a RgbaImage),
}

/// Why a picture cannot be encoded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// JPEG has no transparency.
    #[error("jpeg has no transparency; choose png or webp, or keep the background")]
    Transparent,
    /// The format is lossless.
    #[error("{format} is written without loss and takes no quality; leave it out")]
    NoQuality {
        /// Name of the format.
        format: &'static str,
    },
    /// Not a quality.
    #[error("a quality of {0} is out of range: 1 to 100")]
    Quality(u8),
    /// The encoder failed.
    #[error("cannot write {format}: {reason}")]
    Encoder {
        /// Name of the format.
        format: &'static str,
        /// What it said.
        reason: String,
    },
}

impl<'a> From<&'a RgbImage> for Pixels<'a> {
    fn from(image: &'a RgbImage) -> Self {
        Self::Rgb(image)
    }
}

impl<'a> From<&'a RgbaImage> for Pixels<'a> {
    fn from(image: &'a RgbaImage) -> Self {
        Self::Rgba(image)
    }
}

impl AssetFormat {
    /// Every format.
    pub const ALL: [Self; 3] = [Self::Png, Self::Jpeg, Self::WebP];

    /// Name in files and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Png => "png",
            Self::Jpeg => "jpeg",
            Self::WebP => "webp",
        }
    }

    /// Usual ending of a file's name, without the dot.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Png => "png",
            Self::Jpeg => "jpg",
            Self::WebP => "webp",
        }
    }
}

impl FromStr for AssetFormat {
    type Err = UnknownAssetFormat;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let named = Self::ALL.into_iter().find(|format| format.name() == name);
        named.ok_or_else(|| UnknownAssetFormat(name.to_string()))
    }
}

/// The bytes of a file in `format`.
///
/// `quality` is 1 to 100, and 92 where it is not given. A PNG carries `text` under the keyword
/// `parameters`; the other formats leave it out. A picture whose alpha is 255 everywhere is written
/// without alpha.
///
/// # Errors
/// When the format has no such quality or no transparency, or the encoder fails.
pub fn encode<'a>(
    _image: impl Into<Pixels<'a>>,
    _format: AssetFormat,
    _quality: Option<u8>,
    _text: Option<&str>,
) -> Result<Vec<u8>, EncodeError> {
    todo!()
}
