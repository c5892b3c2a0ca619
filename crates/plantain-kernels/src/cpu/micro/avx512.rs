//! Tiles in 512-bit registers: 8 x 3 accumulators.

use std::arch::x86_64::*;

use super::{Kernel, ROWS, TileArguments, VECTOR, VECTORS};
use crate::cpu::precision::Precision;

/// For tiles of which only the first `R` rows are wanted.
pub(super) fn kernels<const R: usize>(
    precision: Precision,
    bf16: bool,
    vnni: bool,
) -> [Kernel; VECTORS] {
    match precision {
        Precision::F32 => [
            single::tile::<1, R>,
            single::tile::<2, R>,
            single::tile::<3, R>,
        ],
        Precision::Bf16 if bf16 => [
            pair_dot::tile::<1, R>,
            pair_dot::tile::<2, R>,
            pair_dot::tile::<3, R>,
        ],
        Precision::Bf16 => [
            pair_widened::tile::<1, R>,
            pair_widened::tile::<2, R>,
            pair_widened::tile::<3, R>,
        ],
        Precision::Int8 if vnni => [
            quad_dot::tile::<1, R>,
            quad_dot::tile::<2, R>,
            quad_dot::tile::<3, R>,
        ],
        Precision::Int8 => [
            quad_widened::tile::<1, R>,
            quad_widened::tile::<2, R>,
            quad_widened::tile::<3, R>,
        ],
    }
}

/// Groups between the one being multiplied and the one being prefetched: the second-level cache answers within one
/// group of a 3x3 kernel (27 vectors times 8 rows), the third level within two.
const AHEAD: usize = 2;

/// Steps (weights of eight rows) between the one being multiplied and the one being prefetched: some 800 cycles, which
/// memory takes. Behind the last step of a tile the next one begins.
const WEIGHTS_AHEAD: usize = 64;

/// A module with the kernel of one product. Its items are the arithmetic: `Sum` and `Source` are registers of 16 lanes,
/// `add(sum, weight, source)` adds the products.
macro_rules! kernel {
    ($name:ident, $features:literal, $sum:ty, $source:ty,
     load: $load:path, splat: $splat:path, start: |$start:ident| $first:expr, store: |$last:ident| $float:expr,
     add: |$s:ident, $w:ident, $x:ident| $add:expr) => {
        mod $name {
            use super::*;

            #[target_feature(enable = $features)]
            pub(in super::super) unsafe fn tile<const V: usize, const R: usize>(
                arguments: &TileArguments<'_>,
            ) {
                // SAFETY: this function's own contract.
                unsafe {
                    match *arguments.taps {
                        [tap] => body::<V, 1, R>(arguments, &[tap]),
                        [a, b, c, d] => body::<V, 4, R>(arguments, &[a, b, c, d]),
                        _ => body::<V, 9, R>(
                            arguments,
                            arguments.taps.try_into().expect("1, 4 or 9 taps"),
                        ),
                    }
                }
            }

            #[inline]
            #[target_feature(enable = $features)]
            unsafe fn body<const V: usize, const T: usize, const R: usize>(
                arguments: &TileArguments<'_>,
                taps: &[isize; T],
            ) {
                let mut sums = [[{
                    let $start = 0;
                    $first
                }; V]; R];
                for row in 0..R {
                    let $start = arguments.starts[0][row];
                    sums[row] = [$first; V];
                }
                let mut weights = arguments.weights;
                let mut sources = arguments.sources;
                for _ in 0..arguments.groups {
                    for step in 0..T {
                        // SAFETY: the caller promises that weights and sources are readable; a prefetch may name any
                        // address.
                        unsafe {
                            let mut vectors = [$load(sources[0].offset(taps[step]).cast()); V];
                            for v in 1..V {
                                vectors[v] = $load(sources[v].offset(taps[step]).cast());
                            }
                            if T > 1 {
                                let ahead =
                                    sources[step % V].wrapping_add(AHEAD * arguments.group_stride);
                                let row = taps[(step / V * V + 1) % T];
                                _mm_prefetch::<_MM_HINT_T0>(ahead.wrapping_offset(row).cast());
                            }
                            _mm_prefetch::<_MM_HINT_T0>(
                                weights.wrapping_add(WEIGHTS_AHEAD * ROWS).cast(),
                            );
                            for row in 0..R {
                                let $w = $splat(*weights.add(row).cast());
                                for v in 0..V {
                                    let ($s, $x) = (sums[row][v], vectors[v]);
                                    sums[row][v] = $add;
                                }
                            }
                            weights = weights.add(ROWS);
                        }
                    }
                    for source in &mut sources[..V] {
                        *source = source.wrapping_add(arguments.group_stride);
                    }
                }
                for row in 0..R {
                    for v in 0..V {
                        let $last = sums[row][v];
                        // SAFETY: the caller promises that the tile is writable.
                        unsafe {
                            _mm512_storeu_ps(arguments.tile.add((row * V + v) * VECTOR), $float)
                        };
                    }
                }
            }
        }
    };
}

