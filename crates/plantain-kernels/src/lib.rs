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
// The types of fused graphs nest deeply.
#![recursion_limit = "256"]

pub mod cpu;
#[cfg(feature = "wgpu")]
mod cube;
mod features;
mod flex;
mod host;
mod layer;
mod mapped;
mod memory;
mod ndarray;
mod ops;
mod stock;
#[cfg(test)]
mod tests;

use burn::backend::Dispatch;
use burn::tensor::Tensor;
use layer::{DeviceLayer, Packed};

#[cfg(feature = "wgpu")]
pub use cube::{RuntimeSettings, adapter_memory};
pub use features::{cpu_features, multiplies_bf16, threads, use_threads};
pub use layer::{
    Activation, Before, ChainLink, Fusion, HostChain, HostLayer, LayerForm, NormValues,
    PackedLayer, Packing, Precision, Storage, Use, WeightShape,
};
pub use mapped::MappedFile;
pub use memory::{keep_freed_memory, return_freed_memory};
pub use ops::{KernelBackend, Maybe};

/// A convolution or linear layer whose weight was packed, with everything around it: on the CPU in one pass, on a
/// graphics processor with normalisations as a pass of their own.
///
/// A linear layer is a 1x1 convolution over a picture of height 1 whose pixels are the tokens.
///
/// # Shapes
/// - `x`: `[batch, in_channels, height, width]`
/// - `channel_add`: `[batch, out_channels]`, added to every pixel
/// - `residual`, result: `[batch, out_channels, out_height, out_width]`
///
/// # Panics
/// When `x` is not where the layer is, or a shape does not fit.
pub fn packed_layer(
    x: Tensor<4>,
    layer: &PackedLayer,
    fusion: Fusion,
    channel_add: Option<Tensor<2>>,
    residual: Option<Tensor<4>>,
) -> Tensor<4> {
    match &layer.0 {
        Packed::Host(layer) => {
            Tensor::from_dispatch(<Dispatch as KernelBackend>::kernel_host_layer(
                x.into_dispatch(),
                layer.clone(),
                fusion,
                channel_add.map(Tensor::into_dispatch).into(),
                residual.map(Tensor::into_dispatch).into(),
            ))
        }
        Packed::Device(layer) => {
            let x = normalised(x, fusion.before);
            device_layer(x, layer, fusion.activation, channel_add, residual)
        }
    }
}

/// Convolutions of stride 1 one after the other, without tensors between them.
///
/// # Shapes
/// - `x`: `[batch, in_channels, height, width]`
/// - `residual`, added before the last activation, and result: `[batch, out_channels, out_height, out_width]`
///
/// # Panics
/// When `x` is not on the CPU, or a shape does not fit.
pub fn packed_chain(x: Tensor<4>, chain: HostChain, residual: Option<Tensor<4>>) -> Tensor<4> {
    Tensor::from_dispatch(<Dispatch as KernelBackend>::kernel_host_chain(
        x.into_dispatch(),
        chain,
        residual.map(Tensor::into_dispatch).into(),
    ))
}

/// What comes before a layer as operations of its own.
fn normalised(x: Tensor<4>, before: Before) -> Tensor<4> {
    const ON_DEVICE: &str = "the normalisation is packed for the device of its layer";
    match before {
        Before::Nothing => x,
        Before::Silu => burn::tensor::activation::silu(x),
        Before::GroupNorm {
            values,
            groups,
            silu,
        } => {
            let (weight, bias) = values.tensors().expect(ON_DEVICE);
            group_norm(x, weight, bias, groups, values.epsilon(), silu)
        }
        Before::LayerNorm(values) => {
            let (weight, bias) = values.tensors().expect(ON_DEVICE);
            let dims = x.dims();
            layer_norm(x.flatten(2, 3), weight, bias, values.epsilon()).reshape(dims)
        }
    }
}

/// Activations take the type of the weight on their way in, and so have it on their way out.
fn device_layer(
    x: Tensor<4>,
    layer: &DeviceLayer,
    activation: Activation,
    channel_add: Option<Tensor<2>>,
    residual: Option<Tensor<4>>,
) -> Tensor<4> {
    let (bias, dtype) = (layer.bias.clone(), layer.weight.dtype());
    let fused = if layer.gated {
        Activation::None
    } else {
        activation
    };
    let y = <Dispatch as KernelBackend>::kernel_device_layer(
        x.cast(dtype).into_dispatch(),
        layer.weight.clone().into_dispatch(),
        bias.map(Tensor::into_dispatch).into(),
        layer.form,
        fused,
        channel_add
            .map(|add| add.cast(dtype).into_dispatch())
            .into(),
        residual
            .map(|residual| residual.cast(dtype).into_dispatch())
            .into(),
    );
    Tensor::from_dispatch(if layer.gated {
        <Dispatch as KernelBackend>::kernel_geglu(y)
    } else {
        y
    })
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

/// Normalisation of each token over its channels.
///
/// # Shapes
/// - `x`: `[batch, channels, tokens]`
/// - `weight`, `bias`: `[channels]`
pub fn layer_norm(x: Tensor<3>, weight: Tensor<1>, bias: Tensor<1>, epsilon: f64) -> Tensor<3> {
    Tensor::from_dispatch(<Dispatch as KernelBackend>::kernel_layer_norm(
        x.into_dispatch(),
        weight.into_dispatch(),
        bias.into_dispatch(),
        epsilon,
    ))
}

/// Multi-head attention, `softmax(q kᵀ / sqrt(head_dim)) v` for each head, the heads one after the
/// other among the channels.
///
/// # Shapes
/// - `query`: `[batch, heads * head_dim, queries]`
/// - `key`, `value`: `[batch, heads * head_dim, keys]`
/// - result: as `query`
///
/// With `causal`, query `i` sees keys `0..=i`.
pub fn attention(
    query: Tensor<3>,
    key: Tensor<3>,
    value: Tensor<3>,
    heads: usize,
    causal: bool,
    precision: Precision,
) -> Tensor<3> {
    Tensor::from_dispatch(<Dispatch as KernelBackend>::kernel_attention(
        query.into_dispatch(),
        key.into_dispatch(),
        value.into_dispatch(),
        heads,
        causal,
        precision,
    ))
}

/// [`attention`] of tokens to each other.
///
/// # Shapes
/// - `stacked`: `[batch, 3 * heads * head_dim, tokens]`: queries, keys, values
/// - result: `[batch, heads * head_dim, tokens]`
pub fn self_attention(
    stacked: Tensor<3>,
    heads: usize,
    causal: bool,
    precision: Precision,
) -> Tensor<3> {
    Tensor::from_dispatch(<Dispatch as KernelBackend>::kernel_self_attention(
        stacked.into_dispatch(),
        heads,
        causal,
        precision,
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

/// Twice the height and width: four channels after each other become a channel's pixels of even rows and columns, of even rows and odd
/// columns, of odd rows and even columns, and of odd rows and columns (PyTorch's `pixel_shuffle`).
///
/// # Shapes
/// - `x`: `[batch, 4 * channels, height, width]`
/// - result: `[batch, channels, 2 * height, 2 * width]`
///
/// # Panics
/// If the channels are no multiple of four.
pub fn pixel_shuffle(x: Tensor<4>) -> Tensor<4> {
    Tensor::from_dispatch(<Dispatch as KernelBackend>::kernel_pixel_shuffle(
        x.into_dispatch(),
    ))
}
