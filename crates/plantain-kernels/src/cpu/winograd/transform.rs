//! The transforms of minimal filtering in one dimension, on vectors whose lanes are tiles.
//!
//! F(2, 3) interpolates at 0, 1, -1 and infinity; F(4, 3) at 0, 1, -1, 2, -2 and infinity (Lavin and Gray 2015).
//!
//! Of an image that is doubled by nearest neighbour, `T` is 1: of the weights u, v, w around a pair of pixels that were one, x, between those
//! that were a and b, the first becomes u (a - x) + (u + v + w) x and the second w (b - x) + (u + v + w) x. That is three products for
//! two pixels instead of four, and nine for four.

use crate::cpu::micro::ROWS;
use crate::cpu::simd::Lanes;

/// Inputs of the largest tile in one dimension.
pub(super) const LARGEST: usize = 6;

/// One weight of each row, in double precision: what the transform adds to the error of a picture stays out of sight.
type Weights = [f64; ROWS];

/// The weights of 3x3 kernels, `[tap][row]`, to their `(T + 2)^2` frequencies.
#[inline(always)]
pub(crate) fn filter<const T: usize>(
    kernel: &[[f32; ROWS]; 9],
    frequencies: &mut [[f32; ROWS]; LARGEST * LARGEST],
) {
    let mut halves = [[[0.0; ROWS]; 3]; LARGEST];
    for column in 0..3 {
        let taps = [0, 3, 6].map(|row| kernel[row + column].map(f64::from));
        for (half, value) in halves.iter_mut().zip(weights::<T>(&taps)) {
            half[column] = value;
        }
    }
    for (y, half) in halves[..T + 2].iter().enumerate() {
        for (x, values) in weights::<T>(half)[..T + 2].iter().enumerate() {
            frequencies[y * (T + 2) + x] = values.map(|value| value as f32);
        }
    }
}

/// Three weights to `T + 2` frequencies; the rest of the array is zero.
#[inline(always)]
fn weights<const T: usize>(taps: &[Weights; 3]) -> [Weights; LARGEST] {
    let mut frequencies = [[0.0; ROWS]; LARGEST];
    for row in 0..ROWS {
        let [first, middle, last] = [taps[0][row], taps[1][row], taps[2][row]];
        let outer = first + last;
        let values = if T == 1 {
            [first, outer + middle, last, 0.0, 0.0, 0.0]
        } else if T == 2 {
            let (even, odd) = (0.5 * outer, 0.5 * middle);
            [first, even + odd, even - odd, last, 0.0, 0.0]
        } else {
            let near = outer * (-1.0 / 6.0);
            let (near_odd, far_odd) = (middle / 6.0, middle / 12.0);
            let far = first / 24.0 + last / 6.0;
            let (plus, minus) = (near - near_odd, near + near_odd);
            [first / 4.0, plus, minus, far + far_odd, far - far_odd, last]
        };
        for (frequency, value) in frequencies.iter_mut().zip(values) {
            frequency[row] = value;
        }
    }
    frequencies
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
