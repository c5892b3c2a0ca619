//! The kernels against the stock compositions, on both CPU backends.

use burn::backend::{Backend, TensorMetadata, tensor::FloatTensor};
use burn::backend::{Flex, NdArray};
use burn::tensor::{Shape, TensorData};

use crate::stock;
use crate::{Bias, KernelBackend};

/// Products of up to 2,000 terms of unit variance summed in another order differ by a few ulp of
/// the result's norm.
const TOLERANCE: f64 = 2e-6;

/// Deterministic values of roughly unit variance.
fn values(count: usize, seed: u32) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9E37_79B9) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state as f32 / u32::MAX as f32 - 0.5
    };
    (0..count)
        .map(|_| (next() + next() + next()) * 2.0)
        .collect()
}

fn tensor<B: Backend>(shape: &[usize], seed: u32) -> FloatTensor<B> {
    let data = TensorData::new(
        values(shape.iter().product(), seed),
        Shape::from(shape.to_vec()),
    );
    B::float_from_data(data, &B::Device::default())
}

fn assert_close<B: Backend>(what: &str, actual: FloatTensor<B>, expected: FloatTensor<B>) {
    assert_eq!(actual.shape(), expected.shape(), "{what}");
    let read = |x| {
        let data = burn::tensor::try_read_sync(B::float_into_data(x));
        let data = data.expect("CPU backends read at once").expect("readable");
        data.to_vec::<f32>().expect("f32")
    };
    let (actual, expected) = (read(actual), read(expected));
    let norm: f64 = expected.iter().map(|v| f64::from(*v).powi(2)).sum();
    let error: f64 = actual
        .iter()
        .zip(&expected)
        .map(|(a, b)| f64::from(a - b).powi(2))
        .sum();
    let relative = (error / norm).sqrt();
    assert!(
        relative < TOLERANCE,
        "{what}: relative L2 error {relative:e}"
    );
}

fn convolutions<B: KernelBackend>() {
    // [batch, in, out, height, width, kernel, stride, padding]
    for (
        i,
        [
            batch,
            inputs,
            outputs,
            height,
            width,
            kernel,
            stride,
            padding,
        ],
    ) in [
        [1, 3, 5, 7, 9, 3, 1, 1],
        [2, 16, 8, 12, 10, 3, 1, 1],
        [1, 8, 8, 11, 13, 3, 2, 1],
        [1, 8, 4, 9, 8, 3, 2, 0],
        [2, 16, 24, 6, 5, 1, 1, 0],
        [1, 200, 6, 40, 41, 3, 1, 1],
        [1, 4, 4, 2, 1, 3, 1, 1],
        [1, 4, 4, 5, 5, 5, 1, 2],
    ]
    .into_iter()
    .enumerate()
    {
        let seed = i as u32;
        let x = || tensor::<B>(&[batch, inputs, height, width], seed + 1);
        let weight = || tensor::<B>(&[outputs, inputs, kernel, kernel], seed + 2);
        for with_bias in [false, true] {
            let bias = || with_bias.then(|| tensor::<B>(&[outputs], seed + 3));
            assert_close::<B>(
                &format!("convolution {i}, bias {with_bias}"),
                B::kernel_conv2d(x(), weight(), bias().into(), stride, padding),
                stock::convolution::<B>(x(), weight(), bias(), stride, padding),
            );
        }
    }
}

fn linears<B: KernelBackend>() {
    for [batch, rows, inputs, outputs] in [[1, 1, 8, 3], [2, 7, 33, 20], [1, 64, 128, 96]] {
        let x = || tensor::<B>(&[batch, rows, inputs], 1);
        let weight = || tensor::<B>(&[outputs, inputs], 2);
        for with_bias in [false, true] {
            let bias = || with_bias.then(|| tensor::<B>(&[outputs], 3));
            assert_close::<B>(
                &format!("linear {rows}x{inputs}x{outputs}, bias {with_bias}"),
                B::kernel_linear(x(), weight(), bias().into()),
                stock::linear::<B>(x(), weight(), bias()),
            );
        }
    }
}

fn norms<B: KernelBackend>() {
    for [batch, channels, groups, height, width] in
        [[1, 8, 2, 5, 7], [2, 32, 32, 3, 1], [1, 24, 3, 40, 33]]
    {
        let x = || tensor::<B>(&[batch, channels, height, width], 4);
        let (weight, bias) = (
            || tensor::<B>(&[channels], 5),
            || tensor::<B>(&[channels], 6),
        );
        for silu in [false, true] {
            assert_close::<B>(
                &format!("group_norm {channels}/{groups}, silu {silu}"),
                B::kernel_group_norm(x(), weight(), bias(), groups, 1e-5, silu),
                stock::group_norm::<B>(x(), weight(), bias(), groups, 1e-5, silu),
            );
        }
    }
    let x = || tensor::<B>(&[2, 37, 70], 7);
    let (weight, bias) = (|| tensor::<B>(&[70], 8), || tensor::<B>(&[70], 9));
    assert_close::<B>(
        "layer_norm",
        B::kernel_layer_norm(x(), weight(), bias(), 1e-5),
        stock::layer_norm::<B>(x(), weight(), bias(), 1e-5),
    );
}

fn attentions<B: KernelBackend>() {
    for [batch, queries, keys, heads, head_dim] in [
        [1, 5, 5, 2, 4],
        [2, 130, 77, 3, 8],
        [1, 64, 64, 1, 40],
        [1, 77, 77, 2, 16],
    ] {
        let width = heads * head_dim;
        let query = || tensor::<B>(&[batch, queries, width], 10);
        let (key, value) = (
            || tensor::<B>(&[batch, keys, width], 11),
            || tensor::<B>(&[batch, keys, width], 12),
        );
        for causal in [false, true] {
            if causal && queries != keys {
                continue;
            }
            assert_close::<B>(
                &format!("attention {queries}x{keys}, {heads} heads, causal {causal}"),
                B::kernel_attention(query(), key(), value(), heads, causal),
                stock::attention::<B>(query(), key(), value(), heads, causal),
            );
        }
    }
}

fn strided_inputs<B: KernelBackend>() {
    let x = || B::float_swap_dims(tensor::<B>(&[1, 9, 6, 4], 13), 1, 3);
    let weight = || B::float_swap_dims(tensor::<B>(&[4, 5, 3, 3], 14), 0, 1);
    assert_close::<B>(
        "convolution of a strided view",
        B::kernel_conv2d(x(), weight(), Bias::None, 1, 1),
        stock::convolution::<B>(x(), weight(), None, 1, 1),
    );
}

fn upsampling<B: KernelBackend>() {
    let x = || tensor::<B>(&[2, 3, 5, 7], 15);
    assert_close::<B>(
        "upsample_nearest",
        B::kernel_upsample_nearest(x()),
        stock::upsample_nearest::<B>(x()),
    );
}

fn suite<B: KernelBackend>() {
    convolutions::<B>();
    linears::<B>();
    norms::<B>();
    attentions::<B>();
    strided_inputs::<B>();
    upsampling::<B>();
}

#[test]
fn ndarray_kernels_match_stock_operations() {
    suite::<NdArray>();
}

#[test]
fn flex_kernels_match_stock_operations() {
    suite::<Flex>();
}
