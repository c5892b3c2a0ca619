//! From an image to the frequencies of its tiles, the channels of one group at a time.

use super::transform::{LARGEST, input};
use crate::cpu::micro::VECTOR;
use crate::cpu::prologue::pairs_body;
use crate::cpu::scratch::SharedLanes;
use crate::cpu::simd::{Kernel, Lanes};

/// Extents of a band of tiles.
#[derive(Clone, Copy, Debug)]
pub(super) struct Grid {
    /// Tiles per row and column of the band.
    pub columns: usize,
    pub rows: usize,
    /// Pixels from a tile to the next.
    pub step: usize,
}

impl Grid {
    pub(super) fn tiles(&self) -> usize {
        self.rows * self.columns
    }

    /// Rows of pixels that the band reads, counting padding.
    pub(super) fn padded_rows(&self) -> usize {
        self.step * self.rows + 2
    }

    /// Lanes of one column phase of a row.
    fn phase(&self) -> usize {
        self.columns + self.overlap() + VECTOR
    }

    /// Lanes of one horizontal frequency of one row phase.
    fn half(&self) -> usize {
        (self.rows + self.overlap()) * self.columns + VECTOR
    }

    /// Tiles behind the last of a row or column that begin with a pixel of it.
    fn overlap(&self) -> usize {
        2_usize.div_ceil(self.step)
    }

    /// Lanes that [`Rows`] writes.
    pub(super) fn halves(&self) -> usize {
        self.step * (self.step + 2) * self.half()
    }

    /// Lanes that [`Rows`] needs beside them.
    pub(super) fn phases(&self) -> usize {
        self.step * self.phase()
    }
}

/// Transforms rows of pixels horizontally.
///
/// A row is split into `step` phases of columns, so that neighbouring tiles are neighbouring lanes. The results are kept
/// by row phase, so that the tiles of all rows are one run of lanes for the vertical transform.
pub(super) struct Rows<'a> {
    pub grid: Grid,
    /// `[rows][width]` pixels.
    pub pixels: &'a [f32],
    pub width: usize,
    /// The padded rows that these are; the others are zero.
    pub within: std::ops::Range<usize>,
    pub phases: &'a mut [f32],
    pub halves: &'a mut [f32],
}

impl Kernel for Rows<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self, l: L) {
        match self.grid.step {
            1 => self.transform::<L, 1>(l),
            2 => self.transform::<L, 2>(l),
            _ => self.transform::<L, 4>(l),
        }
    }
}

impl Rows<'_> {
    #[inline(always)]
    fn transform<L: Lanes, const T: usize>(self, l: L) {
        let Self {
            grid,
            pixels,
            width,
            within,
            phases,
            halves,
        } = self;
        let (phase, half) = (grid.phase(), grid.half());
        assert!(
            phases.len() >= T * phase && halves.len() >= grid.halves(),
            "room for rows of {grid:?}"
        );
        phases.fill(0.0);
        for y in 0..grid.padded_rows() {
            let start = y % T * (T + 2) * half + y / T * grid.columns;
            if !within.contains(&y) {
                for k in 0..T + 2 {
                    halves[start + k * half..][..grid.columns].fill(0.0);
                }
                continue;
            }
            let row = y - within.start;
            split::<L, T>(l, &pixels[row * width..][..width], phases, phase);
            for at in (0..grid.columns).step_by(L::COUNT) {
                let mut d = [l.splat(0.0); LARGEST];
                for (j, d) in d.iter_mut().enumerate().take(T + 2) {
                    // SAFETY: a phase has lanes for all that tiles read, and a vector of slack.
                    *d = unsafe { l.load(phases.as_ptr().add(j % T * phase + j / T + at)) };
                }
                let d = input::<L, T>(l, d);
                for (k, &d) in d.iter().enumerate().take(T + 2) {
                    // SAFETY: `padded_rows` rows end within the first `half - VECTOR` lanes. What a vector writes
                    // behind its row is overwritten by later rows or slack.
                    unsafe { l.store(halves.as_mut_ptr().add(start + k * half + at), d) };
                }
            }
        }
    }
}

