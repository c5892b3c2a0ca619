//! Enlargement by repetition.

use crate::cpu::parallel::chunks;

/// Values that one task takes; fewer in all are not worth a second thread.
const CHUNK: usize = 1 << 13;

/// Enlarges images `[batch * channels][height][width]` by an integer factor: every pixel becomes a square.
///
/// # Panics
/// If the factor is zero or a length does not fit the shape.
pub fn upsample_nearest(x: &[f32], [b, c, h, w]: [usize; 4], factor: usize, out: &mut [f32]) {
    assert!(factor > 0, "the factor must be positive");
    assert_eq!(x.len(), b * c * h * w, "input length");
    assert_eq!(out.len(), x.len() * factor * factor, "output length");
    if x.is_empty() {
        return;
    }
    let band = factor * factor * w;
    let bands = (CHUNK / band).max(1);
    chunks(out, bands * band, |index, out| {
        let x = &x[index * bands * w..];
        for (out, row) in out.chunks_exact_mut(band).zip(x.chunks_exact(w)) {
            let (first, rest) = out.split_at_mut(factor * w);
            widen(row, factor, first);
            rest.chunks_exact_mut(factor * w)
                .for_each(|copy| copy.copy_from_slice(first));
        }
    });
}

/// Repeats every value of `row` `factor` times.
fn widen(row: &[f32], factor: usize, out: &mut [f32]) {
    if factor == 2 {
        // A constant length lets the compiler use shuffles.
        for (pair, &value) in out.as_chunks_mut::<2>().0.iter_mut().zip(row) {
            *pair = [value; 2];
        }
    } else {
        for (run, &value) in out.chunks_exact_mut(factor).zip(row) {
            run.fill(value);
        }
    }
}

#[cfg(test)]
mod tests;
