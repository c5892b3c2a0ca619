//! Every operation as a composition of stock Burn operations: the default on a backend without
//! kernels of its own, and the reference that the kernels are tested against.

use burn::backend::ops::{AttentionModuleOptions, ConvOptions};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, TensorMetadata};
use burn::tensor::Shape;

pub(crate) fn convolution<B: Backend>(
    x: FloatTensor<B>,
    weight: FloatTensor<B>,
    bias: Option<FloatTensor<B>>,
    stride: usize,
    padding: usize,
) -> FloatTensor<B> {
    let options = ConvOptions::new([stride; 2], [padding; 2], [1; 2], 1);
    B::conv2d(x, weight, bias, options)
}

pub(crate) fn linear<B: Backend>(
    x: FloatTensor<B>,
    weight: FloatTensor<B>,
    bias: Option<FloatTensor<B>>,
) -> FloatTensor<B> {
    let [out_features, in_features] = weight.shape().dims();
    let weight = B::float_reshape(weight, Shape::new([1, out_features, in_features]));
    let y = B::float_matmul(x, B::float_swap_dims(weight, 1, 2));
    match bias {
        Some(bias) => B::float_add(y, B::float_reshape(bias, Shape::new([1, 1, out_features]))),
        None => y,
    }
}

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
    let y = normalize_rows::<B>(B::float_reshape(x, rows), 1, epsilon);
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
    let [features] = weight.shape().dims();
    let y = normalize_rows::<B>(x, 2, epsilon);
    let last = Shape::new([1, 1, features]);
    let y = B::float_mul(y, B::float_reshape(weight, last.clone()));
    B::float_add(y, B::float_reshape(bias, last))
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
        let [batch, rows, width] = x.shape().dims();
        let x = B::float_reshape(x, Shape::new([batch, rows, heads, width / heads]));
        B::float_swap_dims(x, 1, 2)
    };
    let options = AttentionModuleOptions {
        is_causal: causal,
        ..Default::default()
    };
    let y = B::attention(split(query), split(key), split(value), None, None, options);
    B::float_reshape(B::float_swap_dims(y, 1, 2), shape)
}

pub(crate) fn upsample_nearest<B: Backend>(x: FloatTensor<B>) -> FloatTensor<B> {
    let [batch, channels, height, width] = x.shape().dims();
    let x = B::float_reshape(x, Shape::new([batch, channels, height, 1, width, 1]));
    let x = B::float_expand(x, Shape::new([batch, channels, height, 2, width, 2]));
    B::float_reshape(x, Shape::new([batch, channels, 2 * height, 2 * width]))
}

/// `(x - mean) / sqrt(variance + epsilon)` along dimension `dim`, with the biased variance.
fn normalize_rows<B: Backend>(x: FloatTensor<B>, dim: usize, epsilon: f64) -> FloatTensor<B> {
    let centred = B::float_sub(x.clone(), B::float_mean_dim(x, dim));
    let squares = B::float_mul(centred.clone(), centred.clone());
    let variance = B::float_mean_dim(squares, dim);
    B::float_div(
        centred,
        B::float_sqrt(B::float_add_scalar(variance, epsilon.into())),
    )
}
