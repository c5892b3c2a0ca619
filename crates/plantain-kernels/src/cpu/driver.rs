//! One convolution under way: blocks of pixels times tiles of channels.

use std::ops::{Deref, Range};

use crate::cpu::convolve::Convolution;
use crate::cpu::epilogue::{Finish, Output};
use crate::cpu::geometry::{Block, Extents, Part, Reach, Segment, Tile, even_parts, parts};
use crate::cpu::isa::Isa;
use crate::cpu::micro::{
    Kernel, Order, ROWS, SUMS, ThreadState, TileArguments, VECTOR, VECTORS, half_kernels,
    kernels_for, pixel_kernels,
};
use crate::cpu::parallel::{for_each, threads};
use crate::cpu::precision::Precision;
use crate::cpu::prepare::Preparation;
use crate::cpu::prologue::Input;
use crate::cpu::scratch::{Scratch, as_f32_mut};

/// Bytes of a block's prepared input: half of a second-level cache of 1 MiB, the rest is for weights and outputs.
const BLOCK_BYTES: usize = 512 << 10;
/// Products below which a second thread is not worth waking.
const SERIAL_PRODUCTS: usize = 1 << 17;

/// Tells what is added to the sums of a tile for a call, in the same layout.
pub(crate) type Added<'a> = &'a dyn Fn(usize, &Tile, &mut [f32]);

/// One convolution under way.
pub(crate) struct Driver<'a> {
    /// Those that do not look ahead, and those that do.
    kernels: [[Kernel; VECTORS]; 2],
    /// Those for a tile of whose rows at most half are there.
    half_kernels: [Kernel; VECTORS],
    preparation: Preparation<'a>,
    convolution: &'a Convolution<'a>,
    output: Output,
    output_pixels: usize,
}

impl<'a> Driver<'a> {
    pub(crate) fn new(
        isa: Isa,
        extents: Extents,
        input: Input<'a>,
        convolution: &'a Convolution<'a>,
        output: Output,
    ) -> Self {
        let weight = convolution.weight;
        let mut preparation = Preparation {
            isa,
            precision: weight.precision,
            order: weight.order,
            extents,
            groups: weight.groups,
            input,
            largest: Vec::new(),
        };
        if weight.precision == Precision::Int8 && extents.reach != Reach::Point {
            preparation.measure_images();
        }
        Self {
            kernels: kernels_for(isa, weight.precision, weight.order),
            half_kernels: half_kernels(isa, weight.precision),
            preparation,
            convolution,
            output,
            output_pixels: extents.output_pixels(),
        }
    }

    /// The same with sums as [`pixel_kernels`] leave them.
    pub(crate) fn by_pixels(mut self) -> Self {
        self.kernels = [pixel_kernels(self.preparation.isa); 2];
        self
    }

    pub(crate) fn isa(&self) -> Isa {
        self.preparation.isa
    }

    pub(crate) fn extents(&self) -> &Extents {
        &self.preparation.extents
    }

    pub(crate) fn convolution(&self) -> &'a Convolution<'a> {
        self.convolution
    }

    /// Prepares the input of a block on this thread, of any precision but [`Precision::Int8`].
    pub(crate) fn prepare(&self, block: &Block, prepared: &mut [u32]) {
        self.preparation.block(block, prepared, &mut [], false);
    }

    /// All pixels of a block for all weights, on this thread; `added` tells what is added to the sums of a tile for a call.
    pub(crate) fn multiply_all(&self, block: &Block, prepared: &[u32], added: Option<Added<'_>>) {
        let weight = self.convolution.weight;
        assert!(weight.phases == 1 || added.is_none(), "one phase");
        let calls = weight.tiles.div_ceil(weight.order.tiles());
        self.multiply(block, prepared, &[], 0..calls, added);
    }

    /// The taps of a phase, all of which are inside of so much prepared input.
    pub(crate) fn checked_taps(&self, block: &Block, phase: usize, prepared: usize) -> Vec<isize> {
        let taps = self.taps(block, phase);
        self.check_reads(block, &taps, prepared);
        taps
    }

