//! Speed of the convolutions of a diffusion network, in GFLOP/s of the direct algorithm.

use std::time::{Duration, Instant};

use plantain_kernels::cpu::convolve::{Activation, Convolution, Epilogue, Prologue, convolve_on};
use plantain_kernels::cpu::isa::Isa;
use plantain_kernels::cpu::packed::{Form, PackedWeight, WeightShape};
use plantain_kernels::cpu::precision::Precision;

struct Case {
    name: &'static str,
    shape: [usize; 3],
    image: [usize; 2],
    stride: usize,
    form: Form,
}

const fn case(name: &'static str, shape: [usize; 3], image: [usize; 2]) -> Case {
    Case {
        name,
        shape,
        image,
        stride: 1,
        form: Form::Plain,
    }
}

const CASES: &[Case] = &[
    case("conv 320>320 64x64", [320, 320, 3], [64, 64]),
    case("conv 640>640 32x32", [640, 640, 3], [32, 32]),
    case("conv 1280>1280 16x16", [1280, 1280, 3], [16, 16]),
    case("conv 960>320 64x64", [320, 960, 3], [64, 64]),
    case("conv 40>40 128x128", [40, 40, 3], [128, 128]),
    case("conv 64>64 512x512", [64, 64, 3], [512, 512]),
    case("conv 4>320 64x64", [320, 4, 3], [64, 64]),
    case("conv 320>4 64x64", [4, 320, 3], [64, 64]),
    case("linear 320>320 4096", [320, 320, 1], [1, 4096]),
    Case {
        form: Form::Geglu,
        ..case("geglu 320>2560 4096", [2560, 320, 1], [1, 4096])
    },
    case("linear 1280>320 4096", [320, 1280, 1], [1, 4096]),
    Case {
        form: Form::Geglu,
        ..case("geglu 640>5120 1024", [5120, 640, 1], [1, 1024])
    },
    case("linear 2560>640 1024", [640, 2560, 1], [1, 1024]),
    case("linear 1280>1280 256", [1280, 1280, 1], [1, 256]),
    case("linear 768>3072 77", [3072, 768, 1], [1, 77]),
    Case {
        form: Form::Winograd { tile: 2 },
        ..case("F2 320>320 64x64", [320, 320, 3], [64, 64])
    },
    Case {
        form: Form::Winograd { tile: 2 },
        ..case("F2 640>640 32x32", [640, 640, 3], [32, 32])
    },
    Case {
        form: Form::Winograd { tile: 2 },
        ..case("F2 1280>1280 16x16", [1280, 1280, 3], [16, 16])
    },
    Case {
        form: Form::Winograd { tile: 2 },
        ..case("F2 960>320 64x64", [320, 960, 3], [64, 64])
    },
    Case {
        form: Form::Winograd { tile: 2 },
        ..case("F2 40>40 128x128", [40, 40, 3], [128, 128])
    },
    Case {
        form: Form::Winograd { tile: 2 },
        ..case("F2 64>64 512x512", [64, 64, 3], [512, 512])
    },
    Case {
        form: Form::Winograd { tile: 4 },
        ..case("F4 320>320 64x64", [320, 320, 3], [64, 64])
    },
    Case {
        form: Form::Winograd { tile: 4 },
        ..case("F4 640>640 32x32", [640, 640, 3], [32, 32])
    },
    Case {
        form: Form::Winograd { tile: 4 },
        ..case("F4 1280>1280 16x16", [1280, 1280, 3], [16, 16])
    },
    Case {
        form: Form::Winograd { tile: 4 },
        ..case("F4 960>320 64x64", [320, 960, 3], [64, 64])
    },
    Case {
        form: Form::Winograd { tile: 4 },
        ..case("F4 40>40 128x128", [40, 40, 3], [128, 128])
    },
    Case {
        form: Form::Winograd { tile: 4 },
        ..case("F4 64>64 512x512", [64, 64, 3], [512, 512])
    },
    Case {
        stride: 2,
        ..case("conv/2 320>320 64x64", [320, 320, 3], [64, 64])
    },
    Case {
        form: Form::Upsample,
        ..case("up+conv 640>640 32x32", [640, 640, 3], [32, 32])
    },
    Case {
        form: Form::Doubling,
        ..case("doubling 640>640 32x32", [640, 640, 3], [32, 32])
    },
    Case {
        form: Form::Doubling,
        ..case("doubling 64>64 256x256", [64, 64, 3], [256, 256])
    },
];

