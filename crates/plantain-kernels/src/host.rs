//! What the CPU backends share: their tensors seen as slices, and the kernels called on them.

use std::mem::MaybeUninit;

use burn::tensor::Shape;

use crate::cpu::attention::{self, AttentionShape};
use crate::cpu::{norm, upsample};
use crate::layer::{Fusion, HostChain, HostLayer, Precision};
use crate::memory::prefer_huge_pages;

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

/// A tensor of the given shape, filled by `fill`.
fn filled<T: HostTensor, const D: usize>(dims: [usize; D], fill: impl FnOnce(&mut [f32])) -> T {
    let mut out = vec![0.0; dims.iter().product()];
    fill(&mut out);
    T::from_f32(out, Shape::new(dims))
}

/// A tensor of the given shape, every number of which is written by `write`. Clearing it before takes a tenth of a UNet's time.
///
/// # Safety
/// `write` must write all of them.
unsafe fn written<T: HostTensor, const D: usize>(
    dims: [usize; D],
    write: impl FnOnce(&mut [MaybeUninit<f32>]),
) -> T {
    let count = dims.iter().product();
    let mut out = Vec::with_capacity(count);
    let room = &mut out.spare_capacity_mut()[..count];
    prefer_huge_pages(room);
    write(room);
    // SAFETY: there is room for as many, and the caller promises that they were written.
    unsafe { out.set_len(count) };
    T::from_f32(out, Shape::new(dims))
}

pub(crate) fn layer<T: HostTensor>(
    x: T,
    layer: &HostLayer,
    fusion: &Fusion,
    channel_add: Option<T>,
    residual: Option<T>,
) -> T {
    let extents = x.dims();
    let x = x.into_contiguous();
    let channel_add = channel_add.map(T::into_contiguous);
    let residual = residual.map(T::into_contiguous);
    let write = |out: &mut _| {
        let [channel_add, residual] = [&channel_add, &residual].map(|t| t.as_ref().map(T::as_f32));
        layer.run(x.as_f32(), extents, fusion, channel_add, residual, out);
    };
    // SAFETY: a layer writes every number of its output.
    unsafe { written(layer.output_extents(extents), write) }
}

pub(crate) fn chain<T: HostTensor>(x: T, chain: &HostChain, residual: Option<T>) -> T {
    let extents = x.dims();
    let x = x.into_contiguous();
    let residual = residual.map(T::into_contiguous);
    let write = |out: &mut _| {
        let residual = residual.as_ref().map(T::as_f32);
        chain.run(x.as_f32(), extents, residual, out);
    };
    // SAFETY: the last layer writes every number of the output.
    unsafe { written(chain.output_extents(extents), write) }
}

pub(crate) fn multi_head_attention<T: HostTensor>(
    query: T,
    key: T,
    value: T,
    heads: usize,
    causal: bool,
    precision: Precision,
) -> T {
    let [batch, width, queries] = query.dims();
    let [_, _, keys] = key.dims();
    let shape = AttentionShape {
        batch,
        heads,
        head_size: width / heads,
        queries,
        keys,
    };
    let [query, key, value] = [query, key, value].map(T::into_contiguous);
    let write = |out: &mut _| {
        attention::attention(
            query.as_f32(),
            key.as_f32(),
            value.as_f32(),
            shape,
            causal,
            precision,
            out,
        );
    };
    // SAFETY: an attention writes every number of its output.
    unsafe { written([batch, width, queries], write) }
}

/// Attention of tokens to each other, with queries, keys and values in the thirds of one tensor.
pub(crate) fn self_attention<T: HostTensor>(
    stacked: T,
    heads: usize,
    causal: bool,
    precision: Precision,
) -> T {
    let [batch, stacked_width, tokens] = stacked.dims();
    let width = stacked_width / 3;
    let shape = AttentionShape {
        batch: 1,
        heads,
        head_size: width / heads,
        queries: tokens,
        keys: tokens,
    };
    let stacked = stacked.into_contiguous();
    let third = width * tokens;
    let write = |out: &mut [MaybeUninit<f32>]| {
        let samples = stacked
            .as_f32()
            .chunks_exact(3 * third)
            .zip(out.chunks_exact_mut(third));
        for (sample, out) in samples {
            let (query, rest) = sample.split_at(third);
            let (key, value) = rest.split_at(third);
            attention::attention(query, key, value, shape, causal, precision, out);
        }
    };
    // SAFETY: an attention writes every number of its output, and there is one for each sample.
    unsafe { written([batch, width, tokens], write) }
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
    let shape = [dims[0], dims[1], dims[2] * dims[3]];
    let [x, weight, bias] = [x, weight, bias].map(T::into_contiguous);
    filled(dims, |out| {
        let (weight, bias) = (weight.as_f32(), bias.as_f32());
        norm::group_norm(
            x.as_f32(),
            shape,
            groups,
            epsilon as f32,
            weight,
            bias,
            silu,
            out,
        );
    })
}

pub(crate) fn layer_norm<T: HostTensor>(x: T, weight: T, bias: T, epsilon: f64) -> T {
    let dims: [usize; 3] = x.dims();
    let [x, weight, bias] = [x, weight, bias].map(T::into_contiguous);
    filled(dims, |out| {
        norm::layer_norm(
            x.as_f32(),
            dims,
            epsilon as f32,
            weight.as_f32(),
            bias.as_f32(),
            out,
        );
    })
}

pub(crate) fn upsample_nearest<T: HostTensor>(x: T) -> T {
    let extents @ [batch, channels, height, width] = x.dims();
    let x = x.into_contiguous();
    filled([batch, channels, 2 * height, 2 * width], |out| {
        upsample::upsample_nearest(x.as_f32(), extents, 2, out);
    })
}

pub(crate) fn pixel_shuffle<T: HostTensor>(x: T) -> T {
    let extents @ [batch, channels, height, width] = x.dims();
    let x = x.into_contiguous();
    filled([batch, channels / 4, 2 * height, 2 * width], |out| {
        upsample::pixel_shuffle(x.as_f32(), extents, out);
    })
}
