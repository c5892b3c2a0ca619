//! Every path against the definition of a convolution in f64.

use plantain_kernels::cpu::convolve::{Activation, Convolution, Epilogue, Prologue, convolve_on};
use plantain_kernels::cpu::isa::Isa;
use plantain_kernels::cpu::norm::{ChannelAffine, TokenStats};
use plantain_kernels::cpu::packed::{Form, PackedWeight, WeightShape};
use plantain_kernels::cpu::precision::Precision;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

/// A convolution to check.
#[derive(Clone, Debug)]
struct Case {
    batch: usize,
    inputs: usize,
    outputs: usize,
    height: usize,
    width: usize,
    kernel: usize,
    stride: usize,
    upsample: bool,
    form: Form,
    prologue: usize,
    activation: Activation,
    adds: [bool; 3],
    seed: u64,
}

struct Random(u64);

impl Random {
    /// Numbers like those of a normal distribution of deviation 1.
    fn normal(&mut self, length: usize) -> Vec<f32> {
        (0..length)
            .map(|_| (0..6).map(|_| self.unit() - 0.5).sum::<f32>() * std::f32::consts::SQRT_2)
            .collect()
    }

    fn unit(&mut self) -> f32 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 40) as f32 / (1 << 24) as f32
    }
}

fn silu(x: f64) -> f64 {
    x / (1.0 + (-x).exp())
}

/// The error function by its series, summed until it no longer changes.
fn erf(x: f64) -> f64 {
    if x.abs() > 5.0 {
        return x.signum();
    }
    let (mut term, mut sum) = (x, x);
    for n in 1..200 {
        let n = f64::from(n);
        term *= -x * x / n;
        sum += term / (2.0 * n + 1.0);
    }
    sum * std::f64::consts::FRAC_2_SQRT_PI
}

fn activate(activation: Activation, x: f64) -> f64 {
    match activation {
        Activation::None => x,
        Activation::Silu => silu(x),
        Activation::Gelu | Activation::Geglu => x / 2.0 * (1.0 + erf(x / 2.0_f64.sqrt())),
        Activation::QuickGelu => x / (1.0 + (-1.702 * x).exp()),
        Activation::Relu => x.max(0.0),
    }
}

