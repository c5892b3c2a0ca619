//! One file per command.

mod adapt;
pub(crate) mod batch;
pub(crate) mod bench;
pub(crate) mod completions;
pub(crate) mod convert;
mod cut_out;
pub(crate) mod devices;
pub(crate) mod doctor;
pub(crate) mod generate;
pub(crate) mod info;
pub(crate) mod inspect;
mod memory;
pub(crate) mod prune;
#[cfg(feature = "pull")]
pub(crate) mod pull;
pub(crate) mod styles;
mod table;
pub(crate) mod trace;
pub(crate) mod warmup;

use std::path::Path;

use plantain::weights::{Manifest, is_research_only};
use plantain::{Model, NoGpu};

use crate::args::DeviceArgs;
use crate::failure::Failure;
use crate::out;

/// The model at `path`, or the built-in one.
fn open_model(path: Option<&Path>) -> Result<Model, Failure> {
    match path {
        Some(path) => Ok(Model::open(path)?),
        None => built_in(),
    }
}

/// Lets the CPU kernels use so many threads.
fn use_threads(threads: Option<u32>) {
    if let Some(threads) = threads {
        plantain::use_threads(threads as usize);
    }
}

/// Settles how devices are used, before the first one is; says so unless `quiet` where a build for graphics processors
/// falls back to the CPU.
fn settle_device(on: &DeviceArgs, quiet: bool) {
    choose_runtime(on.fusion);
    match on.device.why_cpu() {
        // A program that cannot use any has nothing to fall back from.
        None | Some(NoGpu::NotBuilt) => {}
        Some(_) if quiet => {}
        Some(reason) => out::note(format_args!("note: drawing on the CPU: {reason}")),
    }
}

/// Settles how graphics processors are used, before the first one is.
#[cfg(feature = "wgpu")]
fn choose_runtime(fusion: bool) {
    plantain::RuntimeSettings { fusion }.apply();
}

#[cfg(not(feature = "wgpu"))]
fn choose_runtime(_fusion: bool) {}

/// `1 picture`, `2 pictures`.
fn counted(count: usize, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {what}{plural}")
}

/// Says of a text that is too long where it ends for the model.
fn cut_before(what: &str, cut: &str) -> String {
    const SHOWN: usize = 60;
    let start: String = cut.chars().take(SHOWN).collect();
    format!("the {what} is too long for this model; it is cut before `{start}`")
}

/// Warns where the licence of a model allows research only.
fn warn_of_license(manifest: &Manifest) {
    let license = manifest.license.as_deref();
    if let Some(license) = license.filter(|license| is_research_only(license)) {
        out::note(format_args!(
            "warning: the licence of this model ({license}) allows research or other non-commercial use only"
        ));
    }
}

/// Warns of tensors of `model` that are not used: its makers may have meant more than is drawn.
fn warn_of_unused(model: &Model) {
    const SHOWN: usize = 5;
    let unused = model.unused_tensors();
    for problem in unused.iter().take(SHOWN) {
        out::note(format_args!("warning: {problem}"));
    }
    if unused.len() > SHOWN {
        let more = unused.len() - SHOWN;
        out::note(format_args!("warning: {more} more tensors are not used"));
    }
}

#[cfg(feature = "embedded-model")]
fn built_in() -> Result<Model, Failure> {
    Ok(plantain::default_model()?)
}

#[cfg(not(feature = "embedded-model"))]
fn built_in() -> Result<Model, Failure> {
    Err(Failure::new("this build carries no model").help("name one with --model"))
}
