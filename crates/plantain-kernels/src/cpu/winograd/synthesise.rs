//! From the frequencies of tiles to their pixels.

use super::transform::{LARGEST, output};
use crate::cpu::micro::{ROWS, VECTOR};
use crate::cpu::simd::{Kernel, Lanes};

/// Transforms one vector of tiles of [`ROWS`] channels.
pub(super) struct Synthesise<'a> {
    pub tile: usize,
    /// Sums of the first frequency, of `frequencies` that are `stride` apart.
    pub sums: &'a [f32],
    pub stride: usize,
    /// Lanes between channels in `sums`.
    pub lanes: usize,
    /// `[ROWS][tile][VECTOR * tile]` pixels: rows of the tiles side by side.
    pub pixels: &'a mut [f32],
}

impl Kernel for Synthesise<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self, l: L) {
        if self.tile == 2 {
            self.transform::<L, 2>(l)
        } else {
            self.transform::<L, 4>(l)
        }
    }
}

impl Synthesise<'_> {
    #[inline(always)]
    fn transform<L: Lanes, const T: usize>(self, l: L) {
        let Self {
            tile,
            sums,
            stride,
            lanes,
            pixels,
        } = self;
        assert_eq!(tile, T, "the tile");
        let frequencies = (T + 2) * (T + 2);
        assert!(
            sums.len() >= (frequencies - 1) * stride + (ROWS - 1) * lanes + VECTOR,
            "sums of all frequencies"
        );
        for (row, pixels) in pixels
            .chunks_exact_mut(T * T * VECTOR)
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
                    for (half, &y) in half.iter_mut().zip(&y).take(T) {
                        half[k] = y;
                    }
                }
                for (i, half) in half.iter().enumerate().take(T) {
                    let x = output::<L, T>(l, *half);
                    let mut columns = [l.splat(0.0); T];
                    columns.copy_from_slice(&x[..T]);
                    // SAFETY: a row of `T` rows, each of `T` pixels for each of `VECTOR` tiles.
                    unsafe {
                        l.store_dealt(pixels.as_mut_ptr().add((i * VECTOR + at) * T), columns)
                    };
                }
            }
        }
    }
}
