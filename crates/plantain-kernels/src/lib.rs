//! The hot operations of latent diffusion behind Burn's backend extension.
//!
//! [`KernelBackend`] is the seam: every operation has a default body made of stock Burn operations,
//! which any backend can take as it is, and the CPU backends replace it by the functions in [`cpu`],
//! which work on plain slices and know nothing of Burn. Callers use the functions of this crate on
//! [`Tensor`]s and never see which one ran.
//!
//! This is the only crate of the workspace that contains `unsafe` code.

// The ndarray backend is deprecated upstream and remains part of what this project supports.
#![allow(deprecated)]

pub mod cpu;
mod flex;
mod host;
mod mapped;
mod ndarray;
mod ops;
mod stock;
#[cfg(test)]
mod tests;

use burn::backend::Dispatch;
use burn::tensor::Tensor;

pub use mapped::MappedFile;
pub use ops::{Bias, KernelBackend};

/// Two-dimensional convolution with the same stride and zero padding in both directions.
///
/// # Shapes
/// - `x`: `[batch, in_channels, height, width]`
/// - `weight`: `[out_channels, in_channels, kernel_height, kernel_width]`
/// - `bias`: `[out_channels]`
/// - result: `[batch, out_channels, out_height, out_width]`
pub fn conv2d(
    x: Tensor<4>,
    weight: Tensor<4>,
    bias: Option<Tensor<1>>,
    stride: usize,
    padding: usize,
) -> Tensor<4> {
    Tensor::from_dispatch(<Dispatch as KernelBackend>::kernel_conv2d(
        x.into_dispatch(),
        weight.into_dispatch(),
        bias.map(Tensor::into_dispatch).into(),
        stride,
        padding,
    ))
}

/// `x weightᵀ + bias` over the last dimension.
///
/// # Shapes
/// - `x`: `[batch, rows, in_features]`
/// - `weight`: `[out_features, in_features]`, PyTorch's layout
/// - `bias`: `[out_features]`
/// - result: `[batch, rows, out_features]`
pub fn linear(x: Tensor<3>, weight: Tensor<2>, bias: Option<Tensor<1>>) -> Tensor<3> {
    Tensor::from_dispatch(<Dispatch as KernelBackend>::kernel_linear(
        x.into_dispatch(),
        weight.into_dispatch(),
        bias.map(Tensor::into_dispatch).into(),
    ))
}

/// Group normalisation over `[channels / groups, height, width]`, then SiLU if `silu`.
///
/// # Shapes
/// - `x`: `[batch, channels, height, width]`
/// - `weight`, `bias`: `[channels]`
pub fn group_norm(
    x: Tensor<4>,
    weight: Tensor<1>,
    bias: Tensor<1>,
    groups: usize,
    epsilon: f64,
    silu: bool,
) -> Tensor<4> {
    Tensor::from_dispatch(<Dispatch as KernelBackend>::kernel_group_norm(
        x.into_dispatch(),
        weight.into_dispatch(),
        bias.into_dispatch(),
        groups,
        epsilon,
        silu,
    ))
}

/// Layer normalisation over the last dimension.
///
/// # Shapes
/// - `x`: `[batch, rows, features]`
/// - `weight`, `bias`: `[features]`
pub fn layer_norm(x: Tensor<3>, weight: Tensor<1>, bias: Tensor<1>, epsilon: f64) -> Tensor<3> {
    Tensor::from_dispatch(<Dispatch as KernelBackend>::kernel_layer_norm(
        x.into_dispatch(),
        weight.into_dispatch(),
        bias.into_dispatch(),
        epsilon,
    ))
}

/// Multi-head attention, `softmax(q kᵀ / sqrt(head_dim)) v` for each head, the heads side by side
/// in the last dimension.
///
/// # Shapes
/// - `query`: `[batch, queries, heads * head_dim]`
/// - `key`, `value`: `[batch, keys, heads * head_dim]`
/// - result: as `query`
///
/// With `causal`, query `i` sees keys `0..=i`.
pub fn attention(
    query: Tensor<3>,
    key: Tensor<3>,
    value: Tensor<3>,
    heads: usize,
    causal: bool,
) -> Tensor<3> {
    Tensor::from_dispatch(<Dispatch as KernelBackend>::kernel_attention(
        query.into_dispatch(),
        key.into_dispatch(),
        value.into_dispatch(),
        heads,
        causal,
    ))
}

/// Twice the height and width, each pixel repeated.
///
/// # Shapes
/// - `x`: `[batch, channels, height, width]`
/// - result: `[batch, channels, 2 * height, 2 * width]`
pub fn upsample_nearest(x: Tensor<4>) -> Tensor<4> {
    Tensor::from_dispatch(<Dispatch as KernelBackend>::kernel_upsample_nearest(
        x.into_dispatch(),
    ))
}
