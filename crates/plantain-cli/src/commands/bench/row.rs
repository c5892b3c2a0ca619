//! What a measurement is written down as.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use plantain::weights::write_atomically;
use serde::{Deserialize, Serialize};

use super::machine::Machine;
use crate::failure::Failure;

/// One measurement. The keys up to `peak_mb`, and `other`, are those of other programs' timings in this field, so that
/// rows can be laid side by side.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Row {
    pub(super) device: String,
    pub(super) precision: String,
    pub(super) part: String,
    pub(super) load_s: f64,
    /// The first run, with what the device compiles in it.
    pub(super) first_s: f64,
    pub(super) median_s: f64,
    pub(super) min_s: f64,
    pub(super) runs: usize,
    /// Most memory that the process held; unknown on some systems.
    pub(super) peak_mb: Option<u64>,
    /// Share of the cores that other processes used during the runs; unknown on some systems, and for short runs.
    pub(super) other: Option<f64>,
    /// An evaluation of the UNet, for parts with one.
    pub(super) step_s: Option<f64>,
    /// A picture, for the pipeline.
    pub(super) picture_s: Option<f64>,
    /// What the device holds after the runs; unknown on CPU devices.
    pub(super) device_mb: Option<u64>,
    /// Agreement with the CPU in f32; none where nothing differs.
    pub(super) psnr_db: Option<f64>,
    pub(super) max_abs: f64,
    pub(super) model: String,
    pub(super) width: usize,
    pub(super) height: usize,
    /// Of a pipeline.
    pub(super) steps: Option<usize>,
    pub(super) threads: usize,
}

impl Row {
    /// Where it was measured, in a word or two.
    pub(super) fn place(&self) -> String {
        format!("{} {}", self.device, self.precision)
    }

    /// What was measured.
    pub(super) fn task(&self) -> String {
        let steps = self.steps.map_or(String::new(), |s| format!(", {s} steps"));
        let Self {
            part,
            model,
            width,
            height,
            ..
        } = self;
        format!("{part} of {model} at {width}x{height}{steps}")
    }

    /// Whether `other` measured the same thing in the same place.
    pub(super) fn is_partner(&self, other: &Self) -> bool {
        self.place() == other.place()
            && self.task() == other.task()
            && self.threads == other.threads
    }
}

/// All measurements of a run of the command, as `benches/report.schema.json` describes it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Report {
    pub(super) machine: Machine,
    pub(super) rows: Vec<Row>,
}

impl Report {
    pub(super) fn read(path: &Path) -> Result<Self, Failure> {
        let failed = |reason: String| {
            Failure::new(format!("cannot read {}: {reason}", path.display()))
                .help("--compare takes a file written by `plantain bench --report`")
        };
        let bytes = fs::read(path).map_err(|e| failed(e.to_string()))?;
        serde_json::from_slice(&bytes).map_err(|e| failed(e.to_string()))
    }

    pub(super) fn to_json(&self) -> Result<String, Failure> {
        let json = serde_json::to_string_pretty(self);
        Ok(json.map_err(|e| Failure::new(e.to_string()))? + "\n")
    }
}

/// Writes a file of text, whole or not at all.
pub(super) fn write(path: &Path, text: &str) -> Result<(), Failure> {
    write_atomically(path, |mut file| file.write_all(text.as_bytes()))
        .map_err(|error| cannot_write(path, &error))
}

pub(super) fn cannot_write(path: &Path, error: &io::Error) -> Failure {
    Failure::new(format!("cannot write {}: {error}", path.display()))
}
