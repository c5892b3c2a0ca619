//! What the encoders and the decoders of one kind share.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use plantain_kernels::{Activation, Packing};

use crate::blocks::{ResnetBlock, ResnetBlockConfig};
use crate::layers::{After, Before, Conv2d, Link, forward_at_once};
use crate::tap::Tap;
use crate::transformer::SelfAttention;

/// Epsilon of all normalisations of `AutoencoderKL`.
pub const EPSILON: f64 = 1e-6;

/// A residual block of `AutoencoderKL`.
pub fn kl_resnet(in_channels: usize, out_channels: usize, groups: usize) -> ResnetBlockConfig {
    ResnetBlockConfig {
        in_channels,
        out_channels,
        time_embed_dim: None,
        groups,
        epsilon: EPSILON,
        output_scale_factor: 1.0,
        side: None,
    }
}

/// The coarsest level of `AutoencoderKL` (diffusers' `UNetMidBlock2D`).
#[derive(Module, Debug)]
pub struct KlMidBlock {
    resnets: Vec<ResnetBlock>,
    attentions: Vec<SelfAttention>,
}

impl KlMidBlock {
    /// Two residual blocks, with an attention of the pixels between them if there is to be one.
    pub fn new(channels: usize, groups: usize, attention: bool, device: &Device) -> Self {
        let resnet = || kl_resnet(channels, channels, groups).init(device);
        Self {
            resnets: vec![resnet(), resnet()],
            attentions: attention
                .then(|| SelfAttention::of_pixels(channels, groups, EPSILON, device))
                .into_iter()
                .collect(),
        }
    }

    /// # Shapes
    /// - `h`, result: `[batch, channels, height, width]`
    pub fn forward(&self, mut h: Tensor<4>, tap: &mut impl Tap) -> Tensor<4> {
        for (i, resnet) in self.resnets.iter().enumerate() {
            h = resnet.forward(h, None);
            tap.block(format_args!("mid_block.resnets.{i}"), &h);
            if let (0, Some(attention)) = (i, self.attentions.first()) {
                h = attention.forward(h, Before::Nothing);
                tap.block(format_args!("mid_block.attentions.{i}"), &h);
            }
        }
        h
    }

    /// Moves the weights to where and into the layout in which kernels read them.
    pub fn pack(&mut self, packing: &Packing) {
        let resnets = self.resnets.iter_mut();
        resnets.for_each(|block| block.pack(packing));
        let attentions = self.attentions.iter_mut();
        attentions.for_each(|block| block.pack(packing));
    }
}

/// Three convolutions around a skip connection, ReLU everywhere (diffusers' `AutoencoderTinyBlock`).
#[derive(Module, Debug)]
pub struct TinyBlock {
    conv1: Conv2d,
    conv2: Conv2d,
    conv3: Conv2d,
}

impl TinyBlock {
    /// Keeps the number of channels.
    pub fn new(width: usize, device: &Device) -> Self {
        let conv = || Conv2d::new_3x3(width, width, device);
        Self {
            conv1: conv(),
            conv2: conv(),
            conv3: conv(),
        }
    }

    /// # Shapes
    /// - `x`, result: `[batch, channels, height, width]`
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        if let Some(y) = forward_at_once(&self.links(), &x, Some(&x)) {
            return y;
        }
        let h = self.conv1.forward_with(x.clone(), Before::Nothing, relu());
        let h = self.conv2.forward_with(h, Before::Nothing, relu());
        let after = After {
            residual: Some(x),
            ..relu()
        };
        self.conv3.forward_with(h, Before::Nothing, after)
    }

    /// Its convolutions, the last of which lacks the block's input.
    fn links(&self) -> [Link<'_>; 3] {
        let convs = [&self.conv1, &self.conv2, &self.conv3];
        convs.map(|conv| Link::new(conv, Activation::Relu))
    }

    /// Its convolutions after `before` others.
    pub fn links_after(&self, before: usize) -> [Link<'_>; 3] {
        let [first, second, third] = self.links();
        [first, second, third.adding(before)]
    }

    /// Moves the weights to where and into the layout in which kernels read them.
    pub fn pack(&mut self, packing: &Packing) {
        for conv in [&mut self.conv1, &mut self.conv2, &mut self.conv3] {
            conv.pack(packing);
        }
    }
}

/// A ReLU and nothing else after a layer.
pub fn relu() -> After {
    After::activation(Activation::Relu)
}
