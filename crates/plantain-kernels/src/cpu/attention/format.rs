//! The two number formats of an attention, behind one interface: everything that is multiplied is stored as 32-bit
//! words that hold one f32 or a pair of bfloat16 values.

use crate::cpu::isa::Isa;
use crate::cpu::math;
use crate::cpu::precision::Precision;
#[cfg(target_arch = "x86_64")]
use crate::cpu::simd::{Avx512, Avx512Bf16};
use crate::cpu::simd::{Kernel, Lanes, dispatch};

/// How words are made and multiplied.
pub(super) trait Format: Copy {
    /// The f32 vectors of scores and sums.
    type L: Lanes;
    /// Values per word.
    const GROUP: usize;

    fn lanes(self) -> Self::L;
    /// A word of one value, or of two; `high` is ignored for `GROUP` 1.
    fn word(low: f32, high: f32) -> u32;
    /// `sum + a . b`, word by word.
    fn dot(self, sum: VectorOf<Self>, a: VectorOf<Self>, b: VectorOf<Self>) -> VectorOf<Self>;
    /// Words of the weights `2^low`, and `2^high` for `GROUP` 2; both at most 100.
    fn weights(self, low: VectorOf<Self>, high: VectorOf<Self>) -> VectorOf<Self>;
    /// Adds the weights in `words` to `sum`.
    fn add_weights(self, sum: VectorOf<Self>, words: VectorOf<Self>) -> VectorOf<Self>;
}

/// The vector of a format.
pub(super) type VectorOf<T> = <<T as Format>::L as Lanes>::F;

/// f32.
#[derive(Clone, Copy)]
pub(super) struct SingleFormat<L>(L);

impl<L: Lanes> Format for SingleFormat<L> {
    type L = L;
    const GROUP: usize = 1;

    #[inline(always)]
    fn lanes(self) -> L {
        self.0
    }
    #[inline(always)]
    fn word(low: f32, _: f32) -> u32 {
        low.to_bits()
    }
    #[inline(always)]
    fn dot(self, sum: L::F, a: L::F, b: L::F) -> L::F {
        self.0.mul_add(a, b, sum)
    }
    #[inline(always)]
    fn weights(self, low: L::F, _: L::F) -> L::F {
        math::exp2(self.0, low)
    }
    #[inline(always)]
    fn add_weights(self, sum: L::F, words: L::F) -> L::F {
        self.0.add(sum, words)
    }
}

/// Pairs of bfloat16.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy)]
pub(super) struct PairFormat(Avx512Bf16);

#[cfg(target_arch = "x86_64")]
impl Format for PairFormat {
    type L = Avx512;
    const GROUP: usize = 2;

    #[inline(always)]
    fn lanes(self) -> Avx512 {
        self.0.lanes()
    }
    #[inline(always)]
    fn word(low: f32, high: f32) -> u32 {
        round(low) | round(high) << 16
    }
    #[inline(always)]
    fn dot(self, sum: VectorOf<Self>, a: VectorOf<Self>, b: VectorOf<Self>) -> VectorOf<Self> {
        self.0.dot(sum, a, b)
    }
    #[inline(always)]
    fn weights(self, low: VectorOf<Self>, high: VectorOf<Self>) -> VectorOf<Self> {
        // 2^f for f in [0, 1), relative error 7.5e-5: a fiftieth of what bfloat16 rounds away. The value is in [1, 2),
        // so that half a unit of the last bfloat16 place, added here, makes the later cut a rounding to nearest.
        const HALF_PLACE: f32 = 1.0 / 256.0;
        const P: [f32; 4] = [
            0.999_925_2 + HALF_PLACE,
            0.695_833_56,
            0.226_067_14,
            0.078_024_53,
        ];
        let l = self.lanes();
        let low = l.scale_by_floor(math::polynomial(l, l.fraction(low), &P), low);
        let high = l.scale_by_floor(math::polynomial(l, l.fraction(high), &P), high);
        self.0.join_upper_halves(low, high)
    }
    #[inline(always)]
    fn add_weights(self, sum: VectorOf<Self>, words: VectorOf<Self>) -> VectorOf<Self> {
        const ONES: u32 = 0x3f80_3f80;
        self.0
            .dot(sum, words, self.lanes().splat(f32::from_bits(ONES)))
    }
}

/// The bits of the nearest bfloat16, ties to even.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn round(x: f32) -> u32 {
    let bits = x.to_bits();
    let rounded = bits.wrapping_add(0x7fff + (bits >> 16 & 1)) >> 16;
    if x.is_nan() {
        bits >> 16 | 0x40
    } else {
        rounded
    }
}

/// A computation that is generic over the format.
pub(super) trait FormatKernel {
    /// Must be `#[inline(always)]`, as must everything it calls with `format`.
    fn run<T: Format>(self, format: T);
}

/// Values per word in the format that [`dispatch_format`] chooses.
pub(super) fn group(isa: Isa, precision: Precision) -> usize {
    match (isa, precision) {
        (_, Precision::F32) => 1,
        #[cfg(target_arch = "x86_64")]
        (Isa::Avx512 { bf16: true, .. }, _) => 2,
        _ => 1,
    }
}

/// Runs `kernel` in the format of `precision`, or in f32 where the processor has no products of bfloat16.
#[cfg_attr(
    not(target_arch = "x86_64"),
    expect(unused_variables, reason = "pairs are multiplied on x86-64 alone")
)]
pub(super) fn dispatch_format<K: FormatKernel>(isa: Isa, precision: Precision, kernel: K) {
    struct InSingle<K>(K);
    impl<K: FormatKernel> Kernel for InSingle<K> {
        type Output = ();
        #[inline(always)]
        fn run<L: Lanes>(self, lanes: L) {
            self.0.run(SingleFormat(lanes));
        }
    }
    #[cfg(target_arch = "x86_64")]
    if group(isa, precision) == 2 {
        #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512bf16,avx2,fma")]
        fn run<K: FormatKernel>(kernel: K, format: PairFormat) {
            kernel.run(format);
        }
        // SAFETY: `group` is 2 only for an `Isa` with these features, which is made after they were detected.
        return unsafe { run(kernel, PairFormat(Avx512Bf16::new())) };
    }
    dispatch(isa, InSingle(kernel));
}
