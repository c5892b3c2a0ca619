//! From the frequencies of tiles to their pixels.

use super::transform::{LARGEST, output};
use crate::cpu::micro::{ROWS, VECTOR};
use crate::cpu::simd::{Kernel, Lanes};

/// Transforms one vector of tiles of [`ROWS`] channels.
pub(super) struct Synthesise<'a> {
    /// Pixels of the input from a tile to the next.
    pub step: usize,
    /// Sums of the first frequency, of `frequencies` that are `stride` apart.
    pub sums: &'a [f32],
    pub stride: usize,
    /// Lanes between channels in `sums`.
    pub lanes: usize,
    /// `[ROWS][side][VECTOR * side]` pixels, where tiles are as wide and high as they are apart, or two pixels of a doubled image: rows of the tiles side by side.
    pub pixels: &'a mut [f32],
}

impl Kernel for Synthesise<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self, l: L) {
        match self.step {
            1 => self.transform::<L, 1, 2>(l),
            2 => self.transform::<L, 2, 2>(l),
            _ => self.transform::<L, 4, 4>(l),
        }
    }
}

impl Synthesise<'_> {
    #[inline(always)]
    fn transform<L: Lanes, const T: usize, const SIDE: usize>(self, l: L) {
        let Self {
            step,
            sums,
            stride,
            lanes,
            pixels,
        } = self;
        assert_eq!(step, T, "the step");
        let frequencies = (T + 2) * (T + 2);
        assert!(
            sums.len() >= (frequencies - 1) * stride + (ROWS - 1) * lanes + VECTOR,
            "sums of all frequencies"
        );
        for (row, pixels) in pixels
            .chunks_exact_mut(SIDE * SIDE * VECTOR)
            .enumerate()
            .take(ROWS)
        {
            for at in (0..VECTOR).step_by(L::COUNT) {
                // Rows of pixels by columns of frequencies.
                let mut half = [[l.splat(0.0); LARGEST]; LARGEST];
                for k in 0..T + 2 {
                    let mut m = [l.splat(0.0); LARGEST];
                    for (i, m) in m.iter_mut().enumerate().take(T + 2) {
                        let first = (i * (T + 2) + k) * stride + row * lanes + at;
                        // SAFETY: within the extents checked above.
                        *m = unsafe { l.load(sums.as_ptr().add(first)) };
                    }
                    let y = output::<L, T>(l, m);
                    for (half, &y) in half.iter_mut().zip(&y).take(SIDE) {
                        half[k] = y;
                    }
                }
                for (i, half) in half.iter().enumerate().take(SIDE) {
                    let x = output::<L, T>(l, *half);
                    let mut columns = [l.splat(0.0); SIDE];
                    columns.copy_from_slice(&x[..SIDE]);
                    // SAFETY: a row of `SIDE` rows, each of `SIDE` pixels for each of `VECTOR` tiles.
                    unsafe {
                        l.store_dealt(pixels.as_mut_ptr().add((i * VECTOR + at) * SIDE), columns)
                    };
                }
            }
        }
    }
}
