//! The transforms of minimal filtering in one dimension, on vectors whose lanes are tiles.
//!
//! F(2, 3) interpolates at 0, 1, -1 and infinity; F(4, 3) at 0, 1, -1, 2, -2 and infinity (Lavin and Gray 2015).
//!
//! Of an image that is doubled by nearest neighbour, `T` is 1: of the weights u, v, w around a pair of pixels that were one, x, between those
//! that were a and b, the first becomes u (a - x) + (u + v + w) x and the second w (b - x) + (u + v + w) x. That is three products for
//! two pixels instead of four, and nine for four.

use crate::cpu::simd::Lanes;

/// Inputs of the largest tile in one dimension.
pub(super) const LARGEST: usize = 6;

/// `N` kernels of 3x3, `[tap][kernel]`, to their `(T + 2)^2` frequencies.
///
/// In single precision: next to what a tile's inputs and outputs lose, rounding the weights once more is nothing.
#[inline(always)]
pub(crate) fn filter<L: Lanes, const T: usize, const N: usize>(
    l: L,
    kernels: &[[f32; N]; 9],
    frequencies: &mut [[f32; N]; LARGEST * LARGEST],
) {
    const { assert!(N.is_multiple_of(L::COUNT), "whole vectors of kernels") };
    for at in (0..N).step_by(L::COUNT) {
        let mut halves = [[l.splat(0.0); 3]; LARGEST];
        for column in 0..3 {
            let mut taps = [l.splat(0.0); 3];
            for (row, tap) in taps.iter_mut().enumerate() {
                // SAFETY: a whole number of vectors lies in each array.
                *tap = unsafe { l.load(kernels[3 * row + column].as_ptr().add(at)) };
            }
            let half = weights::<L, T>(l, taps);
            for y in 0..T + 2 {
                halves[y][column] = half[y];
            }
        }
        for y in 0..T + 2 {
            let values = weights::<L, T>(l, halves[y]);
            for x in 0..T + 2 {
                let frequency = &mut frequencies[y * (T + 2) + x];
                // SAFETY: as above.
                unsafe { l.store(frequency.as_mut_ptr().add(at), values[x]) };
            }
        }
    }
}

/// Three weights to `T + 2` frequencies; the rest of the array is zero.
#[inline(always)]
fn weights<L: Lanes, const T: usize>(l: L, taps: [L::F; 3]) -> [L::F; LARGEST] {
    let [first, middle, last] = taps;
    let (outer, zero) = (l.add(first, last), l.splat(0.0));
    if T == 1 {
        return [first, l.add(outer, middle), last, zero, zero, zero];
    }
    if T == 2 {
        let half = l.splat(0.5);
        let (even, odd) = (l.mul(outer, half), l.mul(middle, half));
        return [first, l.add(even, odd), l.sub(even, odd), last, zero, zero];
    }
    let (near, near_odd) = (
        l.mul(outer, l.splat(-1.0 / 6.0)),
        l.mul(middle, l.splat(1.0 / 6.0)),
    );
    let far = l.mul_add(first, l.splat(1.0 / 24.0), l.mul(last, l.splat(1.0 / 6.0)));
    let far_odd = l.mul(middle, l.splat(1.0 / 12.0));
    [
        l.mul(first, l.splat(0.25)),
        l.sub(near, near_odd),
        l.add(near, near_odd),
        l.add(far, far_odd),
        l.sub(far, far_odd),
        last,
    ]
}

/// `T + 2` inputs to as many frequencies; the rest of the array is not used.
#[inline(always)]
pub(super) fn input<L: Lanes, const T: usize>(l: L, d: [L::F; LARGEST]) -> [L::F; LARGEST] {
    if T == 1 {
        return [l.sub(d[0], d[1]), d[1], l.sub(d[2], d[1]), d[3], d[4], d[5]];
    }
    if T == 2 {
        return [
            l.sub(d[0], d[2]),
            l.add(d[1], d[2]),
            l.sub(d[2], d[1]),
            l.sub(d[1], d[3]),
            d[4],
            d[5],
        ];
    }
    let (four, five, two) = (l.splat(4.0), l.splat(-5.0), l.splat(2.0));
    let minus_four = l.splat(-4.0);
    let even = l.mul_add(d[2], minus_four, d[4]);
    let odd = l.mul_add(d[1], minus_four, d[3]);
    let near = l.sub(d[4], d[2]);
    let far = l.mul(two, l.sub(d[3], d[1]));
    [
        l.mul_add(d[0], four, l.mul_add(d[2], five, d[4])),
        l.add(even, odd),
        l.sub(even, odd),
        l.add(near, far),
        l.sub(near, far),
        l.mul_add(d[1], four, l.mul_add(d[3], five, d[5])),
    ]
}

/// `T + 2` frequencies to `T` outputs, or two of a doubled image; the rest of the array is not used.
#[inline(always)]
pub(super) fn output<L: Lanes, const T: usize>(l: L, m: [L::F; LARGEST]) -> [L::F; LARGEST] {
    if T == 1 {
        return [l.add(m[0], m[1]), l.add(m[1], m[2]), m[2], m[3], m[4], m[5]];
    }
    let (sum, difference) = (l.add(m[1], m[2]), l.sub(m[1], m[2]));
    if T == 2 {
        return [
            l.add(m[0], sum),
            l.sub(difference, m[3]),
            m[2],
            m[3],
            m[4],
            m[5],
        ];
    }
    let (far_sum, far_difference) = (l.add(m[3], m[4]), l.sub(m[3], m[4]));
    [
        l.add(l.add(m[0], sum), far_sum),
        l.mul_add(far_difference, l.splat(2.0), difference),
        l.mul_add(far_sum, l.splat(4.0), sum),
        l.add(l.mul_add(far_difference, l.splat(8.0), difference), m[5]),
        m[4],
        m[5],
    ]
}
