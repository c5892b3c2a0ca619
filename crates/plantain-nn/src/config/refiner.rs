//! Configuration of the latent refiner.

use serde::{Deserialize, Serialize};

use super::{ConfigError, invalid};

/// The latent refiner (this project's own; see [`crate::Refiner`]).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RefinerConfig {
    /// Channels of the latent.
    pub latent_channels: usize,
    /// Channels of the residual blocks.
    pub width: usize,
    /// Residual blocks.
    pub num_blocks: usize,
    /// Groups of the group normalisations.
    pub norm_num_groups: usize,
    /// Noise level to clean by default, in units of the model latent's standard deviation.
    pub sigma: f64,
}

impl RefinerConfig {
    /// Checks that this crate can compute the model.
    ///
    /// # Errors
    /// When a size is zero or the width does not divide into the groups.
    pub fn validate(&self) -> Result<(), ConfigError> {
        if self.latent_channels == 0
            || self.width == 0
            || !self.width.is_multiple_of(2)
            || self.norm_num_groups == 0
            || !self.width.is_multiple_of(self.norm_num_groups)
            || self.num_blocks > 64
            || !(0.0..=1.0).contains(&self.sigma)
        {
            return Err(invalid(
                "refiner",
                format!(
                    "`width` {} must be a positive even multiple of `norm_num_groups` {}, `latent_channels` positive and `sigma` within 0 to 1",
                    self.width, self.norm_num_groups
                ),
            ));
        }
        Ok(())
    }
}
