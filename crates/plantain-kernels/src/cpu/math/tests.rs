use super::*;
use crate::cpu::isa::Isa;
use crate::cpu::simd::{Kernel, dispatch, map};

/// A function of one value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Function {
    /// `x / (1 + e^-x)`
    Silu,
    /// `x / (1 + e^(-1.702 x))`
    QuickGelu,
    /// `x (1 + erf(x / sqrt 2)) / 2`
    Gelu,
    /// `max(x, 0)`
    Relu,
}

impl Function {
    #[inline(always)]
    fn of<L: Lanes>(self, l: L, x: L::F) -> L::F {
        match self {
            Self::Silu => silu(l, x),
            Self::QuickGelu => quick_gelu(l, x),
            Self::Gelu => gelu(l, x),
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
        each!(Silu, QuickGelu, Gelu, Relu);
    }
}

/// `out = function(x)` with the instructions of `isa`.
fn apply_on(isa: Isa, function: Function, x: &[f32], out: &mut [f32]) {
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

/// Values over the whole range that matters, dense near zero, with the ends.
fn arguments() -> Vec<f32> {
    let mut x: Vec<f32> = (-30_000..=30_000).map(|i| i as f32 * 0.004).collect();
    x.extend((-20_000..=20_000).map(|i| i as f32 * 3.1e-5));
    x.extend((0..250).flat_map(|i| [2f32.powi(-i / 2), -2f32.powi(-i / 2)]));
    x.extend([0.0, -0.0, 200.0, -200.0, 1e4, -1e4, 3e38, -3e38]);
    x
}

/// `erfc(x)` for `x >= 0`: power series of the error function below 2.5, continued fraction above.
fn erfc(x: f64) -> f64 {
    if x < 2.5 {
        let (mut term, mut sum) = (x, x);
        for n in 1..100 {
            term *= -x * x / f64::from(n);
            sum += term / f64::from(2 * n + 1);
        }
        return 1.0 - sum * std::f64::consts::FRAC_2_SQRT_PI;
    }
    let fraction = (1..200)
        .rev()
        .fold(x, |below, k| x + f64::from(k) / 2.0 / below);
    (-x * x).exp() / (fraction * std::f64::consts::PI.sqrt())
}

fn exact_gelu(x: f64) -> f64 {
    let tail = erfc(x.abs() * std::f64::consts::FRAC_1_SQRT_2) / 2.0;
    x * if x < 0.0 { tail } else { 1.0 - tail }
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

#[test]
fn absolute_error_of_activations() {
    for isa in Isa::available() {
        for (function, reference) in [
            (Function::Gelu, exact_gelu as fn(f64) -> f64),
            (Function::Silu, |x| x * sigmoid(x)),
            (Function::QuickGelu, |x| x * sigmoid(1.702 * x)),
        ] {
            let x = arguments();
            let mut out = vec![0.0; x.len()];
            apply_on(isa, function, &x, &mut out);
            let mut worst = 0.0f64;
            for (&x, &got) in x.iter().zip(&out) {
                let want = reference(f64::from(x));
                let error = (f64::from(got) - want).abs();
                let allowed = 2e-7f64.max(3.0 * f64::from(f32::EPSILON) * want.abs());
                assert!(
                    error <= allowed,
                    "{function:?}({x}) = {got} instead of {want}"
                );
                worst = worst.max(error / want.abs().max(1.0));
            }
            println!("{:8} {function:?}: {worst:.2e}", isa.name());
        }
    }
}

#[test]
fn not_a_number_stays() {
    for isa in Isa::available() {
        for function in [Function::Gelu, Function::Silu, Function::Relu] {
            let mut out = [0.0; 17];
            apply_on(isa, function, &[f32::NAN; 17], &mut out);
            assert!(
                out.iter().all(|x| x.is_nan()),
                "{function:?} on {}",
                isa.name()
            );
        }
    }
}

#[test]
fn odd_lengths_touch_nothing_else() {
    for isa in Isa::available() {
        for length in [0, 1, 3, 15, 16, 17, 33, 100] {
            let x = &arguments()[..length];
            let mut out = vec![7.0; length + 5];
            apply_on(isa, Function::Relu, x, &mut out[..length]);
            assert!(x.iter().zip(&out).all(|(x, out)| *out == x.max(0.0)));
            assert_eq!(out[length..], [7.0; 5]);
        }
    }
}
