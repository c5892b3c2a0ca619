//! `plantain batch`

mod estimate;
mod progress;

use std::collections::HashMap;
use std::path::Path;
use std::process::ExitCode;

use plantain::{DeviceOptions, MemoryPlan, Model, Request, shell_quoted};
use plantain_campaign::{
    CampaignFile, MANIFEST, ModelIdentity, ModelPainter, Outcome, Painter, Plan, REPORT, Run,
    Shard, ShardChoice, Shot, merge, run as render, schema,
};
use serde_json::json;

use crate::args::{BatchAction, BatchArgs, MergeArgs, RenderArgs};
use crate::commands::memory::{Asked, fit};
use crate::commands::{counted, open_model, settle_device, use_threads, warn_of_license};
use crate::failure::Failure;
use crate::interrupt;
use crate::out;
use progress::BatchProgress;

/// Exit code of a campaign that is rendered, but lacks pictures or files.
const LACKING: u8 = 3;

pub(crate) fn run(args: &BatchArgs) -> Result<ExitCode, Failure> {
    match &args.action {
        Some(BatchAction::Schema) => {
            out::write(schema().as_bytes())?;
            Ok(ExitCode::SUCCESS)
        }
        Some(BatchAction::Merge(args)) => join(args),
        None => {
            let campaign = args.campaign.as_deref().unwrap_or(Path::new(""));
            whole_or_shard(campaign, args)
        }
    }
}

/// A campaign with all that is needed to render it.
struct Prepared {
    file: CampaignFile,
    model: Model,
    plan: Plan,
}

impl Prepared {
    fn new(campaign: &Path, args: &RenderArgs) -> Result<Self, Failure> {
        use_threads(args.threads);
        let file = CampaignFile::read(campaign)?;
        let own = file.model();
        let model = open_model(args.model.as_deref().or(own.as_deref()))?;
        if !args.quiet {
            warn_of_license(model.manifest());
        }
        let identity = ModelIdentity {
            manifest: model.manifest(),
            fingerprint: &model.fingerprint(),
        };
        let plan = Plan::new(&file, identity)?;
        let prepared = Self { file, model, plan };
        if !args.quiet {
            prepared.warn_of_subjects();
            prepared.warn_of_reductions();
            prepared.warn_of_styles();
        }
        Ok(prepared)
    }

    /// Says how many prompts name nothing that the model was taught to draw.
    fn warn_of_subjects(&self) {
        let (manifest, shots) = (self.model.manifest(), &self.plan.shots);
        let unknown = |shot: &&Shot| !Request::new(&shot.prompt).names_subject(manifest);
        let mut unknown = shots.iter().filter(unknown);
        if let Some(first) = unknown.next() {
            out::note(format_args!(
                "warning: {} of {} prompts name nothing that `{}` was taught to draw, such as `{}` (`plantain inspect` lists it)",
                1 + unknown.count(),
                shots.len(),
                manifest.name,
                first.prompt
            ));
        }
    }

    /// Says how many prompts ask for more than is drawn.
    fn warn_of_reductions(&self) {
        let manifest = self.model.manifest();
        let reduced = self.told(|request| request.reduced_prompt(manifest));
        if let Some((prompt, drawn)) = reduced.first() {
            out::note(format_args!(
                "warning: {} of {} prompts say more than a thing with its colour, a style and a ground, which is all that `{}` takes, such as `{prompt}`, drawn as `{drawn}`",
                reduced.len(),
                self.plan.shots.len(),
                manifest.name
            ));
        }
    }

    /// Says how many prompts name a style that their things were not taught in, or two for one thing.
    fn warn_of_styles(&self) {
        let manifest = self.model.manifest();
        self.warn("are drawn in another style than they name", |request| {
            request.untaught_styles(manifest).into_iter().next()
        });
        self.warn("ask for two styles at once", |request| {
            request.two_styles(manifest)
        });
    }

    /// Says of how many prompts something is to be told, and it of the first.
    fn warn(&self, what: &str, tell: impl Fn(&Request) -> Option<String>) {
        let told_of = self.told(tell);
        if let Some((prompt, told)) = told_of.first() {
            out::note(format_args!(
                "warning: {} of {} prompts {what}, such as `{prompt}`: {told}",
                told_of.len(),
                self.plan.shots.len()
            ));
        }
    }

    /// The prompts of which something is to be told, and what. What is drawn depends on the size too.
    fn told(&self, tell: impl Fn(&Request) -> Option<String>) -> Vec<(&str, String)> {
        let mut known = HashMap::new();
        let told = self.plan.shots.iter().filter_map(|shot| {
            let size = [shot.size.width as usize, shot.size.height as usize];
            let told = known
                .entry((&shot.prompt, size))
                .or_insert_with(|| tell(&Request::new(&shot.prompt).size(size)));
            Some((shot.prompt.as_str(), told.clone()?))
        });
        told.collect()
    }

