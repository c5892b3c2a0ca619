//! Attention a block of queries at a time, so that the scores of one block stay in cache and the
//! full `[queries, keys]` matrix never exists.

use rayon::prelude::*;

use super::gemm::{MatRef, Threads, product};
use super::math::exp;

/// Queries per block.
const BLOCK: usize = 64;

/// Shape of a multi-head attention; heads lie side by side in the last dimension.
#[derive(Debug, Clone, Copy)]
#[allow(missing_docs)]
pub struct AttentionShape {
    pub batch: usize,
    pub queries: usize,
    pub keys: usize,
    pub heads: usize,
    pub head_dim: usize,
    /// Query `i` sees keys `0..=i` only.
    pub causal: bool,
}

/// `softmax(q kᵀ / sqrt(head_dim)) v` for each head.
///
/// # Shapes
/// - `query`: `[batch, queries, heads * head_dim]`
/// - `key`, `value`: `[batch, keys, heads * head_dim]`
/// - result: as `query`
pub fn attention(query: &[f32], key: &[f32], value: &[f32], shape: &AttentionShape) -> Vec<f32> {
    let width = shape.heads * shape.head_dim;
    let mut out = vec![0.0; shape.batch * shape.queries * width];
    if out.is_empty() || shape.keys == 0 {
        return out;
    }
    for (sample, out) in out.chunks_exact_mut(shape.queries * width).enumerate() {
        let query = &query[sample * shape.queries * width..][..shape.queries * width];
        let key = &key[sample * shape.keys * width..][..shape.keys * width];
        let value = &value[sample * shape.keys * width..][..shape.keys * width];
        out.par_chunks_mut(BLOCK * width).enumerate().for_each_init(
            Vec::new,
            |scores, (block, out)| {
                let first = block * BLOCK;
                for head in 0..shape.heads {
                    attend(query, key, value, shape, head, first, scores, out);
                }
            },
        );
    }
    out
}

/// One head of one block of queries, starting at query `first`.
#[allow(clippy::too_many_arguments)]
fn attend(
    query: &[f32],
    key: &[f32],
    value: &[f32],
    shape: &AttentionShape,
    head: usize,
    first: usize,
    scores: &mut Vec<f32>,
    out: &mut [f32],
) {
    let width = shape.heads * shape.head_dim;
    let offset = head * shape.head_dim;
    let rows = out.len() / width;
    let keys = if shape.causal {
        shape.keys.min(first + rows)
    } else {
        shape.keys
    };
    scores.resize(rows * keys, 0.0);
    product(
        [rows, keys, shape.head_dim],
        scores,
        keys,
        false,
        MatRef {
            data: &query[first * width + offset..],
            row_stride: width,
            col_stride: 1,
        },
        MatRef {
            data: &key[offset..],
            row_stride: 1,
            col_stride: width,
        },
        1.0 / (shape.head_dim as f32).sqrt(),
        Threads::One,
    );
    for (row, scores) in scores.chunks_exact_mut(keys).enumerate() {
        let seen = if shape.causal {
            keys.min(first + row + 1)
        } else {
            keys
        };
        softmax(&mut scores[..seen]);
        scores[seen..].fill(0.0);
    }
    product(
        [rows, shape.head_dim, keys],
        &mut out[offset..],
        width,
        false,
        MatRef {
            data: scores,
            row_stride: keys,
            col_stride: 1,
        },
        MatRef {
            data: &value[offset..],
            row_stride: width,
            col_stride: 1,
        },
        1.0,
        Threads::One,
    );
}

fn softmax(row: &mut [f32]) {
    let max = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    for value in row.iter_mut() {
        *value = exp(*value - max);
    }
    let total: f64 = row.chunks(1024).map(lane_sum).sum();
    let scale = (1.0 / total) as f32;
    for value in row {
        *value *= scale;
    }
}

fn lane_sum(run: &[f32]) -> f64 {
    let mut lanes = [0.0f32; 16];
    let chunks = run.chunks_exact(16);
    let tail: f32 = chunks.remainder().iter().sum();
    for chunk in chunks {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane += value;
        }
    }
    f64::from(tail) + lanes.iter().map(|v| f64::from(*v)).sum::<f64>()
}
