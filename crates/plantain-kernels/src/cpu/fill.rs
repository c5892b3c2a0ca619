//! Weights rewritten into the order of the tiles: eight output channels at a time, all phases of a kernel together, so that
//! every stored number is read once.

use std::ops::Range;

use crate::cpu::micro::{Order, ROWS, VECTOR};
use crate::cpu::packed::{Form, PackedWeight};
use crate::cpu::precision::Precision;
use crate::cpu::simd::{Kernel, Lanes};
use crate::cpu::winograd::filter;

/// Taps of the largest kernel.
const MOST_TAPS: usize = 9;
/// Phases times taps of the form that has most.
const VALUES: usize = 36;

/// Input channels that are read at once: a whole number of groups in every precision.
const BLOCK: usize = 8;

/// One number of each row of a tile.
type Column = [f32; ROWS];
/// One number of each row of a tile and each input channel of a block, `[input][row]`.
type Block = [f32; BLOCK * ROWS];

/// Fills the lanes of tiles that are stored together.
pub(crate) struct FillTiles<'a, 'lanes> {
    pub weight: &'a PackedWeight,
    /// As stored, `[out][in][kernel][kernel]`.
    pub stored: &'a [f32],
    /// A row of zeros, as long as those that are stored.
    pub nothing: &'a [f32],
    pub tiles: Range<usize>,
    /// In each phase the lanes of these tiles, zero where they are to be.
    pub phases: Vec<&'lanes mut [u32]>,
}

/// For [`Precision::Int8`] the scale of each row of a tile, and what its sums start from in each phase; otherwise zeros.
pub(crate) struct Quantised {
    pub scales: Column,
    pub starts: Vec<[i32; ROWS]>,
}

impl Kernel for FillTiles<'_, '_> {
    type Output = Vec<Quantised>;

    #[inline(always)]
    fn run<L: Lanes>(mut self, lanes: L) -> Vec<Quantised> {
        let weight = self.weight;
        let mut tiles: Vec<_> = self
            .tiles
            .map(|tile| Tile::new(weight, self.stored, tile, self.nothing))
            .collect();
        match (weight.form, weight.taps) {
            (Form::Plain | Form::Geglu, 1) => rewrite::<1>(weight, &mut tiles, self.phases[0]),
            (Form::Plain | Form::Geglu, _) => {
                rewrite::<MOST_TAPS>(weight, &mut tiles, self.phases[0])
            }
            _ => {
                for tile in &mut tiles {
                    transform(lanes, weight, tile, &mut self.phases);
                }
            }
        }
        tiles.into_iter().map(|tile| tile.quantised).collect()
    }
}

/// A tile to be filled.
struct Tile<'a> {
    /// Its place among those that are stored with it.
    place: usize,
    rows: Rows<'a>,
    inverse: Column,
    quantised: Quantised,
}

impl<'a> Tile<'a> {
    /// A tile of the weight `stored`, its rows `nothing` where it is larger than what is left.
    #[inline(always)]
    fn new(weight: &PackedWeight, stored: &'a [f32], number: usize, nothing: &'a [f32]) -> Self {
        let rows = Rows(std::array::from_fn(|row| {
            let channel = weight.row_channel(number, row);
            channel.map_or(nothing, |channel| {
                &stored[channel * nothing.len()..][..nothing.len()]
            })
        }));
        let scales = match weight.precision {
            Precision::Int8 => rows.largest(weight.form).map(|largest| largest / 127.0),
            _ => [0.0; ROWS],
        };
        Self {
            place: number % weight.order.tiles(),
            rows,
            inverse: scales.map(|scale| if scale == 0.0 { 0.0 } else { scale.recip() }),
            quantised: Quantised {
                scales,
                starts: vec![[0; ROWS]; weight.phases],
            },
        }
    }
}

