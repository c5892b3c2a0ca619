//! Finished pictures: encoding, writing, reading the parameters back.

use std::fs::File;
use std::io::{self, BufReader, Write};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use image::codecs::jpeg::JpegEncoder;
use image::codecs::webp::WebPEncoder;
use image::{ExtendedColorType, ImageEncoder, RgbImage};
use plantain_weights::write_atomically;

use crate::error::Error;
use crate::metadata::{PNG_KEYWORD, Parameters, ParseError};

/// File format of a picture.
///
/// ```
/// use plantain::Format;
///
/// assert_eq!("jpg".parse::<Format>()?, Format::Jpeg);
/// # Ok::<(), plantain::UnknownFormat>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Lossless; carries the generation parameters.
    Png,
    /// Lossy, at quality 92.
    Jpeg,
    /// Lossless.
    WebP,
}

/// A name that is no known format.
///
/// ```
/// let error = "gif".parse::<plantain::Format>().unwrap_err();
/// assert!(error.to_string().contains("`gif`"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no picture format `{0}`; choose png, jpeg or webp")]
pub struct UnknownFormat(String);

impl Format {
    /// Every format.
    pub const ALL: [Self; 3] = [Self::Png, Self::Jpeg, Self::WebP];

    /// Name on the command line and usual file extension.
    ///
    /// ```
    /// assert_eq!(plantain::Format::WebP.name(), "webp");
    /// ```
    pub fn name(self) -> &'static str {
        match self {
            Self::Png => "png",
            Self::Jpeg => "jpeg",
            Self::WebP => "webp",
        }
    }

    /// The format that the extension of `path` names, if any.
    ///
    /// ```
    /// use plantain::Format;
    ///
    /// assert_eq!(Format::of_path("fox.JPG".as_ref()), Some(Format::Jpeg));
    /// assert_eq!(Format::of_path("fox".as_ref()), None);
    /// ```
    pub fn of_path(path: &Path) -> Option<Self> {
        path.extension()?
            .to_str()?
            .to_ascii_lowercase()
            .parse()
            .ok()
    }
}

impl FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        match name {
            "png" => Ok(Self::Png),
            "jpeg" | "jpg" => Ok(Self::Jpeg),
            "webp" => Ok(Self::WebP),
            _ => Err(UnknownFormat(name.to_string())),
        }
    }
}

/// A finished picture.
///
/// ```
/// use plantain::{DeviceOptions, ModelSource, Pipeline, Request, Unobserved};
///
/// let pipeline = Pipeline::load(ModelSource::BuiltIn, DeviceOptions::default())?;
/// let request = Request::new("a red fox, 3d render").seed(7).steps(1).size([64, 64]);
/// let picture = pipeline.generate(&request, &mut Unobserved)?.remove(0);
/// assert_eq!(picture.image.dimensions(), (64, 64));
/// assert_eq!(picture.parameters.seed, 7);
/// # Ok::<(), plantain::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Picture {
    /// The pixels.
    pub image: RgbImage,
    /// How it was made.
    pub parameters: Parameters,
}

impl Picture {
    /// From decoder output in -1 to 1, `[3, height, width]`, and `[width, height]`.
    pub(crate) fn new(
        (values, [width, height]): (Vec<f32>, [usize; 2]),
        parameters: Parameters,
    ) -> Result<Self, Error> {
        let plane = width * height;
        let byte = |v: f32| (v.clamp(-1.0, 1.0) * 127.5 + 127.5).round() as u8;
        let pixels = (0..plane)
            .flat_map(|i| [0, 1, 2].map(|channel| byte(values[channel * plane + i])))
            .collect();
        let image = RgbImage::from_raw(width as u32, height as u32, pixels);
        let image = image.ok_or_else(|| Error::NonFinite {
            component: "decoder",
            detail: format!(": {} values for {width}x{height} pixels", values.len()),
        })?;
        Ok(Self { image, parameters })
    }

