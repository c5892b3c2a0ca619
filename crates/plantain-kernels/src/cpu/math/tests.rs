use crate::cpu::elementwise::{Function, apply_on};
use crate::cpu::isa::Isa;

/// Values over the whole range that matters, dense near zero, with the ends.
fn arguments() -> Vec<f32> {
    let mut x: Vec<f32> = (-30_000..=30_000).map(|i| i as f32 * 0.004).collect();
    x.extend((-20_000..=20_000).map(|i| i as f32 * 3.1e-5));
    x.extend((0..250).flat_map(|i| [2f32.powi(-i / 2), -2f32.powi(-i / 2)]));
    x.extend([0.0, -0.0, 200.0, -200.0, 1e4, -1e4, 3e38, -3e38]);
    x
}

/// The largest error in units of the last place and the largest absolute error.
fn errors(isa: Isa, function: Function, reference: impl Fn(f64) -> f64) -> (f64, f64) {
    let x = arguments();
    let mut out = vec![0.0; x.len()];
    apply_on(isa, function, &x, &mut out);
    let (mut units, mut absolute) = (0.0f64, 0.0f64);
    for (&x, &got) in x.iter().zip(&out) {
        let want = reference(f64::from(x));
        if want.abs() > f64::from(f32::MAX) {
            assert_eq!(got, want as f32, "{function:?}({x})");
            continue;
        }
        let error = (f64::from(got) - want).abs();
        assert!(error.is_finite(), "{function:?}({x}) = {got}");
        let unit = want.abs().max(f64::from(f32::MIN_POSITIVE)) * f64::from(f32::EPSILON);
        units = units.max(error / unit);
        absolute = absolute.max(error);
    }
    println!(
        "{:8} {function:?}: {units:.2} units, {absolute:.2e}",
        isa.name()
    );
    (units, absolute)
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

fn gelu(x: f64) -> f64 {
    let tail = erfc(x.abs() * std::f64::consts::FRAC_1_SQRT_2) / 2.0;
    x * if x < 0.0 { tail } else { 1.0 - tail }
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

#[test]
fn few_units_in_the_last_place() {
    for isa in Isa::available() {
        assert!(errors(isa, Function::Exp, f64::exp).0 < 1.5);
        assert!(errors(isa, Function::Tanh, f64::tanh).0 < 3.0);
        assert!(errors(isa, Function::SoftClamp, |x| 3.0 * (x / 3.0).tanh()).0 < 4.0);
    }
}

#[test]
fn absolute_error_of_activations() {
    for isa in Isa::available() {
        for (function, reference) in [
            (Function::Gelu, gelu as fn(f64) -> f64),
            (Function::Silu, |x| x * sigmoid(x)),
            (Function::QuickGelu, |x| x * sigmoid(1.702 * x)),
            (Function::Sigmoid, sigmoid),
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
        for function in [
            Function::Exp,
            Function::Gelu,
            Function::Silu,
            Function::Tanh,
            Function::Relu,
        ] {
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