    pub(crate) fn run(&self) {
        let weight = self.convolution.weight;
        let extents = &self.preparation.extents;
        let threads = threads();
        let products = weight.shape.outputs
            * weight.groups
            * weight.taps
            * extents.output_pixels()
            * extents.batch;
        let parts = parts(extents, self.block_pixels(threads));
        let serial = products < SERIAL_PRODUCTS || threads == 1;
        // Threads take a block each if there are enough, and otherwise share the weights of one after the other.
        let apart = !serial && parts.len() >= 3 * threads;
        for_each(
            apart,
            parts.len(),
            || (),
            |(), index| self.block(&parts[index], !serial && !apart),
        );
    }

    /// Tiled pixels of a block, from the bytes of one pixel, such that threads get equally many blocks.
    fn block_pixels(&self, threads: usize) -> usize {
        let extents = &self.preparation.extents;
        let target = (BLOCK_BYTES / (4 * self.convolution.weight.groups)).max(VECTORS * VECTOR);
        let [height, width] = extents.tiled();
        let total = match extents.reach {
            // Single pixels are cut between vectors.
            Reach::Point => extents.batch * (height * width).next_multiple_of(VECTOR),
            _ => extents.batch * height * width,
        };
        match total.div_ceil(target) {
            1 => total,
            count => total.div_ceil(count.next_multiple_of(threads)),
        }
    }

    fn block(&self, part: &Part, parallel: bool) {
        let weight = self.convolution.weight;
        let block = &part.block(&self.preparation.extents, weight.groups, weight.order);
        let mut prepared = Scratch::take(block.prepared);
        let integer = weight.precision == Precision::Int8;
        let mut scales = Scratch::take(if integer { block.lanes + VECTOR } else { 0 });
        let scales = as_f32_mut(&mut scales);
        self.preparation
            .block(block, &mut prepared, scales, parallel);
        let (prepared, scales) = (&*prepared, &*scales);
        let calls = weight.tiles.div_ceil(weight.order.tiles());
        if parallel {
            let ranges: Vec<_> = even_parts(calls, 4 * threads()).collect();
            for_each(
                true,
                ranges.len(),
                || (),
                |(), index| self.multiply(block, prepared, scales, ranges[index].clone(), None),
            );
        } else {
            self.multiply(block, prepared, scales, 0..calls, None);
        }
    }

    /// All pixels of a block for a range of weight tiles, counted in those that are multiplied together.
    fn multiply(
        &self,
        block: &Block,
        prepared: &[u32],
        scales: &[f32],
        calls: Range<usize>,
        added: Option<Added<'_>>,
    ) {
        let weight = self.convolution.weight;
        let phases: Vec<_> = (0..weight.phases)
            .map(|phase| self.taps(block, phase))
            .collect();
        for taps in &phases {
            self.check_reads(block, taps, prepared.len());
        }
        let _ready = ThreadState::new(self.preparation.isa, weight.order);
        let mut sums = Sums::new();
        let mut columns = [Sums::new(), Sums::new()];
        for call in calls.clone() {
            let weight_tile = call * weight.order.tiles();
            let next = self.next_weights(call, &calls);
            for (index, tile) in block.tiles.iter().enumerate() {
                if let [taps] = &phases[..] {
                    let ahead = third(next, index, block.tiles.len());
                    let at = (0, weight_tile);
                    // SAFETY: this thread is ready, and the taps were checked with this block and its prepared input.
                    unsafe { self.sum(tile, prepared, at, taps, ahead, &mut sums) };
                    let scales = scales.get(tile.lane..).unwrap_or_default();
                    let more = added.map(|added| {
                        added(call, tile, &mut columns[0].0);
                        &columns[0]
                    });
                    self.finish(
                        (0, weight_tile),
                        &tile.segments,
                        tile.lanes(),
                        scales,
                        (&sums, more),
                    );
                } else {
                    let room = (&mut columns, &mut sums);
                    self.doubled(tile, prepared, weight_tile, &phases, scales, room);
                }
            }
        }
    }

    /// The weights that this thread will probably read after those of `call`: others take the ranges in between.
    fn next_weights(&self, call: usize, calls: &Range<usize>) -> &[u32] {
        let weight = self.convolution.weight;
        let next = match call + 1 {
            next if next < calls.end => next,
            next => next + calls.len() * (threads() - 1),
        };
        let tile = next * weight.order.tiles();
        if tile < weight.tiles {
            weight.tile(0, tile)
        } else {
            &[]
        }
    }