/// Fills lanes with the stored numbers as they are: row by row into lanes, which then move to their places. The tiles take turns,
/// so that lines of memory that they share are written once.
#[inline(always)]
fn rewrite<const TAPS: usize>(weight: &PackedWeight, tiles: &mut [Tile<'_>], out: &mut [u32]) {
    let parts = weight.precision.channels_per_lane();
    let mut lanes = [[[0; TAPS]; VECTOR]; ROWS];
    for first in (0..weight.shape.inputs.div_ceil(parts)).step_by(VECTOR) {
        for tile in &mut *tiles {
            for (row, lanes) in lanes.iter_mut().enumerate() {
                let stored = &tile.rows.0[row][first * parts * TAPS..];
                match weight.precision {
                    Precision::F32 => in_lanes(stored, lanes, |[value]: [f32; 1]| value.to_bits()),
                    Precision::Bf16 => in_lanes(stored, lanes, |[low, high]: [f32; 2]| {
                        bf16_bits(low) | bf16_bits(high) << 16
                    }),
                    Precision::Int8 => {
                        let inverse = tile.inverse[row];
                        in_lanes(stored, lanes, |values: [f32; 4]| {
                            let [a, b, c, d] = values.map(|value| byte(value, inverse));
                            a & 0xFF | (b & 0xFF) << 8 | (c & 0xFF) << 16 | d << 24
                        });
                        let lanes = lanes.as_flattened().iter();
                        let sum: i32 = lanes.map(|lane| sum_of_bytes(*lane)).sum();
                        tile.quantised.starts[0][row] -= 128 * sum;
                    }
                }
            }
            put_rows(weight.order, [tile.place, first], &lanes, out);
        }
    }
}

/// Writes so many groups of a tile from `first` on to their places, of [`Order::Rows`] those that there are.
#[inline(always)]
fn put_rows<const TAPS: usize>(
    order: Order,
    [tile, first]: [usize; 2],
    lanes: &[[[u32; TAPS]; VECTOR]; ROWS],
    out: &mut [u32],
) {
    let (tiles, row) = (order.tiles(), tile * ROWS);
    let out = &mut out[first * tiles * TAPS * ROWS..];
    match order {
        Order::Blocks => {
            let out = out[row * VECTOR..].chunks_exact_mut(VECTOR);
            for (out, lanes) in out.zip(lanes) {
                out.copy_from_slice(lanes.as_flattened());
            }
        }
        Order::Columns => {
            for tap in 0..TAPS {
                for depth in 0..VECTOR {
                    let column = lanes.each_ref().map(|lanes| lanes[depth][tap]);
                    let place = (tap * VECTOR + depth) * tiles * ROWS + row;
                    out[place..][..ROWS].copy_from_slice(&column);
                }
            }
        }
        Order::Rows => {
            let columns = out.as_chunks_mut().0.iter_mut().take(VECTOR * TAPS);
            for (number, column) in columns.enumerate() {
                *column = lanes.each_ref().map(|lanes| lanes.as_flattened()[number]);
            }
        }
    }
}

/// Fills lanes with what the form makes of the stored numbers, of [`BLOCK`] input channels at once.
#[inline(always)]
fn transform<L: Lanes>(
    l: L,
    weight: &PackedWeight,
    tile: &mut Tile<'_>,
    phases: &mut [&mut [u32]],
) {
    let parts = weight.precision.channels_per_lane();
    let mut kernels = [[0.0; BLOCK * ROWS]; MOST_TAPS];
    let mut values = [[0.0; BLOCK * ROWS]; VALUES];
    // What fills up the groups of an order stays zero.
    for first in (0..weight.shape.inputs).step_by(BLOCK) {
        tile.rows.block(first, &mut kernels);
        transformed(l, weight.form, &kernels, &mut values);
        let groups = first / parts..weight.shape.inputs.min(first + BLOCK).div_ceil(parts);
        for (phase, lanes) in phases.iter_mut().enumerate() {
            for (tap, values) in values[phase * weight.taps..][..weight.taps]
                .iter()
                .enumerate()
            {
                let (columns, _) = values.as_chunks::<ROWS>();
                for (group, columns) in groups.clone().zip(columns.chunks_exact(parts)) {
                    let column = match weight.precision {
                        Precision::F32 => single(&columns[0]),
                        Precision::Bf16 => pair([&columns[0], &columns[1]]),
                        Precision::Int8 => {
                            let starts = &mut tile.quantised.starts[phase];
                            quad(
                                [0, 1, 2, 3].map(|part| &columns[part]),
                                &tile.inverse,
                                starts,
                            )
                        }
                    };
                    put(weight, tile.place, [group, tap], &column, lanes);
                }
            }
        }
    }
}

/// The lanes `[group][tap]` of stored numbers `[group][part][tap]`, zeros where there are no more.
#[inline(always)]
fn in_lanes<const PARTS: usize, const TAPS: usize>(
    stored: &[f32],
    lanes: &mut [[u32; TAPS]; VECTOR],
    lane: impl Fn([f32; PARTS]) -> u32,
) {
    let mut padded = [[[0.0; TAPS]; PARTS]; VECTOR];
    let (kernels, _) = stored.as_chunks::<TAPS>();
    let groups = match kernels.as_chunks::<PARTS>().0.first_chunk::<VECTOR>() {
        Some(groups) => groups,
        None => {
            for (padded, kernel) in padded.as_flattened_mut().iter_mut().zip(kernels) {
                *padded = *kernel;
            }
            &padded
        }
    };
    for (lanes, parts) in lanes.iter_mut().zip(groups) {
        for (tap, out) in lanes.iter_mut().enumerate() {
            *out = lane(parts.each_ref().map(|part| part[tap]));
        }
    }
}

/// The nearest bfloat16 to a finite number, by its bits; what is not a number stays none. As `half` has it, but without its branches,
/// which the compiler does not turn into vectors.
#[inline(always)]
fn bf16_bits(value: f32) -> u32 {
    let bits = value.to_bits();
    // Halves go to the even one.
    let rounded = bits.wrapping_add(0x7FFF + (bits >> 16 & 1)) >> 16;
    if value.is_nan() {
        bits >> 16 | 0x40
    } else {
        rounded
    }
}

/// The nearest signed byte in the lowest eight bits. Scales next to zero have no inverse, so that the product may be infinite: this then ends
/// at the largest byte.
#[inline(always)]
fn byte(value: f32, inverse: f32) -> u32 {
    // Numbers of this size have no fraction, so that adding it rounds; halves go to the even one.
    const WHOLE: f32 = 12_582_912.0;
    let product = value * inverse;
    let product = if product.is_nan() { 0.0 } else { product };
    (product.clamp(-128.0, 127.0) + WHOLE).to_bits()
}

/// The sum of the signed bytes of a lane.
#[inline(always)]
fn sum_of_bytes(lane: u32) -> i32 {
    let bytes = [24, 16, 8, 0].map(|shift| (lane << shift).cast_signed() >> 24);
    bytes.iter().sum()
}

/// Writes the rows of a tile for one group and tap to their places.
#[inline(always)]
fn put(
    weight: &PackedWeight,
    tile: usize,
    [group, tap]: [usize; 2],
    column: &[u32; ROWS],
    lanes: &mut [u32],
) {
    let tiles = weight.order.tiles();
    let first = match weight.order {
        Order::Rows => group * weight.taps + tap,
        Order::Blocks | Order::Columns => (group / VECTOR * weight.taps + tap) * tiles * VECTOR,
    } * ROWS;
    let (row, depth) = (tile * ROWS, group % VECTOR);
    match weight.order {
        Order::Rows => lanes[first..][..ROWS].copy_from_slice(column),
        Order::Columns => {
            lanes[first + depth * tiles * ROWS + row..][..ROWS].copy_from_slice(column)
        }
        Order::Blocks => {
            let lanes = lanes[first + row * VECTOR + depth..].iter_mut();
            for (lane, value) in lanes.step_by(VECTOR).zip(column) {
                *lane = *value;
            }
        }
    }
}

#[inline(always)]
fn single(column: &Column) -> [u32; ROWS] {
    column.map(f32::to_bits)
}

#[inline(always)]
fn pair(columns: [&Column; 2]) -> [u32; ROWS] {
    std::array::from_fn(|row| {
        let [low, high] = columns.map(|column| bf16_bits(column[row]));
        low | high << 16
    })
}

/// Also takes from `starts` what the zero point 128 of the sources adds to the sums.
#[inline(always)]
fn quad(columns: [&Column; 4], inverse: &Column, starts: &mut [i32; ROWS]) -> [u32; ROWS] {
    let mut packed = [0; ROWS];
    for (part, column) in columns.into_iter().enumerate() {
        for row in 0..ROWS {
            packed[row] |= (byte(column[row], inverse[row]) & 0xFF) << (8 * part);
        }
    }
    for (start, lane) in starts.iter_mut().zip(packed) {
        *start -= 128 * sum_of_bytes(lane);
    }
    packed
}

/// The numbers of a block, `[phase][tap]`, from its stored kernels, `[tap]`; the rest stays as it is.
#[inline(always)]
fn transformed<L: Lanes>(
    l: L,
    form: Form,
    kernels: &[Block; MOST_TAPS],
    values: &mut [Block; VALUES],
) {
    match form {
        Form::Doubling => filter::<L, 1, _>(l, kernels, values),
        Form::Winograd { tile: 2 } => filter::<L, 2, _>(l, kernels, values),
        Form::Winograd { .. } => filter::<L, 4, _>(l, kernels, values),
        _ => {
            for (phase, values) in values[..16].as_chunks_mut::<4>().0.iter_mut().enumerate() {
                summed(kernels, phase, values);
            }
        }
    }
}

/// The weights of the rows of a tile, `[in][tap]` each.
struct Rows<'a>([&'a [f32]; ROWS]);

