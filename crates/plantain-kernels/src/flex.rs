//! Adapter for the flex backend.

use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Flex, TensorMetadata};
use burn::tensor::{Shape, TensorData};

use crate::host::{self, HostTensor};
use crate::ops::{Bias, KernelBackend};

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
    fn kernel_conv2d(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: Bias<Self>,
        stride: usize,
        padding: usize,
    ) -> FloatTensor<Self> {
        host::convolution(x, weight, bias.values(), stride, padding)
    }

    fn kernel_linear(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: Bias<Self>,
    ) -> FloatTensor<Self> {
        host::linear(x, weight, bias.values())
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

    fn kernel_attention(
        query: FloatTensor<Self>,
        key: FloatTensor<Self>,
        value: FloatTensor<Self>,
        heads: usize,
        causal: bool,
    ) -> FloatTensor<Self> {
        host::multi_head_attention(query, key, value, heads, causal)
    }

    fn kernel_upsample_nearest(x: FloatTensor<Self>) -> FloatTensor<Self> {
        host::upsample_nearest(x)
    }
}
