//! Tiles in 128-bit registers of aarch64, computed in parts of all rows by up to three quarter vectors: at most 24
//! accumulators of 32 registers.
//!
//! A weight is a lane of a register of four rows, which multiplications take as it is. All parts of a tile read the same
//! weights and take turns, as in the AVX2 kernels.

use std::arch::aarch64::*;
use std::arch::asm;
use std::ops::Range;

use super::{Kernel, ROWS, TileArguments, VECTOR, VECTORS};
use crate::cpu::precision::Precision;

pub(super) fn kernels(precision: Precision, dot: bool) -> [Kernel; VECTORS] {
    match precision {
        Precision::F32 => [
            tile::<Single, 2, 2>,
            tile::<Single, 2, 4>,
            tile::<Single, 3, 4>,
        ],
        Precision::Bf16 => [tile::<Pair, 2, 2>, tile::<Pair, 2, 4>, tile::<Pair, 2, 6>],
        Precision::Int8 if dot => [dot_tile::<2, 2>, dot_tile::<2, 4>, dot_tile::<3, 4>],
        Precision::Int8 => [tile::<Quad, 1, 4>, tile::<Quad, 1, 8>, tile::<Quad, 1, 12>],
    }
}

/// Lanes of a register.
const QUARTER: usize = VECTOR / 4;
/// Groups times taps after which parts take turns: at most 21 KiB of sources and weights.
const TURN: usize = 96;

/// Calls an intrinsic that touches no memory.
macro_rules! op {
    ($call:expr) => {
        // SAFETY: every aarch64 processor that this is compiled for has NEON; no memory is touched.
        unsafe { $call }
    };
}

/// Four sums.
trait Sum: Copy {
    /// What to begin with.
    fn zero() -> Self;
    /// The sums as f32.
    fn float(self) -> float32x4_t;
}

impl Sum for float32x4_t {
    #[inline(always)]
    fn zero() -> Self {
        op!(vdupq_n_f32(0.0))
    }
    #[inline(always)]
    fn float(self) -> float32x4_t {
        self
    }
}

impl Sum for int32x4_t {
    #[inline(always)]
    fn zero() -> Self {
        op!(vdupq_n_s32(0))
    }
    #[inline(always)]
    fn float(self) -> float32x4_t {
        op!(vcvtq_f32_s32(self))
    }
}

/// The arithmetic of a precision, on registers of four lanes.
trait Product {
    type Sum: Sum;
    type Weights: Copy;
    type Source: Copy;

    /// The weights of four rows, from their lanes.
    fn weights(lanes: uint32x4_t) -> Self::Weights;
    /// Four pixels, from their lanes.
    fn source(lanes: uint32x4_t) -> Self::Source;
    /// Adds to `sum` the products of the weight of one row and the source.
    fn add<const ROW: i32>(
        sum: Self::Sum,
        weights: Self::Weights,
        source: Self::Source,
    ) -> Self::Sum;
}

struct Single;

impl Product for Single {
    type Sum = float32x4_t;
    type Weights = float32x4_t;
    type Source = float32x4_t;

    #[inline(always)]
    fn weights(lanes: uint32x4_t) -> float32x4_t {
        op!(vreinterpretq_f32_u32(lanes))
    }
    #[inline(always)]
    fn source(lanes: uint32x4_t) -> float32x4_t {
        op!(vreinterpretq_f32_u32(lanes))
    }
    #[inline(always)]
    fn add<const ROW: i32>(
        sum: float32x4_t,
        weights: float32x4_t,
        source: float32x4_t,
    ) -> float32x4_t {
        op!(vfmaq_laneq_f32::<ROW>(sum, source, weights))
    }
}

/// Pairs of bfloat16, each the upper half of an f32.
struct Pair;

#[inline(always)]
fn even_and_odd(lanes: uint32x4_t) -> [float32x4_t; 2] {
    op!([
        vreinterpretq_f32_u32(vshlq_n_u32::<16>(lanes)),
        vreinterpretq_f32_u32(vandq_u32(lanes, vdupq_n_u32(0xffff_0000))),
    ])
}

impl Product for Pair {
    type Sum = float32x4_t;
    type Weights = [float32x4_t; 2];
    type Source = [float32x4_t; 2];

    #[inline(always)]
    fn weights(lanes: uint32x4_t) -> [float32x4_t; 2] {
        even_and_odd(lanes)
    }
    #[inline(always)]
    fn source(lanes: uint32x4_t) -> [float32x4_t; 2] {
        even_and_odd(lanes)
    }
    #[inline(always)]
    fn add<const ROW: i32>(
        sum: float32x4_t,
        [even_weights, odd_weights]: [float32x4_t; 2],
        [even, odd]: [float32x4_t; 2],
    ) -> float32x4_t {
        let sum = op!(vfmaq_laneq_f32::<ROW>(sum, even, even_weights));
        op!(vfmaq_laneq_f32::<ROW>(sum, odd, odd_weights))
    }
}

/// Sources with their zero point taken away: signed bytes, whose sums start from zero.
#[inline(always)]
fn signed(lanes: uint32x4_t) -> int8x16_t {
    op!(vreinterpretq_s8_u32(veorq_u32(
        lanes,
        vdupq_n_u32(0x8080_8080)
    )))
}

/// Bytes as words: 16 products, summed four by four.
struct Quad;

