//! Tiles in the registers of AMX: 4 x 8 output channels by two vectors of pixels in four registers of sums.
//!
//! A register holds sixteen rows of sixteen words. Of the two that are multiplied, the first has a row for each row of the
//! result and sixteen groups of input channels across, the second a row for each of those groups and the columns of the
//! result across. Rows of the result are output channels and columns pixels, or the other way round, see [`Order`].
//!
//! [`Order`]: super::Order

use std::arch::asm;
use std::arch::x86_64::*;
use std::marker::PhantomData;
use std::mem::MaybeUninit;

use super::{Kernel, Pixels, SUMS, TileArguments, VECTOR, VECTORS};
use crate::cpu::precision::Precision;

/// The kernels of [`super::Order::Blocks`]; they look ahead if `AHEAD`.
pub(super) fn by_rows<const AHEAD: bool>(precision: Precision) -> [Kernel; VECTORS] {
    match precision {
        Precision::Int8 => [
            quads_by_rows::<1, AHEAD>,
            quads_by_rows::<2, AHEAD>,
            quads_by_rows::<2, AHEAD>,
        ],
        _ => [
            pairs_by_rows::<1, AHEAD>,
            pairs_by_rows::<2, AHEAD>,
            pairs_by_rows::<2, AHEAD>,
        ],
    }
}

/// The kernels of [`super::Order::Columns`]; they look ahead if `AHEAD`.
pub(super) fn by_columns<const AHEAD: bool>(precision: Precision) -> [Kernel; VECTORS] {
    match precision {
        Precision::Int8 => [
            quads_by_columns::<1, AHEAD>,
            quads_by_columns::<2, AHEAD>,
            quads_by_columns::<2, AHEAD>,
        ],
        _ => [
            pairs_by_columns::<1, AHEAD>,
            pairs_by_columns::<2, AHEAD>,
            pairs_by_columns::<2, AHEAD>,
        ],
    }
}

/// The tile registers of this thread, configured until this is dropped.
pub(crate) struct Registers(PhantomData<*const ()>);

impl Registers {
    /// Sixteen rows of 64 bytes in each of the eight registers.
    ///
    /// # Safety
    /// The processor must have AMX, and the system let the process use it.
    pub(crate) unsafe fn configure() -> Self {
        #[repr(C, align(64))]
        struct Configuration {
            palette: u8,
            first_row: u8,
            reserved: [u8; 14],
            row_bytes: [u16; 16],
            rows: [u8; 16],
        }
        static ALL: Configuration = Configuration {
            palette: 1,
            first_row: 0,
            reserved: [0; 14],
            row_bytes: [64, 64, 64, 64, 64, 64, 64, 64, 0, 0, 0, 0, 0, 0, 0, 0],
            rows: [16, 16, 16, 16, 16, 16, 16, 16, 0, 0, 0, 0, 0, 0, 0, 0],
        };
        // SAFETY: the caller promises that the instruction exists; it reads 64 bytes.
        unsafe { asm!("ldtilecfg [{}]", in(reg) &raw const ALL, options(nostack, readonly)) };
        Self(PhantomData)
    }
}

impl Drop for Registers {
    fn drop(&mut self) {
        // SAFETY: made by `configure` alone, whose caller promised that the instruction exists.
        unsafe { asm!("tilerelease", options(nostack, nomem)) };
    }
}

/// What both ways to multiply begin with: no sums.
macro_rules! clear {
    () => {
        "tilezero tmm0\ntilezero tmm1\ntilezero tmm2\ntilezero tmm3"
    };
}

/// Asks for eleven lines ahead of time at each tap, a third of the 2 KiB of weights that are read there; or for none.
macro_rules! look_ahead {
    (near) => {
        ""
    };
    (far) => {
        concat!(
            "prefetcht1 [{ahead} + 0]\n",
            "prefetcht1 [{ahead} + 64]\n",
            "prefetcht1 [{ahead} + 128]\n",
            "prefetcht1 [{ahead} + 192]\n",
            "prefetcht1 [{ahead} + 256]\n",
            "prefetcht1 [{ahead} + 320]\n",
            "prefetcht1 [{ahead} + 384]\n",
            "prefetcht1 [{ahead} + 448]\n",
            "prefetcht1 [{ahead} + 512]\n",
            "prefetcht1 [{ahead} + 576]\n",
            "prefetcht1 [{ahead} + 640]"
        )
    };
}

