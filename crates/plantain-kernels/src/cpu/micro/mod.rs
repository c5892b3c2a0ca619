//! The innermost loops: a tile of eight output channels times up to three vectors of sixteen pixels, or with AMX four such
//! tiles times two vectors.
//!
//! All of them compute `acc[row][lane] += sum over groups and taps of weight[group][tap][row] * source[group][tap][lane]`
//! where a 32-bit lane holds one f32, two bfloat16 or four bytes of consecutive input channels. Tiles have one layout on every
//! instruction set, and weights have one but for AMX (see [`Order`]), so that only this module knows about registers.

mod scalar;

#[cfg(target_arch = "x86_64")]
mod amx;
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "aarch64")]
mod neon;

use crate::cpu::isa::Isa;
use crate::cpu::precision::Precision;

/// Output channels of a tile.
pub(crate) const ROWS: usize = 8;
/// Those of half a tile, which is all that pictures' last layers fill.
pub(crate) const HALF_ROWS: usize = ROWS / 2;
/// Pixels of a vector.
pub(crate) const VECTOR: usize = 16;
/// Vectors of the widest tile: 24 accumulators of 32 registers leave room for three sources and a weight.
pub(crate) const VECTORS: usize = 3;
/// Sums of a call that computes most: four tiles of two vectors, or one of three.
pub(crate) const SUMS: usize = 4 * ROWS * 2 * VECTOR;

/// How weights and prepared input are laid out for the kernels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// Weights `[tile][group][tap][ROWS]`, input `[group][lane]`.
    Rows,
    /// Weights `[4 tiles][16 groups][tap][4 * ROWS][16]`, input `[group][lane]`: as AMX reads them where weights are what it
    /// takes by rows. Groups and tiles are as many as fit; those that are too many are zero.
    Blocks,
    /// Weights `[4 tiles][16 groups][tap][16][4 * ROWS]`, input `[16 groups][lane][16]`: as AMX reads them where the input is
    /// what it takes by rows. A lane's groups are a cache line, wherever the tap is; read by columns, most taps would
    /// meet two.
    Columns,
}

impl Order {
    /// What groups come in.
    pub(crate) fn groups(self) -> usize {
        match self {
            Self::Rows => 1,
            Self::Blocks | Self::Columns => VECTOR,
        }
    }

    /// Groups of a lane that lie beside each other in the prepared input.
    pub(crate) fn depth(self) -> usize {
        match self {
            Self::Rows | Self::Blocks => 1,
            Self::Columns => VECTOR,
        }
    }

    /// Tiles that are stored and multiplied together.
    pub(crate) fn tiles(self) -> usize {
        match self {
            Self::Rows => 1,
            Self::Blocks | Self::Columns => 4,
        }
    }

    /// Vectors of pixels that are multiplied together.
    pub(crate) fn vectors(self) -> usize {
        match self {
            Self::Rows => VECTORS,
            Self::Blocks | Self::Columns => 2,
        }
    }
}

/// What a tile reads and where its sums go.
pub(crate) struct TileArguments<'a> {
    /// The lanes of the tiles, in the kernel's [`Order`].
    pub weights: *const u32,
    /// A third as many lanes that will be read soon, for kernels that look ahead: they ask for them on their way.
    #[cfg_attr(
        not(target_arch = "x86_64"),
        expect(dead_code, reason = "only AMX's kernels look ahead")
    )]
    pub ahead: *const u32,
    /// First word of each vector in the first group, or groups that lie beside each other; the taps' offsets are added to it.
    pub sources: [*const u32; VECTORS],
    /// Groups of input channels.
    pub groups: usize,
    /// Words from there to the same of the next.
    pub group_stride: usize,
    /// Offset of each tap in words.
    pub taps: &'a [isize],
    /// Of each tile of a call what the sums of integers start from: minus what the zero point adds to them. Other sums start from zero.
    pub starts: &'a [[i32; ROWS]],
    /// `[tiles][ROWS][vectors * VECTOR]` sums, but for [`pixel_kernels`].
    pub tile: *mut f32,
}

/// Computes a tile, or those of a call.
///
/// # Safety
/// The processor must have the instruction set that the kernel was chosen for, and a [`ThreadState`] for its [`Order`] be
/// alive on this thread; every vector that [`TileArguments`] describes must be readable, there must be starts of all tiles of
/// a call where sources are bytes, and the tile must be writable.
pub(crate) type Kernel = unsafe fn(&TileArguments<'_>);

/// What the kernels for an order of weights need of a thread while they run there.
pub(crate) struct ThreadState {
    #[cfg(target_arch = "x86_64")]
    _registers: Option<amx::Registers>,
}

impl ThreadState {
    /// For a path that reads weights in this order, as [`kernels_for`] has checked.
    #[cfg_attr(
        not(target_arch = "x86_64"),
        expect(unused_variables, reason = "only AMX has a state")
    )]
    pub(crate) fn new(isa: Isa, order: Order) -> Self {
        #[cfg(target_arch = "x86_64")]
        let _registers = (order != Order::Rows && isa.multiplies_matrices()).then(|| {
            // SAFETY: an `Isa` says so only after AMX was found and asked for.
            unsafe { amx::Registers::configure() }
        });
        Self {
            #[cfg(target_arch = "x86_64")]
            _registers,
        }
    }
}

/// The order that a convolution is fastest with, of a kernel so many pixels wide and for so many input channels. Where
/// output channels are few, most products of AMX are wasted, and it is still as fast as the others.
pub(crate) fn order(isa: Isa, precision: Precision, kernel: usize, inputs: usize) -> Order {
    let matrices = isa.multiplies_matrices() && precision != Precision::F32 && inputs >= VECTOR;
    match kernel {
        _ if !matrices => Order::Rows,
        1 => Order::Blocks,
        _ => Order::Columns,
    }
}

