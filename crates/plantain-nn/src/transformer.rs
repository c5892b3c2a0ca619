//! Attention blocks: the UNet's spatial transformer and the decoder's self attention.

use burn::module::Module;
use burn::tensor::{Device, Tensor, activation};
use plantain_kernels as kernels;

use crate::layers::{GroupNorm, LayerNorm, Linear};

/// Multi-head attention with projections (diffusers' `Attention`).
#[derive(Module, Debug)]
pub struct Attention {
    to_q: Linear,
    to_k: Linear,
    to_v: Linear,
    to_out: Linear,
    #[module(skip)]
    heads: usize,
}

impl Attention {
    /// Queries of width `dim`, keys and values from states of width `context_dim`.
    pub fn new(dim: usize, context_dim: usize, heads: usize, device: &Device) -> Self {
        Self {
            to_q: Linear::without_bias(dim, dim, device),
            to_k: Linear::without_bias(context_dim, dim, device),
            to_v: Linear::without_bias(context_dim, dim, device),
            to_out: Linear::new(dim, dim, device),
            heads,
        }
    }

    /// # Shapes
    /// - `x`: `[batch, queries, dim]`
    /// - `context`: `[batch, keys, context_dim]`, or none for self attention
    /// - result: as `x`
    pub fn forward(&self, x: Tensor<3>, context: Option<&Tensor<3>>) -> Tensor<3> {
        let context = context.cloned().unwrap_or_else(|| x.clone());
        let key = self.to_k.forward(context.clone());
        let value = self.to_v.forward(context);
        let query = self.to_q.forward(x);
        let y = kernels::attention(query, key, value, self.heads, false);
        self.to_out.forward(y)
    }
}

/// Gated feed-forward layer (diffusers' `FeedForward` with `GEGLU`, Shazeer 2020).
#[derive(Module, Debug)]
pub struct FeedForward {
    proj: Linear,
    out: Linear,
}

impl FeedForward {
    fn new(dim: usize, device: &Device) -> Self {
        Self {
            proj: Linear::new(dim, 8 * dim, device),
            out: Linear::new(4 * dim, dim, device),
        }
    }

    fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let mut halves = self.proj.forward(x).chunk(2, 2).into_iter();
        let (Some(hidden), Some(gate)) = (halves.next(), halves.next()) else {
            unreachable!("the width of the projection is a multiple of 8");
        };
        self.out.forward(hidden * activation::gelu(gate))
    }
}

/// Self attention, attention to the text, feed-forward (diffusers' `BasicTransformerBlock`).
#[derive(Module, Debug)]
pub struct TransformerBlock {
    norm1: LayerNorm,
    attn1: Attention,
    norm2: LayerNorm,
    attn2: Attention,
    norm3: LayerNorm,
    ff: FeedForward,
}

impl TransformerBlock {
    fn new(dim: usize, context_dim: usize, heads: usize, device: &Device) -> Self {
        const EPSILON: f64 = 1e-5;
        Self {
            norm1: LayerNorm::new(dim, EPSILON, device),
            attn1: Attention::new(dim, dim, heads, device),
            norm2: LayerNorm::new(dim, EPSILON, device),
            attn2: Attention::new(dim, context_dim, heads, device),
            norm3: LayerNorm::new(dim, EPSILON, device),
            ff: FeedForward::new(dim, device),
        }
    }

    fn forward(&self, x: Tensor<3>, context: &Tensor<3>) -> Tensor<3> {
        let x = x.clone() + self.attn1.forward(self.norm1.forward(x), None);
        let x = x.clone() + self.attn2.forward(self.norm2.forward(x), Some(context));
        x.clone() + self.ff.forward(self.norm3.forward(x))
    }
}

/// Transformer blocks over the pixels of a feature map (diffusers' `Transformer2DModel`).
///
/// The projections around the blocks are stored as 1x1 convolutions in some models
/// (`use_linear_projection = false`); that is the same map, so they are linear layers here.
#[derive(Module, Debug)]
pub struct SpatialTransformer {
    norm: GroupNorm,
    proj_in: Linear,
    transformer_blocks: Vec<TransformerBlock>,
    proj_out: Linear,
}

/// Configuration of a [`SpatialTransformer`].
#[derive(Debug, Clone, Copy)]
pub struct SpatialTransformerConfig {
    /// Channels of the feature map.
    pub channels: usize,
    /// Width of the text states.
    pub context_dim: usize,
    /// Attention heads.
    pub heads: usize,
    /// Transformer blocks.
    pub layers: usize,
    /// Groups of the normalisation.
    pub groups: usize,
}

impl SpatialTransformerConfig {
    /// Builds the block; its parameters are allocated when first used.
    pub fn init(&self, device: &Device) -> SpatialTransformer {
        const EPSILON: f64 = 1e-6;
        let channels = self.channels;
        SpatialTransformer {
            norm: GroupNorm::new(self.groups, channels, EPSILON, device),
            proj_in: Linear::new(channels, channels, device),
            transformer_blocks: (0..self.layers)
                .map(|_| TransformerBlock::new(channels, self.context_dim, self.heads, device))
                .collect(),
            proj_out: Linear::new(channels, channels, device),
        }
    }
}

impl SpatialTransformer {
    /// # Shapes
    /// - `x`: `[batch, channels, height, width]`
    /// - `context`: `[batch, tokens, context_dim]`
    /// - result: as `x`
    pub fn forward(&self, x: Tensor<4>, context: &Tensor<3>) -> Tensor<4> {
        let [_, _, height, width] = x.dims();
        let h = self.norm.forward(x.clone());
        let mut h = self.proj_in.forward(to_rows(h));
        for block in &self.transformer_blocks {
            h = block.forward(h, context);
        }
        x + to_map(self.proj_out.forward(h), height, width)
    }
}

/// Self attention over the pixels with one head (the mid block of diffusers' `AutoencoderKL`).
#[derive(Module, Debug)]
pub struct PixelAttention {
    group_norm: GroupNorm,
    to_q: Linear,
    to_k: Linear,
    to_v: Linear,
    to_out: Linear,
}

impl PixelAttention {
    /// Keeps the number of channels.
    pub fn new(channels: usize, groups: usize, epsilon: f64, device: &Device) -> Self {
        let linear = || Linear::new(channels, channels, device);
        Self {
            group_norm: GroupNorm::new(groups, channels, epsilon, device),
            to_q: linear(),
            to_k: linear(),
            to_v: linear(),
            to_out: linear(),
        }
    }

    /// # Shapes
    /// - `x`, result: `[batch, channels, height, width]`
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let [_, _, height, width] = x.dims();
        let h = to_rows(self.group_norm.forward(x.clone()));
        let query = self.to_q.forward(h.clone());
        let key = self.to_k.forward(h.clone());
        let value = self.to_v.forward(h);
        let h = self
            .to_out
            .forward(kernels::attention(query, key, value, 1, false));
        x + to_map(h, height, width)
    }
}

/// `[batch, channels, height, width]` to `[batch, height * width, channels]`.
fn to_rows(x: Tensor<4>) -> Tensor<3> {
    x.flatten::<3>(2, 3).swap_dims(1, 2)
}

/// The reverse of [`to_rows`].
fn to_map(x: Tensor<3>, height: usize, width: usize) -> Tensor<4> {
    let [batch, _, channels] = x.dims();
    x.swap_dims(1, 2).reshape([batch, channels, height, width])
}
