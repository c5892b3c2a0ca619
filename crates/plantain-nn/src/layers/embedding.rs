//! Tables of vectors.

use std::fmt;
use std::sync::Arc;

use burn::module::{Initializer, Module, Param};
use burn::tensor::{Device, Int, Tensor, TensorData};
use half::f16;
use half::slice::HalfFloatSliceExt;
use plantain_kernels::{Packing, Precision, Storage};

use super::take;

/// The rows of a table that stays where it is stored: a prompt needs few of them.
pub trait StoredRows: fmt::Debug + Send + Sync {
    /// Writes row `index`, which the table has, to `row`, which is as long as its rows.
    fn read(&self, index: usize, row: &mut [f32]);
}

/// A table of vectors.
#[derive(Module, Debug)]
pub struct Embedding {
    /// `[entries, features]`
    pub weight: Param<Tensor<2>>,
    /// The same in half the memory.
    #[module(skip)]
    packed: Option<Arc<[f16]>>,
    /// The same where it is stored.
    #[module(skip)]
    stored: Option<Arc<dyn StoredRows>>,
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
            stored: None,
            wanted_on: None,
        }
    }

    /// Reads the vectors from `rows`, as many and as long as those of the table, from now on. The table takes no memory if it
    /// was not used before.
    pub fn read_from(&mut self, rows: Arc<dyn StoredRows>) {
        self.stored = Some(rows);
    }

    /// Halves the memory of a table that is not read where it is stored, where the precision of the arithmetic is no better
    /// than that. The table itself stays on the host: CLIP's is larger than the buffers that many graphics processors offer.
    pub fn pack(&mut self, packing: &Packing) {
        let halves = match packing {
            Packing::Host(precision) => *precision != Precision::F32,
            Packing::Device(device, storage) => {
                self.wanted_on = Some(device.clone());
                *storage == Storage::F16
            }
        };
        if halves && self.stored.is_none() {
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
        let [_, features] = self.dims();
        let mut values = vec![0.0; entries.len() * features];
        let rows = entries.iter().zip(values.chunks_exact_mut(features));
        if let Some(stored) = &self.stored {
            rows.for_each(|(&entry, row)| stored.read(entry as usize, row));
        } else if let Some(table) = &self.packed {
            for (&entry, row) in rows {
                table[entry as usize * features..][..features].convert_to_f32_slice(row);
            }
        } else {
            let entries = TensorData::new(entries.to_vec(), [entries.len()]);
            let entries = Tensor::<1, Int>::from_data(entries, &device);
            return self.weight.val().select(0, entries);
        }
        Tensor::from_data(TensorData::new(values, [entries.len(), features]), &device)
    }
}
