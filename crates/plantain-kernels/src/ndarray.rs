//! Adapter for the ndarray backend.

use burn::backend::ndarray::NdArrayTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{NdArray, TensorMetadata};
use burn::tensor::Shape;

use crate::host::{self, HostTensor};
use crate::layer::{Fusion, HostChain, HostLayer, Precision};
use crate::ops::{KernelBackend, Maybe};

impl HostTensor for NdArrayTensor {
    fn dims<const D: usize>(&self) -> [usize; D] {
        self.shape().dims()
    }

    fn into_contiguous(self) -> Self {
        match self {
            Self::F32(storage) if storage.view().to_slice().is_none() => {
                let copy = storage.view().as_standard_layout().into_owned();
                copy.into_shared().into()
            }
            tensor => tensor,
        }
    }

    fn as_f32(&self) -> &[f32] {
        let slice = match self {
            Self::F32(storage) => storage.view().to_slice(),
            _ => None,
        };
        slice.expect("the engine computes in f32 and asks for contiguous tensors")
    }

    fn from_f32(values: Vec<f32>, shape: Shape) -> Self {
        let dims: Vec<usize> = shape.to_vec();
        ndarray::ArrayD::from_shape_vec(ndarray::IxDyn(&dims), values)
            .expect("kernels return as many values as their shape says")
            .into_shared()
            .into()
    }
}

impl KernelBackend for NdArray {
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
