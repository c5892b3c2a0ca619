//! The decoders: latent to picture (source: diffusers `vae.py`, `autoencoder_kl.py`,
//! `autoencoder_tiny.py`).

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use plantain_kernels::{Activation, Packing};

use crate::autoencoder::{EPSILON, KlMidBlock, TinyBlock, kl_resnet, relu};
use crate::blocks::{ResnetBlock, Upsample};
use crate::config::{DecoderConfig, KlDecoderConfig, TinyDecoderConfig};
use crate::layers::{After, Before, Conv2d, GroupNorm, Link, SubpixelConv2d, forward_at_once};
use crate::tap::Tap;

/// Either decoder.
#[derive(Module, Debug)]
#[allow(clippy::large_enum_variant)] // One exists per model.
pub enum Decoder {
    /// Of `AutoencoderKL`.
    Kl(KlDecoder),
    /// Of `AutoencoderTiny`.
    Tiny(TinyDecoder),
}

impl Decoder {
    /// Decodes a latent; diffusers' `vae.decode(latent).sample`.
    ///
    /// # Shapes
    /// - `latent`: `[batch, latent_channels, height, width]`, unscaled (see
    ///   [`DecoderConfig::scaling`])
    /// - result: `[batch, 3, scale * height, scale * width]`, about -1 to 1, not clamped
    pub fn forward(&self, latent: Tensor<4>) -> Tensor<4> {
        self.forward_tapped(latent, &mut ())
    }

    /// [`Self::forward`], with `tap` looking at what each block computes.
    pub fn forward_tapped(&self, latent: Tensor<4>, tap: &mut impl Tap) -> Tensor<4> {
        match self {
            Self::Kl(decoder) => decoder.forward(latent, tap),
            Self::Tiny(decoder) => decoder.forward(latent, tap),
        }
    }

    /// Moves the weights to where and into the layout in which kernels read them.
    pub fn pack(&mut self, packing: &Packing) {
        match self {
            Self::Kl(decoder) => decoder.pack(packing),
            Self::Tiny(decoder) => decoder.pack(packing),
        }
    }
}

impl DecoderConfig {
    /// Builds the network; its parameters are allocated when first used. The configuration must
    /// pass [`Self::validate`].
    pub fn init(&self, device: &Device) -> Decoder {
        match self {
            Self::AutoencoderKL(config) => Decoder::Kl(config.init(device)),
            Self::AutoencoderTiny(config) => Decoder::Tiny(config.init(device)),
        }
    }
}

#[derive(Module, Debug)]
struct KlUpBlock {
    resnets: Vec<ResnetBlock>,
    upsamplers: Vec<Upsample>,
}

#[derive(Module, Debug)]
struct KlDecoderBody {
    conv_in: Conv2d,
    mid_block: KlMidBlock,
    up_blocks: Vec<KlUpBlock>,
    conv_norm_out: GroupNorm,
    conv_out: Conv2d,
}

/// The decoder of Stable Diffusion's own autoencoder.
#[derive(Module, Debug)]
pub struct KlDecoder {
    post_quant_conv: Option<Conv2d>,
    decoder: KlDecoderBody,
}

impl KlDecoderConfig {
    /// Builds the network.
    pub fn init(&self, device: &Device) -> KlDecoder {
        let latent = self.latent_channels;
        let (finest, coarsest) = (
            self.block_out_channels[0],
            self.block_out_channels[self.block_out_channels.len() - 1],
        );
        KlDecoder {
            post_quant_conv: self
                .use_post_quant_conv
                .then(|| Conv2d::new_1x1(latent, latent, device)),
            decoder: KlDecoderBody {
                conv_in: Conv2d::new_3x3(latent, coarsest, device),
                mid_block: KlMidBlock::new(
                    coarsest,
                    self.norm_num_groups,
                    self.mid_block_add_attention,
                    device,
                ),
                up_blocks: (0..self.block_out_channels.len())
                    .rev()
                    .map(|level| self.init_up(level, device))
                    .collect(),
                conv_norm_out: GroupNorm::new(self.norm_num_groups, finest, EPSILON, device),
                conv_out: Conv2d::new_3x3(finest, self.out_channels, device),
            },
        }
    }

    fn init_up(&self, level: usize, device: &Device) -> KlUpBlock {
        let channels = &self.block_out_channels;
        let output = channels[level];
        let input = channels[(level + 1).min(channels.len() - 1)];
        KlUpBlock {
            resnets: (0..=self.layers_per_block)
                .map(|i| {
                    let input = if i == 0 { input } else { output };
                    kl_resnet(input, output, self.norm_num_groups).init(device)
                })
                .collect(),
            upsamplers: (level > 0)
                .then(|| Upsample::new(output, None, device))
                .into_iter()
                .collect(),
        }
    }
}

