//! 3x3 convolutions by minimal filtering (Lavin and Gray 2015): tiles of the input are transformed to frequencies, where
//! the convolution is one small matrix product for each, and back. Vector lanes are tiles throughout.
//!
//! The frequencies of a block of tiles are kept for all channels, in and out, so that each frequency's weights are read
//! once for the whole block; a block is as large as the last-level cache allows.

mod analyse;
mod synthesise;
mod transform;

use std::ops::Range;

pub(crate) use transform::filter;

use crate::cpu::convolve::Convolution;
use crate::cpu::epilogue::{Finish, Output};
use crate::cpu::geometry::{Band, Segment, band_groups, even_parts, odd_lines};
use crate::cpu::isa::Isa;
use crate::cpu::micro::{Kernel, ROWS, TileArguments, VECTOR, VECTORS, kernels};
use crate::cpu::packed::PackedWeight;
use crate::cpu::parallel::{for_each, threads};
use crate::cpu::prologue::{Input, Run};
use crate::cpu::scratch::{Scratch, SharedLanes, as_f32, as_f32_mut};
use crate::cpu::simd::dispatch;
use analyse::{Columns, Grid, Rows};
use synthesise::Synthesise;

/// Bytes of the frequencies of a block at most: half of a last-level cache.
const BLOCK_BYTES: usize = 12 << 20;
/// Bytes of the frequencies of a block if the weights are few: about a second-level cache.
const SMALL_BLOCK_BYTES: usize = 3 << 19;

/// One convolution under way.
pub(crate) struct Winograd<'a> {
    isa: Isa,
    kernels: [Kernel; VECTORS],
    convolution: &'a Convolution<'a>,
    weight: &'a PackedWeight,
    input: Input<'a>,
    output: Output,
    /// Pixels of the input from a tile to the next.
    step: usize,
    /// Height and width of an output tile.
    side: usize,
    batch: usize,
    /// Extents of the input.
    source: [usize; 2],
    /// Extents of the output.
    height: usize,
    width: usize,
}

/// Tiles that are transformed and multiplied together.
struct Block {
    bands: Vec<Band>,
    lanes: usize,
    panels: Vec<Panel>,
}

/// Up to three vectors of tiles, as the kernels read them.
struct Panel {
    lane: usize,
    vectors: usize,
}

impl Block {
    /// The panel of a lane, and the lane in it.
    fn place(&self, lane: usize) -> (&Panel, usize) {
        let index = self.panels.partition_point(|panel| panel.lane <= lane) - 1;
        (&self.panels[index], lane - self.panels[index].lane)
    }
}

impl<'a> Winograd<'a> {
    /// For checked extents and tiles that are `step` pixels of the input apart.
    pub(crate) fn new(
        isa: Isa,
        input: Input<'a>,
        [batch, height, width]: [usize; 3],
        step: usize,
        convolution: &'a Convolution<'a>,
        output: Output,
    ) -> Self {
        let scale = if convolution.upsample { 2 } else { 1 };
        Self {
            isa,
            kernels: kernels(isa, convolution.weight.precision),
            convolution,
            weight: convolution.weight,
            input,
            output,
            step,
            side: scale * step,
            batch,
            source: [height, width],
            height: scale * height,
            width: scale * width,
        }
    }

    pub(crate) fn run(&self) {
        let weight = self.weight;
        let grid = self.source.map(|length| length.div_ceil(self.step));
        let lane_bytes = 4 * weight.phases * (weight.groups + weight.tiles * ROWS);
        let bytes = weight.bytes().clamp(SMALL_BLOCK_BYTES, BLOCK_BYTES);
        let blocks: Vec<_> = band_groups(self.batch, grid, bytes / lane_bytes)
            .into_iter()
            .map(|bands| self.block(bands))
            .collect();
        // Threads share blocks where weights are many, so that those are read once, and otherwise take a block each.
        let threads = threads();
        let apart = bytes == SMALL_BLOCK_BYTES && blocks.len() >= 3 * threads;
        for_each(
            apart,
            blocks.len(),
            || (),
            |(), index| self.one(&blocks[index], !apart && threads > 1),
        );
    }

    fn one(&self, block: &Block, parallel: bool) {
        let weight = self.weight;
        let mut frequencies = Scratch::take(weight.phases * odd_lines(weight.groups * block.lanes));
        let mut sums = Scratch::take(weight.phases * odd_lines(weight.tiles * ROWS * block.lanes));
        self.analyse(block, &mut frequencies, parallel);
        self.multiply(block, &frequencies, &mut sums, parallel);
        self.synthesise(block, as_f32(&sums), parallel);
    }