/// The products of a call where weights are read by rows. Registers 0 to 3 have the sums, 4 and 5 weights, 6 and 7 sources.
/// All instructions are in one block, because the compiler does not know of these registers.
///
/// `$second` is there for a second vector of sources; it is empty and only tells the macro to write those instructions.
macro_rules! by_rows {
    ($arguments:ident, $product:literal, $look:ident, lanes: $lanes:literal, $(second: $second:literal)?) => {
        asm!(
            clear!(),
            "2:",
            "mov {tap}, {taps}",
            "3:",
            "mov {source}, [{tap}]",
            "lea {source}, [{first} + 4*{source}]",
            "tileloadd tmm4, [{weights} + {row}*1]",
            "tileloadd tmm6, [{source} + {stride}*1]",
            concat!($product, " tmm0, tmm4, tmm6"),
            "tileloadd tmm5, [{weights} + {row}*1 + 1024]",
            concat!($product, " tmm2, tmm5, tmm6"),
            $(
                concat!("mov {source}, [{tap}]", $second),
                "lea {source}, [{second} + 4*{source}]",
                "tileloadd tmm7, [{source} + {stride}*1]",
                concat!($product, " tmm1, tmm4, tmm7"),
                concat!($product, " tmm3, tmm5, tmm7"),
            )?
            look_ahead!($look),
            "add {ahead}, 704",
            "add {weights}, 2048",
            "add {tap}, 8",
            "cmp {tap}, {end}",
            "jne 3b",
            // On to the next sixteen groups.
            "lea {source}, [{stride}*8]",
            "lea {first}, [{first} + 2*{source}]",
            "lea {second}, [{second} + 2*{source}]",
            "dec {blocks}",
            "jnz 2b",
            concat!("mov {row}, 4*", $lanes),
            "tilestored [{tile} + {row}*1], tmm0",
            $(concat!("tilestored [{tile} + {row}*1 + 64], tmm1", $second),)?
            concat!("add {tile}, 16*4*", $lanes),
            "tilestored [{tile} + {row}*1], tmm2",
            $(concat!("tilestored [{tile} + {row}*1 + 64], tmm3", $second),)?
            weights = inout(reg) $arguments.weights => _,
            ahead = inout(reg) $arguments.ahead => _,
            first = inout(reg) $arguments.sources[0] => _,
            second = inout(reg) $arguments.sources[1] => _,
            blocks = inout(reg) $arguments.groups / VECTOR => _,
            taps = in(reg) $arguments.taps.as_ptr_range().start,
            end = in(reg) $arguments.taps.as_ptr_range().end,
            stride = in(reg) 4 * $arguments.group_stride,
            row = inout(reg) 64_usize => _,
            tile = inout(reg) $arguments.tile => _,
            tap = out(reg) _,
            source = out(reg) _,
            options(nostack),
        )
    };
}

/// The same where sources are read by rows: `$sums` is `[vectors * VECTOR][4 * ROWS]`, registers 4 and 5 have sources, 6 and
/// 7 weights.
macro_rules! by_columns {
    ($arguments:ident, $product:literal, $look:ident, $sums:expr, $(second: $second:literal)?) => {
        asm!(
            clear!(),
            "2:",
            "mov {tap}, {taps}",
            "3:",
            "mov {source}, [{tap}]",
            "lea {source}, [{first} + 4*{source}]",
            "tileloadd tmm6, [{weights} + 2*{row}]",
            "tileloadd tmm4, [{source} + {row}*1]",
            concat!($product, " tmm0, tmm4, tmm6"),
            "tileloadd tmm7, [{weights} + 2*{row} + 64]",
            concat!($product, " tmm1, tmm4, tmm7"),
            $(
                concat!("mov {source}, [{tap}]", $second),
                "lea {source}, [{second} + 4*{source}]",
                "tileloadd tmm5, [{source} + {row}*1]",
                concat!($product, " tmm2, tmm5, tmm6"),
                concat!($product, " tmm3, tmm5, tmm7"),
            )?
            look_ahead!($look),
            "add {ahead}, 704",
            "add {weights}, 2048",
            "add {tap}, 8",
            "cmp {tap}, {end}",
            "jne 3b",
            // On to the next sixteen groups.
            "lea {first}, [{first} + 4*{stride}]",
            "lea {second}, [{second} + 4*{stride}]",
            "dec {blocks}",
            "jnz 2b",
            "tilestored [{sums} + 2*{row}], tmm0",
            "tilestored [{sums} + 2*{row} + 64], tmm1",
            $(
                concat!("tilestored [{sums} + 2*{row} + 2048], tmm2", $second),
                "tilestored [{sums} + 2*{row} + 2112], tmm3",
            )?
            weights = inout(reg) $arguments.weights => _,
            ahead = inout(reg) $arguments.ahead => _,
            first = inout(reg) $arguments.sources[0] => _,
            second = inout(reg) $arguments.sources[1] => _,
            blocks = inout(reg) $arguments.groups / VECTOR => _,
            taps = in(reg) $arguments.taps.as_ptr_range().start,
            end = in(reg) $arguments.taps.as_ptr_range().end,
            stride = in(reg) $arguments.group_stride,
            row = in(reg) 64_usize,
            sums = in(reg) $sums,
            tap = out(reg) _,
            source = out(reg) _,
            options(nostack),
        )
    };
}

