//! Sixteen lanes: AVX-512.

use super::Lanes;
use std::arch::x86_64::*;

/// Proof of AVX-512 F, BW, VL and DQ, AVX2 and FMA.
#[derive(Clone, Copy)]
pub(crate) struct Avx512(());

impl Avx512 {
    /// # Safety
    /// The processor must have the features named above.
    pub(super) unsafe fn new() -> Self {
        Self(())
    }
}

#[inline(always)]
fn first(count: usize) -> __mmask16 {
    debug_assert!(count <= 16);
    ((1u32 << count) - 1) as __mmask16
}

/// Calls an intrinsic that needs only the features that `Avx512` proves.
macro_rules! op {
    ($call:expr) => {
        // SAFETY: `self` exists only on processors that have the instruction; it touches no memory.
        unsafe { $call }
    };
}

impl Lanes for Avx512 {
    const COUNT: usize = 16;
    const REGISTERS: usize = 32;
    type F = __m512;

    #[inline(always)]
    fn splat(self, value: f32) -> __m512 {
        op!(_mm512_set1_ps(value))
    }
    #[inline(always)]
    unsafe fn load(self, source: *const f32) -> __m512 {
        // SAFETY: the caller's promise.
        unsafe { _mm512_loadu_ps(source) }
    }
    #[inline(always)]
    unsafe fn store(self, target: *mut f32, value: __m512) {
        // SAFETY: the caller's promise.
        unsafe { _mm512_storeu_ps(target, value) }
    }
    #[inline(always)]
    unsafe fn load_first(self, source: *const f32, count: usize) -> __m512 {
        // SAFETY: the caller's promise; masked lanes are not read.
        unsafe { _mm512_maskz_loadu_ps(first(count), source) }
    }
    #[inline(always)]
    unsafe fn store_first(self, target: *mut f32, value: __m512, count: usize) {
        // SAFETY: the caller's promise; masked lanes are not written.
        unsafe { _mm512_mask_storeu_ps(target, first(count), value) }
    }
    #[inline(always)]
    unsafe fn load_dealt<const T: usize>(self, source: *const f32) -> [__m512; T] {
        let mut v = [self.splat(0.0); T];
        for (part, v) in v.iter_mut().enumerate() {
            // SAFETY: the caller's promise.
            *v = unsafe { self.load(source.add(part * 16)) };
        }
        op!({
            if T == 2 {
                let even =
                    _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
                let odd = _mm512_add_epi32(even, _mm512_set1_epi32(1));
                let (a, b) = (v[0], v[1]);
                v[0] = _mm512_permutex2var_ps(a, even, b);
                v[1] = _mm512_permutex2var_ps(a, odd, b);
            } else {
                // Halves of two parts from each pair of vectors, then the halves together.
                let first =
                    _mm512_setr_epi32(0, 4, 8, 12, 16, 20, 24, 28, 1, 5, 9, 13, 17, 21, 25, 29);
                let second = _mm512_add_epi32(first, _mm512_set1_epi32(2));
                let (a, b) = (
                    _mm512_permutex2var_ps(v[0], first, v[1]),
                    _mm512_permutex2var_ps(v[2], first, v[3]),
                );
                let (c, d) = (
                    _mm512_permutex2var_ps(v[0], second, v[1]),
                    _mm512_permutex2var_ps(v[2], second, v[3]),
                );
                v[0] = _mm512_shuffle_f32x4::<0x44>(a, b);
                v[1] = _mm512_shuffle_f32x4::<0xee>(a, b);
                v[2] = _mm512_shuffle_f32x4::<0x44>(c, d);
                v[3] = _mm512_shuffle_f32x4::<0xee>(c, d);
            }
        });
        v
    }
    #[inline(always)]
    unsafe fn store_dealt<const T: usize>(self, target: *mut f32, mut v: [__m512; T]) {
        op!({
            let low = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
            let high = _mm512_add_epi32(low, _mm512_set1_epi32(8));
            if T == 2 {
                let (a, b) = (v[0], v[1]);
                v[0] = _mm512_permutex2var_ps(a, low, b);
                v[1] = _mm512_permutex2var_ps(a, high, b);
            } else {
                let low_pairs = _mm512_setr_epi64(0, 8, 1, 9, 2, 10, 3, 11);
                let high_pairs = _mm512_add_epi64(low_pairs, _mm512_set1_epi64(4));
                for (half, order) in [low, high].into_iter().enumerate() {
                    let a = _mm512_castps_pd(_mm512_permutex2var_ps(v[0], order, v[1]));
                    let b = _mm512_castps_pd(_mm512_permutex2var_ps(v[2], order, v[3]));
                    let first = _mm512_castpd_ps(_mm512_permutex2var_pd(a, low_pairs, b));
                    let second = _mm512_castpd_ps(_mm512_permutex2var_pd(a, high_pairs, b));
                    // SAFETY: the caller's promise.
                    self.store(target.add(half * 32), first);
                    // SAFETY: as above.
                    self.store(target.add(half * 32 + 16), second);
                }
                return;
            }
        });
        for (part, v) in v.into_iter().enumerate() {
            // SAFETY: the caller's promise.
            unsafe { self.store(target.add(part * 16), v) };
        }
    }
    #[inline(always)]
    fn add(self, a: __m512, b: __m512) -> __m512 {
        op!(_mm512_add_ps(a, b))
    }
    #[inline(always)]
    fn sub(self, a: __m512, b: __m512) -> __m512 {
        op!(_mm512_sub_ps(a, b))
    }
    #[inline(always)]
    fn mul(self, a: __m512, b: __m512) -> __m512 {
        op!(_mm512_mul_ps(a, b))
    }
    #[inline(always)]
    fn mul_add(self, a: __m512, b: __m512, c: __m512) -> __m512 {
        op!(_mm512_fmadd_ps(a, b, c))
    }
    #[inline(always)]
    fn max(self, a: __m512, b: __m512) -> __m512 {
        op!(_mm512_max_ps(a, b))
    }
    #[inline(always)]
    fn min(self, a: __m512, b: __m512) -> __m512 {
        op!(_mm512_min_ps(a, b))
    }
    #[inline(always)]
    fn abs(self, a: __m512) -> __m512 {
        op!(_mm512_abs_ps(a))
    }
    #[inline(always)]
    fn reciprocal(self, a: __m512) -> __m512 {
        // One Newton step doubles the 14 bits of the estimate.
        op!({
            let estimate = _mm512_rcp14_ps(a);
            let error = _mm512_fnmadd_ps(a, estimate, _mm512_set1_ps(1.0));
            _mm512_fmadd_ps(estimate, error, estimate)
        })
    }
    #[inline(always)]
    fn fraction(self, x: __m512) -> __m512 {
        op!(_mm512_reduce_ps::<1>(x))
    }
    #[inline(always)]
    fn scale_by_floor(self, a: __m512, x: __m512) -> __m512 {
        op!(_mm512_scalef_ps(a, x))
    }
    #[inline(always)]
    fn select_less(self, a: __m512, b: __m512, x: __m512, y: __m512) -> __m512 {
        op!(_mm512_mask_blend_ps(
            _mm512_cmp_ps_mask::<_CMP_LT_OQ>(a, b),
            y,
            x
        ))
    }
    #[inline(always)]
    fn any_greater(self, a: __m512, b: __m512) -> bool {
        op!(_mm512_cmp_ps_mask::<_CMP_GT_OQ>(a, b) != 0)
    }
    #[inline(always)]
    fn spread(self, value: __m512) -> [f32; 16] {
        let mut out = [0.0; 16];
        // SAFETY: the array holds sixteen values.
        unsafe { self.store(out.as_mut_ptr(), value) };
        out
    }
}

