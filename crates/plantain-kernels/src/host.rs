//! What the CPU backends share: their tensors seen as slices, and the kernels called on them.

use burn::tensor::Shape;

use crate::cpu::attention::AttentionShape;
use crate::cpu::conv::ConvShape;
use crate::cpu::{attention, conv, gemm, norm, resample};

/// A CPU tensor of `f32` whose elements can be seen as one slice.
pub(crate) trait HostTensor: Sized {
    /// Shape of the tensor.
    fn dims<const D: usize>(&self) -> [usize; D];
    /// The same tensor in row-major order, copied only when it is not already.
    fn into_contiguous(self) -> Self;
    /// The elements of a contiguous tensor.
    fn as_f32(&self) -> &[f32];
    /// A tensor of the given elements, moved in.
    fn from_f32(values: Vec<f32>, shape: Shape) -> Self;
}

pub(crate) fn convolution<T: HostTensor>(
    x: T,
    weight: T,
    bias: Option<T>,
    stride: usize,
    padding: usize,
) -> T {
    let [batch, in_channels, height, width] = x.dims();
    let [out_channels, weight_channels, kernel_height, kernel_width] = weight.dims();
    assert_eq!(in_channels, weight_channels, "channels of the convolution");
    let shape = ConvShape {
        batch,
        in_channels,
        out_channels,
        height,
        width,
        kernel_height,
        kernel_width,
        stride,
        padding,
    };
    let (x, weight) = (x.into_contiguous(), weight.into_contiguous());
    let bias = bias.map(T::into_contiguous);
    let y = conv::conv2d(
        x.as_f32(),
        weight.as_f32(),
        bias.as_ref().map(T::as_f32),
        &shape,
    );
    let out = [batch, out_channels, shape.out_height(), shape.out_width()];
    T::from_f32(y, Shape::new(out))
}

pub(crate) fn linear<T: HostTensor>(x: T, weight: T, bias: Option<T>) -> T {
    let [batch, rows, _] = x.dims();
    let [out_features, in_features] = weight.dims();
    let (x, weight) = (x.into_contiguous(), weight.into_contiguous());
    let bias = bias.map(T::into_contiguous);
    let y = gemm::linear(
        x.as_f32(),
        weight.as_f32(),
        bias.as_ref().map(T::as_f32),
        in_features,
        out_features,
    );
    T::from_f32(y, Shape::new([batch, rows, out_features]))
}

pub(crate) fn group_norm<T: HostTensor>(
    x: T,
    weight: T,
    bias: T,
    groups: usize,
    epsilon: f64,
    silu: bool,
) -> T {
    let dims: [usize; 4] = x.dims();
    let (x, weight, bias) = (
        x.into_contiguous(),
        weight.into_contiguous(),
        bias.into_contiguous(),
    );
    let y = norm::group_norm(
        x.as_f32(),
        weight.as_f32(),
        bias.as_f32(),
        groups,
        dims[2] * dims[3],
        epsilon as f32,
        silu,
    );
    T::from_f32(y, Shape::new(dims))
}

pub(crate) fn layer_norm<T: HostTensor>(x: T, weight: T, bias: T, epsilon: f64) -> T {
    let dims: [usize; 3] = x.dims();
    let (x, weight, bias) = (
        x.into_contiguous(),
        weight.into_contiguous(),
        bias.into_contiguous(),
    );
    let y = norm::layer_norm(x.as_f32(), weight.as_f32(), bias.as_f32(), epsilon as f32);
    T::from_f32(y, Shape::new(dims))
}

pub(crate) fn multi_head_attention<T: HostTensor>(
    query: T,
    key: T,
    value: T,
    heads: usize,
    causal: bool,
) -> T {
    let dims: [usize; 3] = query.dims();
    let [_, keys, _] = key.dims();
    let shape = AttentionShape {
        batch: dims[0],
        queries: dims[1],
        keys,
        heads,
        head_dim: dims[2] / heads,
        causal,
    };
    let (query, key, value) = (
        query.into_contiguous(),
        key.into_contiguous(),
        value.into_contiguous(),
    );
    let y = attention::attention(query.as_f32(), key.as_f32(), value.as_f32(), &shape);
    T::from_f32(y, Shape::new(dims))
}

pub(crate) fn upsample_nearest<T: HostTensor>(x: T) -> T {
    let [batch, channels, height, width] = x.dims();
    let x = x.into_contiguous();
    let y = resample::upsample_nearest(x.as_f32(), width);
    T::from_f32(y, Shape::new([batch, channels, 2 * height, 2 * width]))
}