    /// A tile of a doubled image: even and odd columns together, so that output is written in runs.
    fn doubled(
        &self,
        tile: &Tile,
        prepared: &[u32],
        weight_tile: usize,
        phases: &[Vec<isize>],
        scales: &[f32],
        (columns, sums): (&mut [Sums; 2], &mut Sums),
    ) {
        let [_, width] = self.preparation.extents.tiled();
        let scales: Vec<f32> = scales
            .iter()
            .skip(tile.lane)
            .take(tile.lanes() + VECTOR)
            .flat_map(|&s| [s; 2])
            .collect();
        let count = self.convolution.weight.order.tiles() * ROWS * tile.lanes();
        for row in 0..2 {
            for (column, sums) in columns.iter_mut().enumerate() {
                let phase = 2 * row + column;
                let (at, taps) = ((phase, weight_tile), &phases[phase]);
                // SAFETY: `multiply`, the only caller, has made the thread ready and checked the taps.
                unsafe { self.sum(tile, prepared, at, taps, &[], sums) };
            }
            let pairs = columns[0].0[..count].iter().zip(&columns[1].0);
            for (pair, (even, odd)) in sums.0.chunks_exact_mut(2).zip(pairs) {
                pair.copy_from_slice(&[*even, *odd]);
            }
            let segments: Vec<_> = tile
                .segments
                .iter()
                .flat_map(|segment| doubled_segments(segment, width, row))
                .collect();
            self.finish(
                (2 * row, weight_tile),
                &segments,
                2 * tile.lanes(),
                &scales,
                (sums, None),
            );
        }
    }

    /// The sums of a tile for the weight tiles that are multiplied together; `ahead` is what will be read soon.
    ///
    /// # Safety
    /// A [`ThreadState`] for the path and the order of the weights must be alive on this thread, and the tile be of a block whose reads
    /// with these taps and as much prepared input were checked ([`Self::checked_taps`]).
    pub(crate) unsafe fn sum(
        &self,
        tile: &Tile,
        prepared: &[u32],
        (phase, weight_tile): (usize, usize),
        taps: &[isize],
        ahead: &[u32],
        sums: &mut Sums,
    ) {
        let weight = self.convolution.weight;
        let depth = weight.order.depth();
        debug_assert!(tile.vectors <= weight.order.vectors());
        let weights = weight.tile(phase, weight_tile);
        let arguments = TileArguments {
            weights: weights.as_ptr(),
            ahead: ahead.as_ptr(),
            sources: tile
                .sources
                .map(|source| prepared.as_ptr().wrapping_add(source * depth)),
            groups: weight.groups,
            group_stride: tile.group_stride * depth,
            taps,
            starts: weight.starts(phase, weight_tile),
            tile: sums.0.as_mut_ptr(),
        };
        let kernels = if weight.order == Order::Rows && weight.fills_half(weight_tile) {
            &self.half_kernels
        } else {
            &self.kernels[usize::from(!ahead.is_empty())]
        };
        // SAFETY: the kernel was chosen for an instruction set that the processor has, and this function's own contract; the weights
        // are whole tiles, and what a call computes fits `sums`.
        unsafe { kernels[tile.vectors - 1](&arguments) };
    }

    /// # Panics
    /// If a vector of a tile begins before or ends after the prepared input.
    fn check_reads(&self, block: &Block, taps: &[isize], prepared: usize) {
        let weight = self.convolution.weight;
        let depth = weight.order.depth();
        let (before, behind) = (
            taps.iter().min().copied().unwrap_or(0),
            taps.iter().max().copied().unwrap_or(0),
        );
        for tile in &block.tiles {
            for &source in &tile.sources[..tile.vectors] {
                let first = (source * depth).cast_signed();
                let last = (weight.groups / depth - 1) * tile.group_stride * depth + VECTOR * depth;
                let inside = first + before >= 0
                    && first + last.cast_signed() + behind <= prepared.cast_signed();
                assert!(inside, "a tile outside the prepared input");
            }
        }
    }

