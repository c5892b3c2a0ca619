//! The latent refiner: a last correction between sampling and decoding.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use plantain_kernels::Packing;

use crate::blocks::{ResnetBlock, ResnetBlockConfig};
use crate::config::RefinerConfig;
use crate::embedding::{TimestepEmbedding, sinusoidal};
use crate::layers::{After, Before, Conv2d, GroupNorm};
use crate::tap::Tap;

/// Cleans what few-step sampling leaves in the latent.
///
/// A small convolutional network, told the noise level to clean, that predicts a correction: with a
/// zero last layer, as it starts, it changes nothing. The design is this project's own, made of the
/// UNet's residual blocks at a single resolution.
#[derive(Module, Debug)]
pub struct Refiner {
    conv_in: Conv2d,
    time_embedding: TimestepEmbedding,
    blocks: Vec<ResnetBlock>,
    conv_norm_out: GroupNorm,
    conv_out: Conv2d,
    #[module(skip)]
    width: usize,
}

impl RefinerConfig {
    /// Builds the network; its parameters are allocated when first used. The configuration must
    /// pass [`Self::validate`].
    pub fn init(&self, device: &Device) -> Refiner {
        const EPSILON: f64 = 1e-5;
        let embed = 4 * self.width;
        let block = ResnetBlockConfig {
            in_channels: self.width,
            out_channels: self.width,
            time_embed_dim: Some(embed),
            groups: self.norm_num_groups,
            epsilon: EPSILON,
            output_scale_factor: 1.0,
            side: None,
        };
        Refiner {
            conv_in: Conv2d::new_3x3(self.latent_channels, self.width, device),
            time_embedding: TimestepEmbedding::new(self.width, embed, None, device),
            blocks: (0..self.num_blocks).map(|_| block.init(device)).collect(),
            conv_norm_out: GroupNorm::new(self.norm_num_groups, self.width, EPSILON, device),
            conv_out: Conv2d::new_3x3(self.width, self.latent_channels, device).zeroed(),
            width: self.width,
        }
    }
}

impl Refiner {
    /// The latent with its correction.
    ///
    /// # Shapes
    /// - `latent`, result: `[batch, latent_channels, height, width]`, scaled as the UNet sees it
    /// - `sigma`: noise level to clean, in units of the latent's standard deviation
    pub fn forward(&self, latent: Tensor<4>, sigma: f32) -> Tensor<4> {
        self.forward_tapped(latent, sigma, &mut ())
    }

    /// [`Self::forward`], with `tap` looking at what each block computes.
    pub fn forward_tapped(&self, latent: Tensor<4>, sigma: f32, tap: &mut impl Tap) -> Tensor<4> {
        let [batch, ..] = latent.dims();
        let levels = vec![1000.0 * sigma; batch];
        let embed = sinusoidal(&levels, self.width, true, 0.0, &latent.device());
        let embed = self.time_embedding.forward(embed, None);
        tap.block(format_args!("time_embedding"), &embed);
        let mut h = self.conv_in.forward(latent.clone());
        tap.block(format_args!("conv_in"), &h);
        for (i, block) in self.blocks.iter().enumerate() {
            h = block.forward(h, Some(&embed));
            tap.block(format_args!("blocks.{i}"), &h);
        }
        let norm = Before::GroupNormSilu(&self.conv_norm_out);
        let refined = self.conv_out.forward_with(h, norm, After::residual(latent));
        tap.block(format_args!("conv_out"), &refined);
        refined
    }

    /// Moves the weights to where and into the layout in which kernels read them.
    pub fn pack(&mut self, packing: &Packing) {
        self.conv_in.pack(packing);
        self.time_embedding.pack(packing);
        self.blocks.iter_mut().for_each(|block| block.pack(packing));
        self.conv_norm_out.pack(packing);
        self.conv_out.pack(packing);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Distribution;

    #[test]
    fn an_untrained_refiner_changes_nothing() {
        let device = Device::flex();
        let config = RefinerConfig {
            latent_channels: 4,
            width: 16,
            num_blocks: 2,
            norm_num_groups: 4,
            sigma: 0.1,
        };
        let latent = Tensor::<4>::random([1, 4, 8, 6], Distribution::Default, &device);
        let refined = config.init(&device).forward(latent.clone(), 0.1);
        assert_eq!(refined.into_data(), latent.into_data());
    }
}