    /// The same with corners as the pixels next to them on the diagonal. A tiny decoder, which sees zeros beyond both sides of a corner,
    /// leaves that one pixel of a plain ground off by up to a tenth.
    pub(crate) fn with_plain_corners(mut self) -> Self {
        let (width, height) = self.image.dimensions();
        if width.min(height) > 2 {
            let ends = |length: u32| [(0, 1), (length - 1, length - 2)];
            for (x, from_x) in ends(width) {
                for (y, from_y) in ends(height) {
                    *self.image.get_pixel_mut(x, y) = *self.image.get_pixel(from_x, from_y);
                }
            }
        }
        self
    }

    /// Width and height in pixels.
    pub(crate) fn size(&self) -> [usize; 2] {
        let (width, height) = self.image.dimensions();
        [width as usize, height as usize]
    }

    /// The bytes of a file in `format`.
    ///
    /// # Errors
    /// When the encoder fails.
    ///
    /// ```
    /// use plantain::{Format, Parameters, Picture, RgbImage};
    ///
    /// # let text = "a red fox\nSteps: 6, Sampler: flow-euler, CFG scale: 1, Seed: 7, \
    /// #             Size: 8x8, Model: plantain-2-lite";
    /// # let parameters = Parameters::parse(text)?;
    /// let picture = Picture { image: RgbImage::new(8, 8), parameters };
    /// assert!(picture.encode(Format::Png)?.starts_with(b"\x89PNG"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn encode(&self, format: Format) -> Result<Vec<u8>, String> {
        let (width, height) = self.image.dimensions();
        let (pixels, color) = (self.image.as_raw(), ExtendedColorType::Rgb8);
        let mut out = Vec::new();
        match format {
            Format::Png => self
                .encode_png(&mut out, png::Compression::default())
                .map_err(|e| e.to_string())?,
            Format::Jpeg => JpegEncoder::new_with_quality(&mut out, 92)
                .write_image(pixels, width, height, color)
                .map_err(|e| e.to_string())?,
            Format::WebP => WebPEncoder::new_lossless(&mut out)
                .write_image(pixels, width, height, color)
                .map_err(|e| e.to_string())?,
        }
        Ok(out)
    }

    /// A PNG that is made in a fraction of the time and takes somewhat more room: for pictures that are kept to be read
    /// again.
    ///
    /// # Errors
    /// As [`Self::encode`].
    ///
    /// ```
    /// use plantain::{Parameters, Picture, RgbImage};
    ///
    /// # let text = "a red fox\nSteps: 6, Sampler: flow-euler, CFG scale: 1, Seed: 7, \
    /// #             Size: 8x8, Model: plantain-2-lite";
    /// # let parameters = Parameters::parse(text)?;
    /// let picture = Picture { image: RgbImage::new(8, 8), parameters };
    /// assert!(picture.encode_quickly()?.starts_with(b"\x89PNG"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn encode_quickly(&self) -> Result<Vec<u8>, String> {
        let mut out = Vec::new();
        let written = self.encode_png(&mut out, png::Compression::Fast);
        written.map_err(|e| e.to_string())?;
        Ok(out)
    }

    fn encode_png(
        &self,
        out: &mut Vec<u8>,
        compression: png::Compression,
    ) -> Result<(), png::EncodingError> {
        let (width, height) = self.image.dimensions();
        let mut encoder = png::Encoder::new(out, width, height);
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_depth(png::BitDepth::Eight);
        encoder.set_compression(compression);
        let text = self.parameters.to_string();
        // Plain text chunks are Latin-1; like other writers, use the Unicode kind only where needed.
        let keyword = PNG_KEYWORD.to_string();
        if text.chars().all(|c| u32::from(c) < 256) {
            encoder.add_text_chunk(keyword, text)?;
        } else {
            encoder.add_itxt_chunk(keyword, text)?;
        }
        encoder
            .write_header()?
            .write_image_data(self.image.as_raw())
    }

    /// Writes a file in `format`: first under a temporary name in the same folder, then renamed, so
    /// that no reader ever sees half a picture.
    ///
    /// # Errors
    /// When the folder cannot be written to or the disk is full; then nothing is left behind.
    ///
    /// ```
    /// use plantain::{Format, Parameters, Picture, RgbImage};
    ///
    /// # let text = "a red fox\nSteps: 6, Sampler: flow-euler, CFG scale: 1, Seed: 7, \
    /// #             Size: 8x8, Model: plantain-2-lite";
    /// # let parameters = Parameters::parse(text)?;
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("fox.webp");
    /// let picture = Picture { image: RgbImage::new(8, 8), parameters };
    /// picture.save(&path, Format::WebP)?;
    /// assert!(path.exists());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn save(&self, path: &Path, format: Format) -> Result<(), Error> {
        let failed = |reason: String| Error::Write {
            path: path.to_path_buf(),
            reason,
        };
        let bytes = self.encode(format).map_err(failed)?;
        write_atomically(path, |mut file| file.write_all(&bytes)).map_err(|e| failed(e.to_string()))
    }
}