    fn block(&self, mut bands: Vec<Band>) -> Block {
        let mut lanes = 0;
        for band in &mut bands {
            band.start = lanes;
            lanes += (band.rows.len() * self.row_tiles()).next_multiple_of(VECTOR);
        }
        let vectors = lanes / VECTOR;
        let panels = even_parts(vectors, vectors.div_ceil(VECTORS))
            .map(|range| Panel {
                lane: range.start * VECTOR,
                vectors: range.len(),
            })
            .collect();
        Block {
            bands,
            lanes,
            panels,
        }
    }

    /// Tiles of a row.
    fn row_tiles(&self) -> usize {
        self.source[1].div_ceil(self.step)
    }

    fn grid(&self, band: &Band) -> Grid {
        Grid {
            columns: self.row_tiles(),
            rows: band.rows.len(),
            step: self.step,
        }
    }

    /// Writes `[frequency][panel][group][lanes of the panel]`.
    fn analyse(&self, block: &Block, frequencies: &mut [u32], parallel: bool) {
        let shared = SharedLanes::new(frequencies);
        let parts = self.weight.precision.channels_per_lane();
        let grids = || block.bands.iter().map(|band| self.grid(band));
        let halves = grids().map(|grid| grid.halves()).max().unwrap_or(0);
        let phases = grids().map(|grid| grid.phases()).max().unwrap_or(0);
        let pixels = block
            .bands
            .iter()
            .map(|band| self.pixels(band).1.len() * self.source[1])
            .max()
            .unwrap_or(0);
        let stage = || Scratch::take(parts * halves + phases + pixels);
        for_each(parallel, self.weight.groups, stage, |stage, group| {
            let (halves, rest) = as_f32_mut(stage).split_at_mut(parts * halves);
            let (phases, pixels) = rest.split_at_mut(phases);
            for band in &block.bands {
                for (part, halves) in halves.chunks_exact_mut(halves.len() / parts).enumerate() {
                    self.rows(band, group * parts + part, pixels, phases, halves);
                }
                self.columns(block, band, group, halves, shared);
            }
        });
    }

    /// The padded rows of a band that are in the image, and the rows of the image that they are.
    fn pixels(&self, band: &Band) -> (Range<usize>, Range<usize>) {
        let top = self.step * band.rows.start;
        let padded =
            usize::from(top == 0)..self.grid(band).padded_rows().min(self.source[0] + 1 - top);
        let rows = top + padded.start - 1..top + padded.end - 1;
        (padded, rows)
    }

    fn rows(
        &self,
        band: &Band,
        channel: usize,
        pixels: &mut [f32],
        phases: &mut [f32],
        halves: &mut [f32],
    ) {
        let (within, source) = self.pixels(band);
        let width = self.source[1];
        let run = Run {
            image: band.image,
            channel,
            pixel: source.start * width,
        };
        self.input.prefetch(
            Run {
                channel: channel + 1,
                ..run
            },
            source.len() * width,
        );
        let pixels = self
            .input
            .pixels_of(self.isa, run, &mut pixels[..source.len() * width]);
        dispatch(
            self.isa,
            Rows {
                grid: self.grid(band),
                pixels,
                width,
                within,
                phases,
                halves,
            },
        );
    }

    /// The vertical transform of a group, written to the panels.
    fn columns(&self, block: &Block, band: &Band, group: usize, halves: &[f32], to: SharedLanes) {
        let grid = self.grid(band);
        let groups = self.weight.groups;
        let channels = self.weight.precision.channels_per_lane();
        let (even, odd) = halves.split_at(halves.len() / channels);
        for at in (0..grid.tiles()).step_by(VECTOR) {
            let (panel, lane) = block.place(band.start + at);
            let first = panel.lane * groups + group * panel.vectors * VECTOR + lane;
            let stride = odd_lines(groups * block.lanes);
            dispatch(
                self.isa,
                Columns {
                    grid,
                    halves: [even, odd],
                    channels,
                    at,
                    first,
                    stride,
                    to,
                },
            );
        }
    }

