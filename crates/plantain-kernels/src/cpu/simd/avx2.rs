//! Eight lanes: AVX2 with fused multiply-add.

use super::Lanes;
use std::arch::x86_64::*;

/// Calls an intrinsic that needs only the features that `Avx2` proves.
macro_rules! op {
    ($call:expr) => {
        // SAFETY: `self` exists only on processors that have the instruction; it touches no memory.
        unsafe { $call }
    };
}

/// Proof of AVX2 and FMA.
#[derive(Clone, Copy)]
pub(crate) struct Avx2(());

impl Avx2 {
    /// # Safety
    /// The processor must have AVX2 and FMA.
    pub(super) unsafe fn new() -> Self {
        Self(())
    }

    /// A mask with the first `count <= 8` lanes set.
    #[inline(always)]
    fn first(self, count: usize) -> __m256i {
        const ONES_THEN_ZEROS: [i32; 16] = [-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0];
        let start = 8 - count.min(8);
        // SAFETY: `start + 8 <= 16`.
        unsafe { _mm256_loadu_si256(ONES_THEN_ZEROS.as_ptr().add(start).cast()) }
    }

    /// `2^n` for an integer `n` from -127 (which gives zero) to 127.
    #[inline(always)]
    fn power(self, n: __m256i) -> __m256 {
        op!(_mm256_castsi256_ps(_mm256_slli_epi32::<23>(
            _mm256_add_epi32(n, _mm256_set1_epi32(127))
        )))
    }
}

impl Lanes for Avx2 {
    const COUNT: usize = 8;
    const REGISTERS: usize = 16;
    type F = __m256;

    #[inline(always)]
    fn splat(self, value: f32) -> __m256 {
        op!(_mm256_set1_ps(value))
    }
    #[inline(always)]
    unsafe fn load(self, source: *const f32) -> __m256 {
        // SAFETY: the caller's promise.
        unsafe { _mm256_loadu_ps(source) }
    }
    #[inline(always)]
    unsafe fn store(self, target: *mut f32, value: __m256) {
        // SAFETY: the caller's promise.
        unsafe { _mm256_storeu_ps(target, value) }
    }
    #[inline(always)]
    unsafe fn load_first(self, source: *const f32, count: usize) -> __m256 {
        // SAFETY: the caller's promise; masked lanes are not read.
        unsafe { _mm256_maskload_ps(source, self.first(count)) }
    }
    #[inline(always)]
    unsafe fn store_first(self, target: *mut f32, value: __m256, count: usize) {
        // SAFETY: the caller's promise; masked lanes are not written.
        unsafe { _mm256_maskstore_ps(target, self.first(count), value) }
    }
    #[inline(always)]
    fn add(self, a: __m256, b: __m256) -> __m256 {
        op!(_mm256_add_ps(a, b))
    }
    #[inline(always)]
    fn sub(self, a: __m256, b: __m256) -> __m256 {
        op!(_mm256_sub_ps(a, b))
    }
    #[inline(always)]
    fn mul(self, a: __m256, b: __m256) -> __m256 {
        op!(_mm256_mul_ps(a, b))
    }
    #[inline(always)]
    fn mul_add(self, a: __m256, b: __m256, c: __m256) -> __m256 {
        op!(_mm256_fmadd_ps(a, b, c))
    }
    #[inline(always)]
    fn max(self, a: __m256, b: __m256) -> __m256 {
        op!(_mm256_max_ps(a, b))
    }
    #[inline(always)]
    fn min(self, a: __m256, b: __m256) -> __m256 {
        op!(_mm256_min_ps(a, b))
    }
    #[inline(always)]
    fn abs(self, a: __m256) -> __m256 {
        op!(_mm256_andnot_ps(_mm256_set1_ps(-0.0), a))
    }
    #[inline(always)]
    fn reciprocal(self, a: __m256) -> __m256 {
        op!(_mm256_div_ps(_mm256_set1_ps(1.0), a))
    }
    #[inline(always)]
    fn fraction(self, x: __m256) -> __m256 {
        let x = self.max(self.splat(-127.0), x);
        op!(_mm256_sub_ps(x, _mm256_floor_ps(x)))
    }
    #[inline(always)]
    fn scale_by_floor(self, a: __m256, x: __m256) -> __m256 {
        let x = self.max(self.splat(-127.0), x);
        op!(_mm256_mul_ps(
            a,
            self.power(_mm256_cvtps_epi32(_mm256_floor_ps(x)))
        ))
    }
    #[inline(always)]
    fn select_less(self, a: __m256, b: __m256, x: __m256, y: __m256) -> __m256 {
        op!(_mm256_blendv_ps(y, x, _mm256_cmp_ps::<_CMP_LT_OQ>(a, b)))
    }
    #[inline(always)]
    fn any_greater(self, a: __m256, b: __m256) -> bool {
        op!(_mm256_movemask_ps(_mm256_cmp_ps::<_CMP_GT_OQ>(a, b)) != 0)
    }
    #[inline(always)]
    fn spread(self, value: __m256) -> [f32; 16] {
        let mut out = [0.0; 16];
        // SAFETY: the array holds more than eight values.
        unsafe { self.store(out.as_mut_ptr(), value) };
        out
    }
}
