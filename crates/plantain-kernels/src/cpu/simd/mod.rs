//! Vectors of f32 as a type parameter, so that a kernel is written once and compiled for every instruction set.
//!
//! A value of a [`Lanes`] type is the proof that the processor has the instructions: it is made only by [`dispatch`],
//! after detection. Everything between [`dispatch`] and an operation must be `#[inline(always)]`, because only then do
//! the operations end up inside a function that is compiled for the instruction set. Closures cannot be, so vectors
//! stay out of them.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "aarch64")]
mod neon;
mod portable;

#[cfg(target_arch = "x86_64")]
pub(crate) use avx2::Avx2;
#[cfg(target_arch = "x86_64")]
pub(crate) use avx512::{Avx512, Avx512Bf16};
#[cfg(target_arch = "aarch64")]
use neon::Neon;
pub(crate) use portable::Portable;

use crate::cpu::isa::Isa;

/// Operations on vectors of [`Lanes::COUNT`] f32 values.
///
/// `max(a, b)` and `min(a, b)` return `b` if either is not a number, so the data belongs on the right.
pub(crate) trait Lanes: Copy {
    /// How many values a vector holds.
    const COUNT: usize;
    /// How many vectors the processor's registers hold.
    const REGISTERS: usize;
    /// A vector.
    type F: Copy;

    fn splat(self, value: f32) -> Self::F;
    /// # Safety
    /// `source` must be valid for reading `COUNT` values.
    unsafe fn load(self, source: *const f32) -> Self::F;
    /// # Safety
    /// `target` must be valid for writing `COUNT` values.
    unsafe fn store(self, target: *mut f32, value: Self::F);
    /// The first `count <= COUNT` values, then zeros.
    ///
    /// # Safety
    /// `source` must be valid for reading `count` values.
    unsafe fn load_first(self, source: *const f32, count: usize) -> Self::F;
    /// # Safety
    /// `target` must be valid for writing `count <= COUNT` values.
    unsafe fn store_first(self, target: *mut f32, value: Self::F, count: usize);

    /// [`Lanes::load`] or, for fewer values than a vector has, [`Lanes::load_first`].
    ///
    /// # Safety
    /// `source` must be valid for reading `count <= COUNT` values.
    #[inline(always)]
    unsafe fn load_some(self, source: *const f32, count: usize) -> Self::F {
        // SAFETY: the caller's promise.
        unsafe {
            if count == Self::COUNT {
                self.load(source)
            } else {
                self.load_first(source, count)
            }
        }
    }
    /// [`Lanes::store`] or, for fewer values than a vector has, [`Lanes::store_first`].
    ///
    /// # Safety
    /// `target` must be valid for writing `count <= COUNT` values.
    #[inline(always)]
    unsafe fn store_some(self, target: *mut f32, value: Self::F, count: usize) {
        // SAFETY: the caller's promise.
        unsafe {
            if count == Self::COUNT {
                self.store(target, value)
            } else {
                self.store_first(target, value, count)
            }
        }
    }

    /// Of `T * COUNT` values every `T`th, starting with each of the first `T`: 2 or 4.
    ///
    /// # Safety
    /// `source` must be valid for reading `T * COUNT` values.
    #[inline(always)]
    unsafe fn load_dealt<const T: usize>(self, source: *const f32) -> [Self::F; T] {
        let mut dealt = [self.splat(0.0); T];
        for (part, dealt) in dealt.iter_mut().enumerate() {
            let mut values = [0.0; 16];
            for (lane, value) in values.iter_mut().enumerate().take(Self::COUNT) {
                // SAFETY: the caller's promise.
                *value = unsafe { *source.add(T * lane + part) };
            }
            // SAFETY: a vector has at most sixteen values.
            *dealt = unsafe { self.load(values.as_ptr()) };
        }
        dealt
    }
    /// The inverse of [`Lanes::load_dealt`].
    ///
    /// # Safety
    /// `target` must be valid for writing `T * COUNT` values.
    #[inline(always)]
    unsafe fn store_dealt<const T: usize>(self, target: *mut f32, dealt: [Self::F; T]) {
        for (part, dealt) in dealt.into_iter().enumerate() {
            for (lane, value) in self.spread(dealt).into_iter().enumerate().take(Self::COUNT) {
                // SAFETY: the caller's promise.
                unsafe { *target.add(T * lane + part) = value };
            }
        }
    }

