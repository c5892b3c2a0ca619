//! Enlargement by repetition, and from channels.

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

/// Enlarges images `[batch][4 * channels][height][width]` twice: of each four channels one gives the pixels of even rows and columns, the
/// others those of even rows and odd columns, of odd rows and even columns, and of odd rows and columns (Shi et al. 2016; PyTorch's
/// `pixel_shuffle`).
///
/// # Panics
/// If a length does not fit the shape, or the channels are no multiple of four.
pub fn pixel_shuffle(x: &[f32], [b, c, h, w]: [usize; 4], out: &mut [f32]) {
    assert!(c.is_multiple_of(4), "four channels for each of the output");
    assert_eq!(x.len(), b * c * h * w, "input length");
    assert_eq!(out.len(), x.len(), "output length");
    if x.is_empty() {
        return;
    }
    let bands = (CHUNK / (4 * w)).max(1);
    chunks(out, bands * 4 * w, |index, out| {
        for (at, pair) in out.chunks_exact_mut(4 * w).enumerate() {
            let (image, row) = ((index * bands + at) / h, (index * bands + at) % h);
            let source = |part: usize| &x[((4 * image + part) * h + row) * w..][..w];
            for (half, line) in pair.chunks_exact_mut(2 * w).enumerate() {
                let columns = source(2 * half).iter().zip(source(2 * half + 1));
                for (pixels, (&even, &odd)) in line.as_chunks_mut::<2>().0.iter_mut().zip(columns) {
                    *pixels = [even, odd];
                }
            }
        }
    });
}

#[cfg(test)]
mod tests;