/// # Panics
/// If the loops would not end where they should.
fn check(arguments: &TileArguments<'_>) {
    let blocks = arguments.groups / VECTOR;
    assert!(blocks > 0 && arguments.groups.is_multiple_of(VECTOR) && !arguments.taps.is_empty());
}

/// Sums of products of bfloat16 pairs.
///
/// # Safety
/// As [`Kernel`], within the life of a [`Registers`].
unsafe fn pairs_by_rows<const V: usize, const AHEAD: bool>(arguments: &TileArguments<'_>) {
    check(arguments);
    // SAFETY: this function's own contract: all sixteen rows of each register are among the groups and rows.
    unsafe {
        match (V, AHEAD) {
            (1, false) => by_rows!(arguments, "tdpbf16ps", near, lanes: 16,),
            (1, true) => by_rows!(arguments, "tdpbf16ps", far, lanes: 16,),
            (_, false) => by_rows!(arguments, "tdpbf16ps", near, lanes: 32, second: ""),
            (_, true) => by_rows!(arguments, "tdpbf16ps", far, lanes: 32, second: ""),
        }
    }
}

/// Sums of products of signed bytes of weights and unsigned bytes of sources, as f32.
///
/// # Safety
/// As [`Kernel`], within the life of a [`Registers`].
#[target_feature(enable = "avx512f")]
unsafe fn quads_by_rows<const V: usize, const AHEAD: bool>(arguments: &TileArguments<'_>) {
    check(arguments);
    // SAFETY: this function's own contract: all sixteen rows of each register are among the groups and rows, and all rows
    // of sums have been written before they are converted.
    unsafe {
        match (V, AHEAD) {
            (1, false) => by_rows!(arguments, "tdpbsud", near, lanes: 16,),
            (1, true) => by_rows!(arguments, "tdpbsud", far, lanes: 16,),
            (_, false) => by_rows!(arguments, "tdpbsud", near, lanes: 32, second: ""),
            (_, true) => by_rows!(arguments, "tdpbsud", far, lanes: 32, second: ""),
        }
        let starts = arguments.starts.as_flattened();
        assert_eq!(starts.len(), 2 * VECTOR, "starts of all rows");
        for (row, &start) in starts.iter().enumerate() {
            for vector in 0..V {
                let sums = arguments.tile.add((row * V + vector) * VECTOR);
                let sum =
                    _mm512_add_epi32(_mm512_loadu_si512(sums.cast()), _mm512_set1_epi32(start));
                _mm512_storeu_ps(sums, _mm512_cvtepi32_ps(sum));
            }
        }
    }
}

/// Sums by pixels, which are then turned: `[vectors * VECTOR][4 * ROWS]`.
#[repr(align(64))]
struct Turned(MaybeUninit<[f32; SUMS]>);

/// As [`pairs_by_rows`].
///
/// # Safety
/// As [`Kernel`], within the life of a [`Registers`].
#[target_feature(enable = "avx512f,avx512dq")]
unsafe fn pairs_by_columns<const V: usize, const AHEAD: bool>(arguments: &TileArguments<'_>) {
    check(arguments);
    let mut sums = Turned(MaybeUninit::uninit());
    let sums = sums.0.as_mut_ptr().cast::<f32>();
    // SAFETY: this function's own contract; what is turned was written before.
    unsafe {
        match (V, AHEAD) {
            (1, false) => by_columns!(arguments, "tdpbf16ps", near, sums,),
            (1, true) => by_columns!(arguments, "tdpbf16ps", far, sums,),
            (_, false) => by_columns!(arguments, "tdpbf16ps", near, sums, second: ""),
            (_, true) => by_columns!(arguments, "tdpbf16ps", far, sums, second: ""),
        }
        for (vector, half) in (0..V).flat_map(|vector| [(vector, 0), (vector, 1)]) {
            let (from, to) = halves::<V>(sums, arguments.tile, vector, half);
            turn_square(from, 2 * VECTOR, to, V * VECTOR);
        }
    }
}

