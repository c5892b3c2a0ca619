//! The latent refiner: a last correction between sampling and decoding.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use plantain_kernels::Packing;

use crate::blocks::{ResnetBlock, ResnetBlockConfig, Upsample};
use crate::config::RefinerConfig;
use crate::layers::{After, Before, Conv2d, GroupNorm};
use crate::tap::Tap;
use crate::transformer::TextContext;
use crate::unet::{Conditioning, UNet2DConditionModel};

/// What the UNet is told in place of a timestep: hardly any noise is left.
const TIMESTEP: f32 = 0.0;

/// Makes of a latent that was sampled in a few steps what it should have been, and enlarges it where it is made for that.
///
/// A UNet of its own, which reads the text as well, so that it knows what is meant where the latent does not show it (as SDXL's
/// refiner, arXiv:2307.01952, but in a single evaluation), and residual blocks on top of it, at the size of the result. The design
/// is this project's own.
#[derive(Module, Debug)]
pub struct Refiner {
    unet: UNet2DConditionModel,
    upsamplers: Vec<Upsample>,
    blocks: Vec<ResnetBlock>,
    conv_norm_out: GroupNorm,
    conv_out: Conv2d,
}

impl RefinerConfig {
    /// Builds the network; its parameters are allocated when first used. The configuration must
    /// pass [`Self::validate`].
    pub fn init(&self, device: &Device) -> Refiner {
        let (width, groups) = (self.unet.block_out_channels[0], self.unet.norm_num_groups);
        let epsilon = self.unet.norm_eps;
        let block = ResnetBlockConfig {
            in_channels: width,
            out_channels: width,
            time_embed_dim: None,
            groups,
            epsilon,
            output_scale_factor: 1.0,
            side: None,
        };
        let upsampler = (self.scale == 2).then(|| Upsample::new(width, None, device));
        Refiner {
            unet: self.unet.init(device),
            upsamplers: upsampler.into_iter().collect(),
            blocks: (0..self.num_blocks).map(|_| block.init(device)).collect(),
            conv_norm_out: GroupNorm::new(groups, width, epsilon, device),
            conv_out: Conv2d::new_3x3(width, self.latent_channels(), device),
        }
    }
}

impl Refiner {
    /// What every evaluation needs of a text; see [`UNet2DConditionModel::read_text`].
    ///
    /// # Shapes
    /// - `states`: `[batch, tokens, cross_attention_dim]`
    pub fn read_text(&self, states: Tensor<3>) -> TextContext {
        self.unet.read_text(states)
    }

    /// The refined latent.
    ///
    /// # Shapes
    /// - `latent`: `[batch, latent_channels, height, width]`, scaled as the UNet sees it
    /// - result: `[batch, latent_channels, scale * height, scale * width]`
    ///
    /// # Panics
    /// When the batch sizes differ, or the model takes `class_labels` and none are given.
    pub fn forward(&self, latent: Tensor<4>, conditioning: &Conditioning) -> Tensor<4> {
        self.forward_tapped(latent, conditioning, &mut ())
    }

    /// [`Self::forward`], with `tap` looking at what each block computes.
    pub fn forward_tapped(
        &self,
        latent: Tensor<4>,
        conditioning: &Conditioning,
        tap: &mut impl Tap,
    ) -> Tensor<4> {
        let timesteps = vec![TIMESTEP; latent.dims()[0]];
        let mut h = self
            .unet
            .forward_tapped(latent, &timesteps, conditioning, tap);
        for upsampler in &self.upsamplers {
            h = upsampler.forward(h);
            tap.block(format_args!("upsamplers.0"), &h);
        }
        for (i, block) in self.blocks.iter().enumerate() {
            h = block.forward(h, None);
            tap.block(format_args!("blocks.{i}"), &h);
        }
        let norm = Before::GroupNormSilu(&self.conv_norm_out);
        let refined = self.conv_out.forward_with(h, norm, After::NOTHING);
        tap.block(format_args!("refined"), &refined);
        refined
    }

    /// Moves the weights to where and into the layout in which kernels read them. What comes after the UNet is small and sensitive,
    /// and so is never int8.
    pub fn pack(&mut self, packing: &Packing) {
        let careful = &packing.at_least_bf16();
        self.unet.pack(packing);
        self.upsamplers
            .iter_mut()
            .for_each(|layer| layer.pack(careful));
        self.blocks.iter_mut().for_each(|block| block.pack(careful));
        self.conv_norm_out.pack(careful);
        self.conv_out.pack(careful);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{BlockType, PerLevel, UNetConfig};
    use burn::tensor::Distribution;

    fn config(scale: usize) -> RefinerConfig {
        RefinerConfig {
            scale,
            num_blocks: 1,
            unet: UNetConfig {
                in_channels: 3,
                out_channels: 8,
                block_out_channels: vec![8, 16],
                down_block_types: vec![BlockType::DownBlock2D; 2],
                up_block_types: vec![BlockType::CrossAttnUpBlock2D, BlockType::UpBlock2D],
                mid_block_type: None,
                layers_per_block: PerLevel::All(1),
                cross_attention_dim: PerLevel::All(12),
                attention_head_dim: PerLevel::All(2),
                norm_num_groups: 4,
                ..UNetConfig::default()
            },
        }
    }

    #[test]
    fn latents_become_as_large_as_the_configuration_says_and_depend_on_the_text() {
        let device = Device::flex();
        let random = |shape| Tensor::<3>::random(shape, Distribution::Default, &device);
        for scale in [1, 2] {
            let config = config(scale);
            config.validate().unwrap();
            let refiner = config.init(&device);
            let latent = Tensor::<4>::random([1, 3, 6, 5], Distribution::Default, &device);
            let refined = [(); 2].map(|()| {
                let conditioning = Conditioning {
                    text: refiner.read_text(random([1, 4, 12])),
                    class_labels: None,
                    timestep_cond: None,
                };
                refiner.forward(latent.clone(), &conditioning)
            });
            assert_eq!(refined[0].dims(), [1, 3, 6 * scale, 5 * scale]);
            let [one, other] = refined.map(|latent| latent.into_data());
            assert_ne!(one, other);
        }
        assert!(config(3).validate().is_err());
    }
}
