//! The kernels behind Burn against compositions of stock operations: the same tests on every device.
//!
//! What is expected is computed by burn-flex, so a device is never its own reference.

use burn::tensor::{DType, Device, Tensor, TensorData, activation, module, ops::ConvOptions};

use crate::layer::{
    Activation, Before, Fusion, NormValues, PackedLayer, Packing, Precision, Use, WeightShape,
};
use crate::{attention, group_norm, layer_norm, packed_layer, self_attention, upsample_nearest};

/// Products of up to 2,000 terms of unit variance summed in another order differ by a few ulp of
/// the result's norm; Winograd's transforms add a few more.
const TOLERANCE: f64 = 2e-5;
/// Half precision keeps eleven bits; what is rounded on the way in and out adds up to a few of them.
#[cfg(feature = "wgpu")]
const HALF_TOLERANCE: f64 = 3e-3;
const EPSILON: f64 = 1e-5;

/// A device under test.
struct Place {
    device: Device,
    packing: Packing,
    tolerance: f64,
}

impl Place {
    fn cpu(device: Device) -> Self {
        Self {
            device,
            packing: Packing::Host(Precision::F32),
            tolerance: TOLERANCE,
        }
    }

    /// The type of activations.
    fn dtype(&self) -> DType {
        match &self.packing {
            Packing::Device(_, storage) => storage.dtype(),
            Packing::Host(_) => DType::F32,
        }
    }

    /// The same values on the device under test and, in f32, on the reference.
    fn tensors<const D: usize>(&self, shape: [usize; D], seed: u32) -> (Tensor<D>, Tensor<D>) {
        let data = TensorData::new(values(shape.iter().product(), seed), shape);
        let mine = Tensor::<D>::from_data(data.clone(), &self.device).cast(self.dtype());
        (mine, Tensor::from_data(data, &Device::flex()))
    }

    fn assert_close<const D: usize>(&self, what: &str, actual: Tensor<D>, expected: Tensor<D>) {
        assert_eq!(actual.dims(), expected.dims(), "{what}");
        let (actual, expected) = (host(actual), host(expected));
        let norm: f64 = expected.iter().map(|v| f64::from(*v).powi(2)).sum();
        let pairs = actual.iter().zip(&expected);
        let error: f64 = pairs.map(|(a, b)| f64::from(a - b).powi(2)).sum();
        let relative = (error / norm).sqrt();
        assert!(
            relative < self.tolerance,
            "{what}: relative L2 error {relative:e}"
        );
    }
}

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

fn host<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().convert::<f32>().try_into_vec().unwrap()
}

/// A layer, and its tensors on the reference.
struct Layer {
    packed: PackedLayer,
    weight: Tensor<4>,
    bias: Tensor<1>,
}

