use std::collections::BTreeMap;

use plantain_assets::{PerceptualHash, Rgb, Subject, Swatch};

use super::*;
use crate::plan::Shot;

fn measures(sharpness: f64, hash: u64, rgb: [u8; 3]) -> Measures {
    Measures {
        blank: false,
        sharpness,
        contrast: 0.5,
        palette: vec![Swatch {
            rgb: Rgb(rgb),
            share: 1.0,
        }],
        background: None,
        subject: Subject::WHOLE,
        hash: PerceptualHash(hash),
    }
}

fn plan(shots: usize) -> Plan {
    let shot = |i: usize| Shot {
        key: format!("{i}"),
        prompt_key: format!("{i}"),
        of: format!("line {i}"),
        variables: BTreeMap::from([("colour".to_string(), (i % 2).into())]),
        prompt: String::new(),
        negative: String::new(),
        size: "8x8".parse().unwrap(),
        seed: 0,
        assets: Vec::new(),
    };
    Plan {
        shots: (0..shots).map(shot).collect(),
    }
}

/// One candidate of each shot for each inner list, all of the first round.
fn judged(checks: &Checks, keep: usize, shots: &[Vec<Measures>]) -> Judgement {
    let candidates: Vec<_> = shots
        .iter()
        .enumerate()
        .flat_map(|(shot, own)| own.iter().map(move |measures| (shot, measures)))
        .map(|(shot, measures)| Candidate {
            shot,
            attempt: 0,
            measures: Some(measures),
        })
        .collect();
    judge(&plan(shots.len()), checks, keep, &candidates)
}

fn kept(judgement: &Judgement) -> Vec<Option<usize>> {
    judgement
        .decisions
        .iter()
        .map(|decision| decision.kept)
        .collect()
}

const GREY: [u8; 3] = [128; 3];

#[test]
fn the_best_of_a_prompt_are_kept() {
    let shots = [vec![
        measures(0.3, 1, GREY),
        measures(0.9, 2, GREY),
        measures(0.6, 3, GREY),
    ]];
    let judgement = judged(&Checks::default(), 2, &shots);
    assert_eq!(kept(&judgement), [None, Some(1), Some(2)]);
    assert_eq!(judgement.decisions[0].reason, "2 better of this prompt");
    assert!(judgement.short.is_empty());
}

#[test]
fn limits_are_kept_and_told() {
    let checks = Checks {
        sharpness: 0.5,
        ..Checks::default()
    };
    let mut blank = measures(1.0, 4, GREY);
    blank.blank = true;
    let shots = [
        vec![measures(0.4, 1, GREY), blank],
        vec![measures(0.6, 3, GREY)],
    ];
    let judgement = judged(&checks, 1, &shots);
    assert_eq!(kept(&judgement), [None, None, Some(1)]);
    assert_eq!(
        judgement.decisions[0].reason,
        "sharpness 0.4000 is below 0.5"
    );
    assert_eq!(judgement.short, [0]);
}

#[test]
fn near_duplicates_give_way_to_the_next_best() {
    let checks = Checks {
        duplicates: Duplicates::Drop,
        duplicate_distance: 1,
        ..Checks::default()
    };
    let shots = [
        vec![measures(0.9, 0b1111, GREY)],
        vec![measures(0.9, 0b1110, GREY), measures(0.2, 0b0011, GREY)],
        vec![measures(0.9, 0b0111, GREY)],
    ];
    let judgement = judged(&checks, 1, &shots);
    assert_eq!(kept(&judgement), [Some(1), None, Some(1), None]);
    let reason = &judgement.decisions[1].reason;
    assert_eq!(reason, "looks like that of line 0 (1 of 64 bits differ)");
    assert_eq!(judgement.short, [2]);
    let judgement = judged(&Checks::default(), 1, &shots);
    assert!(judgement.short.is_empty());
    let in_two_colours = [
        vec![measures(0.9, 0b1, [200, 30, 30])],
        vec![measures(0.9, 0b1, [30, 30, 200])],
    ];
    assert!(judged(&checks, 1, &in_two_colours).short.is_empty());
    let of_one_prompt = [vec![measures(0.9, 0b1, GREY), measures(0.8, 0b1, GREY)]];
    let judgement = judged(&checks, 2, &of_one_prompt);
    assert_eq!(kept(&judgement), [Some(1), Some(2)]);
}

#[test]
fn colours_are_compared_within_their_group() {
    let (red, blue) = ([200, 30, 30], [30, 30, 200]);
    // Even shots are red and odd ones blue, but for shot 4.
    let shot = |i: usize| {
        let rgb = if i % 2 == 1 || i == 4 { blue } else { red };
        vec![measures(0.5, i as u64 * 1000, rgb)]
    };
    let shots: Vec<_> = (0..8).map(shot).collect();
    let mut checks = Checks {
        palette_distance: Some(0.2),
        palette_within: vec!["colour".into()],
        ..Checks::default()
    };
    assert_eq!(judged(&checks, 1, &shots).short, [4]);
    checks.palette_within.clear();
    assert_eq!(judged(&checks, 1, &shots).short, [0, 2, 6]);
}
