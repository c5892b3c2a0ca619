//! The upscaler: decoded pictures at twice their size.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use plantain_kernels::{Activation, Packing, upsample_nearest};

use crate::config::UpscalerConfig;
use crate::layers::{After, Before, Conv2d};
use crate::tap::Tap;

const COLOURS: usize = 3;
/// Pixels of a cell of the packed picture each way, before and after.
const PACKED: usize = 2;
const SPREAD: usize = PACKED * UpscalerConfig::SCALE;

/// Makes pictures twice as wide and high, with sharp edges.
///
/// Residual blocks on pixels packed two by two, whose last layer predicts all pixels of a cell at once (ESPCN,
/// arXiv:1609.05158), as a correction of the picture with its pixels doubled: with a zero last layer, as it starts, it
/// changes nothing else. The design is this project's own.
#[derive(Module, Debug)]
pub struct Upscaler {
    conv_in: Conv2d,
    blocks: Vec<UpscalerBlock>,
    conv_out: Conv2d,
}

#[derive(Module, Debug)]
struct UpscalerBlock {
    conv1: Conv2d,
    conv2: Conv2d,
}

impl UpscalerConfig {
    /// Builds the network; its parameters are allocated when first used. The configuration must
    /// pass [`Self::validate`].
    pub fn init(&self, device: &Device) -> Upscaler {
        let conv = |inputs, outputs| Conv2d::new_3x3(inputs, outputs, device);
        let block = || UpscalerBlock {
            conv1: conv(self.width, self.width),
            conv2: conv(self.width, self.width),
        };
        Upscaler {
            conv_in: conv(COLOURS * PACKED * PACKED, self.width),
            blocks: (0..self.num_blocks).map(|_| block()).collect(),
            conv_out: conv(self.width, COLOURS * SPREAD * SPREAD).zeroed(),
        }
    }
}

impl Upscaler {
    /// The picture at twice its size.
    ///
    /// # Shapes
    /// - `picture`: `[batch, 3, height, width]` in -1 to 1, beyond which it is cut off; both sides even
    /// - result: `[batch, 3, 2 * height, 2 * width]`, about in -1 to 1
    pub fn forward(&self, picture: Tensor<4>) -> Tensor<4> {
        self.forward_tapped(picture, &mut ())
    }

    /// [`Self::forward`], with `tap` looking at what each block computes.
    pub fn forward_tapped(&self, picture: Tensor<4>, tap: &mut impl Tap) -> Tensor<4> {
        let picture = picture.clamp(-1.0, 1.0);
        let mut h = self.conv_in.forward(packed(picture.clone()));
        tap.block(format_args!("conv_in"), &h);
        for (i, block) in self.blocks.iter().enumerate() {
            h = block.forward(h);
            tap.block(format_args!("blocks.{i}"), &h);
        }
        let corrections = spread(self.conv_out.forward(h));
        // A device that multiplies in 16 bits gives its results so.
        let picture = picture.cast(corrections.dtype());
        let enlarged = upsample_nearest(picture) + corrections;
        tap.block(format_args!("conv_out"), &enlarged);
        enlarged
    }

    /// Moves the weights to where and into the layout in which kernels read them.
    pub fn pack(&mut self, packing: &Packing) {
        self.conv_in.pack(&packing.at_least_bf16());
        for block in &mut self.blocks {
            block.conv1.pack(packing);
            block.conv2.pack(packing);
        }
        self.conv_out.pack(&packing.at_least_bf16());
    }
}

impl UpscalerBlock {
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let relu = After::activation(Activation::Relu);
        let h = self.conv1.forward_with(x.clone(), Before::Nothing, relu);
        self.conv2
            .forward_with(h, Before::Nothing, After::residual(x))
    }
}

/// The pixels of each cell as channels: torch's `pixel_unshuffle`.
fn packed(picture: Tensor<4>) -> Tensor<4> {
    let [batch, channels, height, width] = picture.dims();
    let (rows, columns) = (height / PACKED, width / PACKED);
    let cells = picture.reshape([batch, channels, rows, PACKED, columns, PACKED]);
    let cells = cells.permute([0, 1, 3, 5, 2, 4]);
    cells.reshape([batch, channels * PACKED * PACKED, rows, columns])
}

/// The channels of each cell as pixels: torch's `pixel_shuffle`.
fn spread(cells: Tensor<4>) -> Tensor<4> {
    let [batch, _, rows, columns] = cells.dims();
    let pixels = cells.reshape([batch, COLOURS, SPREAD, SPREAD, rows, columns]);
    let pixels = pixels.permute([0, 1, 4, 2, 5, 3]);
    pixels.reshape([batch, COLOURS, rows * SPREAD, columns * SPREAD])
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Distribution;

    #[test]
    fn an_untrained_upscaler_doubles_every_pixel() {
        let device = Device::flex();
        let config = UpscalerConfig {
            width: 8,
            num_blocks: 2,
        };
        let picture = Tensor::<4>::random([2, 3, 4, 6], Distribution::Default, &device);
        let enlarged = config.init(&device).forward(picture.clone());
        assert_eq!(enlarged.dims(), [2, 3, 8, 12]);
        assert_eq!(enlarged.into_data(), upsample_nearest(picture).into_data());
    }

    #[test]
    fn cells_are_packed_and_spread_as_torch_does() {
        let device = Device::flex();
        let values: Vec<f32> = (0..16).map(|i| i as f32).collect();
        let picture = Tensor::<1>::from_floats(&values[..], &device).reshape([1, 1, 4, 4]);
        let cells = packed(picture).into_data().try_into_vec::<f32>().unwrap();
        assert_eq!(cells[..8], [0.0, 2.0, 8.0, 10.0, 1.0, 3.0, 9.0, 11.0]);
        let channels: Vec<f32> = (0..48).map(|i| i as f32).collect();
        let one = Tensor::<1>::from_floats(&channels[..], &device).reshape([1, 48, 1, 1]);
        let pixels = spread(one).into_data().try_into_vec::<f32>().unwrap();
        assert_eq!(
            pixels, channels,
            "a cell is four rows of four, colour by colour"
        );
    }
}
