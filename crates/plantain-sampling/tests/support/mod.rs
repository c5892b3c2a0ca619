//! Reads the fixtures that `tests/reference/schedulers.py` writes.

use std::path::Path;

use plantain_sampling::ScheduleConfig;
use safetensors::{Dtype, SafeTensors};
use serde::de::DeserializeOwned;

/// One file of fixtures.
pub(crate) struct Fixture {
    bytes: Vec<u8>,
}

impl Fixture {
    /// Opens `tests/fixtures/sampling/<name>.safetensors`.
    pub(crate) fn open(name: &str) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/sampling");
        let bytes = std::fs::read(folder.join(format!("{name}.safetensors"))).unwrap();
        Self { bytes }
    }

    /// A JSON metadata entry.
    pub(crate) fn metadata<T: DeserializeOwned>(&self, key: &str) -> T {
        let (_, metadata) = SafeTensors::read_metadata(&self.bytes).unwrap();
        serde_json::from_str(&metadata.metadata().as_ref().unwrap()[key]).unwrap()
    }

    /// A tensor's values, or `None` if the file has no such tensor.
    pub(crate) fn find(&self, name: &str) -> Option<Vec<f64>> {
        let tensors = SafeTensors::deserialize(&self.bytes).unwrap();
        let view = tensors.tensor(name).ok()?;
        Some(match view.dtype() {
            Dtype::F32 => chunks(view.data())
                .map(f32::from_le_bytes)
                .map(f64::from)
                .collect(),
            Dtype::F64 => chunks(view.data()).map(f64::from_le_bytes).collect(),
            other => panic!("{name} is {other:?}"),
        })
    }

    /// A tensor's values.
    pub(crate) fn values(&self, name: &str) -> Vec<f64> {
        self.find(name)
            .unwrap_or_else(|| panic!("the fixture has no {name}"))
    }

    /// The values of a float32 tensor.
    pub(crate) fn floats(&self, name: &str) -> Vec<f32> {
        self.values(name)
            .into_iter()
            .map(|value| value as f32)
            .collect()
    }
}

fn chunks<const N: usize>(bytes: &[u8]) -> impl Iterator<Item = [u8; N]> + '_ {
    bytes.chunks_exact(N).map(|chunk| chunk.try_into().unwrap())
}

/// A scheduler config from a JSON value.
pub(crate) fn config(value: &serde_json::Value) -> ScheduleConfig {
    serde_json::from_value(value.clone()).unwrap()
}

/// Euclidean distance relative to the expected vector's norm.
pub(crate) fn relative_l2(found: &[f32], expected: &[f64]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let pairs = found.iter().zip(expected);
    let distance: f64 = pairs.map(|(&a, b)| (f64::from(a) - b).powi(2)).sum();
    let norm: f64 = expected.iter().map(|b| b * b).sum();
    (distance / norm).sqrt()
}
