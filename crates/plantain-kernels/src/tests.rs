//! The kernels behind Burn against compositions of stock operations, on both CPU backends.

use burn::tensor::{Device, Tensor, TensorData, activation, module, ops::ConvOptions};

use crate::layer::{
    Activation, Before, Fusion, NormValues, PackedLayer, Precision, Use, WeightShape,
};
use crate::{attention, group_norm, layer_norm, packed_layer, self_attention, upsample_nearest};

/// Products of up to 2,000 terms of unit variance summed in another order differ by a few ulp of
/// the result's norm; Winograd's transforms add a few more.
const TOLERANCE: f64 = 2e-5;
const EPSILON: f64 = 1e-5;

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

fn tensor<const D: usize>(shape: [usize; D], seed: u32, device: &Device) -> Tensor<D> {
    let data = TensorData::new(values(shape.iter().product(), seed), shape);
    Tensor::from_data(data, device)
}

fn host<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_into_vec().unwrap()
}

fn assert_close<const D: usize>(what: &str, actual: Tensor<D>, expected: Tensor<D>) {
    assert_eq!(actual.dims(), expected.dims(), "{what}");
    let (actual, expected) = (host(actual), host(expected));
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

/// A layer with its tensors, packed and not.
struct Layer {
    packed: PackedLayer,
    weight: Tensor<4>,
    bias: Tensor<1>,
}

fn layer([outputs, inputs, kernel]: [usize; 3], purpose: Use, device: &Device) -> Layer {
    let weight = tensor([outputs, inputs, kernel, kernel], 2, device);
    let bias = tensor([outputs], 3, device);
    let shape = WeightShape {
        outputs,
        inputs,
        kernel,
    };
    let packed = PackedLayer::new(
        &host(weight.clone()),
        Some(host(bias.clone())),
        shape,
        purpose,
        Precision::F32,
    );
    Layer {
        packed,
        weight,
        bias,
    }
}

fn stock(x: Tensor<4>, layer: &Layer, stride: usize) -> Tensor<4> {
    let [_, _, kernel, _] = layer.weight.dims();
    let options = ConvOptions::new([stride; 2], [kernel / 2; 2], [1; 2], 1);
    module::conv2d(x, layer.weight.clone(), Some(layer.bias.clone()), options)
}

fn norm_values(channels: usize, device: &Device) -> (Tensor<1>, Tensor<1>, NormValues) {
    let (weight, bias) = (tensor([channels], 5, device), tensor([channels], 6, device));
    let values = NormValues {
        weight: host(weight.clone()).into(),
        bias: host(bias.clone()).into(),
        epsilon: EPSILON as f32,
    };
    (weight, bias, values)
}

fn plain_layers(device: &Device) {
    // [batch, in, out, height, width, kernel, stride]
    for shape @ [batch, inputs, outputs, height, width, kernel, stride] in [
        [1, 3, 5, 7, 9, 3, 1],
        [2, 16, 8, 12, 10, 3, 1],
        [1, 8, 8, 11, 13, 3, 2],
        [2, 16, 24, 6, 5, 1, 1],
        [1, 200, 6, 40, 41, 3, 1],
        [1, 4, 4, 2, 1, 3, 1],
        [1, 33, 20, 1, 77, 1, 1],
    ] {
        let purpose = if stride == 2 {
            Use::Halving
        } else {
            Use::Plain
        };
        let layer = layer([outputs, inputs, kernel], purpose, device);
        let x = tensor([batch, inputs, height, width], 1, device);
        let actual = packed_layer(x.clone(), &layer.packed, Fusion::NONE, None, None);
        assert_close(&format!("{shape:?}"), actual, stock(x, &layer, stride));
    }
}

fn fused_layers(device: &Device) {
    let layer = layer([12, 16, 3], Use::Plain, device);
    let x = tensor([2, 16, 9, 11], 1, device);
    let (weight, bias, values) = norm_values(16, device);
    let add = tensor([2, 12], 7, device);
    let residual = tensor([2, 12, 9, 11], 8, device);
    let fusion = Fusion {
        before: Before::GroupNorm {
            values,
            groups: 4,
            silu: true,
        },
        activation: Activation::Silu,
    };
    let actual = packed_layer(
        x.clone(),
        &layer.packed,
        fusion,
        Some(add.clone()),
        Some(residual.clone()),
    );
    let normed = group_norm(x, weight, bias, 4, EPSILON, true);
    let sum = stock(normed, &layer, 1) + add.reshape([2, 12, 1, 1]) + residual;
    assert_close("group norm, addends, SiLU", actual, activation::silu(sum));
}

fn gated_layers(device: &Device) {
    let layer = layer([24, 16, 1], Use::Gated, device);
    let x = tensor([2, 16, 1, 37], 1, device);
    let (weight, bias, values) = norm_values(16, device);
    let fusion = Fusion {
        before: Before::LayerNorm(values),
        activation: Activation::Geglu,
    };
    let actual = packed_layer(x.clone(), &layer.packed, fusion, None, None);
    let normed = layer_norm(x.flatten(2, 3), weight, bias, EPSILON);
    let both = stock(normed.reshape([2, 16, 1, 37]), &layer, 1);
    let gates = both.clone().slice([0..2, 12..24]);
    assert_close(
        "layer norm, GEGLU",
        actual,
        both.slice([0..2, 0..12]) * activation::gelu(gates),
    );
}

fn doubling_layers(device: &Device) {
    let layer = layer([6, 5, 3], Use::Doubling, device);
    let x = tensor([2, 5, 7, 9], 1, device);
    let actual = packed_layer(x.clone(), &layer.packed, Fusion::NONE, None, None);
    assert_close("doubled", actual, stock(upsample_nearest(x), &layer, 1));
}

fn strided_inputs(device: &Device) {
    let layer = layer([4, 4, 3], Use::Plain, device);
    let x = tensor([1, 9, 6, 4], 13, device).swap_dims(1, 3);
    let actual = packed_layer(x.clone(), &layer.packed, Fusion::NONE, None, None);
    assert_close("a strided view", actual, stock(x, &layer, 1));
}

/// `[batch, width, tokens]` to `[batch, heads, tokens, width / heads]`.
fn split(x: Tensor<3>, heads: usize) -> Tensor<4> {
    let [batch, width, tokens] = x.dims();
    x.reshape([batch, heads, width / heads, tokens])
        .swap_dims(2, 3)
}

fn stock_attention(
    query: Tensor<3>,
    key: Tensor<3>,
    value: Tensor<3>,
    heads: usize,
    causal: bool,
) -> Tensor<3> {
    let dims = query.dims();
    let scale = ((dims[1] / heads) as f64).sqrt();
    let (query, key, value) = (split(query, heads), split(key, heads), split(value, heads));
    let mut scores = query.matmul(key.transpose()) / scale;
    if causal {
        let future = Tensor::<2>::ones([dims[2], dims[2]], &scores.device()).triu(1);
        scores = scores - future.unsqueeze::<4>() * 1e9;
    }
    activation::softmax(scores, 3)
        .matmul(value)
        .swap_dims(2, 3)
        .reshape(dims)
}

fn attentions(device: &Device) {
    for shape @ [batch, queries, keys, heads, head_dim] in [
        [1, 5, 5, 2, 4],
        [2, 130, 77, 3, 8],
        [1, 64, 64, 1, 40],
        [1, 77, 77, 2, 16],
    ] {
        let width = heads * head_dim;
        let query = tensor([batch, width, queries], 10, device);
        let [key, value] = [11, 12].map(|seed| tensor([batch, width, keys], seed, device));
        for causal in [false, true] {
            if causal && queries != keys {
                continue;
            }
            let (q, k, v) = (query.clone(), key.clone(), value.clone());
            let expected = stock_attention(q.clone(), k.clone(), v.clone(), heads, causal);
            let what = format!("attention {shape:?}, causal {causal}");
            if queries == keys {
                let stacked = Tensor::cat(vec![q.clone(), k.clone(), v.clone()], 1);
                let actual = self_attention(stacked, heads, causal, Precision::F32);
                assert_close(&what, actual, expected.clone());
            }
            assert_close(
                &what,
                attention(q, k, v, heads, causal, Precision::F32),
                expected,
            );
        }
    }
}

fn suite(device: &Device) {
    plain_layers(device);
    fused_layers(device);
    gated_layers(device);
    doubling_layers(device);
    strided_inputs(device);
    attentions(device);
}

#[test]
#[allow(deprecated)] // The ndarray backend is deprecated upstream and supported here.
fn ndarray_kernels_match_stock_operations() {
    suite(&Device::ndarray());
}

#[test]
fn flex_kernels_match_stock_operations() {
    suite(&Device::flex());
}