impl KlDecoder {
    /// Shapes as [`Decoder::forward`].
    fn forward(&self, latent: Tensor<4>, tap: &mut impl Tap) -> Tensor<4> {
        let latent = match &self.post_quant_conv {
            Some(conv) => conv.forward(latent),
            None => latent,
        };
        let body = &self.decoder;
        let mut h = body.conv_in.forward(latent);
        tap.block(format_args!("conv_in"), &h);
        h = body.mid_block.forward(h, tap);
        for (level, block) in body.up_blocks.iter().enumerate() {
            for (i, resnet) in block.resnets.iter().enumerate() {
                h = resnet.forward(h, None);
                tap.block(format_args!("up_blocks.{level}.resnets.{i}"), &h);
            }
            for (i, upsampler) in block.upsamplers.iter().enumerate() {
                h = upsampler.forward(h);
                tap.block(format_args!("up_blocks.{level}.upsamplers.{i}"), &h);
            }
        }
        let norm = Before::GroupNormSilu(&body.conv_norm_out);
        let image = body.conv_out.forward_with(h, norm, After::NOTHING);
        tap.block(format_args!("conv_out"), &image);
        image
    }

    fn pack(&mut self, packing: &Packing) {
        let body = &mut self.decoder;
        if let Some(conv) = &mut self.post_quant_conv {
            conv.pack(&packing.at_least_bf16());
        }
        body.conv_in.pack(&packing.at_least_bf16());
        body.mid_block.pack(packing);
        for block in &mut body.up_blocks {
            block
                .resnets
                .iter_mut()
                .for_each(|block| block.pack(packing));
            block
                .upsamplers
                .iter_mut()
                .for_each(|layer| layer.pack(packing));
        }
        body.conv_norm_out.pack(packing);
        body.conv_out.pack(&packing.at_least_bf16());
    }
}

/// Blocks at one size; every stage but the last then doubles it.
#[derive(Module, Debug)]
struct TinyStage {
    blocks: Vec<TinyBlock>,
    conv: Option<Conv2d>,
}

/// What may lie between two layers of the last stage: that is large, and most of what decoding needs.
const STRIP_BYTES: usize = 32 << 20;

impl TinyStage {
    /// Block by block, after the convolution that doubles the picture and before the last one, where there are such.
    fn forward(
        &self,
        doubling: Option<&Conv2d>,
        mut h: Tensor<4>,
        last: Option<&Conv2d>,
    ) -> Tensor<4> {
        if let Some(conv) = doubling {
            h = conv.forward_doubled(h);
        }
        for block in &self.blocks {
            h = block.forward(h);
        }
        match last {
            Some(conv) => conv.forward(h),
            None => h,
        }
    }

    /// [`Self::forward`] of the last stage by strips of so many rows before they are doubled, or a few more: what lies between layers takes
    /// the memory of one strip, and the few rows around it that it depends on are computed twice.
    fn forward_in_strips(
        &self,
        doubling: &Conv2d,
        h: Tensor<4>,
        last: &Conv2d,
        rows: usize,
    ) -> Tensor<4> {
        let [_, _, height, _] = h.dims();
        // Every convolution reaches a doubled row further.
        let reach = (3 * self.blocks.len() + 2).div_ceil(2);
        let rows = rows.max(4 * reach);
        if height <= rows + 2 * reach {
            return self.forward(Some(doubling), h, Some(last));
        }
        let strips = (0..height).step_by(rows).map(|start| {
            let end = (start + rows).min(height);
            let first = start.saturating_sub(reach);
            let read = (end + reach).min(height) - first;
            let strip = h.clone().narrow(2, first, read);
            let y = self.forward(Some(doubling), strip, Some(last));
            y.narrow(2, 2 * (start - first), 2 * (end - start))
        });
        Tensor::cat(strips.collect(), 2)
    }
}

#[derive(Module, Debug)]
struct TinyDecoderBody {
    conv_in: Conv2d,
    stages: Vec<TinyStage>,
    conv_out: Conv2d,
    /// Where the last stage has no blocks: the doubling before it and the last convolution at once.
    #[module(skip)]
    ending: Option<SubpixelConv2d>,
    /// What may lie between two layers of the last stage, once it is packed for the CPU.
    #[module(skip)]
    strip_bytes: Option<usize>,
}

/// The decoder of TAESD.
#[derive(Module, Debug)]
pub struct TinyDecoder {
    decoder: TinyDecoderBody,
}

