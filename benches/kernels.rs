//! Our kernels beside the stock operations of the same backend, at the sizes of a Stable Diffusion UNet.
//!
//!     cargo bench --workspace --bench kernels
//!
//! Ratios within one run count; absolute times depend on the machine and on what else it does.

use burn::tensor::{Device, Distribution, Tensor, module, ops::ConvOptions};
use divan::{Bencher, black_box};
use plantain_kernels::{
    self as kernels, Fusion, PackedLayer, Packing, Precision, Use, WeightShape,
};

fn main() {
    divan::main();
}

/// Channels and side of a 3x3 convolution.
const CONVOLUTIONS: [(usize, usize); 3] = [(320, 64), (640, 32), (1280, 16)];

#[allow(deprecated)] // The ndarray backend is deprecated upstream and supported here.
fn device(name: &str) -> Device {
    match name {
        "ndarray" => Device::ndarray(),
        _ => Device::flex(),
    }
}

fn random<const D: usize>(shape: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::random(shape, Distribution::Normal(0.0, 1.0), device)
}

fn convolution(bencher: Bencher<'_, '_>, name: &str, (channels, side): (usize, usize), ours: bool) {
    let device = device(name);
    let x = random([1, channels, side, side], &device);
    let weight = random([channels, channels, 3, 3], &device);
    let values: Vec<f32> = weight.to_data().try_into_vec().expect("f32");
    let shape = WeightShape {
        outputs: channels,
        inputs: channels,
        kernel: 3,
    };
    let packed = PackedLayer::new(
        &values,
        None,
        shape,
        Use::Plain,
        Some(side),
        &Packing::Host(Precision::F32),
    );
    bencher.bench_local(|| {
        let (x, weight) = (x.clone(), weight.clone());
        black_box(if ours {
            kernels::packed_layer(x, &packed, Fusion::NONE, None, None)
        } else {
            module::conv2d(x, weight, None, ConvOptions::new([1, 1], [1, 1], [1, 1], 1))
        })
    });
}

#[divan::bench(args = CONVOLUTIONS, sample_count = 5)]
fn conv3x3_ours_ndarray(bencher: Bencher<'_, '_>, size: (usize, usize)) {
    convolution(bencher, "ndarray", size, true);
}

#[divan::bench(args = CONVOLUTIONS, sample_count = 5)]
fn conv3x3_stock_ndarray(bencher: Bencher<'_, '_>, size: (usize, usize)) {
    convolution(bencher, "ndarray", size, false);
}

#[divan::bench(args = CONVOLUTIONS, sample_count = 5)]
fn conv3x3_ours_flex(bencher: Bencher<'_, '_>, size: (usize, usize)) {
    convolution(bencher, "flex", size, true);
}

#[divan::bench(args = CONVOLUTIONS, sample_count = 5)]
fn conv3x3_stock_flex(bencher: Bencher<'_, '_>, size: (usize, usize)) {
    convolution(bencher, "flex", size, false);
}

fn attention(bencher: Bencher<'_, '_>, name: &str, ours: bool) {
    const HEADS: usize = 8;
    let device = device(name);
    let x = random([1, 320, 4096], &device);
    bencher.bench_local(|| {
        if ours {
            let _ = black_box(kernels::attention(
                x.clone(),
                x.clone(),
                x.clone(),
                HEADS,
                false,
                Precision::F32,
            ));
        } else {
            let split = || x.clone().reshape([1, HEADS, 40, 4096]).swap_dims(2, 3);
            let options = Default::default();
            let _ = black_box(module::attention(
                split(),
                split(),
                split(),
                None,
                None,
                options,
            ));
        }
    });
}

#[divan::bench(sample_count = 3)]
fn attention_ours_ndarray(bencher: Bencher<'_, '_>) {
    attention(bencher, "ndarray", true);
}

#[divan::bench(sample_count = 3)]
fn attention_stock_ndarray(bencher: Bencher<'_, '_>) {
    attention(bencher, "ndarray", false);
}

#[divan::bench(sample_count = 3)]
fn attention_ours_flex(bencher: Bencher<'_, '_>) {
    attention(bencher, "flex", true);
}

#[divan::bench(sample_count = 3)]
fn attention_stock_flex(bencher: Bencher<'_, '_>) {
    attention(bencher, "flex", false);
}
