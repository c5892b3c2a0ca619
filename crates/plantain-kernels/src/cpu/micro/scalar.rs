//! Tiles in plain Rust, for processors without a path of their own and as the model of the others.

use super::{Kernel, ROWS, TileArguments, VECTOR, VECTORS};
use crate::cpu::precision::Precision;

pub(super) fn kernels(precision: Precision) -> [Kernel; VECTORS] {
    match precision {
        Precision::F32 => [tile::<1, F32>, tile::<2, F32>, tile::<3, F32>],
        Precision::Bf16 => [tile::<1, Bf16>, tile::<2, Bf16>, tile::<3, Bf16>],
        Precision::Int8 => [tile::<1, Int8>, tile::<2, Int8>, tile::<3, Int8>],
    }
}

/// What one lane of weights times one lane of sources adds to a sum; all three are bit patterns.
trait Product {
    fn start(value: i32) -> u32;
    fn sum(sum: u32) -> f32;
    fn add(sum: u32, weight: u32, source: u32) -> u32;
}

struct F32;
struct Bf16;
struct Int8;

impl Product for F32 {
    #[inline(always)]
    fn start(_: i32) -> u32 {
        0
    }

    #[inline(always)]
    fn sum(sum: u32) -> f32 {
        f32::from_bits(sum)
    }

    #[inline(always)]
    fn add(sum: u32, weight: u32, source: u32) -> u32 {
        (f32::from_bits(sum) + f32::from_bits(weight) * f32::from_bits(source)).to_bits()
    }
}

impl Product for Bf16 {
    #[inline(always)]
    fn start(_: i32) -> u32 {
        0
    }

    #[inline(always)]
    fn sum(sum: u32) -> f32 {
        f32::from_bits(sum)
    }

    #[inline(always)]
    fn add(sum: u32, weight: u32, source: u32) -> u32 {
        let even = f32::from_bits(weight << 16) * f32::from_bits(source << 16);
        let odd = f32::from_bits(weight & 0xffff_0000) * f32::from_bits(source & 0xffff_0000);
        (f32::from_bits(sum) + even + odd).to_bits()
    }
}

impl Product for Int8 {
    #[inline(always)]
    fn start(value: i32) -> u32 {
        value.cast_unsigned()
    }

    #[inline(always)]
    fn sum(sum: u32) -> f32 {
        sum.cast_signed() as f32
    }

    #[inline(always)]
    fn add(sum: u32, weight: u32, source: u32) -> u32 {
        let products = weight.to_le_bytes().into_iter().zip(source.to_le_bytes());
        let dot: i32 = products
            .map(|(weight, source)| i32::from(weight.cast_signed()) * i32::from(source))
            .sum();
        sum.wrapping_add(dot.cast_unsigned())
    }
}

/// One row and one vector at a time: sixteen sums are what a compiler keeps in registers everywhere.
unsafe fn tile<const V: usize, P: Product>(arguments: &TileArguments<'_>) {
    for row in 0..ROWS {
        for vector in 0..V {
            let mut sums = [P::start(arguments.starts[0][row]); VECTOR];
            for group in 0..arguments.groups {
                for (tap, &offset) in arguments.taps.iter().enumerate() {
                    // SAFETY: the caller promises that weights and sources are readable.
                    let (weight, source) = unsafe {
                        let step = group * arguments.taps.len() + tap;
                        let source = arguments.sources[vector]
                            .add(group * arguments.group_stride)
                            .offset(offset);
                        (
                            *arguments.weights.add(step * ROWS + row),
                            *source.cast::<[u32; VECTOR]>(),
                        )
                    };
                    for (sum, source) in sums.iter_mut().zip(source) {
                        *sum = P::add(*sum, weight, source);
                    }
                }
            }
            // SAFETY: the caller promises that the tile is writable.
            unsafe { *arguments.tile.add((row * V + vector) * VECTOR).cast() = sums.map(P::sum) };
        }
    }
}
