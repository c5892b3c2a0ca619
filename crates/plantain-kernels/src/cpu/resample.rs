//! Changing the size of feature maps.

use rayon::prelude::*;

/// Twice the height and width, each pixel repeated.
///
/// # Shapes
/// - `x`: rows of `width` pixels
/// - result: twice as many rows of `2 * width` pixels
pub fn upsample_nearest(x: &[f32], width: usize) -> Vec<f32> {
    let mut out = vec![0.0; 4 * x.len()];
    if x.is_empty() {
        return out;
    }
    out.par_chunks_exact_mut(4 * width)
        .zip(x.par_chunks_exact(width))
        .with_min_len(64)
        .for_each(|(out, row)| {
            let (upper, lower) = out.split_at_mut(2 * width);
            for (pair, value) in upper.chunks_exact_mut(2).zip(row) {
                pair.fill(*value);
            }
            lower.copy_from_slice(upper);
        });
    out
}
