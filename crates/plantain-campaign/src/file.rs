//! The campaign file.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use plantain_assets::{AssetFormat, Fit};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::checks::Checks;
use crate::error::CampaignError;
use crate::locate::Source;
use crate::rows::read_text;
use crate::size::Pixels;

/// A campaign: what to draw, in which variations and formats, and how to choose among the pictures.
///
/// Texts named templates may hold variables in double braces: the columns of a row, the keys of the matrix, and
/// where it says so those of the picture.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Campaign {
    /// Name of the campaign, for the report; the variable `campaign`.
    pub name: String,
    /// Model file or diffusers folder, relative to this file; the built-in model where it is left out.
    pub model: Option<PathBuf>,
    /// Every seed of the campaign follows from this one.
    #[serde(default)]
    pub seed: u64,
    /// Template of a picture's path below the output folder; also knows `format`, `size`, `extension`, and `variant`,
    /// which counts the pictures kept of one prompt from 1.
    pub output: String,
    /// Template of the prompt.
    pub prompt: String,
    /// Template of the negative prompt.
    pub negative: Option<String>,
    /// Pictures that are drawn of each prompt to choose from.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 1000))]
    pub variants: usize,
    /// How many of them are kept.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 1000))]
    pub keep: usize,
    /// Sampling steps; the model's default where they are left out.
    pub steps: Option<usize>,
    /// Guidance scale; the model's default where it is left out.
    pub guidance: Option<f64>,
    /// Sizes that the model draws well, such as `["512x512", "416x624"]`; where they are left out, the one that it was made
    /// for.
    #[serde(default)]
    pub sizes: Vec<Pixels>,
    /// Table of variables, relative to this file: CSV, TSV, or one JSON object a line.
    pub rows: Option<PathBuf>,
    /// Further variables, each with all its values; every combination is drawn of every row.
    #[serde(default)]
    pub matrix: BTreeMap<String, Vec<Value>>,
    /// Folder of fonts for the overlays, relative to this file, beside those that the program carries.
    pub fonts: Option<PathBuf>,
    /// What is made of each picture.
    pub format: Vec<Format>,
    /// What a picture must be like to be kept.
    #[serde(default)]
    pub checks: Checks,
}

/// A shape and size in which the pictures are wanted.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Format {
    /// Name of the format; the variable `format`. One of `square`, `portrait`, `story`, `landscape`, `banner`,
    /// `leaderboard` and `favicon` stands for its usual size where none is given.
    pub name: String,
    /// Width and height in pixels, such as `1080x1920`.
    pub size: Option<Pixels>,
    /// Several sizes instead of one, made of the same picture; the variable `size` tells them apart.
    #[serde(default)]
    pub sizes: Vec<Pixels>,
    /// How a picture of another shape is brought into this one.
    #[serde(default)]
    #[schemars(with = "FitName")]
    pub fit: Fit,
    /// SVG template, relative to this file, drawn over the picture.
    pub overlay: Option<PathBuf>,
    /// What the overlay covers at the sides, in pixels: the subject is kept out of there where the background is plain.
    #[serde(default)]
    pub covered: Covered,
    /// Whether a plain background becomes transparent; what shows in holes of the subject does so too where it is of a colour, and not
    /// where it is white, grey or black, as parts of the subject may be.
    #[serde(default)]
    pub transparent: bool,
    /// Kind of file; by the extension of the output where it is left out. The variable `extension`.
    #[serde(rename = "type")]
    #[schemars(with = "Option<TypeName>")]
    pub file_type: Option<AssetFormat>,
    /// Quality of a JPEG or WebP, 1 to 100; a WebP without one is written without loss.
    #[schemars(range(min = 1, max = 100))]
    pub quality: Option<u8>,
}

/// Strips along the sides of an asset, in pixels.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Covered {
    /// At the left side.
    pub left: u32,
    /// At the upper side.
    pub top: u32,
    /// At the right side.
    pub right: u32,
    /// At the lower side.
    pub bottom: u32,
}

/// How a picture of another shape is brought into one.
// The names of `Fit`, for the schema.
#[derive(JsonSchema)]
#[serde(rename_all = "lowercase")]
#[allow(dead_code)]
enum FitName {
    /// Crop, unless that would cut the subject and the background is plain: then extend.
    Auto,
    /// The part of the picture around its subject.
    Crop,
    /// The whole picture, its background continued.
    Extend,
}

/// A kind of file.
// The names of `AssetFormat`, for the schema.
#[derive(JsonSchema)]
#[serde(rename_all = "lowercase")]
#[allow(dead_code)]
enum TypeName {
    Png,
    Jpeg,
    Webp,
}

fn one() -> usize {
    1
}

/// A campaign with the file that it was read from.
#[derive(Debug, Clone)]
pub struct CampaignFile {
    /// What the file says.
    pub campaign: Campaign,
    /// Where it says what.
    pub(crate) source: Source,
}

