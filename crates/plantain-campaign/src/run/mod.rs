//! A run: draws what is missing, judges, draws again where too little was good, and makes the assets.

mod draw;
mod make;

use std::collections::HashSet;
use std::path::Path;

use crate::error::CampaignError;
use crate::file::CampaignFile;
use crate::judge::{Candidate, Judgement, judge};
use crate::manifest::{Line, lines};
use crate::painter::{CampaignEvent, CampaignObserver, Painter};
use crate::plan::Plan;
use crate::report;
use crate::shard::Shard;
use crate::store::{Known, Store};

pub(crate) use draw::Wanted;

/// A campaign, and where and how it is rendered.
#[derive(Debug, Clone, Copy)]
pub struct Run<'a> {
    /// The campaign.
    pub file: &'a CampaignFile,
    /// Its work.
    pub plan: &'a Plan,
    /// Folder that everything goes into.
    pub folder: &'a Path,
    /// Threads that measure and write beside the one that draws. Assets are made on at least all cores, when it is done.
    pub jobs: usize,
}

/// What a run comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Pictures drawn by this run.
    pub drawn: usize,
    /// Assets made by this run.
    pub made: usize,
    /// Assets of the campaign that are there.
    pub assets: usize,
    /// Files that the campaign was to have and has not, each with its reason.
    pub lacking: Vec<String>,
    /// Files of earlier runs that are no part of the campaign as it is now.
    pub left: Vec<String>,
}

/// Renders the campaign, or of a part of it the first round of pictures: those can only be judged together.
///
/// What an earlier run left in the folder is taken over where nothing that went into it has changed; what it could not draw is tried again.
///
/// # Errors
/// When the folder cannot be written to, the model fails altogether, or the observer stops the run. A picture or asset
/// that fails is part of the outcome.
pub fn run(
    run: Run<'_>,
    shard: Shard,
    painter: &mut dyn Painter,
    observer: &mut dyn CampaignObserver,
) -> Result<Outcome, CampaignError> {
    check_settings(run, painter)?;
    let mut store = Store::open(run.folder, shard)?;
    store.forget_failures();
    if shard.is_part() {
        let first = run.first_round(|shot| shard.has(shot));
        let drawn = draw::draw(run, &mut store, &first, painter, observer)?;
        store.flush()?;
        let failed = first
            .iter()
            .filter_map(|wanted| run.failure(store.known(), *wanted));
        return Ok(Outcome {
            drawn,
            made: 0,
            assets: 0,
            lacking: failed.collect(),
            left: Vec::new(),
        });
    }
    finish(run, store, painter, observer)
}

/// Joins what shards have drawn, each in a folder of its own or all in that of `run`, and finishes the campaign.
///
/// # Errors
/// [`CampaignError::Incomplete`] when pictures of the first round are missing, and as [`run`].
pub fn merge(
    run: Run<'_>,
    shards: &[&Path],
    painter: &mut dyn Painter,
    observer: &mut dyn CampaignObserver,
) -> Result<Outcome, CampaignError> {
    check_settings(run, painter)?;
    let mut store = Store::open(run.folder, Shard::WHOLE)?;
    for shard in shards {
        store.adopt(shard)?;
    }
    let first = run.first_round(|_| true);
    let is_missing = |wanted: &&Wanted| !store.known().settled(&run.key(**wanted));
    let mut missing = first.iter().filter(is_missing);
    if let Some(one) = missing.next() {
        return Err(CampaignError::Incomplete {
            missing: 1 + missing.count(),
            expected: first.len(),
            first: run.plan.shots[one.shot].of.clone(),
        });
    }
    finish(run, store, painter, observer)
}

/// What a model cannot draw at all is found out before anything is drawn.
fn check_settings(run: Run<'_>, painter: &dyn Painter) -> Result<(), CampaignError> {
    let checked = run
        .plan
        .shots
        .iter()
        .map(|shot| painter.settings(shot).map(drop));
    Ok(checked.collect::<Result<(), _>>()?)
}

fn finish(
    run: Run<'_>,
    mut store: Store,
    painter: &mut dyn Painter,
    observer: &mut dyn CampaignObserver,
) -> Result<Outcome, CampaignError> {
    let mut wanted = run.first_round(|_| true);
    let mut drawn = draw::draw(run, &mut store, &wanted, painter, observer)?;
    let mut rounds = vec![1; run.plan.shots.len()];
    let judgement = loop {
        let judgement = run.judge(store.known(), &wanted);
        let more = run.another_round(&judgement, &mut rounds);
        if more.is_empty() {
            break judgement;
        }
        drawn += draw::draw(run, &mut store, &more, painter, observer)?;
        wanted.extend(more);
        wanted.sort_unstable();
    };
    let made = make::make(run, &mut store, &wanted, &judgement, observer)?;
    store.flush()?;
    observer.event(CampaignEvent::Reporting);
    let lines = lines(run, store.known(), &wanted, &judgement, &made.failures);
    report::write(run, &store, &lines)?;
    let mut outcome = outcome(run, drawn, made.made, &lines);
    outcome.left = left(store.known(), &lines);
    Ok(outcome)
}

