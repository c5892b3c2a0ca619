//! Functions of one value, sums, and enlargement by repetition.

use crate::cpu::isa::Isa;
use crate::cpu::math;
use crate::cpu::parallel::chunks;
use crate::cpu::simd::{Kernel, Lanes, dispatch, map};

/// Values that one task takes; fewer in all are not worth a second thread.
const CHUNK: usize = 1 << 13;

/// A function of one value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Function {
    /// `e^x`
    Exp,
    /// `1 / (1 + e^-x)`
    Sigmoid,
    /// `x / (1 + e^-x)`
    Silu,
    /// `x / (1 + e^(-1.702 x))`
    QuickGelu,
    /// `x (1 + erf(x / sqrt 2)) / 2`
    Gelu,
    /// `tanh(x)`
    Tanh,
    /// `3 tanh(x / 3)`, which keeps the latent image of the tiny decoder in the range it was trained on.
    SoftClamp,
    /// `max(x, 0)`
    Relu,
}

impl Function {
    #[inline(always)]
    fn of<L: Lanes>(self, l: L, x: L::F) -> L::F {
        match self {
            Self::Exp => math::exp(l, x),
            Self::Sigmoid => math::sigmoid(l, x),
            Self::Silu => math::silu(l, x),
            Self::QuickGelu => math::quick_gelu(l, x),
            Self::Gelu => math::gelu(l, x),
            Self::Tanh => math::tanh(l, x),
            Self::SoftClamp => l.mul(l.splat(3.0), math::tanh(l, l.mul(x, l.splat(1.0 / 3.0)))),
            Self::Relu => l.max(l.splat(0.0), x),
        }
    }

    /// # Safety
    /// As [`map`].
    #[inline(always)]
    unsafe fn map<L: Lanes>(self, l: L, x: *const f32, out: *mut f32, length: usize) {
        macro_rules! each {
            ($($function:ident),*) => {
                match self {
                    // One loop for each function, which a constant makes of the choice above.
                    // SAFETY: the caller's promise.
                    $(Self::$function => unsafe { map!(l: L, x, out, length, |v| Self::$function.of(l, v)) },)*
                }
            };
        }
        each!(Exp, Sigmoid, Silu, QuickGelu, Gelu, Tanh, SoftClamp, Relu);
    }
}

/// `out = function(x)`.
///
/// # Panics
/// If the lengths differ.
pub fn apply(function: Function, x: &[f32], out: &mut [f32]) {
    assert_eq!(
        x.len(),
        out.len(),
        "input and output must have the same length"
    );
    chunks(out, CHUNK, |index, out| {
        let x = &x[index * CHUNK..][..out.len()];
        apply_on(Isa::current(), function, x, out);
    });
}

/// `x = function(x)`.
pub fn apply_in_place(function: Function, x: &mut [f32]) {
    struct InPlace<'a>(Function, &'a mut [f32]);
    impl Kernel for InPlace<'_> {
        type Output = ();
        #[inline(always)]
        fn run<L: Lanes>(self, l: L) {
            let x = self.1.as_mut_ptr();
            // SAFETY: reads and writes stay in the one slice.
            unsafe { self.0.map(l, x, x, self.1.len()) }
        }
    }
    chunks(x, CHUNK, |_, x| {
        dispatch(Isa::current(), InPlace(function, x))
    });
}

/// [`apply`] on one thread with the instructions of `isa`.
pub(crate) fn apply_on(isa: Isa, function: Function, x: &[f32], out: &mut [f32]) {
    struct Apply<'a>(Function, &'a [f32], &'a mut [f32]);
    impl Kernel for Apply<'_> {
        type Output = ();
        #[inline(always)]
        fn run<L: Lanes>(self, l: L) {
            let length = self.1.len().min(self.2.len());
            // SAFETY: both slices hold `length` values.
            unsafe { self.0.map(l, self.1.as_ptr(), self.2.as_mut_ptr(), length) }
        }
    }
    dispatch(isa, Apply(function, x, out));
}

/// `x += y`.
///
/// # Panics
/// If the lengths differ.
pub fn add_in_place(x: &mut [f32], y: &[f32]) {
    assert_eq!(x.len(), y.len(), "both terms must have the same length");
    chunks(x, CHUNK, |index, x| {
        let y = &y[index * CHUNK..][..x.len()];
        add_on(Isa::current(), x, y);
    });
}

fn add_on(isa: Isa, x: &mut [f32], y: &[f32]) {
    struct Add<'a>(&'a mut [f32], &'a [f32]);
    impl Kernel for Add<'_> {
        type Output = ();
        #[inline(always)]
        fn run<L: Lanes>(self, l: L) {
            let length = self.0.len().min(self.1.len());
            let (x, y) = (self.0.as_mut_ptr(), self.1.as_ptr());
            for at in (0..length).step_by(L::COUNT) {
                let count = (length - at).min(L::COUNT);
                // SAFETY: both slices hold `length >= at + count` values.
                unsafe {
                    let sum = l.add(l.load_some(x.add(at), count), l.load_some(y.add(at), count));
                    l.store_some(x.add(at), sum, count);
                }
            }
        }
    }
    dispatch(isa, Add(x, y));
}

/// Enlarges images `[batch * channels][height][width]` by an integer factor: every pixel becomes a square.
///
/// # Panics
/// If the factor is zero or a length does not fit the shape.
pub fn upsample_nearest(x: &[f32], [b, c, h, w]: [usize; 4], factor: usize, out: &mut [f32]) {
    assert!(factor > 0, "the factor must be positive");
    assert_eq!(x.len(), b * c * h * w, "input length");
    assert_eq!(out.len(), x.len() * factor * factor, "output length");
    if x.is_empty() {
        return;
    }
    let band = factor * factor * w;
    let bands = (CHUNK / band).max(1);
    chunks(out, bands * band, |index, out| {
        let x = &x[index * bands * w..];
        for (out, row) in out.chunks_exact_mut(band).zip(x.chunks_exact(w)) {
            let (first, rest) = out.split_at_mut(factor * w);
            widen(row, factor, first);
            rest.chunks_exact_mut(factor * w)
                .for_each(|copy| copy.copy_from_slice(first));
        }
    });
}

/// Repeats every value of `row` `factor` times.
fn widen(row: &[f32], factor: usize, out: &mut [f32]) {
    if factor == 2 {
        // A constant length lets the compiler use shuffles.
        for (pair, &value) in out.as_chunks_mut::<2>().0.iter_mut().zip(row) {
            *pair = [value; 2];
        }
    } else {
        for (run, &value) in out.chunks_exact_mut(factor).zip(row) {
            run.fill(value);
        }
    }
}

#[cfg(test)]
mod tests;
