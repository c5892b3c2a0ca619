//! Convolutional blocks that the UNet, the autoencoders and the refiner share.

use burn::module::Module;
use burn::tensor::{Device, Tensor, ops::PadMode};
use plantain_kernels::{Activation, Packing, upsample_nearest};

use crate::layers::{After, Before, Conv2d, GroupNorm, Linear};

/// Two normalised convolutions around a skip connection (diffusers' `ResnetBlock2D` with
/// `time_embedding_norm = "default"`).
#[derive(Module, Debug)]
pub struct ResnetBlock {
    norm1: GroupNorm,
    conv1: Conv2d,
    time_emb_proj: Option<Linear>,
    norm2: GroupNorm,
    conv2: Conv2d,
    conv_shortcut: Option<Conv2d>,
    #[module(skip)]
    output_scale_factor: f64,
}

/// Configuration of a [`ResnetBlock`].
#[derive(Debug, Clone, Copy)]
pub struct ResnetBlockConfig {
    /// Channels that come in.
    pub in_channels: usize,
    /// Channels that go out.
    pub out_channels: usize,
    /// Width of the time embedding, if there is one.
    pub time_embed_dim: Option<usize>,
    /// Groups of both normalisations.
    pub groups: usize,
    /// Epsilon of both normalisations.
    pub epsilon: f64,
    /// Divisor of the sum with the skip connection.
    pub output_scale_factor: f64,
    /// How many pixels wide and high its pictures mostly are, if that is known.
    pub side: Option<usize>,
}

impl ResnetBlockConfig {
    /// Builds the block; its parameters are allocated when first used.
    pub fn init(&self, device: &Device) -> ResnetBlock {
        let (inputs, outputs) = (self.in_channels, self.out_channels);
        ResnetBlock {
            norm1: GroupNorm::new(self.groups, inputs, self.epsilon, device),
            conv1: Conv2d::new_3x3(inputs, outputs, device).for_side(self.side),
            time_emb_proj: self
                .time_embed_dim
                .map(|dim| Linear::new(dim, outputs, device)),
            norm2: GroupNorm::new(self.groups, outputs, self.epsilon, device),
            conv2: Conv2d::new_3x3(outputs, outputs, device).for_side(self.side),
            conv_shortcut: (inputs != outputs).then(|| Conv2d::new_1x1(inputs, outputs, device)),
            output_scale_factor: self.output_scale_factor,
        }
    }
}

impl ResnetBlock {
    /// # Shapes
    /// - `x`: `[batch, in_channels, height, width]`
    /// - `time_embed`: `[batch, time_embed_dim]`, before its SiLU
    /// - result: `[batch, out_channels, height, width]`
    pub fn forward(&self, x: Tensor<4>, time_embed: Option<&Tensor<2>>) -> Tensor<4> {
        let shift = match (&self.time_emb_proj, time_embed) {
            (Some(projection), Some(embed)) => {
                Some(projection.forward_vectors(embed.clone(), Before::Silu, Activation::None))
            }
            _ => None,
        };
        let after = After {
            channel_add: shift,
            ..After::NOTHING
        };
        let h = self
            .conv1
            .forward_with(x.clone(), Before::GroupNormSilu(&self.norm1), after);
        let x = match &self.conv_shortcut {
            Some(shortcut) => shortcut.forward(x),
            None => x,
        };
        let y = self
            .conv2
            .forward_with(h, Before::GroupNormSilu(&self.norm2), After::residual(x));
        if self.output_scale_factor == 1.0 {
            y
        } else {
            y / self.output_scale_factor
        }
    }

    /// Moves the weights to where and into the layout in which kernels read them.
    pub fn pack(&mut self, packing: &Packing) {
        self.norm1.pack(packing);
        self.norm2.pack(packing);
        for conv in [&mut self.conv1, &mut self.conv2]
            .into_iter()
            .chain(&mut self.conv_shortcut)
        {
            conv.pack(packing);
        }
        if let Some(projection) = &mut self.time_emb_proj {
            projection.pack(&packing.at_least_bf16());
        }
    }
}

