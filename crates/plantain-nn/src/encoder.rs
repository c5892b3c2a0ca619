//! The encoders: picture to latent (source: diffusers `vae.py`, `autoencoder_kl.py`,
//! `autoencoder_tiny.py`).

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use plantain_kernels::Packing;

use crate::autoencoder::{EPSILON, KlMidBlock, TinyBlock, kl_resnet};
use crate::blocks::{DownsampleFromCorner, ResnetBlock};
use crate::config::{EncoderConfig, KlEncoderConfig, TinyEncoderConfig};
use crate::layers::{After, Before, Conv2d, GroupNorm};
use crate::tap::Tap;

/// Either encoder.
#[derive(Module, Debug)]
#[allow(clippy::large_enum_variant)] // One exists per model.
pub enum Encoder {
    /// Of `AutoencoderKL`.
    Kl(KlEncoder),
    /// Of `AutoencoderTiny`.
    Tiny(TinyEncoder),
}

impl Encoder {
    /// Encodes a picture: diffusers' `vae.encode(image).latent_dist.mean`, or `.latents` of the tiny
    /// one. The variance that `AutoencoderKL` predicts beside the mean is not used.
    ///
    /// # Shapes
    /// - `image`: `[batch, 3, height, width]`, -1 to 1, both sides multiples of the scale
    /// - result: `[batch, latent_channels, height / scale, width / scale]`, unscaled (see
    ///   [`DecoderConfig::scaling`](crate::DecoderConfig::scaling))
    pub fn forward(&self, image: Tensor<4>) -> Tensor<4> {
        self.forward_tapped(image, &mut ())
    }

    /// [`Self::forward`], with `tap` looking at what each block computes.
    pub fn forward_tapped(&self, image: Tensor<4>, tap: &mut impl Tap) -> Tensor<4> {
        match self {
            Self::Kl(encoder) => encoder.forward(image, tap),
            Self::Tiny(encoder) => encoder.forward(image, tap),
        }
    }

    /// Moves the weights to where and into the layout in which kernels read them.
    pub fn pack(&mut self, packing: &Packing) {
        match self {
            Self::Kl(encoder) => encoder.pack(packing),
            Self::Tiny(encoder) => encoder.pack(packing),
        }
    }
}

impl EncoderConfig {
    /// Builds the network; its parameters are allocated when first used. The configuration must
    /// pass [`Self::validate`].
    pub fn init(&self, device: &Device) -> Encoder {
        match self {
            Self::AutoencoderKL(config) => Encoder::Kl(config.init(device)),
            Self::AutoencoderTiny(config) => Encoder::Tiny(config.init(device)),
        }
    }
}

#[derive(Module, Debug)]
struct KlDownBlock {
    resnets: Vec<ResnetBlock>,
    downsamplers: Vec<DownsampleFromCorner>,
}

#[derive(Module, Debug)]
struct KlEncoderBody {
    conv_in: Conv2d,
    down_blocks: Vec<KlDownBlock>,
    mid_block: KlMidBlock,
    conv_norm_out: GroupNorm,
    conv_out: Conv2d,
}

/// The encoder of Stable Diffusion's own autoencoder.
#[derive(Module, Debug)]
pub struct KlEncoder {
    encoder: KlEncoderBody,
    quant_conv: Option<Conv2d>,
    #[module(skip)]
    latent_channels: usize,
}

impl KlEncoderConfig {
    /// Builds the network.
    pub fn init(&self, device: &Device) -> KlEncoder {
        let groups = self.norm_num_groups;
        let coarsest = self.block_out_channels[self.block_out_channels.len() - 1];
        // Mean and logarithm of the variance.
        let moments = 2 * self.latent_channels;
        KlEncoder {
            encoder: KlEncoderBody {
                conv_in: Conv2d::new_3x3(self.in_channels, self.block_out_channels[0], device),
                down_blocks: (0..self.block_out_channels.len())
                    .map(|level| self.init_down(level, device))
                    .collect(),
                mid_block: KlMidBlock::new(coarsest, groups, self.mid_block_add_attention, device),
                conv_norm_out: GroupNorm::new(groups, coarsest, EPSILON, device),
                conv_out: Conv2d::new_3x3(coarsest, moments, device),
            },
            quant_conv: self
                .use_quant_conv
                .then(|| Conv2d::new_1x1(moments, moments, device)),
            latent_channels: self.latent_channels,
        }
    }

    fn init_down(&self, level: usize, device: &Device) -> KlDownBlock {
        let channels = &self.block_out_channels;
        let (input, output) = (channels[level.saturating_sub(1)], channels[level]);
        KlDownBlock {
            resnets: (0..self.layers_per_block)
                .map(|i| {
                    let input = if i == 0 { input } else { output };
                    kl_resnet(input, output, self.norm_num_groups).init(device)
                })
                .collect(),
            downsamplers: (level + 1 < channels.len())
                .then(|| DownsampleFromCorner::new(output, device))
                .into_iter()
                .collect(),
        }
    }
}

