//! `plantain pull`

use std::fs;
use std::ops::ControlFlow;
use std::path::PathBuf;

use indicatif::ProgressBar;
use plantain::Model;
use plantain::weights::{ConvertOptions, TargetType, is_research_only, license_in_readme};
use plantain_hub::{HubOptions, Plan, PullObserver, Pulled, RepoId, pull};

use crate::args::PullArgs;
use crate::commands::adapt::adapt;
use crate::commands::convert::{report, write};
use crate::failure::Failure;
use crate::interrupt;
use crate::out;
use crate::progress::bar;

pub(crate) fn run(args: &PullArgs) -> Result<(), Failure> {
    interrupt::install();
    let repo: RepoId = args.repository.parse()?;
    let from_env = HubOptions::from_env();
    let options = HubOptions {
        offline: from_env.offline || args.offline,
        revision: args.revision.clone(),
        ..from_env
    };
    let template = "{spinner} {msg} {wide_bar} {bytes}/{total_bytes}  {bytes_per_sec}  {eta} left";
    let mut bar = Bar(bar(template, args.quiet));
    let pulled = pull(&repo, &options, &mut bar);
    bar.0.finish_and_clear();
    let pulled = pulled?;
    let model = adapt(Model::open(&pulled.folder)?, &args.adapt, args.quiet)?;
    let destination = args.output.clone();
    let destination =
        destination.unwrap_or_else(|| PathBuf::from(format!("{}.safetensors", repo.name())));
    let options = ConvertOptions {
        dtype: args.dtype.map_or(TargetType::Keep, Into::into),
        name: Some(repo.name().to_string()),
        license: license(&pulled),
        ..ConvertOptions::default()
    };
    report(&destination, &write(&model, &destination, &options)?)
}

/// The licence that the hub told of, or that the card says where it was not asked.
fn license(pulled: &Pulled) -> Option<String> {
    let card = pulled.files.iter().find(|file| file.name == "README.md");
    let stated = || license_in_readme(&fs::read_to_string(&card?.path).ok()?);
    pulled.license.clone().or_else(stated)
}

/// Shows what is fetched on standard error, if that is a terminal, and stops it on Ctrl-C.
struct Bar(ProgressBar);

impl PullObserver for Bar {
    fn plan(&mut self, plan: &Plan) -> ControlFlow<()> {
        let megabytes = plan.bytes() as f64 / 1e6;
        let license = plan.license.as_deref().unwrap_or("none stated");
        let (files, commit) = (plan.files.len(), &plan.revision);
        if !self.0.is_hidden() {
            self.0.suspend(|| {
                out::note(format_args!(
                    "{files} files, {megabytes:.0} MB, commit {commit}; licence: {license}"
                ));
            });
        }
        if is_research_only(license) {
            self.0.suspend(|| {
                out::note("warning: this licence allows research or other non-commercial use only");
            });
        }
        interrupt::flow()
    }

    fn file(&mut self, name: &str, size: Option<u64>) -> ControlFlow<()> {
        self.0.set_message(name.to_string());
        self.0.set_length(size.unwrap_or(0));
        self.0.reset_eta();
        interrupt::flow()
    }

    fn progress(&mut self, bytes: u64) -> ControlFlow<()> {
        self.0.set_position(bytes);
        interrupt::flow()
    }

    fn waiting(&mut self) -> ControlFlow<()> {
        interrupt::flow()
    }
}
