//! Scalar functions written so that the compiler can vectorise loops over them; the standard
//! library's `exp` is an opaque call.

/// `e^x` within 2 ulp, 0 below -87.3 and saturated above 88.7 (Cephes' `expf`: Cody-Waite reduction
/// by powers of two, then a polynomial of degree 5).
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    const LN_2_HIGH: f32 = 0.693_359_4;
    const LN_2_LOW: f32 = -2.121_944_4e-4;
    let clamped = x.clamp(-87.3, 88.7);
    let n = (clamped * std::f32::consts::LOG2_E).round();
    let r = clamped - n * LN_2_HIGH - n * LN_2_LOW;
    let p = 1.987_569_1e-4;
    let p = p * r + 1.398_199_9e-3;
    let p = p * r + 8.333_452e-3;
    let p = p * r + 4.166_579_6e-2;
    let p = p * r + 1.666_666_5e-1;
    let p = p * r + 0.5;
    let e = p * r * r + r + 1.0;
    // 2^n by its bit pattern, in two halves because n reaches 128.
    let half = (n * 0.5) as i32;
    let power = |n: i32| f32::from_bits(((n + 127) << 23) as u32);
    let y = e * power(half) * power(n as i32 - half);
    if x < -87.3 { 0.0 } else { y }
}

/// `x * sigmoid(x)`.
#[inline(always)]
pub(crate) fn silu(x: f32) -> f32 {
    x / (1.0 + exp(-x))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_within_two_ulp() {
        for i in -8700..8850 {
            let x = i as f32 * 0.01 + 0.003;
            let exact = f64::from(x).exp();
            let error = (f64::from(exp(x)) - exact).abs() / exact;
            assert!(error < 2.5e-7, "exp({x}): relative error {error:e}");
        }
        assert_eq!(exp(0.0), 1.0);
        assert_eq!(exp(-100.0), 0.0);
        assert!(exp(200.0) > 1e38);
        assert!(exp(f32::NAN).is_nan());
    }
}
