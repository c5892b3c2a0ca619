//! The extension trait.

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, ExtensionType, backend_extension};

use crate::layer::{Fusion, PackedLayer, Precision};
use crate::stock;

/// A tensor or none. (An `Option` does not pass through Burn's run-time dispatch.)
#[derive(ExtensionType, Debug, Clone)]
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
#[backend_extension(NdArray, Flex)]
pub trait KernelBackend: Backend {
    /// See [`crate::packed_layer`].
    ///
    /// # Panics
    /// By default: layers are packed for the CPU backends alone, which replace this.
    fn kernel_packed_layer(
        _x: FloatTensor<Self>,
        layer: PackedLayer,
        _fusion: Fusion,
        #[extension_type] _channel_add: Maybe<Self>,
        #[extension_type] _residual: Maybe<Self>,
    ) -> FloatTensor<Self> {
        panic!("{layer:?} is packed for the CPU and was given a tensor of another device");
    }

    /// See [`crate::attention`].
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
    fn kernel_layer_norm(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self> {
        stock::layer_norm::<Self>(x, weight, bias, epsilon)
    }

    /// See [`crate::upsample_nearest`].
    fn kernel_upsample_nearest(x: FloatTensor<Self>) -> FloatTensor<Self> {
        stock::upsample_nearest::<Self>(x)
    }
}