/// The kernels of [`super::pixel_kernels`].
pub(super) fn by_pixels() -> [Kernel; VECTORS] {
    [
        pairs_by_pixels::<1>,
        pairs_by_pixels::<2>,
        pairs_by_pixels::<2>,
    ]
}

/// [`pairs_by_columns`] without turning the sums.
///
/// # Safety
/// As [`Kernel`], within the life of a [`Registers`].
unsafe fn pairs_by_pixels<const V: usize>(arguments: &TileArguments<'_>) {
    check(arguments);
    // SAFETY: this function's own contract.
    unsafe {
        match V {
            1 => by_columns!(arguments, "tdpbf16ps", near, arguments.tile,),
            _ => by_columns!(arguments, "tdpbf16ps", near, arguments.tile, second: ""),
        }
    }
}

/// See [`Pixels::pack`].
///
/// # Safety
/// The processor must have AVX-512 and its conversions to bfloat16.
#[target_feature(enable = "avx512f,avx512bf16")]
pub(super) unsafe fn pack_pixels(from: &Pixels<'_>, to: &mut [u32], step: usize) {
    let least = _mm512_set1_ps(if from.relu { 0.0 } else { f32::NEG_INFINITY });
    // SAFETY: both halves are inside.
    let bias = [0, VECTOR].map(|half| unsafe { _mm512_loadu_ps(from.bias.as_ptr().add(half)) });
    let mut added = from.added.unwrap_or_default().chunks_exact(VECTOR);
    let pixels = to.chunks_mut(step * VECTOR);
    for (sums, pixel) in from.sums.chunks_exact(2 * VECTOR).zip(pixels) {
        let pixel = &mut pixel[..VECTOR];
        let added = added.next();
        let half = |half: usize| {
            // SAFETY: both halves of the sums are inside, and of what is added, which has as many bytes in half of the numbers.
            unsafe {
                let sum = _mm512_loadu_ps(sums.as_ptr().add(half * VECTOR));
                let mut total = _mm512_add_ps(sum, bias[half]);
                if let Some(added) = added {
                    let numbers = _mm256_loadu_si256(added.as_ptr().add(half * VECTOR / 2).cast());
                    let numbers = _mm512_slli_epi32::<16>(_mm512_cvtepu16_epi32(numbers));
                    total = _mm512_add_ps(total, _mm512_castsi512_ps(numbers));
                }
                _mm512_max_ps(least, total)
            }
        };
        let pairs = _mm512_cvtne2ps_pbh(half(1), half(0));
        // SAFETY: a pixel has as many bytes, and both types are nothing but bits.
        unsafe { pixel.as_mut_ptr().cast::<__m512bh>().write_unaligned(pairs) };
    }
}

/// See [`super::turn_pixels`].
///
/// # Safety
/// The processor must have AVX-512; there must be sixteen pixels, and as many numbers in each of 32 rows.
#[target_feature(enable = "avx512f,avx512dq")]
pub(super) unsafe fn turn_pixels(pixels: &[u32], numbers: &mut [f32], stride: usize) {
    let mut wide = Turned(MaybeUninit::uninit());
    let wide = wide.0.as_mut_ptr().cast::<f32>();
    for (pixel, pairs) in pixels.chunks_exact(VECTOR).enumerate() {
        for half in 0..2 {
            // SAFETY: half of a pixel's pairs are inside, and there is room for sixteen pixels.
            unsafe {
                let halves = _mm256_loadu_si256(pairs.as_ptr().add(half * VECTOR / 2).cast());
                let words = _mm512_slli_epi32::<16>(_mm512_cvtepu16_epi32(halves));
                let to = wide.add((2 * pixel + half) * VECTOR);
                _mm512_storeu_ps(to, _mm512_castsi512_ps(words));
            }
        }
    }
    for half in 0..2 {
        // SAFETY: all of it was written; the rows are there, as the caller promises.
        unsafe {
            let to = numbers.as_mut_ptr().add(half * VECTOR * stride);
            turn_square(wide.add(half * VECTOR), 2 * VECTOR, to, stride);
        }
    }
}

