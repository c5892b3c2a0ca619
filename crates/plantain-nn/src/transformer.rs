//! Attention blocks: the UNet's spatial transformer and the decoder's self attention.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use plantain_kernels::{self as kernels, Activation, PackedLayer, Packing, Precision};

use crate::layers::{After, Before, GroupNorm, LayerNorm, Linear, run_packed};

/// How tokens attend to each other, given the layers that project them to queries, keys and values.
#[derive(Debug, Clone)]
pub struct SelfAttending {
    heads: usize,
    precision: Precision,
    /// The three projections in one.
    stacked: Option<PackedLayer>,
}

impl SelfAttending {
    /// With so many heads.
    pub fn new(heads: usize) -> Self {
        Self {
            heads,
            precision: Precision::F32,
            stacked: None,
        }
    }

    /// Moves the weights of the projections to where kernels read them.
    pub fn pack(&mut self, mut projections: [&mut Linear; 3], packing: &Packing) {
        self.stacked = Some(Linear::pack_stacked(&mut projections, packing));
        self.precision = packing.precision().at_least_bf16();
    }

    /// # Shapes
    /// - `x`, result: `[batch, dim, height, width]`, a token at each pixel
    ///
    /// With `causal`, a token sees itself and the tokens before it.
    pub fn forward(
        &self,
        x: Tensor<4>,
        norm: Before<'_>,
        projections: [&Linear; 3],
        causal: bool,
    ) -> Tensor<4> {
        let dims = x.dims();
        let y = match &self.stacked {
            Some(layer) => {
                let stacked = run_packed(x, layer, norm, After::NOTHING);
                kernels::self_attention(stacked.flatten(2, 3), self.heads, causal, self.precision)
            }
            None => {
                let [query, key, value] = projections.map(|layer| {
                    let y = layer.forward_with(x.clone(), norm, After::NOTHING);
                    y.flatten::<3>(2, 3)
                });
                kernels::attention(query, key, value, self.heads, causal, self.precision)
            }
        };
        y.reshape(dims)
    }
}

/// Attention of states to each other (diffusers' `Attention` without a context).
#[derive(Module, Debug)]
pub struct SelfAttention {
    /// Only in the decoder, whose attention brings its normalisation along.
    group_norm: Option<GroupNorm>,
    to_q: Linear,
    to_k: Linear,
    to_v: Linear,
    to_out: Linear,
    #[module(skip)]
    attending: SelfAttending,
}

impl SelfAttention {
    /// For states of width `dim`.
    pub fn new(dim: usize, heads: usize, device: &Device) -> Self {
        let projection = || Linear::without_bias(dim, dim, device);
        Self {
            group_norm: None,
            to_q: projection(),
            to_k: projection(),
            to_v: projection(),
            to_out: Linear::new(dim, dim, device),
            attending: SelfAttending::new(heads),
        }
    }

    /// With one head over all pixels, and a group normalisation first (the mid block of diffusers'
    /// `AutoencoderKL`).
    pub fn of_pixels(channels: usize, groups: usize, epsilon: f64, device: &Device) -> Self {
        let projection = || Linear::new(channels, channels, device);
        Self {
            group_norm: Some(GroupNorm::new(groups, channels, epsilon, device)),
            to_q: projection(),
            to_k: projection(),
            to_v: projection(),
            to_out: projection(),
            attending: SelfAttending::new(1),
        }
    }

    /// Moves the weights to where and into the layout in which kernels read them.
    pub fn pack(&mut self, packing: &Packing) {
        if let Some(norm) = &mut self.group_norm {
            norm.pack(packing);
        }
        let projections = [&mut self.to_q, &mut self.to_k, &mut self.to_v];
        self.attending.pack(projections, packing);
        self.to_out.pack(packing);
    }

    /// `x` plus the attention of its normalised tokens to each other.
    ///
    /// # Shapes
    /// - `x`, result: `[batch, dim, height, width]`, a token at each pixel
    pub fn forward(&self, x: Tensor<4>, norm: Before<'_>) -> Tensor<4> {
        let norm = self.group_norm.as_ref().map_or(norm, Before::GroupNorm);
        let projections = [&self.to_q, &self.to_k, &self.to_v];
        let y = self.attending.forward(x.clone(), norm, projections, false);
        self.to_out
            .forward_with(y, Before::Nothing, After::residual(x))
    }
}

/// Attention of pixels to the text (diffusers' `Attention` with a context).
#[derive(Module, Debug)]
pub struct CrossAttention {
    to_q: Linear,
    to_k: Linear,
    to_v: Linear,
    to_out: Linear,
    #[module(skip)]
    heads: usize,
    #[module(skip)]
    precision: Precision,
}

/// Keys and values of a text for one layer, `[batch, dim, tokens]` each: the same at every step.
#[derive(Debug, Clone)]
pub struct TextKeys {
    key: Tensor<3>,
    value: Tensor<3>,
}

impl TextKeys {
    /// Those of two batches of texts, one after the other.
    fn joined(self, other: Self) -> Self {
        Self {
            key: Tensor::cat(vec![self.key, other.key], 0),
            value: Tensor::cat(vec![self.value, other.value], 0),
        }
    }
}

