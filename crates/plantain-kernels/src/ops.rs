//! The extension trait.

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, ExtensionType, backend_extension};

use crate::stock;

/// What is added to each output channel or feature. (An `Option` does not pass through Burn's
/// run-time dispatch.)
#[derive(ExtensionType, Debug, Clone)]
pub enum Bias<B: Backend> {
    /// Nothing.
    None,
    /// One value per channel, `[channels]`.
    PerChannel(FloatTensor<B>),
}

impl<B: Backend> From<Option<FloatTensor<B>>> for Bias<B> {
    fn from(bias: Option<FloatTensor<B>>) -> Self {
        bias.map_or(Self::None, Self::PerChannel)
    }
}

impl<B: Backend> Bias<B> {
    /// The values, if there are any.
    pub fn values(self) -> Option<FloatTensor<B>> {
        match self {
            Self::None => None,
            Self::PerChannel(values) => Some(values),
        }
    }
}

/// The operations that decide the speed of a diffusion model.
///
/// Shapes are those of the functions at the root of this crate. The default bodies are compositions
/// of stock operations.
#[backend_extension(NdArray, Flex)]
pub trait KernelBackend: Backend {
    /// See [`crate::conv2d`].
    fn kernel_conv2d(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        #[extension_type] bias: Bias<Self>,
        stride: usize,
        padding: usize,
    ) -> FloatTensor<Self> {
        stock::convolution::<Self>(x, weight, bias.values(), stride, padding)
    }

    /// See [`crate::linear`].
    fn kernel_linear(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        #[extension_type] bias: Bias<Self>,
    ) -> FloatTensor<Self> {
        stock::linear::<Self>(x, weight, bias.values())
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

    /// See [`crate::attention`].
    fn kernel_attention(
        query: FloatTensor<Self>,
        key: FloatTensor<Self>,
        value: FloatTensor<Self>,
        heads: usize,
        causal: bool,
    ) -> FloatTensor<Self> {
        stock::attention::<Self>(query, key, value, heads, causal)
    }

    /// See [`crate::upsample_nearest`].
    fn kernel_upsample_nearest(x: FloatTensor<Self>) -> FloatTensor<Self> {
        stock::upsample_nearest::<Self>(x)
    }
}