fn main() {
    // `cargo bench` adds an argument of its own.
    let arguments = std::env::args().skip(1).filter(|word| word != "--bench");
    let arguments: Vec<String> = arguments.collect();
    let precisions = [
        ("f32", Precision::F32),
        ("bf16", Precision::Bf16),
        ("int8", Precision::Int8),
    ];
    let wanted = |name: &str| {
        arguments.is_empty()
            || arguments
                .iter()
                .any(|argument| name.contains(argument.as_str()))
    };
    let only: Vec<_> = precisions
        .iter()
        .filter(|(name, _)| arguments.iter().any(|argument| argument == name))
        .collect();
    let peaks = [265.0, 525.0, 1020.0].map(|peak| peak * rayon::current_num_threads() as f64);
    for case in CASES.iter().filter(|case| {
        arguments
            .iter()
            .all(|argument| precisions.iter().any(|(name, _)| name == argument))
            || wanted(case.name)
    }) {
        print!("{:24}", case.name);
        for (index, (name, precision)) in precisions.iter().enumerate() {
            let filtered = matches!(case.form, Form::Winograd { .. } | Form::Doubling);
            if filtered && *precision == Precision::Int8 {
                continue;
            }
            if only.is_empty() || only.iter().any(|(only, _)| only == name) {
                let speed = measure(case, *precision);
                print!(
                    "  {name} {speed:7.1} {:4.0} %",
                    100.0 * speed / peaks[index]
                );
            }
        }
        println!();
    }
}

/// Time since some moment: of the wall clock, or, with `GFLOPS_CLOCK=cpu` for a machine that is not idle, of the processor
/// time of all threads divided by their number.
fn clock() -> Duration {
    static START: std::sync::LazyLock<Instant> = std::sync::LazyLock::new(Instant::now);
    if wall_clock() {
        return START.elapsed();
    }
    let tasks = std::fs::read_dir("/proc/self/task").expect("Linux");
    let nanoseconds = tasks.filter_map(|task| {
        let text = std::fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(nanoseconds.sum::<u64>() / rayon::current_num_threads() as u64)
}

fn wall_clock() -> bool {
    std::env::var_os("GFLOPS_CLOCK").is_none_or(|clock| clock != "cpu")
}

fn measure(case: &Case, precision: Precision) -> f64 {
    let [outputs, inputs, kernel] = case.shape;
    let [height, width] = case.image;
    let numbers = |length: usize| -> Vec<f32> {
        (0..length)
            .map(|index| (index * 7919 % 1000) as f32 / 500.0 - 1.0)
            .collect()
    };
    let weights = numbers(outputs * inputs * kernel * kernel);
    let shape = WeightShape {
        outputs,
        inputs,
        kernel,
    };
    let weight = PackedWeight::new(&weights, shape, case.form, precision);
    let bias = numbers(outputs);
    let activation = if case.form == Form::Geglu {
        Activation::Geglu
    } else {
        Activation::None
    };
    let convolution = Convolution {
        weight: &weight,
        stride: case.stride,
        upsample: matches!(case.form, Form::Upsample | Form::Doubling),
        prologue: Prologue::None,
        epilogue: Epilogue {
            bias: Some(&bias),
            activation,
            ..Epilogue::NONE
        },
    };
    let x = numbers(inputs * height * width);
    let [channels, out_height, out_width] = convolution.output_extents(height, width);
    let mut out = vec![0.0; channels * out_height * out_width];
    let mut best = Duration::MAX;
    let mut total = Duration::ZERO;
    let start = Instant::now();
    let mut runs = 0;
    let seconds = std::env::var("GFLOPS_SECONDS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(0.25);
    while runs < 4 || start.elapsed().as_secs_f64() < seconds {
        let start = clock();
        convolve_on(
            Isa::current(),
            &x,
            [1, inputs, height, width],
            &convolution,
            &mut out,
        );
        best = best.min(clock() - start);
        total += clock() - start;
        runs += 1;
    }
    let products = outputs * inputs * kernel * kernel * out_height * out_width;
    // The processor's clock ticks too slowly for one run.
    let time = if wall_clock() { best } else { total / runs };
    2e-9 * products as f64 / time.as_secs_f64()
}
