//! Adapter for the flex backend.

use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Flex, TensorMetadata};
use burn::tensor::{Shape, TensorData};

use crate::host::{self, HostTensor};
use crate::layer::{Fusion, HostChain, HostLayer, Precision};
use crate::ops::{KernelBackend, Maybe};

impl HostTensor for FlexTensor {
    fn dims<const D: usize>(&self) -> [usize; D] {
        self.shape().dims()
    }

    fn into_contiguous(self) -> Self {
        if self.is_contiguous() {
            self
        } else {
            self.to_contiguous()
        }
    }

    fn as_f32(&self) -> &[f32] {
        self.as_slice()
            .expect("the engine computes in f32 and asks for contiguous tensors")
    }

    fn from_f32(values: Vec<f32>, shape: Shape) -> Self {
        Self::from_data(TensorData::new(values, shape))
    }
}

impl KernelBackend for Flex {
    fn kernel_host_layer(
        x: FloatTensor<Self>,
        layer: HostLayer,
        fusion: Fusion,
        channel_add: Maybe<Self>,
        residual: Maybe<Self>,
    ) -> FloatTensor<Self> {
        host::layer(x, &layer, &fusion, channel_add.option(), residual.option())
    }

    fn kernel_host_chain(
        x: FloatTensor<Self>,
        chain: HostChain,
        residual: Maybe<Self>,
    ) -> FloatTensor<Self> {
        host::chain(x, &chain, residual.option())
    }

    fn kernel_attention(
        query: FloatTensor<Self>,
        key: FloatTensor<Self>,
        value: FloatTensor<Self>,
        heads: usize,
        causal: bool,
        precision: Precision,
    ) -> FloatTensor<Self> {
        host::multi_head_attention(query, key, value, heads, causal, precision)
    }

    fn kernel_self_attention(
        stacked: FloatTensor<Self>,
        heads: usize,
        causal: bool,
        precision: Precision,
    ) -> FloatTensor<Self> {
        host::self_attention(stacked, heads, causal, precision)
    }

    fn kernel_group_norm(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        groups: usize,
        epsilon: f64,
        silu: bool,
    ) -> FloatTensor<Self> {
        host::group_norm(x, weight, bias, groups, epsilon, silu)
    }

    fn kernel_layer_norm(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self> {
        host::layer_norm(x, weight, bias, epsilon)
    }

    fn kernel_upsample_nearest(x: FloatTensor<Self>) -> FloatTensor<Self> {
        host::upsample_nearest(x)
    }

    fn kernel_pixel_shuffle(x: FloatTensor<Self>) -> FloatTensor<Self> {
        host::pixel_shuffle(x)
    }
}