    /// Writes the sums of the weight tiles that are multiplied together.
    fn finish(
        &self,
        (phase, first): (usize, usize),
        segments: &[Segment],
        lanes: usize,
        lane_scales: &[f32],
        (sums, added): (&Sums, Option<&Sums>),
    ) {
        let weight = self.convolution.weight;
        let channels = weight.output_channels();
        let tiles = first..weight.tiles.min(first + weight.order.tiles());
        for (index, weight_tile) in tiles.enumerate() {
            let tile = index * ROWS * lanes..(index * ROWS + ROWS + 1) * lanes;
            let channel = weight_tile * weight.channels_per_tile();
            let scales = weight.scales(phase, weight_tile);
            let finish = Finish {
                epilogue: &self.convolution.epilogue,
                sums: &sums[tile.clone()],
                lanes,
                added: added.map(|added| &added[tile]),
                scales: scales.map(|rows| (rows, lane_scales)),
                segments,
                channel,
                rows: weight.channels_per_tile().min(channels - channel),
                channels,
                pixels: self.output_pixels,
                output: self.output,
            };
            // SAFETY: who made the output borrows it until all blocks are done (`run`, or `convolve_chain`); blocks, and the parts of a
            // chain's last link, have disjoint pixels and weight tiles have disjoint channels.
            unsafe { finish.run_on(self.preparation.isa) };
        }
    }

    /// Offsets of the taps of a phase in words of the prepared input.
    fn taps(&self, block: &Block, phase: usize) -> Vec<isize> {
        let depth = self.convolution.weight.order.depth().cast_signed();
        let taps = self.lane_taps(block, phase);
        taps.into_iter().map(|tap| tap * depth).collect()
    }

    /// The same in lanes.
    fn lane_taps(&self, block: &Block, phase: usize) -> Vec<isize> {
        let stride = self.preparation.extents.stride().cast_signed();
        let three = || (0..3).flat_map(|y| (0..3).map(move |x| (y, x)));
        match self.preparation.extents.reach {
            Reach::Point => vec![0],
            Reach::Around => three().map(|(y, x)| (y - 1) * stride + x - 1).collect(),
            Reach::Halved => {
                let image = (block.bands[0].rows.len() + 1).cast_signed() * stride;
                let offset = |tap: isize| (isize::from(tap != 1), isize::from(tap == 2));
                let taps = three().map(|(y, x)| {
                    let ((odd_row, down), (odd_column, right)) = (offset(y), offset(x));
                    (2 * odd_row + odd_column) * image + down * stride + right
                });
                taps.collect()
            }
            Reach::Doubled => {
                let (row, column) = ((phase / 2).cast_signed(), (phase % 2).cast_signed());
                let two = (0..2).flat_map(|y| (0..2).map(move |x| (y, x)));
                two.map(|(y, x)| (row - 1 + y) * stride + column - 1 + x)
                    .collect()
            }
        }
    }
}

/// What a tile is to ask for ahead of time: three of a block's tiles a third each.
fn third(next: &[u32], tile: usize, tiles: usize) -> &[u32] {
    let apart = (tiles / 3).max(1);
    match tile / apart {
        part @ 0..3 if tile.is_multiple_of(apart) => &next[part * next.len() / 3..],
        _ => &[],
    }
}

/// The pixels of a segment in every second row of the doubled image.
fn doubled_segments(segment: &Segment, width: usize, row: usize) -> impl Iterator<Item = Segment> {
    segment.rows(width).map(move |part| {
        let (y, x) = (part.pixel / width, part.pixel % width);
        Segment {
            image: part.image,
            lane: 2 * part.lane,
            pixel: (2 * y + row) * 2 * width + 2 * x,
            length: 2 * part.length,
        }
    })
}

/// Room for the sums of two calls and a row that is read but not used.
const ROOM: usize = 2 * SUMS + 2 * VECTORS * VECTOR;

/// The sums of a call, those of two interleaved, or what is added to them.
#[repr(align(64))]
pub(crate) struct Sums([f32; ROOM]);

impl Sums {
    pub(crate) fn new() -> Self {
        Self([0.0; ROOM])
    }
}

impl Deref for Sums {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_tiles_ask_for_a_third_each() {
        let next: Vec<u32> = (0..9).collect();
        let asked = |tiles| -> Vec<_> {
            let parts = (0..tiles).map(|tile| third(&next, tile, tiles).first().copied());
            parts.collect()
        };
        assert_eq!(asked(1), [Some(0)]);
        assert_eq!(asked(3), [Some(0), Some(3), Some(6)]);
        let seven = [Some(0), None, Some(3), None, Some(6), None, None];
        assert_eq!(asked(7), seven);
    }
}