    /// Writes `[frequency][weight tile][panel][ROWS][lanes of the panel]`.
    fn multiply(&self, block: &Block, frequencies: &[u32], sums: &mut [u32], parallel: bool) {
        let weight = self.weight;
        let plane = odd_lines(weight.groups * block.lanes);
        let sums_plane = odd_lines(weight.tiles * ROWS * block.lanes);
        assert_eq!(frequencies.len(), weight.phases * plane, "all frequencies");
        let chunk = ROWS * block.lanes;
        let shared = SharedLanes::new(sums);
        for_each(
            parallel,
            weight.phases * weight.tiles,
            || (),
            |(), index| {
                let (frequency, weight_tile) = (index / weight.tiles, index % weight.tiles);
                let first = frequency * sums_plane + weight_tile * chunk;
                // SAFETY: each index has its own lanes.
                let sums = as_f32_mut(unsafe { shared.range(first, chunk) });
                let weights = weight.tile(frequency, weight_tile);
                for panel in &block.panels {
                    let source =
                        frequencies[frequency * plane + panel.lane * weight.groups..].as_ptr();
                    let arguments = TileArguments {
                        weights: weights.as_ptr(),
                        ahead: weights.as_ptr(),
                        sources: std::array::from_fn(|vector| source.wrapping_add(vector * VECTOR)),
                        groups: weight.groups,
                        group_stride: panel.vectors * VECTOR,
                        taps: &[0],
                        starts: &[[0; ROWS]],
                        tile: sums[ROWS * panel.lane..][..ROWS * panel.vectors * VECTOR]
                            .as_mut_ptr(),
                    };
                    // SAFETY: the kernel was chosen for an instruction set that the processor has; the weights are a whole
                    // tile, the panel's groups follow each other, and its sums have the tile's size.
                    unsafe { self.kernels[panel.vectors - 1](&arguments) };
                }
            },
        );
    }

    fn synthesise(&self, block: &Block, sums: &[f32], parallel: bool) {
        let tile_lanes = self.side * self.side * VECTOR;
        let vectors: Vec<_> = block
            .panels
            .iter()
            .flat_map(|panel| (0..panel.vectors).map(move |v| (panel, v)))
            .collect();
        let segments: Vec<_> = vectors
            .iter()
            .map(|(panel, vector)| self.segments(block, panel.lane + vector * VECTOR))
            .collect();
        let stage = || Scratch::take((ROWS + 1) * tile_lanes);
        for_each(parallel, self.weight.tiles, stage, |stage, weight_tile| {
            let pixels = as_f32_mut(stage);
            for ((panel, vector), segments) in vectors.iter().zip(&segments) {
                let first = (weight_tile * block.lanes + panel.lane) * ROWS + vector * VECTOR;
                let synthesis = Synthesise {
                    step: self.step,
                    sums: &sums[first..],
                    stride: odd_lines(self.weight.tiles * ROWS * block.lanes),
                    lanes: panel.vectors * VECTOR,
                    pixels,
                };
                dispatch(self.isa, synthesis);
                self.finish(weight_tile, segments, pixels);
            }
        });
    }

    fn finish(&self, weight_tile: usize, segments: &[Segment], pixels: &[f32]) {
        let channels = self.weight.output_channels();
        let finish = Finish {
            added: None,
            epilogue: &self.convolution.epilogue,
            sums: pixels,
            lanes: self.side * self.side * VECTOR,
            scales: None,
            segments,
            channel: weight_tile * ROWS,
            rows: ROWS.min(channels - weight_tile * ROWS),
            channels,
            pixels: self.height * self.width,
            output: self.output,
        };
        // SAFETY: `run` borrows the output until it returns; vectors have disjoint pixels and weight tiles
        // disjoint channels.
        unsafe { finish.run_on(self.isa) };
    }

    /// Where the pixels of a vector of tiles are, as [`Synthesise`] orders them.
    fn segments(&self, block: &Block, lane: usize) -> Vec<Segment> {
        let (columns, side) = (self.row_tiles(), self.side);
        let band = block
            .bands
            .iter()
            .rfind(|band| band.start <= lane)
            .expect("a band of each lane");
        let first = lane - band.start;
        let end = (first + VECTOR).min(band.rows.len() * columns);
        let mut segments = Vec::new();
        let mut at = first;
        while at < end {
            let (row, column) = (at / columns, at % columns);
            let tiles = (columns - column).min(end - at);
            let (top, left) = (side * (band.rows.start + row), side * column);
            for y in 0..side.min(self.height - top) {
                segments.push(Segment {
                    image: band.image,
                    lane: side * (y * VECTOR + at - first),
                    pixel: (top + y) * self.width + left,
                    length: (side * tiles).min(self.width - left),
                });
            }
            at += tiles;
        }
        segments
    }
}