/// As [`quads_by_rows`].
///
/// # Safety
/// As [`Kernel`], within the life of a [`Registers`].
#[target_feature(enable = "avx512f,avx512dq")]
unsafe fn quads_by_columns<const V: usize, const AHEAD: bool>(arguments: &TileArguments<'_>) {
    check(arguments);
    let mut sums = Turned(MaybeUninit::uninit());
    let sums = sums.0.as_mut_ptr().cast::<f32>();
    // SAFETY: this function's own contract; what is converted and turned was written before, and there are starts for four
    // tiles.
    unsafe {
        match (V, AHEAD) {
            (1, false) => by_columns!(arguments, "tdpbusd", near, sums,),
            (1, true) => by_columns!(arguments, "tdpbusd", far, sums,),
            (_, false) => by_columns!(arguments, "tdpbusd", near, sums, second: ""),
            (_, true) => by_columns!(arguments, "tdpbusd", far, sums, second: ""),
        }
        for half in 0..2 {
            let start = _mm512_loadu_si512(
                arguments.starts.as_flattened()[half * VECTOR..][..VECTOR]
                    .as_ptr()
                    .cast(),
            );
            for vector in 0..V {
                let (from, to) = halves::<V>(sums, arguments.tile, vector, half);
                for pixel in 0..VECTOR {
                    let from = from.add(pixel * 2 * VECTOR);
                    let sum = _mm512_add_epi32(_mm512_loadu_si512(from.cast()), start);
                    _mm512_storeu_ps(from, _mm512_cvtepi32_ps(sum));
                }
                turn_square(from, 2 * VECTOR, to, V * VECTOR);
            }
        }
    }
}

/// Where the sums of a vector of pixels and half of the channels lie, and where they go.
fn halves<const V: usize>(
    sums: *mut f32,
    tile: *mut f32,
    vector: usize,
    half: usize,
) -> (*mut f32, *mut f32) {
    let from = sums.wrapping_add((vector * 2 * VECTOR + half) * VECTOR);
    (
        from,
        tile.wrapping_add((half * V * VECTOR + vector) * VECTOR),
    )
}

/// Turns lanes of sixteen groups from `first` on into sixteen groups of each lane.
///
/// # Safety
/// The processor must have AVX-512; there must be a multiple of sixteen lanes, and as many from `first` on in each group.
#[target_feature(enable = "avx512f,avx512dq")]
pub(super) unsafe fn turn(groups: &[u32], first: usize, lanes: &mut [u32]) {
    let plane = groups.len() / VECTOR;
    for (index, lanes) in lanes.chunks_exact_mut(VECTOR * VECTOR).enumerate() {
        // SAFETY: this function's own contract.
        unsafe {
            let from = groups.as_ptr().add(first + index * VECTOR);
            turn_square(from.cast(), plane, lanes.as_mut_ptr().cast(), VECTOR);
        }
    }
}

/// `to[column][row] = from[row][column]` for sixteen of each, with rows so many words apart.
///
/// # Safety
/// The processor must have AVX-512, and the words be there.
#[inline]
#[target_feature(enable = "avx512f,avx512dq")]
unsafe fn turn_square(from: *const f32, from_stride: usize, to: *mut f32, to_stride: usize) {
    for four in 0..4 {
        // Four columns of the rows 4k + i in the k-th quarter of the i-th vector.
        let mut rows = [_mm512_setzero_ps(); 4];
        for (i, row) in rows.iter_mut().enumerate() {
            // SAFETY: the caller's promise.
            let quarter =
                |k: usize| unsafe { _mm_loadu_ps(from.add((4 * k + i) * from_stride + 4 * four)) };
            let first = _mm512_castps128_ps512(quarter(0));
            let half = _mm512_insertf32x4::<1>(first, quarter(1));
            let more = _mm512_insertf32x4::<2>(half, quarter(2));
            *row = _mm512_insertf32x4::<3>(more, quarter(3));
        }
        // And each quarter turned.
        let [a, b, c, d] = rows;
        let (ab, cd) = (_mm512_unpacklo_ps(a, b), _mm512_unpacklo_ps(c, d));
        let (ab_high, cd_high) = (_mm512_unpackhi_ps(a, b), _mm512_unpackhi_ps(c, d));
        let turned = [
            _mm512_shuffle_ps::<0b01_00_01_00>(ab, cd),
            _mm512_shuffle_ps::<0b11_10_11_10>(ab, cd),
            _mm512_shuffle_ps::<0b01_00_01_00>(ab_high, cd_high),
            _mm512_shuffle_ps::<0b11_10_11_10>(ab_high, cd_high),
        ];
        for (column, turned) in turned.into_iter().enumerate() {
            // SAFETY: the caller's promise.
            unsafe { _mm512_storeu_ps(to.add((4 * four + column) * to_stride), turned) };
        }
    }
}