impl CrossAttention {
    fn new(dim: usize, context_dim: usize, heads: usize, device: &Device) -> Self {
        Self {
            to_q: Linear::without_bias(dim, dim, device),
            to_k: Linear::without_bias(context_dim, dim, device),
            to_v: Linear::without_bias(context_dim, dim, device),
            to_out: Linear::new(dim, dim, device),
            heads,
            precision: Precision::F32,
        }
    }

    fn pack(&mut self, packing: &Packing) {
        for layer in [
            &mut self.to_q,
            &mut self.to_k,
            &mut self.to_v,
            &mut self.to_out,
        ] {
            layer.pack(packing);
        }
        self.precision = packing.precision().at_least_bf16();
    }

    fn text_keys(&self, context: &Tensor<3>) -> TextKeys {
        TextKeys {
            key: self.to_k.forward(context.clone()),
            value: self.to_v.forward(context.clone()),
        }
    }

    fn forward(&self, x: Tensor<4>, norm: Before<'_>, text: &TextKeys) -> Tensor<4> {
        let dims = x.dims();
        let query = self
            .to_q
            .forward_with(x.clone(), norm, After::NOTHING)
            .flatten(2, 3);
        let (key, value) = (text.key.clone(), text.value.clone());
        let y = kernels::attention(query, key, value, self.heads, false, self.precision);
        self.to_out
            .forward_with(y.reshape(dims), Before::Nothing, After::residual(x))
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

    fn pack(&mut self, packing: &Packing) {
        self.proj.pack_gated(packing);
        self.out.pack(packing);
    }

    fn forward(&self, x: Tensor<4>, norm: Before<'_>) -> Tensor<4> {
        let h = self
            .proj
            .forward_with(x.clone(), norm, After::activation(Activation::Geglu));
        self.out
            .forward_with(h, Before::Nothing, After::residual(x))
    }
}

/// Self attention, attention to the text, feed-forward (diffusers' `BasicTransformerBlock`).
#[derive(Module, Debug)]
pub struct TransformerBlock {
    norm1: LayerNorm,
    attn1: SelfAttention,
    norm2: LayerNorm,
    attn2: CrossAttention,
    norm3: LayerNorm,
    ff: FeedForward,
}

impl TransformerBlock {
    fn new(dim: usize, context_dim: usize, heads: usize, device: &Device) -> Self {
        const EPSILON: f64 = 1e-5;
        Self {
            norm1: LayerNorm::new(dim, EPSILON, device),
            attn1: SelfAttention::new(dim, heads, device),
            norm2: LayerNorm::new(dim, EPSILON, device),
            attn2: CrossAttention::new(dim, context_dim, heads, device),
            norm3: LayerNorm::new(dim, EPSILON, device),
            ff: FeedForward::new(dim, device),
        }
    }

    fn pack(&mut self, packing: &Packing) {
        for norm in [&mut self.norm1, &mut self.norm2, &mut self.norm3] {
            norm.pack(packing);
        }
        self.attn1.pack(packing);
        self.attn2.pack(packing);
        self.ff.pack(packing);
    }

    fn forward(&self, x: Tensor<4>, text: &TextKeys) -> Tensor<4> {
        let x = self.attn1.forward(x, Before::LayerNorm(&self.norm1));
        let x = self.attn2.forward(x, Before::LayerNorm(&self.norm2), text);
        self.ff.forward(x, Before::LayerNorm(&self.norm3))
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
    /// Moves the weights to where and into the layout in which kernels read them.
    pub fn pack(&mut self, packing: &Packing) {
        self.norm.pack(packing);
        self.proj_in.pack(packing);
        for block in &mut self.transformer_blocks {
            block.pack(packing);
        }
        self.proj_out.pack(packing);
    }

    /// Keys and values of a text for each transformer block.
    ///
    /// # Shapes
    /// - `context`: `[batch, context_dim, tokens]`
    pub fn text_keys(&self, context: &Tensor<3>) -> Vec<TextKeys> {
        let blocks = self.transformer_blocks.iter();
        blocks.map(|block| block.attn2.text_keys(context)).collect()
    }

    /// # Shapes
    /// - `x`: `[batch, channels, height, width]`
    /// - `text`: as from [`Self::text_keys`]; as many are taken as there are blocks
    /// - result: as `x`
    pub fn forward<'a>(
        &self,
        x: Tensor<4>,
        text: &mut impl Iterator<Item = &'a TextKeys>,
    ) -> Tensor<4> {
        let norm = Before::GroupNorm(&self.norm);
        let mut h = self.proj_in.forward_with(x.clone(), norm, After::NOTHING);
        for block in &self.transformer_blocks {
            let keys = text.next().expect("keys for every transformer block");
            h = block.forward(h, keys);
        }
        self.proj_out
            .forward_with(h, Before::Nothing, After::residual(x))
    }
}

/// Keys and values of a text for all transformer blocks of a network, in the order in which they run.
#[derive(Debug, Clone)]
pub struct TextContext(Vec<TextKeys>);

impl TextContext {
    /// Collects them.
    pub(crate) fn new(keys: Vec<TextKeys>) -> Self {
        Self(keys)
    }

    /// Those of two batches of texts, one after the other.
    #[must_use]
    pub fn joined(self, other: Self) -> Self {
        let pairs = self.0.into_iter().zip(other.0);
        Self(pairs.map(|(mine, theirs)| mine.joined(theirs)).collect())
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &TextKeys> {
        self.0.iter()
    }
}
