//! The extension trait.

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, ExtensionType, backend_extension};

#[cfg(feature = "wgpu")]
use burn::tensor::Shape;

use crate::layer::{Activation, Fusion, HostChain, HostLayer, LayerForm, Precision};
use crate::stock;

/// A tensor or none. (An `Option` does not pass through Burn's run-time dispatch.)
#[derive(ExtensionType, Debug, Clone)]
#[extension_type(fusion: cfg(feature = "wgpu"))]
pub enum Maybe<B: Backend> {
    /// None.
    None,
    /// One.
    Some(FloatTensor<B>),
}

impl<B: Backend> From<Option<FloatTensor<B>>> for Maybe<B> {
    fn from(tensor: Option<FloatTensor<B>>) -> Self {
        tensor.map_or(Self::None, Self::Some)
    }
}

impl<B: Backend> Maybe<B> {
    /// The tensor, if there is one.
    pub fn option(self) -> Option<FloatTensor<B>> {
        match self {
            Self::None => None,
            Self::Some(tensor) => Some(tensor),
        }
    }
}

/// The operations that decide the speed of a diffusion model.
///
/// Shapes are those of the functions at the root of this crate. The default bodies are compositions
/// of stock operations.
#[backend_extension(
    NdArray,
    Flex,
    Cube: cfg(feature = "wgpu"),
    Fusion: cfg(feature = "wgpu")
)]
pub trait KernelBackend: Backend {
    /// A layer that is packed for the CPU, see [`crate::packed_layer`].
    ///
    /// # Panics
    /// By default: only the CPU backends have such layers, and replace this.
    #[fusion(default)]
    fn kernel_host_layer(
        _x: FloatTensor<Self>,
        layer: HostLayer,
        _fusion: Fusion,
        #[extension_type] _channel_add: Maybe<Self>,
        #[extension_type] _residual: Maybe<Self>,
    ) -> FloatTensor<Self> {
        panic!("{layer:?} is packed for the CPU and was given a tensor of another device");
    }

    /// Layers that are packed for the CPU one after the other, see [`crate::packed_chain`].
    ///
    /// # Panics
    /// As [`Self::kernel_host_layer`].
    #[fusion(default)]
    fn kernel_host_chain(
        _x: FloatTensor<Self>,
        chain: HostChain,
        #[extension_type] _residual: Maybe<Self>,
    ) -> FloatTensor<Self> {
        panic!("{chain:?} is packed for the CPU and was given a tensor of another device");
    }

    /// A layer whose weight is a tensor, see [`crate::packed_layer`]. All tensors but the bias, which is f32, have the
    /// type of `weight`.
    ///
    /// # Shapes
    /// - `weight`: `[kernel, kernel, inputs, outputs]`
    /// - `bias`: `[outputs]`
    #[fusion(dtype = x, shape = layer_output(x, weight, form))]
    fn kernel_device_layer(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        #[extension_type] bias: Maybe<Self>,
        form: LayerForm,
        activation: Activation,
        #[extension_type] channel_add: Maybe<Self>,
        #[extension_type] residual: Maybe<Self>,
    ) -> FloatTensor<Self> {
        let (bias, add, residual) = (bias.option(), channel_add.option(), residual.option());
        stock::layer::<Self>(x, weight, bias, form, activation, add, residual)
    }

    /// The first half of the channels times the GELU of the second half.
    ///
    /// # Shapes
    /// - `x`: `[batch, 2 * channels, height, width]`
    /// - result: `[batch, channels, height, width]`
    #[fusion(dtype = x, shape = half_of_dimension_1(x))]
    fn kernel_geglu(x: FloatTensor<Self>) -> FloatTensor<Self> {
        stock::geglu::<Self>(x)
    }

    /// See [`crate::attention`].
    #[fusion(dtype = query, shape = query)]
    fn kernel_attention(
        query: FloatTensor<Self>,
        key: FloatTensor<Self>,
        value: FloatTensor<Self>,
        heads: usize,
        causal: bool,
        _precision: Precision,
    ) -> FloatTensor<Self> {
        stock::attention::<Self>(query, key, value, heads, causal)
    }

    /// See [`crate::self_attention`].
    #[fusion(dtype = stacked, shape = third_of_dimension_1(stacked))]
    fn kernel_self_attention(
        stacked: FloatTensor<Self>,
        heads: usize,
        causal: bool,
        _precision: Precision,
    ) -> FloatTensor<Self> {
        let [query, key, value] = stock::thirds::<Self>(stacked);
        stock::attention::<Self>(query, key, value, heads, causal)
    }

    /// See [`crate::group_norm`].
    #[fusion(dtype = x, shape = x)]
    fn kernel_group_norm(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        groups: usize,
        epsilon: f64,
        silu: bool,
    ) -> FloatTensor<Self> {
        stock::group_norm::<Self>(x, weight, bias, groups, epsilon, silu)
    }

    /// See [`crate::layer_norm`].
    #[fusion(dtype = x, shape = x)]
    fn kernel_layer_norm(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self> {
        stock::layer_norm::<Self>(x, weight, bias, epsilon)
    }

    /// See [`crate::upsample_nearest`].
    #[fusion(default)]
    fn kernel_upsample_nearest(x: FloatTensor<Self>) -> FloatTensor<Self> {
        stock::upsample_nearest::<Self>(x)
    }

    /// See [`crate::pixel_shuffle`].
    #[fusion(default)]
    fn kernel_pixel_shuffle(x: FloatTensor<Self>) -> FloatTensor<Self> {
        stock::pixel_shuffle::<Self>(x)
    }
}

#[cfg(feature = "wgpu")]
fn layer_output(x: &Shape, weight: &Shape, form: &LayerForm) -> Shape {
    let [batch, _, height, width] = x.dims();
    let [_, _, _, outputs] = weight.dims();
    let [height, width] = form.output_size([height, width]);
    Shape::new([batch, outputs, height, width])
}

#[cfg(feature = "wgpu")]
fn half_of_dimension_1(x: &Shape) -> Shape {
    let [batch, channels, height, width] = x.dims();
    Shape::new([batch, channels / 2, height, width])
}

#[cfg(feature = "wgpu")]
fn third_of_dimension_1(x: &Shape) -> Shape {
    let [batch, channels, tokens] = x.dims();
    Shape::new([batch, channels / 3, tokens])
}
