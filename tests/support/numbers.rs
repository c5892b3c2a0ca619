//! How what networks compute is compared with what others did.

use plantain::trace::{HostTensor, Tensors};
use plantain::{DeviceChoice, DeviceOptions, PrecisionChoice};

/// Sums of up to a few hundred products in another order, through up to thirty layers: about
/// 1e-6 in practice.
pub(crate) const NETWORK_TOLERANCE: f64 = 2e-5;

/// Single precision on `device`.
pub(crate) fn on(device: DeviceChoice) -> DeviceOptions {
    let precision = PrecisionChoice::F32;
    DeviceOptions { device, precision }
}

/// The tensors whose names start with `prefix`, without it.
pub(crate) fn under(tensors: &Tensors, prefix: &str) -> Tensors {
    let named = tensors.iter();
    named
        .filter_map(|(name, tensor)| Some((name.strip_prefix(prefix)?.to_string(), tensor.clone())))
        .collect()
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