/// Deals the pixels of a row to its phases, where the first phase starts with the padding left of the first pixel.
#[inline(always)]
fn split<L: Lanes, const T: usize>(l: L, row: &[f32], phases: &mut [f32], phase: usize) {
    if T == 1 {
        return phases[1..=row.len()].copy_from_slice(row);
    }
    let step = T * L::COUNT;
    let whole = row.len() / step;
    assert!(
        phases.len() >= T * phase && phase > whole * L::COUNT,
        "room for a row"
    );
    for part in 0..whole {
        // SAFETY: the row has `whole` times `step` pixels, and a phase one lane more than that makes.
        unsafe {
            let dealt = l.load_dealt::<T>(row.as_ptr().add(part * step));
            for (j, &values) in dealt.iter().enumerate() {
                let lane = (j + 1) % T * phase + (j + 1) / T + part * L::COUNT;
                l.store(phases.as_mut_ptr().add(lane), values);
            }
        }
    }
    for (x, &value) in row.iter().enumerate().skip(whole * step) {
        phases[(x + 1) % T * phase + (x + 1) / T] = value;
    }
}

/// Transforms what [`Rows`] wrote for the channels of a group vertically: one vector of tiles.
pub(super) struct Columns<'a> {
    pub grid: Grid,
    /// One for each channel of the group: one, or two that become bfloat16.
    pub halves: [&'a [f32]; 2],
    pub channels: usize,
    /// First tile.
    pub at: usize,
    /// Lane of the first frequency, and lanes from a frequency to the next.
    pub first: usize,
    pub stride: usize,
    /// Gets a vector for each frequency, which nobody else accesses.
    pub to: SharedLanes,
}

impl Kernel for Columns<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self, l: L) {
        match self.grid.step {
            1 => self.transform::<L, 1>(l),
            2 => self.transform::<L, 2>(l),
            _ => self.transform::<L, 4>(l),
        }
    }
}

impl Columns<'_> {
    #[inline(always)]
    fn transform<L: Lanes, const T: usize>(self, l: L) {
        for halves in &self.halves[..self.channels] {
            assert!(
                self.at < self.grid.tiles() && halves.len() >= self.grid.halves(),
                "a vector of tiles of {:?}",
                self.grid
            );
        }
        for k in 0..T + 2 {
            let place = |i: usize| self.first + (i * (T + 2) + k) * self.stride;
            if self.channels == 1 {
                for part in (0..VECTOR).step_by(L::COUNT) {
                    let d = self.column::<L, T>(l, self.halves[0], k, part);
                    for (i, &d) in d.iter().enumerate().take(T + 2) {
                        // SAFETY: these lanes are this group's own.
                        let lanes = unsafe { self.to.range(place(i) + part, L::COUNT) };
                        // SAFETY: the lanes are as many as a vector has.
                        unsafe { l.store(lanes.as_mut_ptr().cast(), d) };
                    }
                }
                continue;
            }
            let mut values = [[[0.0; VECTOR]; LARGEST]; 2];
            for (halves, values) in self.halves.iter().zip(&mut values) {
                for part in (0..VECTOR).step_by(L::COUNT) {
                    let d = self.column::<L, T>(l, halves, k, part);
                    for (values, &d) in values.iter_mut().zip(&d).take(T + 2) {
                        // SAFETY: a multiple of the vector length within `VECTOR` lanes.
                        unsafe { l.store(values.as_mut_ptr().add(part), d) };
                    }
                }
            }
            let [even, odd] = &values;
            for (i, (even, odd)) in even.iter().zip(odd).enumerate().take(T + 2) {
                // SAFETY: these lanes are this group's own.
                let lanes = unsafe { self.to.range(place(i), VECTOR) };
                pairs_body(even, odd, lanes);
            }
        }
    }

    /// The frequencies of column `k` of a vector's part, whose rows are in `halves`.
    #[inline(always)]
    fn column<L: Lanes, const T: usize>(
        &self,
        l: L,
        halves: &[f32],
        k: usize,
        part: usize,
    ) -> [L::F; LARGEST] {
        let (half, columns) = (self.grid.half(), self.grid.columns);
        let mut d = [l.splat(0.0); LARGEST];
        for (i, d) in d.iter_mut().enumerate().take(T + 2) {
            let lane = (i % T * (T + 2) + k) * half + i / T * columns + self.at + part;
            // SAFETY: all tiles, a row of them and a vector are `half` lanes, and `halves` has as many as the grid needs.
            *d = unsafe { l.load(halves.as_ptr().add(lane)) };
        }
        input::<L, T>(l, d)
    }
}