/// Why no parameters can be read from a file.
///
/// ```
/// use plantain::{InfoError, read_parameters};
///
/// let error = read_parameters("no-such-file.png".as_ref()).unwrap_err();
/// assert!(matches!(error, InfoError::Open { .. }));
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InfoError {
    /// The file cannot be opened.
    #[error("cannot open {path}: {source}")]
    Open {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is no PNG.
    #[error("{path} is not a readable PNG ({reason}); only PNG files carry generation parameters")]
    NotPng {
        /// The file.
        path: PathBuf,
        /// What the decoder said.
        reason: String,
    },
    /// The PNG carries no parameters.
    #[error(
        "{path} carries no `parameters` text; it was not made by this program, or its metadata was removed"
    )]
    NoParameters {
        /// The file.
        path: PathBuf,
    },
    /// The text is of another program.
    #[error("the parameters of {path} cannot be repeated: {source}\n{text}")]
    Foreign {
        /// The file.
        path: PathBuf,
        /// The text as found.
        text: String,
        /// What is wrong with it.
        source: ParseError,
    },
}

/// Reads back how the PNG at `path` was made.
///
/// # Errors
/// When the file cannot be opened, is no PNG, or carries no parameters of this program.
///
/// ```
/// use plantain::{Format, Parameters, Picture, RgbImage, read_parameters};
///
/// # let text = "a red fox\nSteps: 6, Sampler: flow-euler, CFG scale: 1, Seed: 7, \
/// #             Size: 8x8, Model: plantain-2-lite";
/// # let parameters = Parameters::parse(text)?;
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("fox.png");
/// # let picture = Picture { image: RgbImage::new(8, 8), parameters };
/// picture.save(&path, Format::Png)?;
/// assert_eq!(read_parameters(&path)?, picture.parameters);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn read_parameters(path: &Path) -> Result<Parameters, InfoError> {
    let text = read_parameters_text(path)?;
    Parameters::parse(&text).map_err(|source| InfoError::Foreign {
        path: path.to_path_buf(),
        text,
        source,
    })
}

/// The same as the text that is stored in the file, whichever program wrote it.
///
/// # Errors
/// [`InfoError`], but for texts of other programs.
///
/// ```
/// # use std::path::Path;
/// let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../samples/fox.png"));
/// let text = plantain::read_parameters_text(path)?;
/// assert!(text.starts_with("a fox, 3d render, on a teal background\nSteps: 4, "));
/// # Ok::<(), plantain::InfoError>(())
/// ```
pub fn read_parameters_text(path: &Path) -> Result<String, InfoError> {
    let file = File::open(path).map_err(|source| InfoError::Open {
        path: path.to_path_buf(),
        source,
    })?;
    let not_png = |e: png::DecodingError| InfoError::NotPng {
        path: path.to_path_buf(),
        reason: e.to_string(),
    };
    let mut reader = png::Decoder::new(BufReader::new(file))
        .read_info()
        .map_err(not_png)?;
    // Text may also follow the pixels.
    reader.finish().map_err(not_png)?;
    parameters_text(reader.info()).ok_or_else(|| InfoError::NoParameters {
        path: path.to_path_buf(),
    })
}

fn parameters_text(info: &png::Info<'_>) -> Option<String> {
    let plain = info.uncompressed_latin1_text.iter();
    let unicode = info.utf8_text.iter();
    plain
        .filter(|chunk| chunk.keyword == PNG_KEYWORD)
        .map(|chunk| chunk.text.clone())
        .chain(
            unicode
                .filter(|chunk| chunk.keyword == PNG_KEYWORD)
                .filter_map(|chunk| chunk.get_text().ok()),
        )
        .next()
}