    /// Who draws, within the memory there is for the largest pictures.
    fn painter(&self, args: &RenderArgs) -> Result<ModelPainter, Failure> {
        settle_device(&args.on, args.quiet);
        let options = DeviceOptions {
            device: args.on.device,
            precision: args.precision,
        };
        let painter = ModelPainter::new(&self.file.campaign, self.model.clone(), options);
        // Not the largest: several things take more than one.
        let needed = |shot: &&Shot| {
            let request = painter.request(shot);
            MemoryPlan::new(&self.model, &request, args.precision, u64::MAX)
                .map(|plan| plan.needed)
                .ok()
        };
        let Some(largest) = self.plan.shots.iter().max_by_key(needed) else {
            return Ok(painter);
        };
        let asked = Asked {
            device: args.on.device,
            precision: args.precision,
            megabytes: args.memory,
            tiled: false,
            quiet: args.quiet || args.json,
        };
        painter.settings(largest)?;
        let plan = fit(&self.model, &painter.request(largest), &asked)?;
        Ok(match plan {
            Some(plan) => painter.within(plan),
            None => painter,
        })
    }

    fn run<'a>(&'a self, args: &'a RenderArgs) -> Run<'a> {
        Run {
            file: &self.file,
            plan: &self.plan,
            folder: &args.out,
            jobs: args.jobs as usize,
        }
    }
}

fn whole_or_shard(campaign: &Path, args: &BatchArgs) -> Result<ExitCode, Failure> {
    let shard = Shard::choose(args.shard, |key| std::env::var(key).ok())?;
    let followed = args
        .shard
        .is_none_or(|choice| !matches!(choice, ShardChoice::Given(_)));
    if shard.is_part() && followed && !args.render.quiet {
        out::note(format_args!("the scheduler makes this shard {shard}"));
    }
    let prepared = Prepared::new(campaign, &args.render)?;
    interrupt::install();
    let mut painter = prepared.painter(&args.render)?;
    if args.dry_run {
        estimate::print(
            &prepared.file,
            &prepared.plan,
            &prepared.model,
            args.render.precision,
            shard,
            &mut painter,
        )?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut progress = BatchProgress::new(args.render.quiet || args.render.json);
    let outcome = render(
        prepared.run(&args.render),
        shard,
        &mut painter,
        &mut progress,
    );
    progress.finish();
    let outcome = outcome?;
    if shard.is_part() && !args.render.quiet {
        out::note(format_args!(
            "shard {shard} is done; when all are: plantain batch merge {} --out {}{}",
            argument(campaign),
            argument(&args.render.out),
            args.render
                .model
                .as_ref()
                .map_or(String::new(), |model| format!(
                    " --model {}",
                    argument(model)
                ))
        ));
    }
    report(&args.render, shard, &outcome)
}

/// The path as it is typed on a command line.
fn argument(path: &Path) -> String {
    let path = path.display().to_string();
    let plain = |c: char| c.is_alphanumeric() || "._-+,:/\\".contains(c);
    if path.chars().all(plain) {
        path
    } else {
        shell_quoted(&path)
    }
}

fn join(args: &MergeArgs) -> Result<ExitCode, Failure> {
    let prepared = Prepared::new(&args.campaign, &args.render)?;
    interrupt::install();
    let mut painter = prepared.painter(&args.render)?;
    let mut progress = BatchProgress::new(args.render.quiet || args.render.json);
    let shards: Vec<&Path> = args.shards.iter().map(AsRef::as_ref).collect();
    let run = prepared.run(&args.render);
    let outcome = merge(run, &shards, &mut painter, &mut progress);
    progress.finish();
    report(&args.render, Shard::WHOLE, &outcome?)
}

fn report(args: &RenderArgs, shard: Shard, outcome: &Outcome) -> Result<ExitCode, Failure> {
    if args.json {
        out::line(json!({
            "drawn": outcome.drawn,
            "made": outcome.made,
            "assets": outcome.assets,
            "lacking": outcome.lacking,
            "left": outcome.left,
            "out": args.out.to_string_lossy(),
        }))?;
    } else if !args.quiet {
        for lacking in &outcome.lacking {
            out::note(format_args!("warning: {lacking}"));
        }
        if let Some(first) = outcome.left.first() {
            out::note(format_args!(
                "note: {} in {} of earlier runs no longer belong to the campaign, such as {first}",
                counted(outcome.left.len(), "file"),
                args.out.display()
            ));
        }
        out::line(summary(args, shard, outcome))?;
    }
    Ok(ExitCode::from(if outcome.lacking.is_empty() {
        0
    } else {
        LACKING
    }))
}

fn summary(args: &RenderArgs, shard: Shard, outcome: &Outcome) -> String {
    let drawn = counted(outcome.drawn, "picture");
    if shard.is_part() {
        return format!("{drawn} drawn");
    }
    let (report, manifest) = (args.out.join(REPORT), args.out.join(MANIFEST));
    format!(
        "{drawn} drawn, {} made, {} in all; see {} and {}",
        counted(outcome.made, "file"),
        outcome.assets,
        report.display(),
        manifest.display()
    )
}
