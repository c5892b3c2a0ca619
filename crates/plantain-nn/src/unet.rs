//! The denoising UNet (source: diffusers `unet_2d_condition.py`, `unet_2d_blocks.py`).

use std::fmt;

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use plantain_kernels::Packing;

use crate::blocks::{Downsample, ResnetBlock, ResnetBlockConfig, Upsample};
use crate::config::UNetConfig;
use crate::embedding::{TimestepEmbedding, sinusoidal};
use crate::layers::{After, Before, Conv2d, GroupNorm};
use crate::tap::Tap;
use crate::transformer::{SpatialTransformer, SpatialTransformerConfig, TextContext, TextKeys};

/// What the denoiser is told besides the latent and the timestep.
#[derive(Debug, Clone)]
pub struct Conditioning {
    /// The text, as from [`UNet2DConditionModel::read_text`].
    pub text: TextContext,
    /// Pooled text, `[batch, projection_class_embeddings_input_dim]`, for models with
    /// `class_embed_type = "projection"`.
    pub class_labels: Option<Tensor<2>>,
    /// Embedded guidance scale, `[batch, time_cond_proj_dim]`, for models distilled with guidance
    /// (see [`guidance_scale_embedding`](crate::guidance_scale_embedding)).
    pub timestep_cond: Option<Tensor<2>>,
}

/// A level on the way down: residual blocks, transformers, downsampling.
#[derive(Module, Debug)]
struct DownBlock {
    resnets: Vec<ResnetBlock>,
    attentions: Vec<SpatialTransformer>,
    downsamplers: Vec<Downsample>,
}

/// The coarsest level between down and up.
#[derive(Module, Debug)]
struct MidBlock {
    resnets: Vec<ResnetBlock>,
    attentions: Vec<SpatialTransformer>,
}

/// A level on the way up: residual blocks on the skip connections, transformers, upsampling.
#[derive(Module, Debug)]
struct UpBlock {
    resnets: Vec<ResnetBlock>,
    attentions: Vec<SpatialTransformer>,
    upsamplers: Vec<Upsample>,
}

/// Predicts noise, velocity or the clean latent from a noisy latent (`UNet2DConditionModel`).
#[derive(Module, Debug)]
pub struct UNet2DConditionModel {
    conv_in: Conv2d,
    time_embedding: TimestepEmbedding,
    class_embedding: Option<TimestepEmbedding>,
    down_blocks: Vec<DownBlock>,
    mid_block: Option<MidBlock>,
    up_blocks: Vec<UpBlock>,
    conv_norm_out: GroupNorm,
    conv_out: Conv2d,
    #[module(skip)]
    time_proj_dim: usize,
    #[module(skip)]
    flip_sin_to_cos: bool,
    #[module(skip)]
    freq_shift: f64,
}

impl UNetConfig {
    /// Builds the network; its parameters are allocated when first used. The configuration must
    /// pass [`Self::validate`].
    pub fn init(&self, device: &Device) -> UNet2DConditionModel {
        let channels = &self.block_out_channels;
        let (first, levels) = (channels[0], channels.len());
        let embed = self.time_embed_dim();
        UNet2DConditionModel {
            conv_in: Conv2d::new_3x3(self.in_channels, first, device),
            time_embedding: TimestepEmbedding::new(first, embed, self.time_cond_proj_dim, device),
            class_embedding: self
                .class_labels_dim()
                .map(|dim| TimestepEmbedding::new(dim, embed, None, device)),
            down_blocks: (0..levels)
                .map(|level| self.init_down(level, device))
                .collect(),
            mid_block: self.mid_block_type.as_ref().map(|_| self.init_mid(device)),
            up_blocks: (0..levels)
                .map(|index| self.init_up(index, device))
                .collect(),
            conv_norm_out: GroupNorm::new(self.norm_num_groups, first, self.norm_eps, device),
            conv_out: Conv2d::new_3x3(first, self.out_channels, device),
            time_proj_dim: first,
            flip_sin_to_cos: self.flip_sin_to_cos,
            freq_shift: self.freq_shift,
        }
    }

    fn resnet(&self, level: usize, in_channels: usize, out_channels: usize) -> ResnetBlockConfig {
        ResnetBlockConfig {
            in_channels,
            out_channels,
            time_embed_dim: Some(self.time_embed_dim()),
            groups: self.norm_num_groups,
            epsilon: self.norm_eps,
            output_scale_factor: 1.0,
            side: self.side(level),
        }
    }

    /// Width and height of the pictures of a level at the size that the model was trained for.
    fn side(&self, level: usize) -> Option<usize> {
        let side = self.sample_size.as_ref()?.get(0)?;
        Some((0..level).fold(side, |side, _| side.div_ceil(2)))
    }

    fn transformer(&self, level: usize, layers: usize, device: &Device) -> SpatialTransformer {
        SpatialTransformerConfig {
            channels: self.block_out_channels[level],
            context_dim: self.text_dim(),
            heads: self.heads(level),
            layers,
            groups: self.norm_num_groups,
        }
        .init(device)
    }