impl Rows<'_> {
    /// The largest magnitude of each row after its form's transformation.
    #[inline(always)]
    fn largest(&self, form: Form) -> Column {
        if form != Form::Upsample {
            return self
                .0
                .map(|row| row.iter().fold(0.0_f32, |most, w| most.max(w.abs())));
        }
        let mut largest = [0.0_f32; ROWS];
        let mut kernels = [[0.0; BLOCK * ROWS]; MOST_TAPS];
        let mut sums = [[0.0; BLOCK * ROWS]; 4];
        for first in (0..self.0[0].len() / MOST_TAPS).step_by(BLOCK) {
            self.block(first, &mut kernels);
            for phase in 0..4 {
                summed(&kernels, phase, &mut sums);
                for column in sums.as_flattened().as_chunks::<ROWS>().0 {
                    for (largest, value) in largest.iter_mut().zip(column) {
                        *largest = largest.max(value.abs());
                    }
                }
            }
        }
        largest
    }

    /// Writes the stored numbers of [`BLOCK`] input channels of a 3x3 kernel from `first` on, `[tap]`; zeros where there are no more.
    #[inline(always)]
    fn block(&self, first: usize, kernels: &mut [Block; MOST_TAPS]) {
        for (row, stored) in self.0.iter().enumerate() {
            let (stored, _) = stored[first * MOST_TAPS..].as_chunks::<MOST_TAPS>();
            for input in 0..BLOCK {
                let kernel = stored.get(input).unwrap_or(&[0.0; MOST_TAPS]);
                for (tap, value) in kernel.iter().enumerate() {
                    kernels[tap][input * ROWS + row] = *value;
                }
            }
        }
    }
}

