//! Adapter for the backend of all CubeCL devices.

use burn::backend::tensor::FloatTensor;
use burn_cubecl::CubeBackend;

use super::{attention, elementwise, layer, norm};
use crate::layer::{Activation, LayerForm, Precision};
use crate::ops::{KernelBackend, Maybe};

impl KernelBackend for CubeBackend {
    fn kernel_device_layer(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: Maybe<Self>,
        form: LayerForm,
        activation: Activation,
        channel_add: Maybe<Self>,
        residual: Maybe<Self>,
    ) -> FloatTensor<Self> {
        layer::layer(
            x,
            weight,
            bias.option(),
            form,
            activation,
            channel_add.option(),
            residual.option(),
        )
    }

    fn kernel_geglu(x: FloatTensor<Self>) -> FloatTensor<Self> {
        elementwise::geglu(x)
    }

    fn kernel_attention(
        query: FloatTensor<Self>,
        key: FloatTensor<Self>,
        value: FloatTensor<Self>,
        heads: usize,
        causal: bool,
        _precision: Precision,
    ) -> FloatTensor<Self> {
        attention::attention(query, key, value, heads, causal)
    }

    fn kernel_self_attention(
        stacked: FloatTensor<Self>,
        heads: usize,
        causal: bool,
        _precision: Precision,
    ) -> FloatTensor<Self> {
        attention::self_attention(stacked, heads, causal)
    }

    fn kernel_group_norm(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        groups: usize,
        epsilon: f64,
        silu: bool,
    ) -> FloatTensor<Self> {
        norm::group_norm(x, weight, bias, groups, epsilon, silu)
    }

    fn kernel_layer_norm(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self> {
        norm::layer_norm(x, weight, bias, epsilon)
    }
}
