//! Our convolutions on the first graphics processor beside Burn's own, in GFLOP/s of the direct algorithm, run in turn.
//!
//!     cargo bench -p plantain-kernels --features wgpu --bench gpu

use std::time::Instant;

use burn::tensor::{Device, DeviceKind, Distribution, Tensor, module, ops::ConvOptions};
use plantain_kernels::{
    Fusion, PackedLayer, Packing, RuntimeSettings, Storage, Use, WeightShape, packed_layer,
};

/// `[inputs, outputs, side, kernel]`
const CASES: [[usize; 4]; 5] = [
    [320, 320, 64, 3],
    [64, 64, 32, 3],
    [64, 64, 128, 3],
    [240, 240, 16, 3],
    [320, 1280, 32, 1],
];
const RUNS: usize = 5;

fn main() {
    RuntimeSettings { fusion: false }.apply();
    let device = Device::wgpu(DeviceKind::DefaultDevice);
    println!(
        "{:24} {:>10} {:>10} {:>7}",
        "convolution", "ours", "Burn's", "ratio"
    );
    for case in CASES {
        let [ours, stock] = compare(case, &device);
        let [inputs, outputs, side, kernel] = case;
        println!(
            "{:24} {ours:10.1} {stock:10.1} {:7.1}",
            format!("{inputs}>{outputs} {side}x{side} k{kernel}"),
            ours / stock
        );
    }
}

/// GFLOP/s of our kernel and of the stock operation: medians of interleaved runs after a first one that compiles.
fn compare([inputs, outputs, side, kernel]: [usize; 4], device: &Device) -> [f64; 2] {
    let noise = Distribution::Normal(0.0, 1.0);
    let x = Tensor::<4>::random([1, inputs, side, side], noise, device);
    let weight = Tensor::<4>::random([outputs, inputs, kernel, kernel], noise, device);
    let values: Vec<f32> = weight.to_data().try_into_vec().expect("f32");
    let shape = WeightShape {
        outputs,
        inputs,
        kernel,
    };
    let packing = Packing::Device(device.clone(), Storage::F32);
    let layer = PackedLayer::new(&values, None, shape, Use::Plain, None, &packing);
    let ours = || packed_layer(x.clone(), &layer, Fusion::NONE, None, None);
    let options = ConvOptions::new([1; 2], [kernel / 2; 2], [1; 2], 1);
    let stock = || module::conv2d(x.clone(), weight.clone(), None, options.clone());
    let operations = 2.0 * (inputs * outputs * kernel * kernel * side * side) as f64;
    let mut times = [Vec::new(), Vec::new()];
    for run in 0..=RUNS {
        for (times, seconds) in times
            .iter_mut()
            .zip([time(&ours, device), time(&stock, device)])
        {
            if run > 0 {
                times.push(seconds);
            }
        }
    }
    times.map(|mut times| {
        times.sort_by(f64::total_cmp);
        operations / times[RUNS / 2] / 1e9
    })
}

fn time(run: &impl Fn() -> Tensor<4>, device: &Device) -> f64 {
    let began = Instant::now();
    let output = run();
    device.sync().expect("the device finishes");
    let seconds = began.elapsed().as_secs_f64();
    drop(output);
    seconds
}
