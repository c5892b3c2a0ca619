//! What is said of every picture: one line of the manifest each.

use std::collections::{BTreeMap, HashMap};

use plantain_assets::Measures;
use serde::Serialize;
use serde_json::Value;

use crate::judge::{Decision, Judgement};
use crate::run::{Run, Wanted};
use crate::size::Pixels;
use crate::store::Known;

/// A picture that was drawn, or could not be.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Line {
    #[serde(skip)]
    pub(crate) shot_number: usize,
    /// Whose it is, in words: the first row that asks for it.
    pub(crate) of: String,
    pub(crate) prompt: String,
    pub(crate) negative: String,
    pub(crate) seed: u64,
    /// Round of drawing, from 1.
    pub(crate) round: usize,
    pub(crate) size: Pixels,
    /// Name of what went into it; its file has the same.
    pub(crate) key: String,
    /// What is known of it; nothing where it could not be drawn.
    #[serde(flatten)]
    pub(crate) drawn: Option<Drawn>,
    pub(crate) decision: Decision,
    /// What was made of it.
    pub(crate) files: Vec<Made>,
    pub(crate) timings: Timings,
}

/// What is known of a picture that was drawn.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Drawn {
    pub(crate) sha256: String,
    pub(crate) model: String,
    pub(crate) steps: usize,
    pub(crate) guidance: f64,
    pub(crate) sampler: String,
    pub(crate) device: String,
    pub(crate) precision: String,
    pub(crate) checks: Measures,
}

/// An asset.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Made {
    pub(crate) path: String,
    /// Whose it is, in words.
    pub(crate) of: String,
    /// Columns of the row and keys of the matrix.
    pub(crate) variables: BTreeMap<String, Value>,
    pub(crate) format: String,
    pub(crate) size: Pixels,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) sha256: Option<String>,
    /// Why it could not be made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) failure: Option<String>,
}

/// What differs from run to run.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Timings {
    /// Seconds it took to draw the picture.
    pub(crate) drawing: f64,
    /// Seconds it took to make its assets.
    pub(crate) making: f64,
}

/// The lines of all pictures `wanted`, in their order.
pub(crate) fn lines(
    run: Run<'_>,
    known: &Known,
    wanted: &[Wanted],
    judgement: &Judgement,
    failures: &HashMap<String, String>,
) -> Vec<Line> {
    let judged = wanted.iter().zip(&judgement.decisions);
    judged
        .map(|(wanted, decision)| line(run, known, *wanted, decision.clone(), failures))
        .collect()
}

fn line(
    run: Run<'_>,
    known: &Known,
    wanted: Wanted,
    mut decision: Decision,
    failures: &HashMap<String, String>,
) -> Line {
    let shot = &run.plan.shots[wanted.shot];
    let key = run.key(wanted);
    let record = known.pictures.get(&key);
    if let Some(failure) = known.failures.get(&key) {
        decision.reason = format!("could not be drawn: {}", failure.reason);
    }
    let files = files(run, known, wanted, &decision, failures);
    let made = files.iter().filter_map(|file| known.assets.get(&file.path));
    let timings = Timings {
        drawing: record.map_or(0.0, |record| record.seconds),
        making: made.map(|record| record.seconds).sum(),
    };
    Line {
        shot_number: wanted.shot,
        of: shot.of.clone(),
        prompt: shot.prompt.clone(),
        negative: shot.negative.clone(),
        seed: run.seed(wanted),
        round: wanted.attempt + 1,
        size: shot.size,
        key,
        drawn: record.map(|record| Drawn {
            sha256: record.sha256.clone(),
            model: record.model.clone(),
            steps: record.steps,
            guidance: record.guidance,
            sampler: record.sampler.clone(),
            device: record.device.clone(),
            precision: record.precision.clone(),
            checks: record.measures.clone(),
        }),
        decision,
        files,
        timings,
    }
}

fn files(
    run: Run<'_>,
    known: &Known,
    wanted: Wanted,
    decision: &Decision,
    failures: &HashMap<String, String>,
) -> Vec<Made> {
    let Some(kept) = decision.kept else {
        return Vec::new();
    };
    let assets = run.plan.shots[wanted.shot].assets.iter();
    assets
        .map(|asset| {
            let path = &asset.paths[kept - 1];
            let failure = failures.get(path).cloned();
            let record = known.assets.get(path).filter(|_| failure.is_none());
            Made {
                path: path.clone(),
                of: asset.of.clone(),
                variables: asset.variables.clone(),
                format: run.file.campaign.format[asset.format].name.clone(),
                size: asset.recipe.size,
                sha256: record.map(|record| record.sha256.clone()),
                failure,
            }
        })
        .collect()
}