fn layer([outputs, inputs, kernel]: [usize; 3], purpose: Use, place: &Place) -> Layer {
    let (_, weight) = place.tensors([outputs, inputs, kernel, kernel], 2);
    let (_, bias) = place.tensors([outputs], 3);
    let shape = WeightShape {
        outputs,
        inputs,
        kernel,
    };
    let (values, shifts) = (host(weight.clone()), host(bias.clone()));
    let packed = PackedLayer::new(&values, Some(shifts), shape, purpose, None, &place.packing);
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

/// Weight and bias on the reference, and both where the kernels read them.
fn norm_values(channels: usize, place: &Place) -> (Tensor<1>, Tensor<1>, NormValues) {
    let ((_, weight), (_, bias)) = (place.tensors([channels], 5), place.tensors([channels], 6));
    let (scales, shifts) = (host(weight.clone()), host(bias.clone()));
    let values = NormValues::new(scales, shifts, EPSILON, &place.packing);
    (weight, bias, values)
}

fn plain_layers(place: &Place) {
    // [batch, in, out, height, width, kernel, stride]
    for shape @ [batch, inputs, outputs, height, width, kernel, stride] in [
        [1, 3, 5, 7, 9, 3, 1],
        [2, 16, 8, 12, 10, 3, 1],
        [1, 8, 8, 11, 13, 3, 2],
        [2, 16, 24, 6, 5, 1, 1],
        [1, 200, 6, 40, 41, 3, 1],
        [1, 4, 4, 2, 1, 3, 1],
        [1, 33, 20, 1, 77, 1, 1],
        [1, 64, 3, 1, 1, 1, 1],
        [2, 5, 8, 6, 16, 3, 1],
        [1, 16, 12, 3, 8, 3, 1],
        [1, 8, 4, 5, 4, 3, 1],
        [2, 12, 64, 16, 64, 3, 1],
        [1, 9, 16, 1, 36, 1, 1],
    ] {
        let purpose = if stride == 2 {
            Use::Halving
        } else {
            Use::Plain
        };
        let layer = layer([outputs, inputs, kernel], purpose, place);
        let (x, reference) = place.tensors([batch, inputs, height, width], 1);
        let actual = packed_layer(x, &layer.packed, Fusion::NONE, None, None);
        let expected = stock(reference, &layer, stride);
        place.assert_close(&format!("{shape:?}"), actual, expected);
    }
}

fn fused_layers(place: &Place, width: usize) {
    let layer = layer([12, 16, 3], Use::Plain, place);
    let (x, reference) = place.tensors([2, 16, 9, width], 1);
    let (weight, bias, values) = norm_values(16, place);
    let (add, reference_add) = place.tensors([2, 12], 7);
    let (residual, reference_residual) = place.tensors([2, 12, 9, width], 8);
    let fusion = Fusion {
        before: Before::GroupNorm {
            values,
            groups: 4,
            silu: true,
        },
        activation: Activation::Silu,
    };
    let actual = packed_layer(x, &layer.packed, fusion, Some(add), Some(residual));
    let normed = group_norm(reference, weight, bias, 4, EPSILON, true);
    let sum = stock(normed, &layer, 1) + reference_add.reshape([2, 12, 1, 1]) + reference_residual;
    place.assert_close("group norm, addends, SiLU", actual, activation::silu(sum));
}

fn activations(place: &Place) {
    let layer = layer([8, 4, 1], Use::Plain, place);
    let (x, reference) = place.tensors([1, 4, 3, 19], 1);
    let sum = stock(reference, &layer, 1);
    let quick = sum.clone() * activation::sigmoid(sum.clone() * 1.702);
    for (activation, expected) in [
        (Activation::Silu, activation::silu(sum.clone())),
        (Activation::Gelu, activation::gelu(sum.clone())),
        (Activation::QuickGelu, quick),
        (Activation::Relu, activation::relu(sum)),
    ] {
        let fusion = Fusion {
            before: Before::Nothing,
            activation,
        };
        let actual = packed_layer(x.clone(), &layer.packed, fusion, None, None);
        place.assert_close(&format!("{activation:?}"), actual, expected);
    }
}

fn gated_layers(place: &Place) {
    let layer = layer([24, 16, 1], Use::Gated, place);
    let (x, reference) = place.tensors([2, 16, 1, 37], 1);
    let (weight, bias, values) = norm_values(16, place);
    let fusion = Fusion {
        before: Before::LayerNorm(values),
        activation: Activation::Geglu,
    };
    let actual = packed_layer(x, &layer.packed, fusion, None, None);
    let normed = layer_norm(reference.flatten(2, 3), weight, bias, EPSILON);
    let both = stock(normed.reshape([2, 16, 1, 37]), &layer, 1);
    let gates = both.clone().slice([0..2, 12..24]);
    let expected = both.slice([0..2, 0..12]) * activation::gelu(gates);
    place.assert_close("layer norm, GEGLU", actual, expected);
}

fn doubling_layers(place: &Place) {
    let layer = layer([6, 5, 3], Use::Doubling, place);
    let (x, reference) = place.tensors([2, 5, 7, 9], 1);
    let actual = packed_layer(x, &layer.packed, Fusion::NONE, None, None);
    let expected = stock(upsample_nearest(reference), &layer, 1);
    place.assert_close("doubled", actual, expected);
}

fn shuffled_pixels(place: &Place) {
    let (x, reference) = place.tensors([2, 12, 5, 3], 1);
    let [batch, channels, height, width] = reference.dims();
    let parts = reference.reshape([batch, channels / 4, 2, 2, height, width]);
    let expected = parts.permute([0, 1, 4, 2, 5, 3]).reshape([2, 3, 10, 6]);
    place.assert_close("shuffled", crate::pixel_shuffle(x), expected);
}

fn strided_inputs(place: &Place) {
    let layer = layer([4, 4, 3], Use::Plain, place);
    let (x, reference) = place.tensors([1, 9, 6, 4], 13);
    let actual = packed_layer(x.swap_dims(1, 3), &layer.packed, Fusion::NONE, None, None);
    let expected = stock(reference.swap_dims(1, 3), &layer, 1);
    place.assert_close("a strided view", actual, expected);
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

fn attentions(place: &Place) {
    for shape @ [batch, queries, keys, heads, head_dim] in [
        [1, 5, 5, 2, 4],
        [2, 130, 77, 3, 8],
        [1, 64, 64, 1, 40],
        [1, 77, 77, 2, 16],
        [1, 36, 20, 1, 160],
    ] {
        let width = heads * head_dim;
        let (query, reference_query) = place.tensors([batch, width, queries], 10);
        let (key, reference_key) = place.tensors([batch, width, keys], 11);
        let (value, reference_value) = place.tensors([batch, width, keys], 12);
        for causal in [false, true] {
            if causal && queries != keys {
                continue;
            }
            let (q, k, v) = (query.clone(), key.clone(), value.clone());
            let expected = stock_attention(
                reference_query.clone(),
                reference_key.clone(),
                reference_value.clone(),
                heads,
                causal,
            );
            let what = format!("attention {shape:?}, causal {causal}");
            if queries == keys {
                let stacked = Tensor::cat(vec![q.clone(), k.clone(), v.clone()], 1);
                let actual = self_attention(stacked, heads, causal, Precision::F32);
                place.assert_close(&what, actual, expected.clone());
            }
            let actual = attention(q, k, v, heads, causal, Precision::F32);
            place.assert_close(&what, actual, expected);
        }
    }
}

fn suite(place: &Place) {
    plain_layers(place);
    fused_layers(place, 11);
    fused_layers(place, 12);
    activations(place);
    gated_layers(place);
    doubling_layers(place);
    shuffled_pixels(place);
    strided_inputs(place);
    attentions(place);
}

#[test]
#[allow(deprecated)] // The ndarray backend is deprecated upstream and supported here.
fn ndarray_kernels_match_stock_operations() {
    suite(&Place::cpu(Device::ndarray()));
}

#[test]
fn flex_kernels_match_stock_operations() {
    suite(&Place::cpu(Device::flex()));
}

/// These need a driver: where there is none they fail, unless `PLANTAIN_TEST_GPU` is unset.
#[cfg(feature = "wgpu")]
mod wgpu {
    use burn::tensor::{Device, DeviceKind};

    use super::{HALF_TOLERANCE, Place, TOLERANCE, suite};
    use crate::RuntimeSettings;
    use crate::layer::{Packing, Storage};

    fn place(storage: Storage) -> Option<Place> {
        let fusion = std::env::var("PLANTAIN_TEST_GPU").ok()? == "fusion";
        RuntimeSettings { fusion }.apply();
        let device = Device::wgpu(DeviceKind::DefaultDevice);
        Some(Place {
            packing: Packing::Device(device.clone(), storage),
            device,
            tolerance: match storage {
                Storage::F32 => TOLERANCE,
                Storage::F16 => HALF_TOLERANCE,
            },
        })
    }

    #[test]
    fn kernels_match_stock_operations_in_f32() {
        place(Storage::F32).iter().for_each(suite);
    }

    #[test]
    fn kernels_match_stock_operations_in_f16() {
        place(Storage::F16).iter().for_each(suite);
    }
}