/// Relative L2 distance of a path from the definition.
fn error(case: &Case, isa: Isa, precision: Precision) -> f64 {
    let Case {
        batch,
        inputs,
        outputs,
        height,
        width,
        kernel,
        stride,
        upsample,
        form,
        ..
    } = *case;
    let mut random = Random(case.seed);
    let pixels = height * width;
    let x = random.normal(batch * inputs * pixels);
    let scale = ((inputs * kernel * kernel) as f32).sqrt().recip();
    let weights: Vec<f32> = random
        .normal(outputs * inputs * kernel * kernel)
        .into_iter()
        .map(|weight| weight * scale)
        .collect();
    let affine = ChannelAffine {
        scale: random.normal(batch * inputs),
        shift: random.normal(batch * inputs),
    };
    let stats = TokenStats {
        mean: random.normal(batch * pixels),
        inverse_std: (0..batch * pixels).map(|_| random.unit() + 0.5).collect(),
    };
    let (norm_weight, norm_bias) = (random.normal(inputs), random.normal(inputs));
    let prologue = match case.prologue {
        0 => Prologue::None,
        1 => Prologue::Silu,
        2 => Prologue::Affine {
            affine: &affine,
            silu: false,
        },
        3 => Prologue::Affine {
            affine: &affine,
            silu: true,
        },
        _ => Prologue::LayerNorm {
            stats: &stats,
            weight: &norm_weight,
            bias: &norm_bias,
        },
    };
    let packed = PackedWeight::new_on(
        isa,
        &weights,
        WeightShape {
            outputs,
            inputs,
            kernel,
        },
        form,
        precision,
    );
    let [channels, out_height, out_width] = {
        let probe = Convolution {
            weight: &packed,
            stride,
            upsample,
            prologue,
            epilogue: Epilogue::NONE,
        };
        probe.output_extents(height, width)
    };
    let out_pixels = out_height * out_width;
    let bias = random.normal(outputs);
    let channel_add = random.normal(batch * outputs);
    let residual = random.normal(batch * channels * out_pixels);
    let geglu = form == Form::Geglu;
    let epilogue = Epilogue {
        bias: case.adds[0].then_some(&bias[..]),
        channel_add: (case.adds[1] && !geglu).then_some(&channel_add[..]),
        residual: (case.adds[2] && !geglu).then_some(&residual[..]),
        activation: if geglu {
            Activation::Geglu
        } else {
            case.activation
        },
    };
    let convolution = Convolution {
        weight: &packed,
        stride,
        upsample,
        prologue,
        epilogue,
    };
    let mut out = vec![f32::NAN; batch * channels * out_pixels];
    convolve_on(
        isa,
        &x,
        [batch, inputs, height, width],
        &convolution,
        &mut out,
    );

    let normalised: Vec<f64> = (0..x.len())
        .map(|index| {
            let (row, pixel) = (index / pixels, index % pixels);
            let (image, channel) = (row / inputs, row % inputs);
            let x = f64::from(x[index]);
            let scaled = x * f64::from(affine.scale[row]) + f64::from(affine.shift[row]);
            match case.prologue {
                0 => x,
                1 => silu(x),
                2 => scaled,
                3 => silu(scaled),
                _ => {
                    let token = image * pixels + pixel;
                    let normal =
                        (x - f64::from(stats.mean[token])) * f64::from(stats.inverse_std[token]);
                    normal * f64::from(norm_weight[channel]) + f64::from(norm_bias[channel])
                }
            }
        })
        .collect();
    let scale = if upsample { 2 } else { 1 };
    let row_value = |image: usize, row: usize, y: usize, x: usize| {
        let mut sum = 0.0;
        for channel in 0..inputs {
            for ky in 0..kernel {
                for kx in 0..kernel {
                    let (y, x) = (y * stride + ky, x * stride + kx);
                    let Some(y) = y.checked_sub(kernel / 2).filter(|&y| y < height * scale) else {
                        continue;
                    };
                    let Some(x) = x.checked_sub(kernel / 2).filter(|&x| x < width * scale) else {
                        continue;
                    };
                    let weight = weights[((row * inputs + channel) * kernel + ky) * kernel + kx];
                    let pixel = y / scale * width + x / scale;
                    sum +=
                        f64::from(weight) * normalised[(image * inputs + channel) * pixels + pixel];
                }
            }
        }
        sum + if case.adds[0] {
            f64::from(bias[row])
        } else {
            0.0
        }
    };
    let (mut distance, mut norm) = (0.0, 0.0);
    for (index, &value) in out.iter().enumerate() {
        let (channel, pixel) = (index / out_pixels, index % out_pixels);
        let (image, channel) = (channel / channels, channel % channels);
        let mut expected = row_value(image, channel, pixel / out_width, pixel % out_width);
        if geglu {
            let gate = row_value(
                image,
                channels + channel,
                pixel / out_width,
                pixel % out_width,
            );
            expected *= activate(Activation::Gelu, gate);
        } else {
            if case.adds[1] {
                expected += f64::from(channel_add[image * outputs + channel]);
            }
            if case.adds[2] {
                expected += f64::from(residual[index]);
            }
            expected = activate(case.activation, expected);
        }
        distance += (f64::from(value) - expected).powi(2);
        norm += expected.powi(2);
    }
    // A handful of outputs may all be nearly zero.
    (distance / norm.max(0.1 * out.len() as f64)).sqrt()
}

fn paths() -> Vec<Isa> {
    let mut paths = Isa::available();
    match paths[0] {
        Isa::Avx512 { .. } => paths.push(Isa::Avx512 {
            bf16: false,
            vnni: false,
            amx: false,
        }),
        Isa::Neon { .. } => paths.push(Isa::Neon { dot: false }),
        _ => {}
    }
    paths
}

