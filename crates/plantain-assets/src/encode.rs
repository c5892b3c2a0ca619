//! Pictures as the bytes of files.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use image::codecs::jpeg::JpegEncoder;
use image::codecs::webp::WebPEncoder;
use image::{ExtendedColorType, ImageEncoder, RgbImage, RgbaImage};
use serde::{Deserialize, Serialize};

/// Keyword of the text of a PNG.
const PNG_KEYWORD: &str = "parameters";
/// Quality of a JPEG for which none is asked.
const JPEG_QUALITY: u8 = 92;

/// File format of an asset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AssetFormat {
    /// Lossless; carries a text.
    Png,
    /// Lossy, without transparency.
    Jpeg,
    /// Lossless, or lossy where a quality is given.
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
    /// PNG is lossless.
    #[error("png is written without loss and takes no quality; leave it out")]
    NoQuality,
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
/// `quality` is 1 to 100. Without one a JPEG has 92 and a WebP is lossless. A PNG carries `text` under the
/// keyword `parameters`; the other formats leave it out. A picture whose alpha is 255 everywhere is
/// written without alpha.
///
/// # Errors
/// When the format has no such quality or no transparency, or the encoder fails, as for a picture without
/// pixels or with more than the format allows.
pub fn encode<'a>(
    image: impl Into<Pixels<'a>>,
    format: AssetFormat,
    quality: Option<u8>,
    text: Option<&str>,
) -> Result<Vec<u8>, EncodeError> {
    if let Some(quality) = quality.filter(|quality| !(1..=100).contains(quality)) {
        return Err(EncodeError::Quality(quality));
    }
    let flat = Flat::of(image.into());
    match (format, quality) {
        (AssetFormat::Png, Some(_)) => Err(EncodeError::NoQuality),
        (AssetFormat::Png, None) => png(&flat, text),
        (AssetFormat::Jpeg, quality) => jpeg(&flat, quality.unwrap_or(JPEG_QUALITY)),
        (AssetFormat::WebP, None) => lossless_webp(&flat),
        (AssetFormat::WebP, Some(quality)) => lossy_webp(&flat, quality),
    }
}

/// The bytes of a picture with as many channels as it needs.
struct Flat<'a> {
    bytes: Cow<'a, [u8]>,
    width: u32,
    height: u32,
    alpha: bool,
}

impl<'a> Flat<'a> {
    fn of(pixels: Pixels<'a>) -> Self {
        let (bytes, (width, height), alpha) = match pixels {
            Pixels::Rgb(image) => (Cow::from(image.as_raw()), image.dimensions(), false),
            Pixels::Rgba(image) if image.pixels().any(|pixel| pixel.0[3] < 255) => {
                (Cow::from(image.as_raw()), image.dimensions(), true)
            }
            Pixels::Rgba(image) => {
                let opaque = image
                    .pixels()
                    .flat_map(|pixel| [pixel.0[0], pixel.0[1], pixel.0[2]]);
                (opaque.collect(), image.dimensions(), false)
            }
        };
        Self {
            bytes,
            width,
            height,
            alpha,
        }
    }

    fn color(&self) -> ExtendedColorType {
        if self.alpha {
            ExtendedColorType::Rgba8
        } else {
            ExtendedColorType::Rgb8
        }
    }
}

fn failed(format: AssetFormat) -> impl Fn(&dyn fmt::Display) -> EncodeError {
    move |error| EncodeError::Encoder {
        format: format.name(),
        reason: error.to_string(),
    }
}

fn png(flat: &Flat<'_>, text: Option<&str>) -> Result<Vec<u8>, EncodeError> {
    let mut out = Vec::new();
    let mut encoder = png::Encoder::new(&mut out, flat.width, flat.height);
    encoder.set_color(if flat.alpha {
        png::ColorType::Rgba
    } else {
        png::ColorType::Rgb
    });
    encoder.set_depth(png::BitDepth::Eight);
    let written = match text.map(str::to_string) {
        None => Ok(()),
        // Plain text chunks are Latin-1; like other writers, use the Unicode kind only where needed.
        Some(text) if text.chars().all(|c| u32::from(c) < 256) => {
            encoder.add_text_chunk(PNG_KEYWORD.to_string(), text)
        }
        Some(text) => encoder.add_itxt_chunk(PNG_KEYWORD.to_string(), text),
    };
    written
        .and_then(|()| encoder.write_header()?.write_image_data(&flat.bytes))
        .map_err(|error| failed(AssetFormat::Png)(&error))?;
    Ok(out)
}

fn jpeg(flat: &Flat<'_>, quality: u8) -> Result<Vec<u8>, EncodeError> {
    if flat.alpha {
        return Err(EncodeError::Transparent);
    }
    let mut out = Vec::new();
    JpegEncoder::new_with_quality(&mut out, quality)
        .write_image(&flat.bytes, flat.width, flat.height, flat.color())
        .map_err(|error| failed(AssetFormat::Jpeg)(&error))?;
    Ok(out)
}

fn lossless_webp(flat: &Flat<'_>) -> Result<Vec<u8>, EncodeError> {
    let mut out = Vec::new();
    WebPEncoder::new_lossless(&mut out)
        .write_image(&flat.bytes, flat.width, flat.height, flat.color())
        .map_err(|error| failed(AssetFormat::WebP)(&error))?;
    Ok(out)
}

fn lossy_webp(flat: &Flat<'_>, quality: u8) -> Result<Vec<u8>, EncodeError> {
    let rgba = if flat.alpha {
        flat.bytes.to_vec()
    } else {
        let pixels = flat.bytes.chunks_exact(3);
        pixels
            .flat_map(|pixel| [pixel[0], pixel[1], pixel[2], 255])
            .collect()
    };
    let buffer = webp_rust::ImageBuffer {
        width: flat.width as usize,
        height: flat.height as usize,
        rgba,
    };
    let config = webp_rust::LossyEncodingConfig {
        quality: f32::from(quality),
        ..Default::default()
    };
    webp_rust::encode_lossy_with_config(&buffer, &config, None)
        .map_err(|error| failed(AssetFormat::WebP)(&error))
}
