//! Every operation as a composition of stock Burn operations: the default on a backend without
//! kernels of its own, and the reference that the kernels are tested against.

use burn::backend::ops::{AttentionModuleOptions, ConvOptions};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, TensorMetadata};
use burn::tensor::{Shape, Slice};

use crate::layer::{Activation, LayerForm};

pub(crate) fn group_norm<B: Backend>(
    x: FloatTensor<B>,
    weight: FloatTensor<B>,
    bias: FloatTensor<B>,
    groups: usize,
    epsilon: f64,
    silu: bool,
) -> FloatTensor<B> {
    let shape = x.shape();
    let [batch, channels, height, width] = shape.dims();
    let rows = Shape::new([batch * groups, channels / groups * height * width]);
    let y = normalize::<B>(B::float_reshape(x, rows), 1, epsilon);
    let per_channel = Shape::new([1, channels, 1, 1]);
    let y = B::float_mul(
        B::float_reshape(y, shape),
        B::float_reshape(weight, per_channel.clone()),
    );
    let y = B::float_add(y, B::float_reshape(bias, per_channel));
    if silu {
        B::float_mul(y.clone(), B::sigmoid(y))
    } else {
        y
    }
}

pub(crate) fn layer_norm<B: Backend>(
    x: FloatTensor<B>,
    weight: FloatTensor<B>,
    bias: FloatTensor<B>,
    epsilon: f64,
) -> FloatTensor<B> {
    let [channels] = weight.shape().dims();
    let y = normalize::<B>(x, 1, epsilon);
    let per_channel = Shape::new([1, channels, 1]);
    let y = B::float_mul(y, B::float_reshape(weight, per_channel.clone()));
    B::float_add(y, B::float_reshape(bias, per_channel))
}

pub(crate) fn attention<B: Backend>(
    query: FloatTensor<B>,
    key: FloatTensor<B>,
    value: FloatTensor<B>,
    heads: usize,
    causal: bool,
) -> FloatTensor<B> {
    let shape = query.shape();
    let split = |x: FloatTensor<B>| {
        let [batch, width, tokens] = x.shape().dims();
        let x = B::float_reshape(x, Shape::new([batch, heads, width / heads, tokens]));
        B::float_swap_dims(x, 2, 3)
    };
    let options = AttentionModuleOptions {
        is_causal: causal,
        ..Default::default()
    };
    let y = B::attention(split(query), split(key), split(value), None, None, options);
    B::float_reshape(B::float_swap_dims(y, 2, 3), shape)
}

/// A convolution or linear layer of a weight of `[kernel, kernel, inputs, outputs]`.
pub(crate) fn layer<B: Backend>(
    x: FloatTensor<B>,
    weight: FloatTensor<B>,
    bias: Option<FloatTensor<B>>,
    form: LayerForm,
    activation: Activation,
    channel_add: Option<FloatTensor<B>>,
    residual: Option<FloatTensor<B>>,
) -> FloatTensor<B> {
    let x = if form.doubled {
        upsample_nearest::<B>(x)
    } else {
        x
    };
    let weight = B::float_permute(weight, &[3, 2, 0, 1]);
    let options = ConvOptions::new([form.stride; 2], [form.kernel / 2; 2], [1; 2], 1);
    let mut y = B::conv2d(x, weight, bias, options);
    if let Some(add) = channel_add {
        let [batch, channels] = add.shape().dims();
        let add = B::float_reshape(add, Shape::new([batch, channels, 1, 1]));
        y = B::float_add(y, add);
    }
    if let Some(residual) = residual {
        y = B::float_add(y, residual);
    }
    match activation {
        Activation::None => y,
        Activation::Silu => B::float_mul(y.clone(), B::sigmoid(y)),
        Activation::Gelu => B::gelu(y),
        Activation::QuickGelu => {
            let gate = B::sigmoid(B::float_mul_scalar(y.clone(), 1.702.into()));
            B::float_mul(y, gate)
        }
        Activation::Relu => B::relu(y),
        Activation::Geglu => geglu::<B>(y),
    }
}

/// The first half of dimension 1 times the GELU of the second half.
pub(crate) fn geglu<B: Backend>(x: FloatTensor<B>) -> FloatTensor<B> {
    let [batch, channels, height, width] = x.shape().dims();
    let half = |from: usize| {
        let part = [0..batch, from..from + channels / 2, 0..height, 0..width];
        B::float_slice(x.clone(), &part.map(Slice::from))
    };
    B::float_mul(half(0), B::gelu(half(channels / 2)))
}

/// Three equal parts of dimension 1.
pub(crate) fn thirds<B: Backend>(stacked: FloatTensor<B>) -> [FloatTensor<B>; 3] {
    let [batch, width, tokens] = stacked.shape().dims();
    let third = width / 3;
    std::array::from_fn(|part| {
        let channels = part * third..(part + 1) * third;
        let slices = [0..batch, channels, 0..tokens].map(Slice::from);
        B::float_slice(stacked.clone(), &slices)
    })
}

pub(crate) fn upsample_nearest<B: Backend>(x: FloatTensor<B>) -> FloatTensor<B> {
    let [batch, channels, height, width] = x.shape().dims();
    let x = B::float_reshape(x, Shape::new([batch, channels, height, 1, width, 1]));
    let x = B::float_expand(x, Shape::new([batch, channels, height, 2, width, 2]));
    B::float_reshape(x, Shape::new([batch, channels, 2 * height, 2 * width]))
}

pub(crate) fn pixel_shuffle<B: Backend>(x: FloatTensor<B>) -> FloatTensor<B> {
    let [batch, channels, height, width] = x.shape().dims();
    let channels = channels / 4;
    let x = B::float_reshape(x, Shape::new([batch, channels, 2, 2, height, width]));
    let x = B::float_permute(x, &[0, 1, 4, 2, 5, 3]);
    B::float_reshape(x, Shape::new([batch, channels, 2 * height, 2 * width]))
}

/// `(x - mean) / sqrt(variance + epsilon)` along dimension `dim`, with the biased variance.
fn normalize<B: Backend>(x: FloatTensor<B>, dim: usize, epsilon: f64) -> FloatTensor<B> {
    let centred = B::float_sub(x.clone(), B::float_mean_dim(x, dim));
    let squares = B::float_mul(centred.clone(), centred.clone());
    let variance = B::float_mean_dim(squares, dim);
    B::float_div(
        centred,
        B::float_sqrt(B::float_add_scalar(variance, epsilon.into())),
    )
}
