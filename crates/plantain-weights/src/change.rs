//! What is added to a weight when it is read: the product of two small matrices (LoRA, arXiv:2106.09685).

use std::sync::Arc;

use rayon::prelude::*;

use crate::container::{Container, Stored};
use crate::float::is_finite;
use crate::tensor::TensorRef;

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
    ///
    /// Rows and columns are taken in blocks that stay in the nearest caches, four ranks at a time.
    pub(crate) fn add_to(&self, values: &mut [f32]) {
        const ROWS: usize = 16;
        const COLUMNS: usize = 256;
        let (mut up, down) = (self.numbers(&self.up), self.numbers(&self.down));
        up.iter_mut().for_each(|factor| *factor *= self.scale);
        let rank = self.down.shape[0];
        let row = down.len() / rank;
        let blocks = values
            .par_chunks_mut(ROWS * row)
            .zip(up.par_chunks(ROWS * rank));
        blocks.for_each(|(values, up)| {
            for from in (0..row).step_by(COLUMNS) {
                let columns = from..row.min(from + COLUMNS);
                for (values, up) in values.chunks_mut(row).zip(up.chunks(rank)) {
                    add_row(&mut values[columns.clone()], up, &down, row, from);
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

/// Adds to `values`, a row of the weight from column `from` on, the rows of `down`, each `row` long, times the factors in `up`.
fn add_row(values: &mut [f32], up: &[f32], down: &[f32], row: usize, from: usize) {
    let fours = up.len() / 4 * 4;
    for rank in (0..fours).step_by(4) {
        let [a, b, c, d] = [0, 1, 2, 3].map(|i| down_part(down, row, from, rank + i, values.len()));
        let factors = [up[rank], up[rank + 1], up[rank + 2], up[rank + 3]];
        let parts = a.iter().zip(b).zip(c.iter().zip(d));
        for (value, ((a, b), (c, d))) in values.iter_mut().zip(parts) {
            *value += factors[0] * a + factors[1] * b + (factors[2] * c + factors[3] * d);
        }
    }
    for (rank, factor) in up.iter().enumerate().skip(fours) {
        let part = down_part(down, row, from, rank, values.len());
        for (value, down) in values.iter_mut().zip(part) {
            *value += factor * down;
        }
    }
}

/// The `length` numbers of row `rank` of `down` from column `from` on.
fn down_part(down: &[f32], row: usize, from: usize, rank: usize, length: usize) -> &[f32] {
    &down[rank * row + from..][..length]
}