/// The files in the folder that no line made.
fn left(known: &Known, lines: &[Line]) -> Vec<String> {
    let files = lines.iter().flat_map(|line| &line.files);
    let good = files.filter(|file| file.failure.is_none());
    let good: HashSet<&str> = good.map(|file| file.path.as_str()).collect();
    let assets = known.assets.keys();
    let mut left: Vec<_> = assets
        .filter(|path| !good.contains(path.as_str()))
        .cloned()
        .collect();
    left.sort();
    left
}

fn outcome(run: Run<'_>, drawn: usize, made: usize, lines: &[Line]) -> Outcome {
    let files = lines.iter().flat_map(|line| &line.files);
    let mut failures: Vec<String> = files
        .clone()
        .filter_map(|file| Some(format!("{}: {}", file.path, file.failure.as_ref()?)))
        .collect();
    let assets = files.filter(|file| file.failure.is_none()).count();
    for (shot, shot_lines) in by_shot(lines) {
        let shot = &run.plan.shots[shot];
        let kept = shot_lines
            .iter()
            .filter(|line| line.decision.kept.is_some());
        let lacking = run.file.campaign.keep - kept.count();
        if lacking > 0 {
            let last = shot_lines
                .last()
                .map_or("nothing was drawn", |line| &line.decision.reason);
            failures.push(format!(
                "{} in {}: {lacking} too few pictures are good enough; the last one: {last}",
                shot.of, shot.size
            ));
        }
    }
    Outcome {
        drawn,
        made,
        assets,
        lacking: failures,
        left: Vec::new(),
    }
}

/// The lines of each shot; every shot has some.
fn by_shot(lines: &[Line]) -> impl Iterator<Item = (usize, &[Line])> {
    lines
        .chunk_by(|a, b| a.shot_number == b.shot_number)
        .map(|chunk| (chunk[0].shot_number, chunk))
}

impl Run<'_> {
    /// The first round of the pictures of each shot for which `has` holds.
    fn first_round(&self, has: impl Fn(usize) -> bool) -> Vec<Wanted> {
        let shots = (0..self.plan.shots.len()).filter(|shot| has(*shot));
        shots.flat_map(|shot| self.round(shot, 0)).collect()
    }

    fn round(&self, shot: usize, attempt: usize) -> impl Iterator<Item = Wanted> {
        (0..self.file.campaign.variants).map(move |variant| Wanted {
            shot,
            attempt,
            variant,
        })
    }

    /// The seed of a picture: those of a shot follow each other.
    pub(crate) fn seed(&self, wanted: Wanted) -> u64 {
        let number = wanted.attempt * self.file.campaign.variants + wanted.variant;
        self.plan.shots[wanted.shot].seed + number as u64
    }

    /// A name for a picture.
    pub(crate) fn key(&self, wanted: Wanted) -> String {
        self.plan.shots[wanted.shot].picture_key(self.seed(wanted))
    }

    fn failure(&self, known: &Known, wanted: Wanted) -> Option<String> {
        let failure = known.failures.get(&self.key(wanted))?;
        let of = &self.plan.shots[wanted.shot].of;
        Some(format!("{of}, seed {}: {}", failure.seed, failure.reason))
    }

    fn judge(&self, known: &Known, wanted: &[Wanted]) -> Judgement {
        let candidate = |wanted: &Wanted| Candidate {
            shot: wanted.shot,
            attempt: wanted.attempt,
            measures: known
                .pictures
                .get(&self.key(*wanted))
                .map(|record| &record.measures),
        };
        let candidates: Vec<_> = wanted.iter().map(candidate).collect();
        let campaign = &self.file.campaign;
        judge(self.plan, &campaign.checks, campaign.keep, &candidates)
    }

    /// One more round for each shot that is short of pictures and may have it.
    fn another_round(&self, judgement: &Judgement, rounds: &mut [usize]) -> Vec<Wanted> {
        let most = 1 + self.file.campaign.checks.rerolls;
        let mut more = Vec::new();
        for &shot in judgement.short.iter().filter(|shot| rounds[**shot] < most) {
            more.extend(self.round(shot, rounds[shot]));
        }
        for wanted in more.iter().filter(|wanted| wanted.variant == 0) {
            rounds[wanted.shot] += 1;
        }
        more
    }
}
