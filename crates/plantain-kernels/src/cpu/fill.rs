//! Weights rewritten into the order of the tiles: eight output channels at a time, all phases of a kernel together, so that
//! every stored number is read once.

use std::borrow::Cow;

use half::bf16;

use crate::cpu::micro::ROWS;
use crate::cpu::packed::{Form, PackedWeight, WeightSource};
use crate::cpu::precision::Precision;
use crate::cpu::simd::{Kernel, Lanes};
use crate::cpu::winograd::filter;

/// Taps of the largest kernel.
const TAPS: usize = 9;
/// Phases times taps of the form that has most.
const VALUES: usize = 36;

/// One number of each row of a tile.
type Column = [f32; ROWS];

/// Fills the lanes of one tile.
pub(crate) struct FillTile<'a, 'lanes> {
    pub weight: &'a PackedWeight,
    pub source: WeightSource<'a>,
    pub tile: usize,
    /// The tile's lanes in each phase, all zero.
    pub phases: Vec<&'lanes mut [u32]>,
}

/// For [`Precision::Int8`] the scale of each row, and what its sums start from in each phase; otherwise zeros.
pub(crate) struct Quantised {
    pub scales: [f32; ROWS],
    pub starts: Vec<[i32; ROWS]>,
}

impl Kernel for FillTile<'_, '_> {
    type Output = Quantised;

    #[inline(always)]
    fn run<L: Lanes>(mut self, _: L) -> Quantised {
        let weight = self.weight;
        let stored = stored_rows(weight, self.source, self.tile);
        let rows = Rows {
            rows: stored.each_ref().map(|row| &**row),
            taps: weight.shape.kernel * weight.shape.kernel,
        };
        let inputs = weight.shape.inputs;
        let parts = weight.precision.channels_per_lane();
        let integer = weight.precision == Precision::Int8;
        let scales = match self.source {
            _ if !integer => [0.0; ROWS],
            WeightSource::Int8 { scales, .. } if weight.form != Form::Upsample => {
                channels(weight, self.tile)
                    .map(|channel| channel.map_or(0.0, |channel| scales[channel]))
            }
            _ => {
                let largest = rows.largest(weight.form, weight.phases * weight.taps);
                largest.map(|largest| largest / 127.0)
            }
        };
        let inverse = scales.map(|scale| if scale == 0.0 { 0.0 } else { scale.recip() });
        let mut starts = vec![[0; ROWS]; self.phases.len()];
        let mut values = [[0.0; ROWS]; VALUES];
        for input in 0..inputs {
            let (group, part) = (input / parts, input % parts);
            rows.values(weight.form, input, &mut values);
            for (phase, lanes) in self.phases.iter_mut().enumerate() {
                for tap in 0..weight.taps {
                    let column = &values[phase * weight.taps + tap];
                    let lanes = &mut lanes[(group * weight.taps + tap) * ROWS..][..ROWS];
                    match weight.precision {
                        Precision::F32 => single(column, lanes),
                        Precision::Bf16 => pair(column, part, lanes),
                        Precision::Int8 => {
                            quad(column, &inverse, part, lanes, &mut starts[phase]);
                        }
                    }
                }
            }
        }
        Quantised { scales, starts }
    }
}

#[inline(always)]
fn single(column: &Column, lanes: &mut [u32]) {
    for (lane, value) in lanes.iter_mut().zip(column) {
        *lane = value.to_bits();
    }
}

#[inline(always)]
fn pair(column: &Column, part: usize, lanes: &mut [u32]) {
    for (lane, value) in lanes.iter_mut().zip(column) {
        *lane |= u32::from(bf16::from_f32(*value).to_bits()) << (16 * part);
    }
}

/// Also takes from `starts` what the zero point 128 of the sources adds to the sums.
#[inline(always)]
fn quad(
    column: &Column,
    inverse: &Column,
    part: usize,
    lanes: &mut [u32],
    starts: &mut [i32; ROWS],
) {
    for row in 0..ROWS {
        let byte = (column[row] * inverse[row]).round_ties_even() as i8;
        starts[row] -= 128 * i32::from(byte);
        lanes[row] |= u32::from(byte.cast_unsigned()) << (8 * part);
    }
}

