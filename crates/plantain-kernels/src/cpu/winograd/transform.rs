//! The transforms of minimal filtering in one dimension, on vectors whose lanes are tiles.
//!
//! F(2, 3) interpolates at 0, 1, -1 and infinity; F(4, 3) at 0, 1, -1, 2, -2 and infinity (Lavin and Gray 2015).

use crate::cpu::simd::Lanes;

/// Inputs of the largest tile in one dimension.
pub(super) const LARGEST: usize = 6;

/// What the nine weights of a 3x3 kernel are multiplied by for one of the `(tile + 2)^2` frequencies.
pub(crate) fn kernel_factors(tile: usize, frequency: usize) -> [f64; 9] {
    let rows: &[[f64; 3]] = match tile {
        2 => &[
            [1.0, 0.0, 0.0],
            [0.5, 0.5, 0.5],
            [0.5, -0.5, 0.5],
            [0.0, 0.0, 1.0],
        ],
        _ => &[
            [1.0 / 4.0, 0.0, 0.0],
            [-1.0 / 6.0, -1.0 / 6.0, -1.0 / 6.0],
            [-1.0 / 6.0, 1.0 / 6.0, -1.0 / 6.0],
            [1.0 / 24.0, 1.0 / 12.0, 1.0 / 6.0],
            [1.0 / 24.0, -1.0 / 12.0, 1.0 / 6.0],
            [0.0, 0.0, 1.0],
        ],
    };
    let (y, x) = (frequency / rows.len(), frequency % rows.len());
    std::array::from_fn(|tap| rows[y][tap / 3] * rows[x][tap % 3])
}

/// `T + 2` inputs to as many frequencies; the rest of the array is not used.
#[inline(always)]
pub(super) fn input<L: Lanes, const T: usize>(l: L, d: [L::F; LARGEST]) -> [L::F; LARGEST] {
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

/// `T + 2` frequencies to `T` outputs; the rest of the array is not used.
#[inline(always)]
pub(super) fn output<L: Lanes, const T: usize>(l: L, m: [L::F; LARGEST]) -> [L::F; LARGEST] {
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
