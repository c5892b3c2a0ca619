//! The input rewritten in compute precision: zero-padded, in the order in which tiles read it.

use std::ops::Range;

use crate::cpu::geometry::{Band, Block, Extents, Reach, Segment, Tile, even_parts};
use crate::cpu::isa::Isa;
use crate::cpu::micro::{Order, turn};
use crate::cpu::parallel::{for_each_chunk, for_each_item, threads};
use crate::cpu::precision::Precision;
use crate::cpu::prologue::{Input, Run, pairs, quads, raise};
use crate::cpu::scratch::{Scratch, as_f32, as_f32_mut, as_lanes};

/// Pixels that are asked for before they are read.
const PREFETCHED: usize = 1024;

/// Rewrites blocks of one input.
pub(crate) struct Preparation<'a> {
    pub isa: Isa,
    pub precision: Precision,
    pub order: Order,
    pub extents: Extents,
    pub groups: usize,
    pub input: Input<'a>,
    /// [`Precision::Int8`] around pixels: the largest magnitude of each image.
    pub largest: Vec<f32>,
}

impl Preparation<'_> {
    /// Writes a block's prepared lanes and, for [`Precision::Int8`], the scale of every lane of its tiles.
    pub(crate) fn block(
        &self,
        block: &Block,
        prepared: &mut [u32],
        scales: &mut [f32],
        parallel: bool,
    ) {
        if block.bands.is_empty() {
            self.points(block, prepared, scales, parallel);
            return;
        }
        if self.precision == Precision::Int8 {
            for tile in &block.tiles {
                for segment in &tile.segments {
                    scales[tile.lane + segment.lane..][..segment.length]
                        .fill(self.largest[segment.image] / 127.0);
                }
            }
        }
        let stage = || {
            self.stage(
                block
                    .bands
                    .iter()
                    .map(|band| self.rows(band).len() * self.extents.width)
                    .max(),
            )
        };
        let fill = |stage: &mut Stage, group, plane: &mut [u32]| {
            plane.fill(self.padding());
            for band in &block.bands {
                self.band(band, group, stage, plane);
            }
        };
        let depth = self.order.depth();
        if depth == 1 {
            return for_each_chunk(parallel, prepared, block.plane, stage, fill);
        }
        let stages = || (stage(), Scratch::take(depth * block.plane));
        let turned = |(stage, planes): &mut (Stage, Scratch), index, lanes: &mut [u32]| {
            for (part, plane) in planes.chunks_exact_mut(block.plane).enumerate() {
                fill(stage, index * depth + part, plane);
            }
            turn(self.isa, planes, 0, lanes);
        };
        for_each_chunk(parallel, prepared, depth * block.plane, stages, turned);
    }

    /// The lane of a pixel outside the image.
    fn padding(&self) -> u32 {
        if self.precision == Precision::Int8 {
            0x8080_8080
        } else {
            0
        }
    }

    /// Space for the channels of one group and for their lanes.
    fn stage(&self, length: Option<usize>) -> Stage {
        let length = length.unwrap_or(0);
        let parts = self.precision.channels_per_lane();
        Stage {
            length,
            parts,
            lanes: Scratch::take(length * (parts + 2)),
        }
    }

    /// Input rows that a band of output rows meets.
    fn rows(&self, band: &Band) -> Range<usize> {
        let scale = if self.extents.reach == Reach::Halved {
            2
        } else {
            1
        };
        let first = (band.rows.start * scale).saturating_sub(1);
        first..(band.rows.end * scale + 1).min(self.extents.height)
    }

    /// One group's plane of a band.
    fn band(&self, band: &Band, group: usize, stage: &mut Stage, plane: &mut [u32]) {
        let width = self.extents.width;
        let rows = self.rows(band);
        if self.precision == Precision::Int8 {
            let largest = self.largest[band.image];
            stage
                .inverse_scales()
                .fill(if largest == 0.0 { 0.0 } else { 127.0 / largest });
        }
        let lanes = self.lanes(
            band.image,
            group,
            rows.start * width,
            rows.len() * width,
            stage,
        );
        let stride = self.extents.stride();
        for (y, row) in rows.zip(lanes.chunks_exact(width)) {
            if self.extents.reach == Reach::Halved {
                // Phases in the order (even, even), (even, odd), (odd, even), (odd, odd) of row and column; the odd
                // ones start with the row or column before the first even one.
                let phase = 2 * (y % 2) * (band.rows.len() + 1);
                let start = band.start + (phase + (y + y % 2) / 2 - band.rows.start) * stride;
                let odd = start + (band.rows.len() + 1) * stride + 1;
                for (x, pair) in row.chunks(2).enumerate() {
                    plane[start + x] = pair[0];
                    if let Some(&second) = pair.get(1) {
                        plane[odd + x] = second;
                    }
                }
            } else {
                let start = band.start + (y + 1 - band.rows.start) * stride + 1;
                plane[start..start + width].copy_from_slice(row);
            }
        }
    }

    /// A run of pixels of one group after the prologue, in compute precision.
    fn lanes<'s>(
        &'s self,
        image: usize,
        group: usize,
        pixel: usize,
        length: usize,
        stage: &'s mut Stage,
    ) -> &'s [u32] {
        let parts = self.precision.channels_per_lane();
        let run = |part: usize| Run {
            image,
            channel: group * parts + part,
            pixel,
        };
        // Short runs take less time than memory, so that more of them have to be under way.
        let ahead = parts.max((PREFETCHED / length).next_multiple_of(parts));
        for part in 0..parts {
            self.input.prefetch(run(ahead + part), length);
        }
        // What nothing is done to need not be copied before it is packed.
        if let Some(rows) = self.input.untouched(run(0), parts, length) {
            return match self.precision {
                Precision::F32 => as_lanes(rows[0]),
                precision => stage.pack(self.isa, precision, length, Some(rows)),
            };
        }
        for part in 0..parts {
            let values = &mut stage.channel(part)[..length];
            self.input.read(self.isa, run(part), values);
        }
        stage.pack(self.isa, self.precision, length, None)
    }

    /// Prepares the tiles of a block of single pixels.
    fn points(&self, block: &Block, prepared: &mut [u32], scales: &mut [f32], parallel: bool) {
        let parts = if parallel { threads() } else { 1 };
        // Few tiles do not come out even among threads, so those share the groups of each; but the scales of bytes are found in all groups.
        let (tiles, pieces) = (block.tiles.len(), 4 * parts);
        let (tile_parts, group_parts) =
            if parts > 1 && tiles < pieces && self.precision != Precision::Int8 {
                (tiles, pieces.div_ceil(tiles))
            } else {
                (parts, 1)
            };
        let mut rest = (prepared, scales);
        let mut jobs = Vec::new();
        for range in even_parts(tiles, tile_parts) {
            let tiles = &block.tiles[range];
            let lanes = tiles.iter().map(Tile::lanes).sum::<usize>();
            for groups in even_parts(self.groups, group_parts) {
                let (prepared, others) = rest.0.split_at_mut(lanes * groups.len());
                let (scales, other_scales) = rest.1.split_at_mut(lanes.min(rest.1.len()));
                rest = (others, other_scales);
                jobs.push((tiles, groups, prepared, scales));
            }
        }
        for_each_item(parallel, &mut jobs, |(tiles, groups, prepared, scales)| {
            self.tiles(tiles, groups.clone(), prepared, scales);
        });
    }

    /// Some groups of consecutive tiles, each as `[group][lanes]`.
    fn tiles(
        &self,
        tiles: &[Tile],
        groups: Range<usize>,
        prepared: &mut [u32],
        scales: &mut [f32],
    ) {
        let first = tiles[0].lane;
        let runs = merged(tiles);
        let mut stage = self.stage(runs.iter().map(|run| run.length).max());
        if tiles.iter().any(|tile| {
            tile.segments
                .iter()
                .map(|segment| segment.length)
                .sum::<usize>()
                < tile.lanes()
        }) {
            prepared.fill(self.padding());
        }
        for run in &runs {
            if self.precision == Precision::Int8 {
                self.measure(
                    run,
                    &mut stage,
                    &mut scales[run.lane - first..][..run.length],
                );
            }
            for (index, group) in groups.clone().enumerate() {
                let lanes = self.lanes(run.image, group, run.pixel, run.length, &mut stage);
                for tile in tiles {
                    let start = run.lane.max(tile.lane);
                    let end = (run.lane + run.length).min(tile.lane + tile.lanes());
                    if start < end {
                        let to = (tile.lane - first) * groups.len() + index * tile.lanes() + start
                            - tile.lane;
                        prepared[to..to + end - start]
                            .copy_from_slice(&lanes[start - run.lane..end - run.lane]);
                    }
                }
            }
        }
    }

    /// The scales of a run of pixels from their largest magnitudes; the stage gets the inverse.
    fn measure(&self, run: &Segment, stage: &mut Stage, scales: &mut [f32]) {
        scales.fill(0.0);
        for channel in 0..self.extents.channels {
            let values = &mut stage.channel(0)[..run.length];
            let run = Run {
                image: run.image,
                channel,
                pixel: run.pixel,
            };
            self.input.prefetch(
                Run {
                    channel: channel + 1 + PREFETCHED / values.len(),
                    ..run
                },
                values.len(),
            );
            self.input.read(self.isa, run, values);
            raise(self.isa, values, scales);
        }
        for (scale, inverse) in scales.iter_mut().zip(stage.inverse_scales()) {
            *inverse = if *scale == 0.0 { 0.0 } else { 127.0 / *scale };
            *scale /= 127.0;
        }
    }

    /// The largest magnitude of each image after the prologue.
    pub(crate) fn measure_images(&mut self) {
        let Extents {
            batch, channels, ..
        } = self.extents;
        let pixels = self.extents.pixels();
        let mut largest = vec![0.0_f32; batch * channels];
        let stage = || Scratch::take(pixels);
        for_each_chunk(true, &mut largest, 1, stage, |stage, row, largest| {
            let values = as_f32_mut(stage);
            let run = Run {
                image: row / channels,
                channel: row % channels,
                pixel: 0,
            };
            self.input.read(self.isa, run, values);
            let magnitudes = values.iter().map(|value| value.abs());
            largest[0] = magnitudes.fold(0.0, f32::max);
        });
        self.largest = largest
            .chunks_exact(channels)
            .map(|row| row.iter().copied().fold(0.0, f32::max))
            .collect();
    }
}