/// The output channels of a tile, or nothing where the tile is larger than what is left.
fn channels(weight: &PackedWeight, tile: usize) -> [Option<usize>; ROWS] {
    std::array::from_fn(|row| weight.row_channel(tile, row))
}

/// The stored weights of the rows of a tile, `[in][tap]` each; zeros where there is no such channel.
fn stored_rows<'a>(
    weight: &PackedWeight,
    source: WeightSource<'a>,
    tile: usize,
) -> [Cow<'a, [f32]>; ROWS] {
    let length = weight.shape.inputs * weight.shape.kernel * weight.shape.kernel;
    channels(weight, tile).map(|channel| {
        let Some(channel) = channel else {
            return Cow::Owned(vec![0.0; length]);
        };
        let range = channel * length..(channel + 1) * length;
        match source {
            WeightSource::F32(values) => Cow::Borrowed(&values[range]),
            WeightSource::F16(values) => values[range].iter().map(|v| v.to_f32()).collect(),
            WeightSource::Int8 { values, scales } => {
                let scale = scales[channel];
                values[range]
                    .iter()
                    .map(|&v| f32::from(v) * scale)
                    .collect()
            }
        }
    })
}

/// The weights of the rows of a tile, `[in][tap]` each.
struct Rows<'a> {
    rows: [&'a [f32]; ROWS],
    taps: usize,
}

impl Rows<'_> {
    /// The largest magnitude of each row among its `count` numbers of an input channel.
    fn largest(&self, form: Form, count: usize) -> Column {
        let mut largest = [0.0_f32; ROWS];
        let mut values = [[0.0; ROWS]; VALUES];
        for input in 0..self.rows[0].len() / self.taps {
            self.values(form, input, &mut values);
            for column in &values[..count] {
                for (largest, value) in largest.iter_mut().zip(column) {
                    *largest = largest.max(value.abs());
                }
            }
        }
        largest
    }

    /// Writes the numbers of one input channel, `[phase][tap]`; the rest stays zero.
    #[inline(always)]
    fn values(&self, form: Form, input: usize, values: &mut [Column; VALUES]) {
        let (Form::Upsample | Form::Winograd { .. }) = form else {
            return self.kernel(input, values);
        };
        let mut kernel = [[0.0; ROWS]; TAPS];
        self.kernel(input, &mut kernel);
        match form {
            Form::Winograd { tile: 2 } => filter::<2>(&kernel, values),
            Form::Winograd { .. } => filter::<4>(&kernel, values),
            _ => {
                for (phase, values) in values[..16].as_chunks_mut::<4>().0.iter_mut().enumerate() {
                    *values = summed(&kernel, phase);
                }
            }
        }
    }

    /// Writes the stored numbers of one input channel, `[tap]`.
    #[inline(always)]
    fn kernel(&self, input: usize, kernel: &mut [Column]) {
        for (row, stored) in self.rows.iter().enumerate() {
            let taps = &stored[input * self.taps..][..self.taps];
            for (column, value) in kernel.iter_mut().zip(taps) {
                column[row] = *value;
            }
        }
    }
}

/// The 2x2 kernel of a phase (`2 * row + column`): the first row and column of the even phase meet one row or column of
/// the 3x3 kernel and the second two; in the odd phase it is the other way round.
#[inline(always)]
fn summed(kernel: &[Column; TAPS], phase: usize) -> [Column; 4] {
    let part = |odd: usize, second: usize| match (odd, second) {
        (0, 0) => 0..1,
        (0, _) => 1..3,
        (_, 0) => 0..2,
        (_, _) => 2..3,
    };
    let mut sums = [[0.0; ROWS]; 4];
    for (tap, sums) in sums.iter_mut().enumerate() {
        for y in part(phase / 2, tap / 2) {
            for x in part(phase % 2, tap % 2) {
                for (sum, value) in sums.iter_mut().zip(&kernel[3 * y + x]) {
                    *sum += value;
                }
            }
        }
    }
    sums
}