fn check(case: &Case) {
    for isa in paths() {
        for (precision, limit) in [
            (Precision::F32, 1e-5),
            (Precision::Bf16, 1e-2),
            (Precision::Int8, 5e-2),
        ] {
            let limit = match case.form {
                Form::Winograd { .. } | Form::Doubling if precision == Precision::Int8 => continue,
                Form::Winograd { tile: 4 } if precision == Precision::Bf16 => continue,
                Form::Winograd { tile: 4 } => 3e-5,
                Form::Winograd { .. } if precision == Precision::Bf16 => 2e-2,
                _ => limit,
            };
            // The product of a value and a gate has the errors of both.
            let limit = if case.form == Form::Geglu {
                2.0 * limit
            } else {
                limit
            };
            let error = error(case, isa, precision);
            assert!(
                error < limit,
                "{isa:?} {precision:?} {case:?}: relative error {error:e}"
            );
        }
    }
}

fn cases() -> impl Strategy<Value = Case> {
    let kinds = prop_oneof![
        Just((1, 1, false, Form::Plain)),
        Just((1, 1, false, Form::Geglu)),
        Just((3, 1, false, Form::Plain)),
        Just((3, 2, false, Form::Plain)),
        Just((3, 1, true, Form::Upsample)),
        Just((3, 1, true, Form::Doubling)),
        Just((3, 1, false, Form::Winograd { tile: 2 })),
        Just((3, 1, false, Form::Winograd { tile: 4 })),
    ];
    let activations = prop_oneof![
        Just(Activation::None),
        Just(Activation::Silu),
        Just(Activation::Gelu),
        Just(Activation::QuickGelu),
        Just(Activation::Relu)
    ];
    // Half of them so many that whole matrices are multiplied where the processor can, of a block of rows or two.
    let channels = || prop_oneof![1..21_usize, 16..75_usize];
    let extents = (1..3_usize, channels(), channels(), 1..23_usize, 1..40_usize);
    (
        kinds,
        extents,
        0..5_usize,
        activations,
        any::<[bool; 3]>(),
        any::<u64>(),
    )
        .prop_map(
            |(
                (kernel, stride, upsample, form),
                (batch, inputs, outputs, height, width),
                prologue,
                activation,
                adds,
                seed,
            )| Case {
                batch,
                inputs,
                outputs: if form == Form::Geglu {
                    2 * outputs
                } else {
                    outputs
                },
                height,
                width,
                kernel,
                stride,
                upsample,
                form,
                prologue,
                activation,
                adds,
                seed,
            },
        )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 120, failure_persistence: None, rng_seed: RngSeed::Fixed(7), ..ProptestConfig::default() })]

    #[test]
    fn odd_shapes(case in cases()) {
        check(&case);
    }
}

/// Shapes large enough for several blocks and threads.
#[test]
fn many_blocks() {
    let plain = Case {
        batch: 1,
        inputs: 64,
        outputs: 48,
        height: 64,
        width: 64,
        kernel: 3,
        stride: 1,
        upsample: false,
        form: Form::Plain,
        prologue: 3,
        activation: Activation::None,
        adds: [true; 3],
        seed: 1,
    };
    check(&plain);
    check(&Case {
        batch: 3,
        height: 8,
        width: 8,
        inputs: 130,
        outputs: 130,
        ..plain.clone()
    });
    check(&Case {
        batch: 2,
        height: 1,
        width: 77,
        inputs: 96,
        outputs: 200,
        kernel: 1,
        ..plain.clone()
    });
    for form in [Form::Upsample, Form::Doubling] {
        check(&Case {
            height: 32,
            width: 32,
            upsample: true,
            form,
            ..plain.clone()
        });
    }
    // Of so many channels in bytes, too.
    check(&Case {
        inputs: 130,
        outputs: 40,
        ..plain.clone()
    });
    check(&Case {
        height: 1,
        width: 5000,
        inputs: 130,
        outputs: 40,
        kernel: 1,
        ..plain.clone()
    });
    for tile in [2, 4] {
        let winograd = Case {
            form: Form::Winograd { tile },
            ..plain.clone()
        };
        check(&winograd);
        check(&Case {
            batch: 3,
            height: 8,
            width: 8,
            inputs: 130,
            outputs: 130,
            ..winograd
        });
    }
    check(&Case { stride: 2, ..plain });
}
