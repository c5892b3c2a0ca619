//! Tables of vectors.

use std::sync::Arc;

use burn::module::{Initializer, Module, Param};
use burn::tensor::{Device, Int, Tensor, TensorData};
use half::f16;
use half::slice::HalfFloatSliceExt;
use plantain_kernels::{Packing, Precision, Storage};

use super::take;

/// A table of vectors.
#[derive(Module, Debug)]
pub struct Embedding {
    /// `[entries, features]`
    pub weight: Param<Tensor<2>>,
    /// The same in half the memory.
    #[module(skip)]
    packed: Option<Arc<[f16]>>,
    /// Where the vectors are wanted, if that is not where the table is.
    #[module(skip)]
    wanted_on: Option<Device>,
}

impl Embedding {
    /// A table with entries of standard deviation 0.02, as CLIP's.
    pub fn new(entries: usize, features: usize, device: &Device) -> Self {
        let normal = Initializer::Normal {
            mean: 0.0,
            std: 0.02,
        };
        Self {
            weight: normal.init([entries, features], device),
            packed: None,
            wanted_on: None,
        }
    }

    /// Halves the memory of the table where the precision of the arithmetic is no better than that. The table itself
    /// stays on the host: CLIP's is larger than the buffers that many graphics processors offer.
    pub fn pack(&mut self, packing: &Packing) {
        let halves = match packing {
            Packing::Host(precision) => *precision != Precision::F32,
            Packing::Device(device, storage) => {
                self.wanted_on = Some(device.clone());
                *storage == Storage::F16
            }
        };
        if halves {
            let values = take(&mut self.weight);
            let mut halves = vec![f16::ZERO; values.len()];
            halves.convert_from_f32_slice(&values);
            self.packed = Some(halves.into());
        }
    }

    /// `[entries, features]`
    pub fn dims(&self) -> [usize; 2] {
        self.weight.lazy_shape().dims()
    }

    /// The vectors of the given entries.
    ///
    /// # Shapes
    /// - result: `[entries.len(), features]`
    pub fn forward(&self, entries: &[i64]) -> Tensor<2> {
        let found = self.look_up(entries);
        match &self.wanted_on {
            Some(device) => found.to_device(device),
            None => found,
        }
    }

    fn look_up(&self, entries: &[i64]) -> Tensor<2> {
        let device = self.weight.lazy_device();
        let Some(table) = &self.packed else {
            let entries = TensorData::new(entries.to_vec(), [entries.len()]);
            let entries = Tensor::<1, Int>::from_data(entries, &device);
            return self.weight.val().select(0, entries);
        };
        let [_, features] = self.dims();
        let rows = entries
            .iter()
            .flat_map(|&entry| &table[entry as usize * features..][..features]);
        let values: Vec<f32> = rows.map(|value| value.to_f32()).collect();
        Tensor::from_data(TensorData::new(values, [entries.len(), features]), &device)
    }
}