impl KlEncoder {
    /// Shapes as [`Encoder::forward`].
    fn forward(&self, image: Tensor<4>, tap: &mut impl Tap) -> Tensor<4> {
        let body = &self.encoder;
        let mut h = body.conv_in.forward(image);
        tap.block(format_args!("conv_in"), &h);
        for (level, block) in body.down_blocks.iter().enumerate() {
            for (i, resnet) in block.resnets.iter().enumerate() {
                h = resnet.forward(h, None);
                tap.block(format_args!("down_blocks.{level}.resnets.{i}"), &h);
            }
            for (i, downsampler) in block.downsamplers.iter().enumerate() {
                h = downsampler.forward(h);
                tap.block(format_args!("down_blocks.{level}.downsamplers.{i}"), &h);
            }
        }
        h = body.mid_block.forward(h, tap);
        let norm = Before::GroupNormSilu(&body.conv_norm_out);
        h = body.conv_out.forward_with(h, norm, After::NOTHING);
        if let Some(conv) = &self.quant_conv {
            h = conv.forward(h);
        }
        let mean = h.narrow(1, 0, self.latent_channels);
        tap.block(format_args!("conv_out"), &mean);
        mean
    }

    fn pack(&mut self, packing: &Packing) {
        let body = &mut self.encoder;
        body.conv_in.pack(&packing.at_least_bf16());
        for block in &mut body.down_blocks {
            let resnets = block.resnets.iter_mut();
            resnets.for_each(|block| block.pack(packing));
            let downsamplers = block.downsamplers.iter_mut();
            downsamplers.for_each(|layer| layer.pack(packing));
        }
        body.mid_block.pack(packing);
        body.conv_norm_out.pack(packing);
        body.conv_out.pack(&packing.at_least_bf16());
        if let Some(conv) = &mut self.quant_conv {
            conv.pack(&packing.at_least_bf16());
        }
    }
}

/// Blocks at one size; every stage but the first halves it before.
#[derive(Module, Debug)]
struct TinyStage {
    conv: Option<Conv2d>,
    blocks: Vec<TinyBlock>,
}

#[derive(Module, Debug)]
struct TinyEncoderBody {
    conv_in: Conv2d,
    stages: Vec<TinyStage>,
    conv_out: Conv2d,
}

/// The encoder of TAESD.
#[derive(Module, Debug)]
pub struct TinyEncoder {
    encoder: TinyEncoderBody,
}

impl TinyEncoderConfig {
    /// Builds the network.
    pub fn init(&self, device: &Device) -> TinyEncoder {
        let width = self.encoder_block_out_channels[0];
        let stages = self.num_encoder_blocks.iter().enumerate();
        let stages = stages.map(|(stage, blocks)| TinyStage {
            conv: (stage > 0).then(|| Conv2d::new(width, width, 3, 2, device).without_bias()),
            blocks: (0..*blocks)
                .map(|_| TinyBlock::new(width, device))
                .collect(),
        });
        TinyEncoder {
            encoder: TinyEncoderBody {
                conv_in: Conv2d::new_3x3(self.in_channels, width, device),
                stages: stages.collect(),
                conv_out: Conv2d::new_3x3(width, self.latent_channels, device),
            },
        }
    }
}

impl TinyEncoder {
    /// Shapes as [`Encoder::forward`].
    fn forward(&self, image: Tensor<4>, tap: &mut impl Tap) -> Tensor<4> {
        let body = &self.encoder;
        let mut h = body.conv_in.forward((image + 1.0) / 2.0);
        tap.block(format_args!("conv_in"), &h);
        for (level, stage) in body.stages.iter().enumerate() {
            if let Some(conv) = &stage.conv {
                h = conv.forward(h);
                tap.block(format_args!("stages.{level}.conv"), &h);
            }
            for (i, block) in stage.blocks.iter().enumerate() {
                h = block.forward(h);
                tap.block(format_args!("stages.{level}.blocks.{i}"), &h);
            }
        }
        let latent = body.conv_out.forward(h);
        tap.block(format_args!("conv_out"), &latent);
        latent
    }

    fn pack(&mut self, packing: &Packing) {
        let body = &mut self.encoder;
        body.conv_in.pack(&packing.at_least_bf16());
        for stage in &mut body.stages {
            if let Some(conv) = &mut stage.conv {
                conv.pack(packing);
            }
            stage
                .blocks
                .iter_mut()
                .for_each(|block| block.pack(packing));
        }
        body.conv_out.pack(&packing.at_least_bf16());
    }
}
