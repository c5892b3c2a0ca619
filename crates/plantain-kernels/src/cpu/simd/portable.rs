//! Four lanes in plain Rust, which the compiler maps to the vectors that every processor of the target has (SSE2, NEON).

use super::Lanes;

/// One value. `FUSED` says that `mul_add` is one instruction where this is compiled; otherwise `f32::mul_add` would be
/// a slow library call.
#[derive(Clone, Copy)]
pub(super) struct Single<const FUSED: bool>;

/// 1.5 * 2^23: adding and subtracting it rounds to an integer.
const ROUNDER: f32 = 12_582_912.0;

/// `2^n` for an integer `n` from -127 (which gives zero) to 127.
#[inline(always)]
fn power(n: i32) -> f32 {
    f32::from_bits((n.wrapping_add(127) as u32) << 23)
}

/// The integer that `x`, an integer below 2^22 in magnitude, stands for; a plain cast would check its range.
#[inline(always)]
fn integer(x: f32) -> i32 {
    (x + ROUNDER).to_bits().wrapping_sub(ROUNDER.to_bits()) as i32
}

#[inline(always)]
fn floor(x: f32) -> f32 {
    let rounded = (x + ROUNDER) - ROUNDER;
    if rounded > x { rounded - 1.0 } else { rounded }
}

impl<const FUSED: bool> Lanes for Single<FUSED> {
    const COUNT: usize = 1;
    const REGISTERS: usize = 16;
    type F = f32;

    #[inline(always)]
    fn splat(self, value: f32) -> f32 {
        value
    }
    #[inline(always)]
    unsafe fn load(self, source: *const f32) -> f32 {
        // SAFETY: the caller's promise.
        unsafe { *source }
    }
    #[inline(always)]
    unsafe fn store(self, target: *mut f32, value: f32) {
        // SAFETY: the caller's promise.
        unsafe { *target = value }
    }
    #[inline(always)]
    unsafe fn load_first(self, source: *const f32, count: usize) -> f32 {
        // SAFETY: the caller's promise.
        if count > 0 { unsafe { *source } } else { 0.0 }
    }
    #[inline(always)]
    unsafe fn store_first(self, target: *mut f32, value: f32, count: usize) {
        if count > 0 {
            // SAFETY: the caller's promise.
            unsafe { *target = value }
        }
    }
    #[inline(always)]
    fn add(self, a: f32, b: f32) -> f32 {
        a + b
    }
    #[inline(always)]
    fn sub(self, a: f32, b: f32) -> f32 {
        a - b
    }
    #[inline(always)]
    fn mul(self, a: f32, b: f32) -> f32 {
        a * b
    }
    #[inline(always)]
    fn mul_add(self, a: f32, b: f32, c: f32) -> f32 {
        if FUSED { a.mul_add(b, c) } else { a * b + c }
    }
    #[inline(always)]
    fn max(self, a: f32, b: f32) -> f32 {
        if a > b { a } else { b }
    }
    #[inline(always)]
    fn min(self, a: f32, b: f32) -> f32 {
        if a < b { a } else { b }
    }
    #[inline(always)]
    fn abs(self, a: f32) -> f32 {
        a.abs()
    }
    #[inline(always)]
    fn reciprocal(self, a: f32) -> f32 {
        1.0 / a
    }
    #[inline(always)]
    fn fraction(self, x: f32) -> f32 {
        let x = self.max(-127.0, x);
        x - floor(x)
    }
    #[inline(always)]
    fn scale_by_floor(self, a: f32, x: f32) -> f32 {
        a * power(integer(floor(self.max(-127.0, x))))
    }
    #[inline(always)]
    fn select_less(self, a: f32, b: f32, x: f32, y: f32) -> f32 {
        if a < b { x } else { y }
    }
    #[inline(always)]
    fn any_greater(self, a: f32, b: f32) -> bool {
        a > b
    }
    #[inline(always)]
    fn spread(self, value: f32) -> [f32; 16] {
        let mut out = [0.0; 16];
        out[0] = value;
        out
    }
}

