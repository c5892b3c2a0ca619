//! Configuration of the latent refiner.

use serde::{Deserialize, Serialize};

use super::{ConfigError, UNetConfig, invalid};

/// The latent refiner (this project's own; see [`crate::Refiner`]).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RefinerConfig {
    /// How many times as wide and high latents become: 1 or 2.
    pub scale: usize,
    /// Residual blocks after the UNet.
    pub num_blocks: usize,
    /// The network that reads the text; its `out_channels` go through the blocks to a latent of its `in_channels`.
    pub unet: UNetConfig,
}

impl RefinerConfig {
    /// Channels of the latent.
    pub fn latent_channels(&self) -> usize {
        self.unet.in_channels
    }

    /// Checks that this crate can compute the model.
    ///
    /// # Errors
    /// When the UNet cannot be computed, it does not end in as many channels as its finest level has, or a number is out of range.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let unet = self.unet.validate();
        unet.map_err(|error| invalid("refiner", format!("its {error}")))?;
        let width = self.unet.block_out_channels[0];
        if !(1..=2).contains(&self.scale) || self.num_blocks > 64 || self.unet.out_channels != width
        {
            return Err(invalid(
                "refiner",
                format!(
                    "`scale` {} must be 1 or 2, `num_blocks` {} at most 64, and `out_channels` {} of its `unet` the first of `block_out_channels`, {width}",
                    self.scale, self.num_blocks, self.unet.out_channels
                ),
            ));
        }
        Ok(())
    }
}