impl CampaignFile {
    /// Reads and checks the campaign at `path`.
    ///
    /// # Errors
    /// When the file cannot be read, or says something that cannot be: with file, line and key.
    pub fn read(path: &Path) -> Result<Self, CampaignError> {
        let source = Source::new(path, read_text(path)?);
        let mut campaign: Campaign = source.parse()?;
        campaign
            .matrix
            .values_mut()
            .flatten()
            .for_each(date_as_text);
        let file = Self { campaign, source };
        file.check()?;
        Ok(file)
    }

    /// The model that the campaign asks for; none where it is the built-in one.
    pub fn model(&self) -> Option<PathBuf> {
        self.campaign
            .model
            .as_deref()
            .map(|path| self.resolve(path))
    }

    /// A path of the campaign, which is relative to its file.
    pub(crate) fn resolve(&self, path: &Path) -> PathBuf {
        let folder = self.source.path().parent().unwrap_or(Path::new(""));
        folder.join(path)
    }

    fn check(&self) -> Result<(), CampaignError> {
        let campaign = &self.campaign;
        let refuse = |keys: &[&str], problem: &str| Err(self.source.invalid(keys, problem));
        if campaign.name.trim().is_empty() {
            return refuse(&["name"], "the campaign needs a name");
        }
        if !(1..=1000).contains(&campaign.variants) {
            return refuse(&["variants"], "1 to 1000 variants can be drawn of a prompt");
        }
        if campaign.keep == 0 || campaign.keep > campaign.variants {
            return refuse(&["keep"], "1 to as many as `variants` can be kept");
        }
        if campaign.format.is_empty() {
            return refuse(&["format"], "at least one [[format]] is needed");
        }
        for (key, values) in &campaign.matrix {
            if values.is_empty() {
                return refuse(&["matrix", key], "this list has no values");
            }
        }
        self.check_variables()?;
        for i in 0..campaign.format.len() {
            self.check_format(i)?;
        }
        campaign.checks.check(&self.source)
    }

    fn check_variables(&self) -> Result<(), CampaignError> {
        let reserved = crate::template::RESERVED;
        for key in self.campaign.matrix.keys() {
            if reserved.contains(&key.as_str()) {
                let problem = "this name is taken by a variable of the picture";
                return Err(self.source.invalid(&["matrix", key], problem));
            }
        }
        Ok(())
    }

    fn check_format(&self, index: usize) -> Result<(), CampaignError> {
        let format = &self.campaign.format[index];
        let number = index.to_string();
        let refuse =
            |key: &str, problem: &str| Err(self.source.invalid(&["format", &number, key], problem));
        if format.name.trim().is_empty() {
            return refuse("name", "the format needs a name");
        }
        let before = self.campaign.format.iter().take(index);
        if before
            .map(|format| &format.name)
            .any(|name| *name == format.name)
        {
            return refuse("name", "two formats have this name");
        }
        if format.size.is_some() && !format.sizes.is_empty() {
            return refuse("sizes", "give either `size` or `sizes`");
        }
        if format.pixels().is_empty() {
            return refuse(
                "name",
                "this is no format with a usual size; give its `size`, such as \"1080x1080\"",
            );
        }
        let Covered {
            left,
            top,
            right,
            bottom,
        } = format.covered;
        let hidden = |size: &Pixels| {
            left.saturating_add(right) >= size.width || top.saturating_add(bottom) >= size.height
        };
        if let Some(size) = format.pixels().into_iter().find(hidden) {
            return refuse("covered", &format!("of {size} pixels nothing is left"));
        }
        if format
            .quality
            .is_some_and(|quality| !(1..=100).contains(&quality))
        {
            return refuse("quality", "1 to 100");
        }
        if format.transparent && format.file_type == Some(AssetFormat::Jpeg) {
            return refuse(
                "transparent",
                "a JPEG cannot be transparent; use png or webp",
            );
        }
        Ok(())
    }
}

/// Makes the text of a date that it is written as, of what the reader of TOML gives for one without quotation marks.
fn date_as_text(value: &mut Value) {
    if let Some(date) = value.get_mut("$__toml_private_datetime") {
        *value = date.take();
    }
}

impl Format {
    /// The sizes of this format: as given, or the usual ones of its name.
    pub fn pixels(&self) -> Vec<Pixels> {
        match (self.size, &self.sizes[..]) {
            (Some(size), _) => vec![size],
            (None, []) => usual_sizes(&self.name)
                .iter()
                .map(|&[width, height]| Pixels { width, height })
                .collect(),
            (None, sizes) => sizes.to_vec(),
        }
    }
}

/// What platforms ask for under these names.
fn usual_sizes(name: &str) -> &'static [[u32; 2]] {
    match name {
        "square" => &[[1080, 1080]],
        "portrait" => &[[1080, 1350]],
        "story" => &[[1080, 1920]],
        "landscape" => &[[1920, 1080]],
        "banner" => &[[1200, 628]],
        "leaderboard" => &[[728, 90]],
        "favicon" => &[
            [16, 16],
            [32, 32],
            [48, 48],
            [180, 180],
            [192, 192],
            [512, 512],
        ],
        _ => &[],
    }
}