kernel!(
    single, "avx512f", __m512, __m512,
    load: _mm512_loadu_ps, splat: _mm512_set1_ps, start: |_start| _mm512_setzero_ps(), store: |sum| sum,
    add: |sum, weight, source| _mm512_fmadd_ps(weight, source, sum)
);

kernel!(
    pair_dot, "avx512f,avx512bf16", __m512, __m512i,
    load: _mm512_loadu_si512, splat: _mm512_set1_epi32, start: |_start| _mm512_setzero_ps(), store: |sum| sum,
    add: |sum, weight, source| _mm512_dpbf16_ps(
        sum,
        std::mem::transmute::<__m512i, __m512bh>(weight),
        std::mem::transmute::<__m512i, __m512bh>(source)
    )
);

// Without AVX512-BF16: a bfloat16 is the upper half of an f32.
kernel!(
    pair_widened, "avx512f", __m512, __m512i,
    load: _mm512_loadu_si512, splat: _mm512_set1_epi32, start: |_start| _mm512_setzero_ps(), store: |sum| sum,
    add: |sum, weight, source| {
        let upper = _mm512_set1_epi32(0xffff_0000_u32.cast_signed());
        let even = |pair| _mm512_castsi512_ps(_mm512_slli_epi32::<16>(pair));
        let odd = |pair| _mm512_castsi512_ps(_mm512_and_si512(pair, upper));
        _mm512_fmadd_ps(odd(weight), odd(source), _mm512_fmadd_ps(even(weight), even(source), sum))
    }
);

kernel!(
    quad_dot, "avx512f,avx512vnni", __m512i, __m512i,
    load: _mm512_loadu_si512, splat: _mm512_set1_epi32, start: |start| _mm512_set1_epi32(start), store: |sum| _mm512_cvtepi32_ps(sum),
    add: |sum, weight, source| _mm512_dpbusd_epi32(sum, source, weight)
);

// Without AVX512-VNNI: bytes as words, whose pairwise products fit 32 bits exactly.
kernel!(
    quad_widened, "avx512f,avx512bw", __m512i, __m512i,
    load: _mm512_loadu_si512, splat: _mm512_set1_epi32, start: |start| _mm512_set1_epi32(start), store: |sum| _mm512_cvtepi32_ps(sum),
    add: |sum, weight, source| {
        let even = _mm512_madd_epi16(
            _mm512_srai_epi16::<8>(_mm512_slli_epi16::<8>(weight)),
            _mm512_and_si512(source, _mm512_set1_epi16(0xff)),
        );
        let odd = _mm512_madd_epi16(_mm512_srai_epi16::<8>(weight), _mm512_srli_epi16::<8>(source));
        _mm512_add_epi32(sum, _mm512_add_epi32(even, odd))
    }
);