/// The segments of consecutive tiles with lanes counted over all tiles, joined where lanes and pixels go on.
fn merged(tiles: &[Tile]) -> Vec<Segment> {
    let mut runs: Vec<Segment> = Vec::new();
    for tile in tiles {
        for &segment in &tile.segments {
            let segment = Segment {
                lane: segment.lane + tile.lane,
                ..segment
            };
            match runs.last_mut() {
                Some(last) if last.is_followed_by(&segment) => last.length += segment.length,
                _ => runs.push(segment),
            }
        }
    }
    runs
}

/// A run of pixels of the channels of a group: as f32, their inverse scales and their lanes.
struct Stage {
    length: usize,
    parts: usize,
    lanes: Scratch,
}

impl Stage {
    fn channel(&mut self, part: usize) -> &mut [f32] {
        as_f32_mut(&mut self.lanes[part * self.length..][..self.length])
    }

    fn inverse_scales(&mut self) -> &mut [f32] {
        self.channel(self.parts)
    }

    /// Packs the channels of the stage, or others.
    fn pack<'s>(
        &'s mut self,
        isa: Isa,
        precision: Precision,
        length: usize,
        others: Option<[&[f32]; 4]>,
    ) -> &'s [u32] {
        if precision == Precision::F32 {
            return &self.lanes[..length];
        }
        let (values, packed) = self.lanes.split_at_mut(self.length * (self.parts + 1));
        let values = as_f32(values);
        let row = |part: usize| match others {
            Some(rows) => rows[part],
            None => &values[part * self.length..][..length],
        };
        let packed = &mut packed[..length];
        match precision {
            Precision::Bf16 => pairs(isa, row(0), row(1), packed),
            _ => {
                let inverse = &values[self.parts * self.length..][..length];
                quads(isa, [row(0), row(1), row(2), row(3)], inverse, packed);
            }
        }
        packed
    }
}
