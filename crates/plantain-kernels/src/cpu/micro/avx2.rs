//! Tiles in 256-bit registers, computed in parts of a few rows by all half vectors: at most 12 accumulators of 16 registers.
//!
//! All parts of a tile read the same sources. They take turns after a few groups, so that all but the first of them find
//! those in the first-level cache: the second level alone could not feed two products a cycle.

use std::arch::x86_64::*;
use std::ops::Range;

use super::{Kernel, ROWS, TileArguments, VECTOR, VECTORS};
use crate::cpu::precision::Precision;

pub(super) fn kernels(precision: Precision) -> [Kernel; VECTORS] {
    match precision {
        Precision::F32 => single::KERNELS,
        Precision::Bf16 => pair::KERNELS,
        Precision::Int8 => quad::KERNELS,
    }
}

/// Lanes of a register.
const HALF: usize = VECTOR / 2;
/// Groups times taps after which parts take turns: at most 21 KiB of sources and weights.
const TURN: usize = 96;
/// Steps (weights of eight rows) between the one being multiplied and the one being prefetched: the turn after this one.
const WEIGHTS_AHEAD: usize = TURN;

/// A module with the kernel of one product; `add(sum, weight, source)` adds the products of 8 lanes.
macro_rules! kernel {
    ($name:ident, $sum:ty, $kernels:expr,
     load: $load:path, splat: $splat:path, start: |$start:ident| $first:expr, store: |$last:ident| $float:expr,
     add: |$s:ident, $w:ident, $x:ident| $add:expr) => {
        mod $name {
            use super::*;

            /// For 1, 2 and 3 vectors.
            pub(super) const KERNELS: [Kernel; VECTORS] = $kernels;

            /// A tile in `PARTS` parts of `R` rows by `H` half vectors.
            #[target_feature(enable = "avx2,fma")]
            unsafe fn tile<const R: usize, const H: usize, const PARTS: usize>(
                arguments: &TileArguments<'_>,
            ) {
                let halves = PARTS * R * H / ROWS;
                let place = |part: usize| (part / (halves / H) * R, part % (halves / H) * H);
                let mut sums: [[[$sum; H]; R]; PARTS] = std::array::from_fn(|part| {
                    std::array::from_fn(|row| {
                        let $start = arguments.starts[0][place(part).0 + row];
                        [$first; H]
                    })
                });
                let turn = (TURN / arguments.taps.len()).max(1);
                for first in (0..arguments.groups).step_by(turn) {
                    let groups = first..arguments.groups.min(first + turn);
                    for (part, sums) in sums.iter_mut().enumerate() {
                        // SAFETY: this function's own contract.
                        unsafe { add(arguments, place(part), groups.clone(), sums) };
                    }
                }
                for (part, sums) in sums.iter().enumerate() {
                    let (first_row, first_half) = place(part);
                    for (row, sums) in sums.iter().enumerate() {
                        let lane = ((first_row + row) * halves + first_half) * HALF;
                        for (half, &$last) in sums.iter().enumerate() {
                            // SAFETY: the caller promises that the tile is writable.
                            unsafe {
                                _mm256_storeu_ps(arguments.tile.add(lane + half * HALF), $float)
                            };
                        }
                    }
                }
            }

            /// Adds some groups to the sums of a part that begins with this row and half vector.
            ///
            /// Not inlined: registers are for the sums of one part.
            #[inline(never)]
            #[target_feature(enable = "avx2,fma")]
            unsafe fn add<const R: usize, const H: usize>(
                arguments: &TileArguments<'_>,
                (first_row, first_half): (usize, usize),
                groups: Range<usize>,
                kept: &mut [[$sum; H]; R],
            ) {
                let mut sums = *kept;
                let step = groups.start * arguments.taps.len() * ROWS;
                let mut weights = arguments.weights.wrapping_add(first_row + step);
                let mut sources: [_; H] = std::array::from_fn(|half| {
                    let half = first_half + half;
                    let step = groups.start * arguments.group_stride + half % 2 * HALF;
                    arguments.sources[half / 2].wrapping_add(step)
                });
                for _ in groups {
                    for &tap in arguments.taps {
                        // SAFETY: the caller promises that weights and sources are readable; a prefetch may name any address.
                        unsafe {
                            let mut rows = [$splat(*weights.cast()); R];
                            for row in 1..R {
                                rows[row] = $splat(*weights.add(row).cast());
                            }
                            _mm_prefetch::<_MM_HINT_T0>(
                                weights.wrapping_add(WEIGHTS_AHEAD * ROWS).cast(),
                            );
                            for half in 0..H {
                                let $x = $load(sources[half].offset(tap).cast());
                                for row in 0..R {
                                    let ($s, $w) = (sums[row][half], rows[row]);
                                    sums[row][half] = $add;
                                }
                            }
                        }
                        weights = weights.wrapping_add(ROWS);
                    }
                    for source in &mut sources {
                        *source = source.wrapping_add(arguments.group_stride);
                    }
                }
                *kept = sums;
            }
        }
    };
}

kernel!(
    single, __m256, [tile::<4, 2, 2>, tile::<2, 4, 4>, tile::<2, 6, 4>],
    load: _mm256_loadu_ps, splat: _mm256_set1_ps, start: |_start| _mm256_setzero_ps(), store: |sum| sum,
    add: |sum, weight, source| _mm256_fmadd_ps(weight, source, sum)
);

// A bfloat16 is the upper half of an f32.
kernel!(
    pair, __m256, [tile::<4, 2, 2>, tile::<2, 4, 4>, tile::<2, 6, 4>],
    load: _mm256_loadu_si256, splat: _mm256_set1_epi32, start: |_start| _mm256_setzero_ps(), store: |sum| sum,
    add: |sum, weight, source| {
        let upper = _mm256_set1_epi32(0xffff_0000_u32.cast_signed());
        let even = |pair| _mm256_castsi256_ps(_mm256_slli_epi32::<16>(pair));
        let odd = |pair| _mm256_castsi256_ps(_mm256_and_si256(pair, upper));
        _mm256_fmadd_ps(odd(weight), odd(source), _mm256_fmadd_ps(even(weight), even(source), sum))
    }
);

// Bytes as words, whose pairwise products fit 32 bits exactly (`maddubs` would saturate).
kernel!(
    quad, __m256i, [tile::<2, 2, 4>, tile::<2, 2, 8>, tile::<2, 3, 8>],
    load: _mm256_loadu_si256, splat: _mm256_set1_epi32, start: |start| _mm256_set1_epi32(start), store: |sum| _mm256_cvtepi32_ps(sum),
    add: |sum, weight, source| {
        let even = _mm256_madd_epi16(
            _mm256_srai_epi16::<8>(_mm256_slli_epi16::<8>(weight)),
            _mm256_and_si256(source, _mm256_set1_epi16(0xff)),
        );
        let odd = _mm256_madd_epi16(_mm256_srai_epi16::<8>(weight), _mm256_srli_epi16::<8>(source));
        _mm256_add_epi32(sum, _mm256_add_epi32(even, odd))
    }
);