impl TinyDecoderConfig {
    /// Builds the network.
    pub fn init(&self, device: &Device) -> TinyDecoder {
        let width = self.decoder_block_out_channels[0];
        let conv = || Conv2d::new_3x3(width, width, device);
        let last = self.num_decoder_blocks.len() - 1;
        let stages = self.num_decoder_blocks.iter().enumerate();
        let stages = stages.map(|(stage, blocks)| TinyStage {
            blocks: (0..*blocks)
                .map(|_| TinyBlock::new(width, device))
                .collect(),
            conv: (stage < last).then(|| conv().without_bias()),
        });
        TinyDecoder {
            decoder: TinyDecoderBody {
                conv_in: Conv2d::new_3x3(self.latent_channels, width, device),
                stages: stages.collect(),
                conv_out: Conv2d::new_3x3(width, self.out_channels, device),
                ending: None,
                strip_bytes: None,
            },
        }
    }
}

impl TinyDecoderBody {
    /// A stage after the doubling before it, the last one with the last convolution, in the way that the device and the size suit.
    fn stage(&self, stage: &TinyStage, doubling: Option<&Conv2d>, h: Tensor<4>) -> Tensor<4> {
        let last = stage.conv.is_none().then_some(&self.conv_out);
        if let (Some(ending), Some(doubling), Some(last)) = (&self.ending, doubling, last) {
            return ending.forward(h, doubling, last);
        }
        let mut links: Vec<_> = doubling.map(Link::doubled).into_iter().collect();
        for block in &stage.blocks {
            links.extend(block.links_after(links.len()));
        }
        links.extend(last.map(|conv| Link::new(conv, Activation::None)));
        if let Some(h) = forward_at_once(&links, &h, None) {
            return h;
        }
        match (self.strip_bytes, doubling, last) {
            (Some(bytes), Some(doubling), Some(last)) => {
                let [batch, channels, _, width] = h.dims();
                let doubled_row = 4 * batch * channels * width * size_of::<f32>();
                stage.forward_in_strips(doubling, h, last, bytes / doubled_row)
            }
            _ => stage.forward(doubling, h, last),
        }
    }
}

impl TinyDecoder {
    /// Shapes as [`Decoder::forward`].
    fn forward(&self, latent: Tensor<4>, tap: &mut impl Tap) -> Tensor<4> {
        let body = &self.decoder;
        let clamped = (latent / 3.0).tanh() * 3.0;
        let mut h = body.conv_in.forward_with(clamped, Before::Nothing, relu());
        tap.block(format_args!("conv_in"), &h);
        let mut before: Option<&Conv2d> = None;
        for (level, stage) in body.stages.iter().enumerate() {
            h = body.stage(stage, before, h);
            tap.block(format_args!("stages.{level}"), &h);
            before = stage.conv.as_ref();
        }
        let image = h * 2.0 - 1.0;
        tap.block(format_args!("conv_out"), &image);
        image
    }

    fn pack(&mut self, packing: &Packing) {
        let body = &mut self.decoder;
        body.strip_bytes = matches!(packing, Packing::Host(_)).then_some(STRIP_BYTES);
        if let [.., before, last] = &body.stages[..]
            && let (Some(doubling), true) = (&before.conv, last.blocks.is_empty())
        {
            let packing = packing.at_least_bf16();
            body.ending = Some(SubpixelConv2d::of(doubling, &body.conv_out, &packing));
        }
        body.conv_in.pack(&packing.at_least_bf16());
        for stage in &mut body.stages {
            for block in &mut stage.blocks {
                block.pack(packing);
            }
            if let Some(conv) = &mut stage.conv {
                conv.pack_doubled(packing);
            }
        }
        body.conv_out.pack(&packing.at_least_bf16());
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Distribution;
    use plantain_kernels::Precision;

    use super::*;

    #[test]
    fn strips_make_the_same_picture() {
        let device = Device::flex();
        for blocks in [vec![1, 1], vec![0, 2], vec![1, 1, 0]] {
            let config = TinyDecoderConfig {
                latent_channels: 4,
                decoder_block_out_channels: vec![24; blocks.len()],
                num_decoder_blocks: blocks.clone(),
                ..TinyDecoderConfig::default()
            };
            let mut decoder = config.init(&device);
            let latent = Tensor::random([2, 4, 43, 6], Distribution::Default, &device);
            let stock = decoder.forward(latent.clone(), &mut ());
            decoder.pack(&Packing::Host(Precision::F32));
            for bytes in [None, Some(0), Some(1 << 17), Some(1 << 30)] {
                decoder.decoder.strip_bytes = bytes;
                let picture = decoder.forward(latent.clone(), &mut ());
                let error: f32 = (picture - stock.clone()).abs().max().into_scalar();
                assert!(error < 1e-5, "{blocks:?}, {bytes:?}: {error}");
            }
        }
    }
}