/// Proof of AVX512-BF16 on top of [`Avx512`].
#[derive(Clone, Copy)]
pub(crate) struct Avx512Bf16(Avx512);

impl Avx512Bf16 {
    /// # Safety
    /// The processor must have AVX512-BF16 and what [`Avx512`] needs.
    pub(crate) unsafe fn new() -> Self {
        Self(Avx512(()))
    }

    /// The f32 vectors.
    #[inline(always)]
    pub(crate) fn lanes(self) -> Avx512 {
        self.0
    }

    /// `sum + a.0 * b.0 + a.1 * b.1`, where every 32-bit lane of `a` and `b` holds two bfloat16 values.
    #[inline(always)]
    pub(crate) fn dot(self, sum: __m512, a: __m512, b: __m512) -> __m512 {
        // SAFETY: `self` proves the instruction; both types are 512 plain bits.
        op!({
            let a = std::mem::transmute::<__m512, __m512bh>(a);
            let b = std::mem::transmute::<__m512, __m512bh>(b);
            _mm512_dpbf16_ps(sum, a, b)
        })
    }

    /// Lane by lane the upper halves of `low` and `high` (cut off, not rounded) as a pair of bfloat16 values.
    #[inline(always)]
    pub(crate) fn join_upper_halves(self, low: __m512, high: __m512) -> __m512 {
        const UPPER: [u16; 32] = {
            let mut index = [0; 32];
            let mut lane = 0;
            while lane < 16 {
                index[2 * lane] = 2 * lane as u16 + 1;
                index[2 * lane + 1] = 2 * lane as u16 + 33;
                lane += 1;
            }
            index
        };
        // SAFETY: `self` proves the instructions; the load reads the 64 bytes of the table.
        unsafe {
            let index = _mm512_loadu_si512(UPPER.as_ptr().cast());
            let joined = _mm512_permutex2var_epi16(
                _mm512_castps_si512(low),
                index,
                _mm512_castps_si512(high),
            );
            _mm512_castsi512_ps(joined)
        }
    }
}
