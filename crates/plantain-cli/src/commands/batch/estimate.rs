//! What a campaign would take.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use indicatif::HumanDuration;
use plantain::{Error, Event, MemoryPlan, Model, PrecisionChoice};
use plantain_campaign::{CampaignFile, Easel, ModelPainter, Painted, Painter, Plan, Shard, Shot};

use crate::commands::counted;
use crate::failure::Failure;
use crate::interrupt;
use crate::out;

/// Prints the plan, and how long it takes and how much memory, after drawing a picture of each size.
pub(super) fn print(
    file: &CampaignFile,
    plan: &Plan,
    model: &Model,
    precision: PrecisionChoice,
    shard: Shard,
    painter: &mut ModelPainter,
) -> Result<(), Failure> {
    let variants = file.campaign.variants;
    let mut sizes: BTreeMap<_, Vec<&Shot>> = BTreeMap::new();
    for shot in &plan.shots {
        sizes.entry(shot.size).or_default().push(shot);
    }
    let mut total = 0.0;
    for (size, shots) in &sizes {
        let pictures = shots.len() * variants;
        let seconds = seconds(painter, shots[0])?;
        total += seconds * pictures as f64;
        let memory = MemoryPlan::new(model, &painter.request(shots[0]), precision, u64::MAX)
            .map_err(|error| Failure::new(error.to_string()))?;
        out::line(format_args!(
            "{} of {size}, {seconds:.2} s each, about {} MB",
            counted(pictures, "picture"),
            memory.needed / 1_000_000
        ))?;
    }
    out::line(format_args!(
        "{} of {}",
        counted(plan.assets(), "file"),
        counted(plan.shots.len() * file.campaign.keep, "kept picture")
    ))?;
    for format in &file.campaign.format {
        let sizes: Vec<_> = format.pixels().iter().map(ToString::to_string).collect();
        out::line(format_args!("  {}: {}", format.name, sizes.join(", ")))?;
    }
    let (_, shards) = shard.parts();
    let time = HumanDuration(Duration::from_secs_f64(total / shards as f64));
    let whole = if shards == 1 { "" } else { " for each shard" };
    out::line(format_args!(
        "about {time} to draw{whole}; the first picture of it:"
    ))?;
    if let Some(shot) = plan.shots.first() {
        out::line(format_args!("  {}", shot.prompt))?;
        for asset in &shot.assets {
            out::line(format_args!("  {}", asset.paths[0]))?;
        }
    }
    Ok(())
}

/// How long a picture of `shot` takes, once the model is loaded.
fn seconds(painter: &mut ModelPainter, shot: &Shot) -> Result<f64, Failure> {
    let mut stopwatch = Stopwatch {
        began: Instant::now(),
        seconds: 0.0,
    };
    painter.paint(shot, shot.seed..shot.seed + 2, &mut stopwatch)?;
    Ok(stopwatch.seconds)
}

/// Measures the last picture.
struct Stopwatch {
    began: Instant,
    seconds: f64,
}

impl Easel for Stopwatch {
    fn event(&mut self, _event: Event) {}

    fn cut(&mut self, _text: &str) {}

    fn finished(&mut self, _painted: Painted) -> Result<(), Error> {
        if interrupt::requested() {
            return Err(Error::Cancelled);
        }
        self.seconds = self.began.elapsed().as_secs_f64();
        self.began = Instant::now();
        Ok(())
    }
}
