//! The models in `fixtures/networks`, and how what they compute is compared.

use std::path::{Path, PathBuf};

use plantain::trace::{HostTensor, Tensors};
use plantain::weights::read_tensors;
use plantain::{DeviceChoice, DeviceOptions, Model, PrecisionChoice};

use crate::gpu;

/// Sums of up to a few hundred products in another order, through up to thirty layers: about
/// 1e-6 in practice.
pub(crate) const NETWORK_TOLERANCE: f64 = 2e-5;

/// The devices that take part.
pub(crate) fn devices() -> impl Iterator<Item = DeviceChoice> {
    DeviceChoice::CPU.into_iter().chain(gpu::device())
}

/// Single precision on `device`.
pub(crate) fn on(device: DeviceChoice) -> DeviceOptions {
    let precision = PrecisionChoice::F32;
    DeviceOptions { device, precision }
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
        self.expected
            .iter()
            .filter_map(|(name, tensor)| Some((name.strip_prefix(prefix)?.into(), tensor.clone())))
            .collect()
    }
}

#[track_caller]
pub(crate) fn assert_close(what: &str, actual: &HostTensor, expected: &HostTensor, tolerance: f64) {
    assert_eq!(actual.shape, expected.shape, "{what}");
    let relative = relative_error(actual, expected);
    assert!(
        relative < tolerance,
        "{what}: relative L2 error {relative:e}"
    );
}

pub(crate) fn relative_error(actual: &HostTensor, expected: &HostTensor) -> f64 {
    let norm: f64 = expected.values.iter().map(|v| f64::from(*v).powi(2)).sum();
    let pairs = actual.values.iter().zip(&expected.values);
    let error: f64 = pairs.map(|(a, b)| f64::from(a - b).powi(2)).sum();
    (error / norm).sqrt()
}
