//! The models in `fixtures/networks`, and the devices that they are tried on.

#[path = "numbers.rs"]
mod numbers;

use std::path::{Path, PathBuf};

use plantain::trace::Tensors;
use plantain::weights::read_tensors;
use plantain::{DeviceChoice, Model};

pub(crate) use numbers::*;

use crate::gpu;

/// The devices that take part.
pub(crate) fn devices() -> impl Iterator<Item = DeviceChoice> {
    DeviceChoice::CPU.into_iter().chain(gpu::device())
}

/// The folder of a model.
pub(crate) fn fixture(model: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/fixtures/networks")
        .join(model)
}

/// A model, and numbers that another implementation computed with it.
pub(crate) struct Fixture {
    pub(crate) model: Model,
    pub(crate) expected: Tensors,
}

impl Fixture {
    /// The model `name` and the tensors of `file` beside it.
    pub(crate) fn open(name: &str, file: &str) -> Self {
        let folder = fixture(name);
        Self {
            expected: read_tensors(&folder.join(file)).unwrap(),
            model: Model::open(&folder).unwrap(),
        }
    }

    /// The tensors whose names start with `prefix`, without it.
    pub(crate) fn under(&self, prefix: &str) -> Tensors {
        under(&self.expected, prefix)
    }
}