impl Product for Quad {
    type Sum = int32x4_t;
    type Weights = int32x4_t;
    type Source = int8x16_t;

    #[inline(always)]
    fn weights(lanes: uint32x4_t) -> int32x4_t {
        op!(vreinterpretq_s32_u32(lanes))
    }
    #[inline(always)]
    fn source(lanes: uint32x4_t) -> int8x16_t {
        signed(lanes)
    }
    #[inline(always)]
    fn add<const ROW: i32>(sum: int32x4_t, weights: int32x4_t, source: int8x16_t) -> int32x4_t {
        op!({
            let weight = vreinterpretq_s8_s32(vdupq_laneq_s32::<ROW>(weights));
            let low = vmull_s8(vget_low_s8(weight), vget_low_s8(source));
            let high = vmull_high_s8(weight, source);
            vaddq_s32(sum, vpaddq_s32(vpaddlq_s16(low), vpaddlq_s16(high)))
        })
    }
}

/// Bytes on processors with dot products of four (`dotprod`).
struct Dot;

impl Product for Dot {
    type Sum = int32x4_t;
    type Weights = int8x16_t;
    type Source = int8x16_t;

    #[inline(always)]
    fn weights(lanes: uint32x4_t) -> int8x16_t {
        op!(vreinterpretq_s8_u32(lanes))
    }
    #[inline(always)]
    fn source(lanes: uint32x4_t) -> int8x16_t {
        signed(lanes)
    }
    #[inline(always)]
    fn add<const ROW: i32>(mut sum: int32x4_t, weights: int8x16_t, source: int8x16_t) -> int32x4_t {
        // The intrinsic is not stable yet (rust-lang/rust#117224).
        // SAFETY: `dot_tile`, the only user, asks for the instruction; no memory is touched.
        unsafe {
            asm!(
                ".arch_extension dotprod",
                "sdot {sum:v}.4s, {source:v}.16b, {weights:v}.4b[{row}]",
                sum = inout(vreg) sum,
                source = in(vreg) source,
                weights = in(vreg) weights,
                row = const ROW,
                options(pure, nomem, nostack, preserves_flags),
            );
        }
        sum
    }
}

/// [`tile`] of [`Dot`].
#[target_feature(enable = "dotprod")]
unsafe fn dot_tile<const Q: usize, const PARTS: usize>(arguments: &TileArguments<'_>) {
    // SAFETY: this function's own contract.
    unsafe { tile::<Dot, Q, PARTS>(arguments) }
}

/// A tile in `PARTS` parts of all rows by `Q` quarter vectors.
unsafe fn tile<P: Product, const Q: usize, const PARTS: usize>(arguments: &TileArguments<'_>) {
    let mut sums = [[[P::Sum::zero(); Q]; ROWS]; PARTS];
    let turn = (TURN / arguments.taps.len()).max(1);
    for first in (0..arguments.groups).step_by(turn) {
        let groups = first..arguments.groups.min(first + turn);
        for (part, sums) in sums.iter_mut().enumerate() {
            // SAFETY: this function's own contract.
            unsafe { add::<P, Q>(arguments, part * Q, groups.clone(), sums) };
        }
    }
    for (part, sums) in sums.iter().enumerate() {
        for (row, sums) in sums.iter().enumerate() {
            let lane = (row * PARTS + part) * Q * QUARTER;
            for (quarter, &sum) in sums.iter().enumerate() {
                // SAFETY: the caller promises that the tile is writable.
                unsafe { vst1q_f32(arguments.tile.add(lane + quarter * QUARTER), sum.float()) };
            }
        }
    }
}

/// Adds some groups to the sums of a part that begins with this quarter vector.
///
/// Not inlined: registers are for the sums of one part.
#[inline(never)]
unsafe fn add<P: Product, const Q: usize>(
    arguments: &TileArguments<'_>,
    first_quarter: usize,
    groups: Range<usize>,
    kept: &mut [[P::Sum; Q]; ROWS],
) {
    let mut sums = *kept;
    let step = groups.start * arguments.taps.len() * ROWS;
    let mut weights = arguments.weights.wrapping_add(step);
    let mut sources: [_; Q] = std::array::from_fn(|quarter| {
        let quarter = first_quarter + quarter;
        let step = groups.start * arguments.group_stride + quarter % 4 * QUARTER;
        arguments.sources[quarter / 4].wrapping_add(step)
    });
    for _ in groups {
        for &tap in arguments.taps {
            // SAFETY: the caller promises that weights and sources are readable.
            let (upper, lower, pixels) = unsafe {
                (
                    P::weights(vld1q_u32(weights)),
                    P::weights(vld1q_u32(weights.add(QUARTER))),
                    sources.map(|source| P::source(vld1q_u32(source.offset(tap)))),
                )
            };
            for (quarter, &pixels) in pixels.iter().enumerate() {
                macro_rules! rows {
                    ($($row:literal $weights:ident $lane:literal),*) => {
                        $(sums[$row][quarter] = P::add::<$lane>(sums[$row][quarter], $weights, pixels);)*
                    };
                }
                rows!(0 upper 0, 1 upper 1, 2 upper 2, 3 upper 3, 4 lower 0, 5 lower 1, 6 lower 2, 7 lower 3);
            }
            weights = weights.wrapping_add(ROWS);
        }
        for source in &mut sources {
            *source = source.wrapping_add(arguments.group_stride);
        }
    }
    *kept = sums;
}