    fn init_down(&self, level: usize, device: &Device) -> DownBlock {
        let channels = &self.block_out_channels;
        let (output, blocks) = (channels[level], self.down_layers(level));
        let input = channels[level.saturating_sub(1)];
        let attends = self.down_block_types[level].has_attention();
        DownBlock {
            resnets: (0..blocks)
                .map(|i| {
                    let input = if i == 0 { input } else { output };
                    self.resnet(level, input, output).init(device)
                })
                .collect(),
            attentions: (0..if attends { blocks } else { 0 })
                .map(|i| self.transformer(level, self.down_transformer_layers(level, i), device))
                .collect(),
            downsamplers: (level + 1 < channels.len())
                .then(|| Downsample::new(output, device))
                .into_iter()
                .collect(),
        }
    }

    fn init_mid(&self, device: &Device) -> MidBlock {
        let level = self.block_out_channels.len() - 1;
        let channels = self.block_out_channels[level];
        let resnet = ResnetBlockConfig {
            output_scale_factor: self.mid_block_scale_factor,
            ..self.resnet(level, channels, channels)
        };
        MidBlock {
            resnets: vec![resnet.init(device), resnet.init(device)],
            attentions: vec![self.transformer(
                level,
                self.down_transformer_layers(level, 0),
                device,
            )],
        }
    }

    /// The `index`-th up block, coarsest first.
    fn init_up(&self, index: usize, device: &Device) -> UpBlock {
        let channels = &self.block_out_channels;
        let level = channels.len() - 1 - index;
        let (output, blocks) = (channels[level], self.down_layers(level) + 1);
        let previous = channels[(level + 1).min(channels.len() - 1)];
        let skip = channels[level.saturating_sub(1)];
        let attends = self.up_block_types[index].has_attention();
        UpBlock {
            resnets: (0..blocks)
                .map(|i| {
                    let input = if i == 0 { previous } else { output };
                    let skip = if i + 1 == blocks { skip } else { output };
                    self.resnet(level, input + skip, output).init(device)
                })
                .collect(),
            attentions: (0..if attends { blocks } else { 0 })
                .map(|i| self.transformer(level, self.up_transformer_layers(index, i), device))
                .collect(),
            upsamplers: (level > 0)
                .then(|| Upsample::new(output, self.side(level - 1), device))
                .into_iter()
                .collect(),
        }
    }
}

impl UNet2DConditionModel {
    /// What every evaluation needs of a text: the keys and values of all attention to it. Computed once per text
    /// instead of at each step.
    ///
    /// # Shapes
    /// - `states`: `[batch, tokens, cross_attention_dim]`
    pub fn read_text(&self, states: Tensor<3>) -> TextContext {
        let context = states.swap_dims(1, 2);
        let keys = self
            .transformers()
            .flat_map(|transformer| transformer.text_keys(&context));
        TextContext::new(keys.collect())
    }

    /// In the order in which they run.
    fn transformers(&self) -> impl Iterator<Item = &SpatialTransformer> {
        let down = self.down_blocks.iter().flat_map(|block| &block.attentions);
        let mid = self.mid_block.iter().flat_map(|block| &block.attentions);
        let up = self.up_blocks.iter().flat_map(|block| &block.attentions);
        down.chain(mid).chain(up)
    }

    /// Moves the weights to where and into the layout in which kernels read them. The first and the last convolution and the time embedding
    /// are small and sensitive, and so are never int8.
    pub fn pack(&mut self, packing: &Packing) {
        let careful = &packing.at_least_bf16();
        self.conv_in.pack(careful);
        self.conv_out.pack(careful);
        self.conv_norm_out.pack(packing);
        self.time_embedding.pack(careful);
        if let Some(embedding) = &mut self.class_embedding {
            embedding.pack(careful);
        }
        for block in &mut self.down_blocks {
            pack_all(&mut block.resnets, &mut block.attentions, packing);
            block
                .downsamplers
                .iter_mut()
                .for_each(|layer| layer.pack(packing));
        }
        if let Some(block) = &mut self.mid_block {
            pack_all(&mut block.resnets, &mut block.attentions, packing);
        }
        for block in &mut self.up_blocks {
            pack_all(&mut block.resnets, &mut block.attentions, packing);
            block
                .upsamplers
                .iter_mut()
                .for_each(|layer| layer.pack(packing));
        }
    }

    /// One evaluation.
    ///
    /// # Shapes
    /// - `sample`: `[batch, in_channels, height, width]`, any height and width
    /// - `timesteps`: one per sample, in the model's training steps (usually 0 to 1000)
    /// - result: `[batch, out_channels, height, width]`
    ///
    /// # Panics
    /// When the batch sizes differ, or the model takes `class_labels` and none are given.
    pub fn forward(
        &self,
        sample: Tensor<4>,
        timesteps: &[f32],
        conditioning: &Conditioning,
    ) -> Tensor<4> {
        self.forward_tapped(sample, timesteps, conditioning, &mut ())
    }