/// The 2x2 kernels of a phase (`2 * row + column`): the first row and column of the even phase meet one row or column of
/// the 3x3 kernel and the second two; in the odd phase it is the other way round.
#[inline(always)]
fn summed(kernels: &[Block; MOST_TAPS], phase: usize, sums: &mut [Block; 4]) {
    let part = |odd: usize, second: usize| match (odd, second) {
        (0, 0) => 0..1,
        (0, _) => 1..3,
        (_, 0) => 0..2,
        (_, _) => 2..3,
    };
    for (tap, sums) in sums.iter_mut().enumerate() {
        sums.fill(0.0);
        for y in part(phase / 2, tap / 2) {
            for x in part(phase % 2, tap % 2) {
                for (sum, value) in sums.iter_mut().zip(&kernels[3 * y + x]) {
                    *sum += value;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use half::bf16;

    use super::*;

    #[test]
    fn numbers_become_the_nearest_bfloat16() {
        let halves = [0x3F80_8000, 0x3F81_8000, 0x3F80_7FFF, 0x3F80_8001].map(f32::from_bits);
        let others = [
            0.0,
            -0.0,
            1.0,
            -0.1,
            f32::MIN_POSITIVE,
            1e-45,
            f32::MAX,
            f32::MIN,
        ];
        let bounds = [f32::INFINITY, f32::NEG_INFINITY];
        for value in [&halves[..], &halves.map(|half| -half), &others, &bounds].concat() {
            assert_eq!(
                bf16_bits(value),
                u32::from(bf16::from_f32(value).to_bits()),
                "{value}"
            );
        }
        for bits in [0x7FC0_0000, 0x7F80_0001, 0xFFFF_FFFF] {
            let rounded = bf16::from_bits(bf16_bits(f32::from_bits(bits)) as u16);
            assert!(rounded.is_nan(), "{bits:x}");
        }
    }

    #[test]
    fn numbers_become_the_nearest_byte() {
        for inverse in [1.0, 127.0, 0.3, f32::INFINITY] {
            for step in -600..=600 {
                let value = step as f32 / 4.0;
                let expected = (value * inverse).round_ties_even() as i8;
                assert_eq!(
                    byte(value, inverse) as u8,
                    expected.cast_unsigned(),
                    "{value} * {inverse}"
                );
            }
        }
        assert_eq!(byte(f32::NAN, 1.0) as u8, 0);
        assert_eq!(
            sum_of_bytes(u32::from_le_bytes([127, 128, 255, 3])),
            127 - 128 - 1 + 3
        );
    }
}
