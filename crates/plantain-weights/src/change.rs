//! What is added to a weight when it is read: the product of two small matrices (LoRA, arXiv:2106.09685).

use std::sync::Arc;

use rayon::prelude::*;

use crate::container::{Container, Stored};
use crate::float::is_finite;
use crate::tensors::TensorRef;

/// `scale * up * down`, added to a weight `[out, ..]`.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    file: Arc<Container>,
    /// `[rank, ..]`, as long in a row as the weight.
    down: Stored,
    /// `[out, rank, ..]`, the rest being of length 1.
    up: Stored,
    scale: f32,
}

impl Change {
    /// The change that `up` and `down` of `file` mean; `None` when they do not belong to a weight of shape `shape` or to each
    /// other, or hold what is no finite number.
    pub(crate) fn new(
        file: &Arc<Container>,
        up: &Stored,
        down: &Stored,
        scale: f32,
        shape: &[usize],
    ) -> Option<Self> {
        let change = Self {
            file: Arc::clone(file),
            down: down.clone(),
            up: up.clone(),
            scale,
        };
        let (out, row) = (shape.first()?, shape.iter().skip(1).product::<usize>());
        let rank = *down.shape.first()?;
        let fits = rank > 0
            && row > 0
            && down.shape.iter().skip(1).product::<usize>() == row
            && up.shape.first() == Some(out)
            && up.shape.iter().skip(1).product::<usize>() == rank
            && [up, down].iter().all(|half| half.dtype.is_float());
        let finite = || {
            [up, down]
                .iter()
                .all(|half| is_finite(&change.numbers(half)))
        };
        (fits && finite()).then_some(change)
    }

    fn numbers(&self, half: &Stored) -> Vec<f32> {
        TensorRef::stored(half, self.file.data(half)).decoded()
    }

    /// Adds itself to `values`, the numbers of the weight.
    pub(crate) fn add_to(&self, values: &mut [f32]) {
        let (up, down) = (self.numbers(&self.up), self.numbers(&self.down));
        let rank = self.down.shape[0];
        let row = down.len() / rank;
        values
            .par_chunks_mut(row)
            .zip(up.par_chunks(rank))
            .for_each(|(values, up)| {
                for (factor, down) in up.iter().zip(down.chunks(row)) {
                    let factor = factor * self.scale;
                    for (value, down) in values.iter_mut().zip(down) {
                        *value += factor * down;
                    }
                }
            });
    }

    /// All that decides what is added.
    pub(crate) fn identity(&self) -> [Vec<u8>; 3] {
        [
            self.scale.to_le_bytes().to_vec(),
            self.file.data(&self.up).to_vec(),
            self.file.data(&self.down).to_vec(),
        ]
    }
}
