//! Pictures whose colours do not go with the others'.

use std::collections::HashMap;

use plantain_assets::{Measures, Rgb};

use super::Candidate;
use crate::checks::Checks;
use crate::identity::key_of;
use crate::plan::{Plan, Shot};

/// Fewest pictures that say what the others' colours are.
const FEWEST: usize = 3;

/// Least share of a picture's pixels that counts as a part of it.
const PART: f64 = 0.04;
/// Distance in Oklab up to which colours of two pictures are about the same.
const SAME: f64 = 0.08;

/// A colour in Oklab: lightness, green to red, blue to yellow.
type Oklab = [f64; 3];

/// What colours pictures have that are to have the same ones.
#[derive(Debug)]
pub(super) struct Palettes<'a> {
    plan: &'a Plan,
    checks: &'a Checks,
    medians: HashMap<String, Oklab>,
}

impl<'a> Palettes<'a> {
    /// The colours of the pictures of the first round of drawing: later rounds are to become like them, not to move them.
    pub(super) fn new(plan: &'a Plan, checks: &'a Checks, candidates: &[Candidate<'_>]) -> Self {
        let mut groups: HashMap<String, Vec<Oklab>> = HashMap::new();
        if checks.palette_distance.is_some() {
            let first = candidates.iter().filter(|candidate| candidate.attempt == 0);
            for candidate in first {
                if let Some(measures) = candidate.measures {
                    let group = group(checks, &plan.shots[candidate.shot]);
                    groups.entry(group).or_default().push(mean(measures));
                }
            }
        }
        let large = groups
            .into_iter()
            .filter(|(_, colours)| colours.len() >= FEWEST);
        Self {
            plan,
            checks,
            medians: large
                .map(|(group, colours)| (group, median(&colours)))
                .collect(),
        }
    }

    /// Why the colours of a picture do not go with the others'.
    pub(super) fn failing(&self, candidate: &Candidate<'_>) -> Option<String> {
        let most = self.checks.palette_distance?;
        let measures = candidate.measures?;
        let group = group(self.checks, &self.plan.shots[candidate.shot]);
        let distance = distance(mean(measures), *self.medians.get(&group)?);
        (distance > most).then(|| {
            format!("its colours are {distance:.4} away from the others', more than {most}")
        })
    }
}

/// A name for the pictures that `shot` is compared with.
fn group(checks: &Checks, shot: &Shot) -> String {
    let names = checks.palette_within.iter();
    let values: Vec<_> = names.map(|name| shot.variables.get(name)).collect();
    key_of("palette", &values)
}

/// The mean of the dominant colours, each by its share.
fn mean(measures: &Measures) -> Oklab {
    let total: f64 = measures.palette.iter().map(|swatch| swatch.share).sum();
    measures.palette.iter().fold([0.0; 3], |sum, swatch| {
        let colour = oklab(swatch.rgb);
        [0, 1, 2].map(|i| sum[i] + colour[i] * swatch.share / total)
    })
}

/// Whether each colour that a part of either picture has is about one that the other has, too; hashes do not look at colours.
pub(super) fn share_their_colours(one: &Measures, other: &Measures) -> bool {
    let colours = |measures: &Measures| -> Vec<(Oklab, f64)> {
        let palette = measures.palette.iter();
        palette
            .map(|swatch| (oklab(swatch.rgb), swatch.share))
            .collect()
    };
    let (one, other) = (colours(one), colours(other));
    let within = |some: &[(Oklab, f64)], others: &[(Oklab, f64)]| {
        let mut parts = some.iter().filter(|(_, share)| *share >= PART);
        parts.all(|(colour, _)| {
            others
                .iter()
                .any(|(near, _)| distance(*colour, *near) <= SAME)
        })
    };
    within(&one, &other) && within(&other, &one)
}

fn median(colours: &[Oklab]) -> Oklab {
    [0, 1, 2].map(|i| {
        let mut values: Vec<f64> = colours.iter().map(|colour| colour[i]).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    })
}

fn distance(a: Oklab, b: Oklab) -> f64 {
    let squares = [0, 1, 2].map(|i| (a[i] - b[i]).powi(2));
    squares.iter().sum::<f64>().sqrt()
}

/// Source: Ottosson, "A perceptual color space for image processing" (2020).
fn oklab(colour: Rgb) -> Oklab {
    let [r, g, b] = colour.0.map(|byte| linear(f64::from(byte) / 255.0));
    let l = (0.412_221_470_8 * r + 0.536_332_536_3 * g + 0.051_445_992_9 * b).cbrt();
    let m = (0.211_903_498_2 * r + 0.680_699_545_1 * g + 0.107_396_956_6 * b).cbrt();
    let s = (0.088_302_461_9 * r + 0.281_718_837_6 * g + 0.629_978_700_5 * b).cbrt();
    [
        0.210_454_255_3 * l + 0.793_617_785_0 * m - 0.004_072_046_8 * s,
        1.977_998_495_1 * l - 2.428_592_205_0 * m + 0.450_593_709_9 * s,
        0.025_904_037_1 * l + 0.782_771_766_2 * m - 0.808_675_766_0 * s,
    ]
}

/// Source: IEC 61966-2-1 (sRGB).
fn linear(value: f64) -> f64 {
    if value <= 0.04045 {
        value / 12.92
    } else {
        ((value + 0.055) / 1.055).powf(2.4)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn oklab_of_known_colours() {
        for (rgb, expected) in [
            ([255, 255, 255], [1.0, 0.0, 0.0]),
            ([0, 0, 0], [0.0, 0.0, 0.0]),
            ([255, 0, 0], [0.627_955, 0.224_863, 0.125_846]),
            ([0, 0, 255], [0.452_014, -0.032_457, -0.311_528]),
        ] {
            assert!(distance(oklab(Rgb(rgb)), expected) < 1e-4, "{rgb:?}");
        }
    }
}
