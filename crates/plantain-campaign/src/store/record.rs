//! What the ledger says of one piece of work.

use plantain_assets::Measures;
use serde::{Deserialize, Serialize};

use crate::size::Pixels;

/// A line of the ledger.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub(crate) enum Entry {
    Picture(PictureRecord),
    Failure(FailureRecord),
    Asset(AssetRecord),
}

/// A picture that was drawn.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PictureRecord {
    /// Name of what went into it.
    pub key: String,
    /// Its seed.
    pub seed: u64,
    /// Hash of its file.
    pub sha256: String,
    /// Size in which it was drawn.
    pub size: Pixels,
    /// Name of the model.
    pub model: String,
    /// Sampling steps.
    pub steps: usize,
    /// Guidance scale.
    pub guidance: f64,
    /// Sampler.
    pub sampler: String,
    /// What can be said of it.
    pub measures: Measures,
    /// Device that drew it.
    pub device: String,
    /// What products were computed in.
    pub precision: String,
    /// How long it took to draw.
    pub seconds: f64,
}

/// A picture that could not be drawn.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FailureRecord {
    /// Name of what went into it.
    pub key: String,
    /// Its seed.
    pub seed: u64,
    /// Why.
    pub reason: String,
}

/// A file that was made of a picture.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AssetRecord {
    /// Name of what went into it.
    pub key: String,
    /// Below the output folder.
    pub path: String,
    /// Hash of the file.
    pub sha256: String,
    /// How long it took to make.
    pub seconds: f64,
}