/// The kernels for 1, 2 and 3 vectors, those that do not look ahead and those that do; only of [`Order::Rows`] there is one for 3.
///
/// # Panics
/// If the path does not read weights in this order.
pub(crate) fn kernels_for(isa: Isa, precision: Precision, order: Order) -> [[Kernel; VECTORS]; 2] {
    match (order, isa) {
        (Order::Rows, _) => [kernels(isa, precision); 2],
        #[cfg(target_arch = "x86_64")]
        (Order::Blocks, Isa::Avx512 { amx: true, .. }) => [
            amx::by_rows::<false>(precision),
            amx::by_rows::<true>(precision),
        ],
        #[cfg(target_arch = "x86_64")]
        (Order::Columns, Isa::Avx512 { amx: true, .. }) => [
            amx::by_columns::<false>(precision),
            amx::by_columns::<true>(precision),
        ],
        _ => panic!("weights in the order of another path than {isa:?}"),
    }
}

/// The kernels for 1, 2 and 3 vectors, for bfloat16 weights in [`Order::Columns`], whose sums are `[vectors * VECTOR][4 * ROWS]`.
///
/// # Panics
/// If the path does not read weights in this order.
pub(crate) fn pixel_kernels(isa: Isa) -> [Kernel; VECTORS] {
    match isa {
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 { amx: true, .. } => amx::by_pixels(),
        _ => panic!("weights in the order of another path than {isa:?}"),
    }
}

/// Sums of pixels as [`pixel_kernels`] leave them, and what becomes of them.
#[cfg_attr(
    not(target_arch = "x86_64"),
    expect(dead_code, reason = "only AMX leaves such sums")
)]
pub(crate) struct Pixels<'a> {
    /// `[pixel][4 * ROWS]`.
    pub sums: &'a [f32],
    /// Added to each pixel.
    pub bias: &'a [f32; 4 * ROWS],
    /// Pairs of bfloat16 `[pixel][VECTOR]` to add, perhaps followed by others.
    pub added: Option<&'a [u32]>,
    /// Whether what is negative is cut off.
    pub relu: bool,
}

impl Pixels<'_> {
    /// Writes them as pairs of bfloat16 to every `step`-th pixel `[VECTOR]`, which is what [`Order::Columns`] reads.
    ///
    /// # Panics
    /// If there are fewer pixels, or the path has no such kernels.
    pub(crate) fn pack(&self, isa: Isa, pixels: &mut [u32], step: usize) {
        let count = self.sums.len() / (4 * ROWS);
        assert!(pixels.len() >= VECTOR * (1 + step * count.saturating_sub(1)));
        assert!(self.added.is_none_or(|added| added.len() >= VECTOR * count));
        match isa {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 {
                amx: true,
                bf16: true,
                ..
            } => {
                // SAFETY: an `Isa` says so only after it was found.
                unsafe { amx::pack_pixels(self, pixels, step) };
            }
            _ => panic!("{isa:?} has no kernels by pixels"),
        }
    }
}

/// Turns sixteen pixels of pairs of bfloat16, `[pixel][VECTOR]`, into their numbers, `[4 * ROWS][pixel]`, with rows `stride` apart.
///
/// # Panics
/// If there are fewer numbers in either, or the path has no such pixels.
pub(crate) fn turn_pixels(isa: Isa, pixels: &[u32], numbers: &mut [f32], stride: usize) {
    assert_eq!(pixels.len(), VECTOR * VECTOR, "sixteen pixels");
    assert!(numbers.len() >= (4 * ROWS - 1) * stride + VECTOR);
    match isa {
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 { .. } => {
            // SAFETY: an `Isa` says so only after it was found; the numbers are there, as checked above.
            unsafe { amx::turn_pixels(pixels, numbers, stride) };
        }
        _ => panic!("{isa:?} has no kernels by pixels"),
    }
}

/// Turns lanes of sixteen groups, `[group][lane]`, from `first` on into what [`Order::Columns`] reads, `[lane][group]`.
///
/// # Panics
/// If there are not as many lanes, a number of them that is no multiple of sixteen, or the path has no such order.
pub(crate) fn turn(isa: Isa, groups: &[u32], first: usize, lanes: &mut [u32]) {
    assert!(first * VECTOR + lanes.len() <= groups.len());
    assert!(groups.len().is_multiple_of(VECTOR) && lanes.len().is_multiple_of(VECTOR * VECTOR));
    match isa {
        // SAFETY: an `Isa` says so only after it was found; the lanes are there, as checked above.
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 { .. } => unsafe { amx::turn(groups, first, lanes) },
        _ => panic!("{isa:?} reads groups one by one"),
    }
}

/// The kernels for 1, 2 and 3 vectors, for weights in [`Order::Rows`] of which only the first half of a tile's rows are wanted. They may
/// write all of them.
pub(crate) fn half_kernels(isa: Isa, precision: Precision) -> [Kernel; VECTORS] {
    match isa {
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 { bf16, vnni, .. } => avx512::kernels::<HALF_ROWS>(precision, bf16, vnni),
        _ => kernels(isa, precision),
    }
}

/// The kernels for 1, 2 and 3 vectors, for weights in [`Order::Rows`].
pub(crate) fn kernels(isa: Isa, precision: Precision) -> [Kernel; VECTORS] {
    match isa {
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 { bf16, vnni, .. } => avx512::kernels::<ROWS>(precision, bf16, vnni),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 => avx2::kernels(precision),
        #[cfg(target_arch = "aarch64")]
        Isa::Neon { dot } => neon::kernels(precision, dot),
        _ => scalar::kernels(precision),
    }
}