/// Four values at a time; needs nothing.
#[derive(Clone, Copy)]
pub(crate) struct Portable;

/// Four values.
#[derive(Clone, Copy)]
#[repr(align(16))]
pub(crate) struct Four([f32; 4]);

const ONE: Single<{ cfg!(any(target_feature = "fma", target_arch = "aarch64")) }> = Single;

#[inline(always)]
fn each(f: impl Fn(usize) -> f32) -> Four {
    Four([f(0), f(1), f(2), f(3)])
}

impl Lanes for Portable {
    const COUNT: usize = 4;
    const REGISTERS: usize = 16;
    type F = Four;

    #[inline(always)]
    fn splat(self, value: f32) -> Four {
        Four([value; 4])
    }
    #[inline(always)]
    unsafe fn load(self, source: *const f32) -> Four {
        // SAFETY: the caller's promise.
        Four(unsafe { source.cast::<[f32; 4]>().read_unaligned() })
    }
    #[inline(always)]
    unsafe fn store(self, target: *mut f32, value: Four) {
        // SAFETY: the caller's promise.
        unsafe { target.cast::<[f32; 4]>().write_unaligned(value.0) }
    }
    #[inline(always)]
    unsafe fn load_first(self, source: *const f32, count: usize) -> Four {
        each(|lane| {
            if lane >= count {
                return 0.0;
            }
            // SAFETY: the caller's promise, `lane < count`.
            unsafe { *source.add(lane) }
        })
    }
    #[inline(always)]
    unsafe fn store_first(self, target: *mut f32, value: Four, count: usize) {
        for (lane, &value) in value.0.iter().enumerate().take(count) {
            // SAFETY: the caller's promise, `lane < count`.
            unsafe { *target.add(lane) = value };
        }
    }
    #[inline(always)]
    fn add(self, a: Four, b: Four) -> Four {
        each(|lane| ONE.add(a.0[lane], b.0[lane]))
    }
    #[inline(always)]
    fn sub(self, a: Four, b: Four) -> Four {
        each(|lane| ONE.sub(a.0[lane], b.0[lane]))
    }
    #[inline(always)]
    fn mul(self, a: Four, b: Four) -> Four {
        each(|lane| ONE.mul(a.0[lane], b.0[lane]))
    }
    #[inline(always)]
    fn mul_add(self, a: Four, b: Four, c: Four) -> Four {
        each(|lane| ONE.mul_add(a.0[lane], b.0[lane], c.0[lane]))
    }
    #[inline(always)]
    fn max(self, a: Four, b: Four) -> Four {
        each(|lane| ONE.max(a.0[lane], b.0[lane]))
    }
    #[inline(always)]
    fn min(self, a: Four, b: Four) -> Four {
        each(|lane| ONE.min(a.0[lane], b.0[lane]))
    }
    #[inline(always)]
    fn abs(self, a: Four) -> Four {
        each(|lane| ONE.abs(a.0[lane]))
    }
    #[inline(always)]
    fn reciprocal(self, a: Four) -> Four {
        each(|lane| ONE.reciprocal(a.0[lane]))
    }
    #[inline(always)]
    fn fraction(self, x: Four) -> Four {
        each(|lane| ONE.fraction(x.0[lane]))
    }
    #[inline(always)]
    fn scale_by_floor(self, a: Four, x: Four) -> Four {
        each(|lane| ONE.scale_by_floor(a.0[lane], x.0[lane]))
    }
    #[inline(always)]
    fn select_less(self, a: Four, b: Four, x: Four, y: Four) -> Four {
        each(|lane| ONE.select_less(a.0[lane], b.0[lane], x.0[lane], y.0[lane]))
    }
    #[inline(always)]
    fn any_greater(self, a: Four, b: Four) -> bool {
        a.0.iter().zip(&b.0).any(|(a, b)| a > b)
    }
    #[inline(always)]
    fn spread(self, value: Four) -> [f32; 16] {
        let mut out = [0.0; 16];
        out[..4].copy_from_slice(&value.0);
        out
    }
}
