//! A combination in the process of its own: loads, runs when told to, and compares.

use std::io;

use plantain::bench::{Bench, BenchSettings, Part};
use plantain::{DeviceChoice, DeviceOptions, Model};

use super::machine::{Ticks, peak_megabytes};
use super::row::Row;
use super::worker::{Answer, Combination, Order};
use crate::args::BenchArgs;
use crate::commands::{choose_runtime, open_model, use_threads};
use crate::failure::Failure;
use crate::out;

/// Loads the networks, then follows orders from standard input until there are no more.
pub(super) fn serve(args: &BenchArgs, combination: Combination) -> Result<(), Failure> {
    use_threads(args.threads);
    choose_runtime(args.fusion);
    let mut subject = match Subject::load(args, combination) {
        Ok(subject) => subject,
        Err(failure) => return answer(&failure.into()),
    };
    answer(&Answer::Done)?;
    for line in io::stdin().lines() {
        let line = line.map_err(|e| Failure::new(e.to_string()))?;
        let order = serde_json::from_str(&line).map_err(|e| Failure::new(e.to_string()))?;
        answer(&subject.follow(order).unwrap_or_else(Answer::from))?;
    }
    Ok(())
}

fn answer(answer: &Answer) -> Result<(), Failure> {
    out::line(serde_json::to_string(answer).map_err(|e| Failure::new(e.to_string()))?)
}

impl From<Failure> for Answer {
    fn from(failure: Failure) -> Self {
        let (message, help) = failure.into_parts();
        Self::Failed { message, help }
    }
}

struct Subject {
    device: DeviceChoice,
    settings: BenchSettings,
    threads: usize,
    model: Model,
    bench: Bench,
    /// Over all runs that count; unknown on some systems.
    ticks: Option<Ticks>,
}

/// How much of a second is told: short parts are compared by it.
const SECONDS: f64 = 1e6;

impl Subject {
    fn load(args: &BenchArgs, combination: Combination) -> Result<Self, Failure> {
        let options = DeviceOptions {
            device: combination.device,
            precision: combination.precision,
        };
        let settings = BenchSettings {
            part: combination.part,
            size: args.size.map(|size| [size.width, size.height]),
            steps: args.steps,
        };
        let model = open_model(args.model.as_deref())?;
        Ok(Self {
            device: combination.device.resolve(),
            settings,
            threads: plantain::threads(),
            bench: Bench::load(&model, options, &settings)?,
            model,
            ticks: Some(Ticks::default()),
        })
    }

    fn follow(&mut self, order: Order) -> Result<Answer, Failure> {
        match order {
            Order::WarmUp => self.bench.warm_up()?,
            Order::Run => self.run()?,
            Order::Finish => return Ok(Answer::Finished(Box::new(self.row()?))),
        }
        Ok(Answer::Done)
    }

    fn run(&mut self) -> Result<(), Failure> {
        let began = Ticks::now();
        self.bench.run()?;
        let passed = began.zip(Ticks::now());
        let total = self.ticks.zip(passed);
        self.ticks = total.map(|(ticks, (began, ended))| ticks.plus(began, ended));
        Ok(())
    }

    fn row(&self) -> Result<Row, Failure> {
        // Before the reference takes its share.
        let peak_mb = peak_megabytes();
        let device_mb = self.bench.device_memory().map(|bytes| bytes >> 20);
        let difference = self.bench.difference(&self.model)?;
        let timing = self.bench.timing();
        let part = self.settings.part;
        let pipeline = part == Part::Pipeline;
        let median = timing.median().unwrap_or_default();
        let [width, height] = self.settings.size_of(&self.model);
        Ok(Row {
            device: self.device.to_string(),
            precision: self.bench.precision().to_string(),
            part: part.to_string(),
            load_s: rounded(timing.load, SECONDS),
            first_s: rounded(timing.first, SECONDS),
            median_s: rounded(median, SECONDS),
            min_s: rounded(timing.min().unwrap_or_default(), SECONDS),
            runs: timing.runs.len(),
            peak_mb,
            other: self
                .ticks
                .and_then(Ticks::of_others)
                .map(|share| rounded(share, 1e2)),
            step_s: timing.median_step().map(|step| rounded(step, SECONDS)),
            picture_s: pipeline.then_some(rounded(median, SECONDS)),
            device_mb,
            psnr_db: difference.psnr.map(|psnr| rounded(psnr, 1e1)),
            max_abs: difference.max_abs,
            model: self.model.manifest().name.clone(),
            width,
            height,
            steps: pipeline.then(|| self.settings.steps_of(&self.model)),
            threads: self.threads,
        })
    }
}

fn rounded(value: f64, parts: f64) -> f64 {
    (value * parts).round() / parts
}
