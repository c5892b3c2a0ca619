//! The rules by which pictures are judged, as the campaign file states them.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::error::CampaignError;
use crate::locate::Source;

/// What a picture must be like to be kept, and what becomes of a prompt whose pictures are not.
///
/// A picture on which there is nothing to see is never kept.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Checks {
    /// Least sharpness, 0 to 1, where 1 is a hard edge from black to white.
    #[schemars(range(min = 0, max = 1))]
    pub sharpness: f64,
    /// Least contrast, 0 to 1, between the darkest and the brightest twentieth of the pixels.
    #[schemars(range(min = 0, max = 1))]
    pub contrast: f64,
    /// Least distance of the subject to the border, as a share of the picture.
    #[schemars(range(min = 0, max = 0.5))]
    pub margin: f64,
    /// What happens to a picture that looks like one that is already kept of another prompt, and has about its colours.
    pub duplicates: Duplicates,
    /// How alike they must be: bits of the perceptual hash, of 64, that may differ.
    #[schemars(range(min = 0, max = 32))]
    pub duplicate_distance: u32,
    /// How far the mean colour of a picture may be from that of the others: a distance in Oklab, where 0.02 is just visible
    /// and black and white are 1 apart. Pictures are not compared where it is left out.
    #[schemars(range(min = 0, max = 1))]
    pub palette_distance: Option<f64>,
    /// Variables that must be the same for pictures to be compared in colour, such as `["colour"]`.
    pub palette_within: Vec<String>,
    /// How often as many pictures again are drawn where too few can be kept.
    #[schemars(range(min = 0, max = 20))]
    pub rerolls: usize,
    /// What makes one picture better than another.
    pub score: Score,
}

/// What happens to near duplicates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Duplicates {
    /// They are kept.
    Keep,
    /// They are not kept.
    Drop,
}

/// How much each measure counts when the best pictures of a prompt are chosen.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Score {
    /// Weight of the sharpness.
    #[schemars(range(min = 0, max = 1000))]
    pub sharpness: f64,
    /// Weight of the contrast.
    #[schemars(range(min = 0, max = 1000))]
    pub contrast: f64,
    /// Weight of the distance of the subject to the border.
    #[schemars(range(min = 0, max = 1000))]
    pub margin: f64,
}

impl Default for Checks {
    fn default() -> Self {
        Self {
            sharpness: 0.0,
            contrast: 0.0,
            margin: 0.0,
            duplicates: Duplicates::Keep,
            duplicate_distance: 4,
            palette_distance: None,
            palette_within: Vec::new(),
            rerolls: 0,
            score: Score::default(),
        }
    }
}

impl Default for Score {
    fn default() -> Self {
        Self {
            sharpness: 1.0,
            contrast: 0.5,
            margin: 1.0,
        }
    }
}

impl Checks {
    pub(crate) fn check(&self, source: &Source) -> Result<(), CampaignError> {
        let weights = self.score;
        let numbers = [
            ("sharpness", self.sharpness, 1.0),
            ("contrast", self.contrast, 1.0),
            ("margin", self.margin, 0.5),
            (
                "palette_distance",
                self.palette_distance.unwrap_or(0.0),
                1.0,
            ),
            ("score", weights.sharpness, 1000.0),
            ("score", weights.contrast, 1000.0),
            ("score", weights.margin, 1000.0),
            (
                "duplicate_distance",
                f64::from(self.duplicate_distance),
                32.0,
            ),
            ("rerolls", self.rerolls as f64, 20.0),
        ];
        for (key, value, most) in numbers {
            if !(0.0..=most).contains(&value) {
                let problem = format!("{value} is out of range: 0 to {most}");
                return Err(source.invalid(&["checks", key], problem));
            }
        }
        Ok(())
    }
}