    fn add(self, a: Self::F, b: Self::F) -> Self::F;
    fn sub(self, a: Self::F, b: Self::F) -> Self::F;
    fn mul(self, a: Self::F, b: Self::F) -> Self::F;
    /// `a * b + c`, rounded once where the processor can.
    fn mul_add(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F;
    fn max(self, a: Self::F, b: Self::F) -> Self::F;
    fn min(self, a: Self::F, b: Self::F) -> Self::F;
    fn abs(self, a: Self::F) -> Self::F;
    /// `1 / a` to about one unit in the last place, for `a` and `1 / a` in the normal range.
    fn reciprocal(self, a: Self::F) -> Self::F;
    /// `x - floor(x)`, in [0, 1), for `x` from -2^22 to 127; undefined at minus infinity, but finite.
    fn fraction(self, x: Self::F) -> Self::F;
    /// `a * 2^floor(x)` for `a` in [1, 2) and `x` below 127; zero for `x` of minus infinity.
    fn scale_by_floor(self, a: Self::F, x: Self::F) -> Self::F;
    /// Lane by lane: `a < b ? x : y`.
    fn select_less(self, a: Self::F, b: Self::F, x: Self::F, y: Self::F) -> Self::F;
    /// Whether any lane has `a > b`.
    fn any_greater(self, a: Self::F, b: Self::F) -> bool;
    /// The values in memory order.
    fn spread(self, value: Self::F) -> [f32; 16];
}

/// A computation that is generic over the vectors; see [`dispatch`].
pub(crate) trait Kernel {
    /// What it returns.
    type Output;
    /// Must be `#[inline(always)]`, as must everything it calls with `lanes`.
    fn run<L: Lanes>(self, lanes: L) -> Self::Output;
}

/// Runs `kernel` with the vectors of `isa`.
pub(crate) fn dispatch<K: Kernel>(isa: Isa, kernel: K) -> K::Output {
    match isa {
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 { .. } => {
            #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx2,fma")]
            fn run<K: Kernel>(kernel: K, lanes: Avx512) -> K::Output {
                kernel.run(lanes)
            }
            // SAFETY: an `Isa` other than `Scalar` is made only after these features were detected.
            unsafe { run(kernel, Avx512::new()) }
        }
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 => {
            #[target_feature(enable = "avx2,fma")]
            fn run<K: Kernel>(kernel: K, lanes: Avx2) -> K::Output {
                kernel.run(lanes)
            }
            // SAFETY: as above.
            unsafe { run(kernel, Avx2::new()) }
        }
        #[cfg(target_arch = "aarch64")]
        Isa::Neon { .. } => kernel.run(Neon),
        _ => kernel.run(Portable),
    }
}

/// Sum of the lanes, in f64.
#[inline(always)]
pub(crate) fn sum<L: Lanes>(lanes: L, value: L::F) -> f64 {
    lanes.spread(value)[..L::COUNT]
        .iter()
        .map(|&x| f64::from(x))
        .sum()
}

/// Writes a function of every vector of `x` to `out`: `map!(l: L, x, out, length, |v| ...)` with the function's value in
/// place of the dots.
///
/// A macro, since a closure would be compiled on its own, for a processor without the instructions. It belongs into an
/// `unsafe` block: `x` must be valid for reading and `out` for writing `length` values; they may be the same, but not
/// overlap otherwise.
macro_rules! map {
    ($l:ident: $L:ty, $x:expr, $out:expr, $length:expr, |$v:ident| $f:expr) => {{
        let (x, out, length): (*const f32, *mut f32, usize) = ($x, $out, $length);
        let full = length - length % <$L>::COUNT;
        for at in (0..full).step_by(<$L>::COUNT) {
            let $v = $l.load(x.add(at));
            $l.store(out.add(at), $f);
        }
        if full < length {
            let $v = $l.load_first(x.add(full), length - full);
            $l.store_first(out.add(full), $f, length - full);
        }
    }};
}
pub(crate) use map;

#[cfg(test)]
mod tests;