/// Halves the size with a convolution (diffusers' `Downsample2D`).
#[derive(Module, Debug)]
pub struct Downsample {
    conv: Conv2d,
}

impl Downsample {
    /// Keeps the number of channels.
    pub fn new(channels: usize, device: &Device) -> Self {
        Self {
            conv: Conv2d::new(channels, channels, 3, 2, device),
        }
    }

    /// # Shapes
    /// - `x`: `[batch, channels, height, width]`
    /// - result: `[batch, channels, ceil(height / 2), ceil(width / 2)]`
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        self.conv.forward(x)
    }

    /// Moves the weight into the layout of the CPU kernels.
    pub fn pack(&mut self, packing: &Packing) {
        self.conv.pack(packing);
    }
}

/// Halves the size with a convolution whose first result is centred on the second pixel of the second row (diffusers'
/// `Downsample2D` with `padding` 0, which adds one column and one row of zeros at the end and none at the beginning).
#[derive(Module, Debug)]
pub struct DownsampleFromCorner {
    conv: Conv2d,
}

impl DownsampleFromCorner {
    /// Keeps the number of channels.
    pub fn new(channels: usize, device: &Device) -> Self {
        Self {
            conv: Conv2d::new(channels, channels, 3, 2, device),
        }
    }

    /// # Shapes
    /// - `x`: `[batch, channels, height, width]`, both at least 2
    /// - result: `[batch, channels, height / 2, width / 2]`
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let [batch, channels, height, width] = x.dims();
        // Our convolution pads all around, so its results are centred on pixels 0, 2, 4. With a row and a column of zeros
        // before the picture those are the pixels -1, 1, 3, of which the first is not asked for.
        let shifted = x.pad((1, 0, 1, 0), PadMode::Constant(0.0));
        let y = self.conv.forward(shifted);
        let result = [0..batch, 0..channels, 1..height / 2 + 1, 1..width / 2 + 1];
        y.slice(result)
    }

    /// Moves the weight to where and into the layout in which kernels read it.
    pub fn pack(&mut self, packing: &Packing) {
        self.conv.pack(packing);
    }
}

/// Enlarges with nearest neighbours, then a convolution (diffusers' `Upsample2D`).
#[derive(Module, Debug)]
pub struct Upsample {
    conv: Conv2d,
}

impl Upsample {
    /// Keeps the number of channels; its output is mostly `side` pixels wide and high, if that is known.
    pub fn new(channels: usize, side: Option<usize>, device: &Device) -> Self {
        Self {
            conv: Conv2d::new_3x3(channels, channels, device).for_side(side),
        }
    }

    /// Moves the weight into the layout of the CPU kernels.
    pub fn pack(&mut self, packing: &Packing) {
        self.conv.pack_plain_and_doubled(packing);
    }

    /// To twice the size.
    ///
    /// # Shapes
    /// - `x`: `[batch, channels, height, width]`
    /// - result: `[batch, channels, 2 * height, 2 * width]`
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        self.conv.forward_doubled(x)
    }

    /// To a size that may fall short of double by one, where an odd size was halved before.
    ///
    /// # Shapes
    /// - result: `[batch, channels, height, width]` of `size`
    pub fn forward_to(&self, x: Tensor<4>, size: [usize; 2]) -> Tensor<4> {
        // Nearest neighbours at (2 n - 1) / n pick the same pixels as at 2, less the last one.
        let [batch, channels, height, width] = x.dims();
        if size == [2 * height, 2 * width] {
            return self.forward(x);
        }
        let x = upsample_nearest(x);
        let x = x.slice([0..batch, 0..channels, 0..size[0], 0..size[1]]);
        self.conv.forward(x)
    }
}
