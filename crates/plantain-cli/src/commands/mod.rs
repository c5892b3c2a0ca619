//! One file per command.

pub(crate) mod completions;
pub(crate) mod convert;
pub(crate) mod devices;
pub(crate) mod generate;
pub(crate) mod info;
pub(crate) mod inspect;
pub(crate) mod styles;
pub(crate) mod trace;

use std::path::Path;

use plantain::Model;

use crate::failure::Failure;

/// The model at `path`, or the built-in one.
fn open_model(path: Option<&Path>) -> Result<Model, Failure> {
    match path {
        Some(path) => Ok(Model::open(path)?),
        None => built_in(),
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
