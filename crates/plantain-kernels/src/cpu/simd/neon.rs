//! Four lanes: NEON, which every aarch64 processor has.

use super::Lanes;
use std::arch::aarch64::*;

/// Calls an intrinsic that touches no memory.
macro_rules! op {
    ($call:expr) => {
        // SAFETY: every aarch64 processor that this is compiled for has NEON; no memory is touched.
        unsafe { $call }
    };
}

/// Proof of NEON.
#[derive(Clone, Copy)]
pub(crate) struct Neon;

/// `2^n` for an integer `n` from -127 (which gives zero) to 127.
#[inline(always)]
fn power(n: int32x4_t) -> float32x4_t {
    op!(vreinterpretq_f32_s32(vshlq_n_s32::<23>(vaddq_s32(
        n,
        vdupq_n_s32(127)
    ))))
}

impl Lanes for Neon {
    const COUNT: usize = 4;
    const REGISTERS: usize = 32;
    type F = float32x4_t;

    #[inline(always)]
    fn splat(self, value: f32) -> float32x4_t {
        op!(vdupq_n_f32(value))
    }
    #[inline(always)]
    unsafe fn load(self, source: *const f32) -> float32x4_t {
        // SAFETY: the caller's promise.
        unsafe { vld1q_f32(source) }
    }
    #[inline(always)]
    unsafe fn store(self, target: *mut f32, value: float32x4_t) {
        // SAFETY: the caller's promise.
        unsafe { vst1q_f32(target, value) }
    }
    #[inline(always)]
    unsafe fn load_first(self, source: *const f32, count: usize) -> float32x4_t {
        let mut values = [0.0; 4];
        // SAFETY: the caller's promise, and four values fit.
        unsafe {
            std::ptr::copy_nonoverlapping(source, values.as_mut_ptr(), count.min(4));
            self.load(values.as_ptr())
        }
    }
    #[inline(always)]
    unsafe fn store_first(self, target: *mut f32, value: float32x4_t, count: usize) {
        let values = self.spread(value);
        // SAFETY: the caller's promise.
        unsafe { std::ptr::copy_nonoverlapping(values.as_ptr(), target, count.min(4)) };
    }
    #[inline(always)]
    unsafe fn load_dealt<const T: usize>(self, source: *const f32) -> [float32x4_t; T] {
        let mut dealt = [self.splat(0.0); T];
        // SAFETY: the caller's promise: `T` vectors.
        unsafe {
            match T {
                2 => {
                    let float32x4x2_t(a, b) = vld2q_f32(source);
                    dealt.copy_from_slice(&[a, b]);
                }
                _ => {
                    let float32x4x4_t(a, b, c, d) = vld4q_f32(source);
                    dealt.copy_from_slice(&[a, b, c, d]);
                }
            }
        }
        dealt
    }
    #[inline(always)]
    unsafe fn store_dealt<const T: usize>(self, target: *mut f32, dealt: [float32x4_t; T]) {
        // SAFETY: the caller's promise: `T` vectors.
        unsafe {
            match dealt[..] {
                [a, b] => vst2q_f32(target, float32x4x2_t(a, b)),
                [a, b, c, d] => vst4q_f32(target, float32x4x4_t(a, b, c, d)),
                _ => unreachable!("{T} parts"),
            }
        }
    }
    #[inline(always)]
    fn add(self, a: float32x4_t, b: float32x4_t) -> float32x4_t {
        op!(vaddq_f32(a, b))
    }
    #[inline(always)]
    fn sub(self, a: float32x4_t, b: float32x4_t) -> float32x4_t {
        op!(vsubq_f32(a, b))
    }
    #[inline(always)]
    fn mul(self, a: float32x4_t, b: float32x4_t) -> float32x4_t {
        op!(vmulq_f32(a, b))
    }
    #[inline(always)]
    fn mul_add(self, a: float32x4_t, b: float32x4_t, c: float32x4_t) -> float32x4_t {
        op!(vfmaq_f32(c, a, b))
    }
    // The processor's own maximum and minimum return what is not a number from either side.
    #[inline(always)]
    fn max(self, a: float32x4_t, b: float32x4_t) -> float32x4_t {
        op!(vbslq_f32(vcgtq_f32(a, b), a, b))
    }
    #[inline(always)]
    fn min(self, a: float32x4_t, b: float32x4_t) -> float32x4_t {
        op!(vbslq_f32(vcltq_f32(a, b), a, b))
    }
    #[inline(always)]
    fn abs(self, a: float32x4_t) -> float32x4_t {
        op!(vabsq_f32(a))
    }
    #[inline(always)]
    fn reciprocal(self, a: float32x4_t) -> float32x4_t {
        op!(vdivq_f32(vdupq_n_f32(1.0), a))
    }
    #[inline(always)]
    fn fraction(self, x: float32x4_t) -> float32x4_t {
        let x = self.max(self.splat(-127.0), x);
        op!(vsubq_f32(x, vrndmq_f32(x)))
    }
    #[inline(always)]
    fn scale_by_floor(self, a: float32x4_t, x: float32x4_t) -> float32x4_t {
        let x = self.max(self.splat(-127.0), x);
        op!(vmulq_f32(a, power(vcvtmq_s32_f32(x))))
    }
    #[inline(always)]
    fn select_less(
        self,
        a: float32x4_t,
        b: float32x4_t,
        x: float32x4_t,
        y: float32x4_t,
    ) -> float32x4_t {
        op!(vbslq_f32(vcltq_f32(a, b), x, y))
    }
    #[inline(always)]
    fn any_greater(self, a: float32x4_t, b: float32x4_t) -> bool {
        op!(vmaxvq_u32(vcgtq_f32(a, b)) != 0)
    }
    #[inline(always)]
    fn spread(self, value: float32x4_t) -> [f32; 16] {
        let mut out = [0.0; 16];
        // SAFETY: the array holds more than four values.
        unsafe { self.store(out.as_mut_ptr(), value) };
        out
    }
}
