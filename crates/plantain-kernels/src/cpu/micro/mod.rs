//! The innermost loops: a tile of eight output channels times up to three vectors of sixteen pixels.
//!
//! All of them compute `acc[row][lane] += sum over groups and taps of weight[group][tap][row] * source[group][tap][lane]`
//! where a 32-bit lane holds one f32, two bfloat16 or four bytes of consecutive input channels. Weights and the tile
//! have one layout on every instruction set, so that only this module knows about registers.

mod scalar;

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
/// Pixels of a vector.
pub(crate) const VECTOR: usize = 16;
/// Vectors of the widest tile: 24 accumulators of 32 registers leave room for three sources and a weight.
pub(crate) const VECTORS: usize = 3;
/// Lanes of the largest tile.
pub(crate) const TILE: usize = ROWS * VECTORS * VECTOR;

/// What a tile reads and where its sums go.
pub(crate) struct TileArguments<'a> {
    /// `[groups][taps][ROWS]` lanes.
    pub weights: *const u32,
    /// First lane of each vector in the first group; the taps' offsets are added to it.
    pub sources: [*const u32; VECTORS],
    /// Groups of input channels.
    pub groups: usize,
    /// Lanes from a group to the next.
    pub group_stride: usize,
    /// Lane offset of each tap.
    pub taps: &'a [isize],
    /// What the sums of integers start from: minus what the zero point adds to them. Other sums start from zero.
    pub start: &'a [i32; ROWS],
    /// `[ROWS][vectors * VECTOR]` sums.
    pub tile: *mut f32,
}

/// Computes a tile.
///
/// # Safety
/// The processor must have the instruction set that the kernel was chosen for; every vector that [`TileArguments`]
/// describes must be readable, and the tile writable.
pub(crate) type Kernel = unsafe fn(&TileArguments<'_>);

/// The kernels for 1, 2 and 3 vectors.
pub(crate) fn kernels(isa: Isa, precision: Precision) -> [Kernel; VECTORS] {
    match isa {
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 { bf16, vnni } => avx512::kernels(precision, bf16, vnni),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 => avx2::kernels(precision),
        #[cfg(target_arch = "aarch64")]
        Isa::Neon { dot } => neon::kernels(precision, dot),
        _ => scalar::kernels(precision),
    }
}
