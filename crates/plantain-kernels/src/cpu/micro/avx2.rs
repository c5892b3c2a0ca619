//! Tiles in 256-bit registers, computed in parts of 4 rows by up to 3 half vectors: 12 accumulators of 16 registers.

use std::arch::x86_64::*;

use super::{Kernel, ROWS, TileArguments, VECTOR, VECTORS};
use crate::cpu::precision::Precision;

pub(super) fn kernels(precision: Precision) -> [Kernel; VECTORS] {
    match precision {
        Precision::F32 => [single::tile::<1>, single::tile::<2>, single::tile::<3>],
        Precision::Bf16 => [pair::tile::<1>, pair::tile::<2>, pair::tile::<3>],
        Precision::Int8 => [quad::tile::<1>, quad::tile::<2>, quad::tile::<3>],
    }
}

/// Lanes of a register.
const HALF: usize = VECTOR / 2;
/// Rows of a part.
const PART: usize = 4;

/// A module with the kernel of one product; `add(sum, weight, source)` adds the products of 8 lanes.
macro_rules! kernel {
    ($name:ident, $sum:ty, $source:ty,
     load: $load:path, splat: $splat:path, start: |$start:ident| $first:expr, store: |$last:ident| $float:expr,
     add: |$s:ident, $w:ident, $x:ident| $add:expr) => {
        mod $name {
            use super::*;

            #[target_feature(enable = "avx2,fma")]
            pub(in super::super) unsafe fn tile<const V: usize>(arguments: &TileArguments<'_>) {
                for first_row in (0..ROWS).step_by(PART) {
                    for half in 0..2 {
                        // SAFETY: this function's own contract.
                        unsafe { part::<V>(arguments, first_row, half) };
                    }
                }
            }

            /// Rows from `first_row` and every vector's lower or upper half.
            #[inline]
            #[target_feature(enable = "avx2,fma")]
            unsafe fn part<const V: usize>(
                arguments: &TileArguments<'_>,
                first_row: usize,
                half: usize,
            ) {
                let mut sums = [[{
                    let $start = 0;
                    $first
                }; V]; PART];
                for row in 0..PART {
                    let $start = arguments.start[first_row + row];
                    sums[row] = [$first; V];
                }
                let mut weights = arguments.weights.wrapping_add(first_row);
                let mut sources = arguments
                    .sources
                    .map(|source| source.wrapping_add(half * HALF));
                for _ in 0..arguments.groups {
                    for &tap in arguments.taps {
                        // SAFETY: the caller promises that weights and sources are readable.
                        unsafe {
                            let mut vectors = [$load(sources[0].offset(tap).cast()); V];
                            for v in 1..V {
                                vectors[v] = $load(sources[v].offset(tap).cast());
                            }
                            for row in 0..PART {
                                let $w = $splat(*weights.add(row).cast());
                                for v in 0..V {
                                    let ($s, $x) = (sums[row][v], vectors[v]);
                                    sums[row][v] = $add;
                                }
                            }
                        }
                        weights = weights.wrapping_add(ROWS);
                    }
                    for source in &mut sources[..V] {
                        *source = source.wrapping_add(arguments.group_stride);
                    }
                }
                for row in 0..PART {
                    for v in 0..V {
                        let $last = sums[row][v];
                        let lane = ((first_row + row) * V + v) * VECTOR + half * HALF;
                        // SAFETY: the caller promises that the tile is writable.
                        unsafe { _mm256_storeu_ps(arguments.tile.add(lane), $float) };
                    }
                }
            }
        }
    };
}

kernel!(
    single, __m256, __m256,
    load: _mm256_loadu_ps, splat: _mm256_set1_ps, start: |_start| _mm256_setzero_ps(), store: |sum| sum,
    add: |sum, weight, source| _mm256_fmadd_ps(weight, source, sum)
);

// A bfloat16 is the upper half of an f32.
kernel!(
    pair, __m256, __m256i,
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
    quad, __m256i, __m256i,
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