    /// [`Self::forward`], with `tap` looking at what each block computes.
    pub fn forward_tapped(
        &self,
        sample: Tensor<4>,
        timesteps: &[f32],
        conditioning: &Conditioning,
        tap: &mut impl Tap,
    ) -> Tensor<4> {
        let embed = self.embed(timesteps, conditioning, &sample.device());
        tap.block(format_args!("time_embedding"), &embed);
        let mut text = conditioning.text.iter();
        let mut h = self.conv_in.forward(sample);
        tap.block(format_args!("conv_in"), &h);
        let mut skips = vec![h.clone()];
        for (i, block) in self.down_blocks.iter().enumerate() {
            let name = format_args!("down_blocks.{i}");
            h = block.forward(h, &embed, &mut text, &mut skips, name, tap);
        }
        if let Some(block) = &self.mid_block {
            h = block.forward(h, &embed, &mut text, tap);
        }
        for (i, block) in self.up_blocks.iter().enumerate() {
            let name = format_args!("up_blocks.{i}");
            h = block.forward(h, &embed, &mut text, &mut skips, name, tap);
        }
        let norm = Before::GroupNormSilu(&self.conv_norm_out);
        let output = self.conv_out.forward_with(h, norm, After::NOTHING);
        tap.block(format_args!("conv_out"), &output);
        output
    }

    /// `[batch, time_embed_dim]`
    fn embed(&self, timesteps: &[f32], conditioning: &Conditioning, device: &Device) -> Tensor<2> {
        let time = sinusoidal(
            timesteps,
            self.time_proj_dim,
            self.flip_sin_to_cos,
            self.freq_shift,
            device,
        );
        let embed = self
            .time_embedding
            .forward(time, conditioning.timestep_cond.clone());
        match &self.class_embedding {
            Some(class_embedding) => {
                let labels = conditioning.class_labels.clone();
                let labels = labels.expect("a model with a class embedding needs class_labels");
                embed + class_embedding.forward(labels, None)
            }
            None => embed,
        }
    }
}

fn pack_all(resnets: &mut [ResnetBlock], attentions: &mut [SpatialTransformer], packing: &Packing) {
    resnets.iter_mut().for_each(|block| block.pack(packing));
    attentions.iter_mut().for_each(|block| block.pack(packing));
}

impl DownBlock {
    fn forward<'a>(
        &self,
        mut h: Tensor<4>,
        embed: &Tensor<2>,
        text: &mut impl Iterator<Item = &'a TextKeys>,
        skips: &mut Vec<Tensor<4>>,
        name: fmt::Arguments<'_>,
        tap: &mut impl Tap,
    ) -> Tensor<4> {
        for (i, resnet) in self.resnets.iter().enumerate() {
            h = resnet.forward(h, Some(embed));
            tap.block(format_args!("{name}.resnets.{i}"), &h);
            if let Some(attention) = self.attentions.get(i) {
                h = attention.forward(h, text);
                tap.block(format_args!("{name}.attentions.{i}"), &h);
            }
            skips.push(h.clone());
        }
        for (i, downsampler) in self.downsamplers.iter().enumerate() {
            h = downsampler.forward(h);
            tap.block(format_args!("{name}.downsamplers.{i}"), &h);
            skips.push(h.clone());
        }
        h
    }
}

impl MidBlock {
    fn forward<'a>(
        &self,
        mut h: Tensor<4>,
        embed: &Tensor<2>,
        text: &mut impl Iterator<Item = &'a TextKeys>,
        tap: &mut impl Tap,
    ) -> Tensor<4> {
        for (i, resnet) in self.resnets.iter().enumerate() {
            h = resnet.forward(h, Some(embed));
            tap.block(format_args!("mid_block.resnets.{i}"), &h);
            if let Some(attention) = self.attentions.get(i) {
                h = attention.forward(h, text);
                tap.block(format_args!("mid_block.attentions.{i}"), &h);
            }
        }
        h
    }
}

impl UpBlock {
    fn forward<'a>(
        &self,
        mut h: Tensor<4>,
        embed: &Tensor<2>,
        text: &mut impl Iterator<Item = &'a TextKeys>,
        skips: &mut Vec<Tensor<4>>,
        name: fmt::Arguments<'_>,
        tap: &mut impl Tap,
    ) -> Tensor<4> {
        for (i, resnet) in self.resnets.iter().enumerate() {
            if let Some(skip) = skips.pop() {
                h = Tensor::cat(vec![h, skip], 1);
            }
            h = resnet.forward(h, Some(embed));
            tap.block(format_args!("{name}.resnets.{i}"), &h);
            if let Some(attention) = self.attentions.get(i) {
                h = attention.forward(h, text);
                tap.block(format_args!("{name}.attentions.{i}"), &h);
            }
        }
        for (i, upsampler) in self.upsamplers.iter().enumerate() {
            h = match skips.last() {
                Some(skip) => {
                    let [_, _, height, width] = skip.dims();
                    upsampler.forward_to(h, [height, width])
                }
                None => upsampler.forward(h),
            };
            tap.block(format_args!("{name}.upsamplers.{i}"), &h);
        }
        h
    }
}
