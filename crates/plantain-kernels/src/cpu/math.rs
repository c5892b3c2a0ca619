//! Powers of two, SiLU and GELU on vectors, accurate to a few units in the last place.
//!
//! The polynomials are minimax approximations in the relative error (Remez 1934), fitted for these kernels. The
//! functions are generic over the vectors, to be inlined into the loops of other kernels.

use crate::cpu::simd::Lanes;

/// Evaluates a polynomial, lowest coefficient first, by Horner's rule.
#[inline(always)]
pub(crate) fn polynomial<L: Lanes, const N: usize>(l: L, x: L::F, coefficients: &[f32; N]) -> L::F {
    let mut value = l.splat(coefficients[N - 1]);
    for &coefficient in coefficients[..N - 1].iter().rev() {
        value = l.mul_add(value, x, l.splat(coefficient));
    }
    value
}

/// `2^x` for `x` up to 126 (zero at minus infinity, undefined above 127) with a relative error of 7.5e-8.
#[inline(always)]
pub(crate) fn exp2<L: Lanes>(l: L, x: L::F) -> L::F {
    const P: [f32; 6] = [
        0.999_999_94,
        0.693_153_1,
        0.240_153_6,
        0.055_826_32,
        0.008_989_338,
        0.001_877_577_5,
    ];
    l.scale_by_floor(polynomial(l, l.fraction(x), &P), x)
}

/// Where the sigmoid is as small as it can be with its reciprocal a normal number.
const LOWEST: f32 = -87.0;

/// `1 / (1 + e^-x)` for `x >= LOWEST`.
///
/// The product with `log2 e` is rounded, so the power has a relative error of `|x|` times 6e-8; but where it is large,
/// the result is small, and where it is small, it is added to one.
#[inline(always)]
fn bounded_sigmoid<L: Lanes>(l: L, x: L::F) -> L::F {
    let e = exp2(l, l.mul(x, l.splat(-std::f32::consts::LOG2_E)));
    l.reciprocal(l.add(l.splat(1.0), e))
}

/// `x / (1 + e^-x)`.
#[inline(always)]
pub(crate) fn silu<L: Lanes>(l: L, x: L::F) -> L::F {
    let x = l.max(l.splat(LOWEST), x);
    l.mul(x, bounded_sigmoid(l, x))
}

/// `x / (1 + e^(-1.702 x))`, the sigmoid approximation of GELU (Hendrycks and Gimpel 2016).
#[inline(always)]
pub(crate) fn quick_gelu<L: Lanes>(l: L, x: L::F) -> L::F {
    let x = l.max(l.splat(LOWEST / 1.702), x);
    l.mul(x, bounded_sigmoid(l, l.mul(x, l.splat(1.702))))
}

/// `x (1 + erf(x / sqrt 2)) / 2` (Hendrycks and Gimpel 2016).
///
/// With the normal distribution function F it is `max(x, 0) - |x| F(-|x|)`, and `log2 F(-y)` is smooth enough for one
/// polynomial. Beyond 6 the subtracted term is below 6e-9.
#[inline(always)]
pub(crate) fn gelu<L: Lanes>(l: L, x: L::F) -> L::F {
    // Minimax in the error of y F(-y) on [0, 6]: 1.4e-9.
    const P: [f32; 10] = [
        -0.999_999_8,
        -1.151_107_5,
        -0.459_200_95,
        -0.052_493_352,
        0.007_020_883,
        -6.440_473e-5,
        -2.427_656_1e-4,
        6.231_262e-5,
        -7.498_822_5e-6,
        3.746_948e-7,
    ];
    let y = l.min(l.splat(6.0), l.abs(x));
    let tail = l.mul(y, exp2(l, polynomial(l, y, &P)));
    l.sub(l.max(l.splat(0.0), x), tail)
}

#[cfg(test)]
mod tests;
