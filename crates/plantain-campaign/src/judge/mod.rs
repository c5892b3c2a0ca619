//! Which pictures are kept: rules on each picture, on those of one prompt, and on the whole campaign.
//!
//! A function of the plan, the rules and what was measured, so that it decides the same whenever it is asked.

mod duplicates;
mod palette;

use std::collections::HashMap;

use plantain_assets::Measures;
use serde::Serialize;

use crate::checks::{Checks, Duplicates, Score};
use crate::plan::Plan;
use duplicates::Kept;
use palette::Palettes;

/// A picture of the campaign to be judged.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Candidate<'a> {
    /// Number of its shot in the plan.
    pub(crate) shot: usize,
    /// Which round of drawing it is of, from 0.
    pub(crate) attempt: usize,
    /// What can be said of it; `None` where it could not be drawn.
    pub(crate) measures: Option<&'a Measures>,
}

/// What becomes of a picture.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Decision {
    /// Its place among those kept of its prompt, from 1; `None` where it is not kept.
    pub kept: Option<usize>,
    /// Its points, by the weights of the campaign.
    pub score: f64,
    /// Why.
    pub reason: String,
}

/// What becomes of all of them.
#[derive(Debug)]
pub(crate) struct Judgement {
    /// One for each candidate.
    pub(crate) decisions: Vec<Decision>,
    /// Shots with fewer kept pictures than wanted, by number.
    pub(crate) short: Vec<usize>,
}

/// Judges `candidates`, which are sorted by shot and then in the order of their drawing.
pub(crate) fn judge(
    plan: &Plan,
    checks: &Checks,
    keep: usize,
    candidates: &[Candidate<'_>],
) -> Judgement {
    let palettes = Palettes::new(plan, checks, candidates);
    let decisions = candidates.iter().map(|candidate| {
        let reason = failing(checks, candidate).or_else(|| palettes.failing(candidate));
        Decision {
            kept: None,
            score: candidate
                .measures
                .map_or(0.0, |measures| score(checks.score, measures)),
            reason: reason.unwrap_or_default(),
        }
    });
    let mut judgement = Judgement {
        decisions: decisions.collect(),
        short: Vec::new(),
    };
    let mut by_shot: HashMap<usize, Vec<usize>> = HashMap::new();
    for (i, candidate) in candidates.iter().enumerate() {
        by_shot.entry(candidate.shot).or_default().push(i);
    }
    let mut kept = Kept::default();
    for shot in 0..plan.shots.len() {
        let own = by_shot.remove(&shot).unwrap_or_default();
        let found = choose(
            plan,
            checks,
            keep,
            candidates,
            &own,
            &mut kept,
            &mut judgement,
        );
        if found < keep {
            judgement.short.push(shot);
        }
    }
    judgement
}

/// Chooses the best of one shot, whose candidates have the numbers `own`; gives how many are kept.
fn choose<'a>(
    plan: &'a Plan,
    checks: &Checks,
    keep: usize,
    candidates: &[Candidate<'a>],
    own: &[usize],
    kept: &mut Kept<'a>,
    judgement: &mut Judgement,
) -> usize {
    let decisions = &mut judgement.decisions;
    let mut passing: Vec<usize> = own
        .iter()
        .copied()
        .filter(|i| decisions[*i].reason.is_empty())
        .collect();
    // Stable: of equals the first comes first.
    passing.sort_by(|a, b| decisions[*b].score.total_cmp(&decisions[*a].score));
    let mut found = 0;
    for i in passing {
        let Some(measures) = candidates[i].measures else {
            continue;
        };
        let shot = &plan.shots[candidates[i].shot];
        let decision = &mut decisions[i];
        if found == keep {
            decision.reason = format!("{keep} better of this prompt");
            continue;
        }
        let twin = match checks.duplicates {
            Duplicates::Keep => None,
            Duplicates::Drop => kept.twin(measures, shot, checks.duplicate_distance),
        };
        if let Some((twin, distance)) = twin {
            decision.reason = format!(
                "looks like that of {} ({distance} of 64 bits differ)",
                twin.of
            );
            continue;
        }
        found += 1;
        kept.add(measures, shot);
        decision.kept = Some(found);
        decision.reason = format!(
            "number {found} of its prompt, with {} points",
            decision.score
        );
    }
    found
}

/// Why a picture is not good enough on its own.
fn failing(checks: &Checks, candidate: &Candidate<'_>) -> Option<String> {
    let Some(measures) = candidate.measures else {
        return Some("could not be drawn".into());
    };
    if measures.blank {
        return Some("there is nothing to see".into());
    }
    [
        ("sharpness", measures.sharpness, checks.sharpness),
        ("contrast", measures.contrast, checks.contrast),
        ("margin", measures.subject.margins(), checks.margin),
    ]
    .into_iter()
    .find(|(_, value, least)| value < least)
    .map(|(name, value, least)| format!("{name} {value:.4} is below {least}"))
}

fn score(weights: Score, measures: &Measures) -> f64 {
    let points = weights.sharpness * measures.sharpness
        + weights.contrast * measures.contrast
        + weights.margin * measures.subject.margins();
    (points * 1e4).round() / 1e4
}

#[cfg(test)]
mod tests;
