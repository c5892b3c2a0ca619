//! Configuration of the upscaler.

use serde::{Deserialize, Serialize};

use super::{ConfigError, invalid};

/// The upscaler (this project's own; see [`crate::Upscaler`]).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UpscalerConfig {
    /// Channels of the residual blocks.
    pub width: usize,
    /// Residual blocks.
    pub num_blocks: usize,
}

impl UpscalerConfig {
    /// How many times as wide and high pictures become.
    pub const SCALE: usize = 2;

    /// Checks that this crate can compute the model.
    ///
    /// # Errors
    /// When the width is zero, or there are more blocks than any real network has.
    pub fn validate(&self) -> Result<(), ConfigError> {
        if self.width == 0 || self.num_blocks > 64 {
            return Err(invalid(
                "upscaler",
                format!(
                    "`width` {} must be positive and `num_blocks` {} at most 64",
                    self.width, self.num_blocks
                ),
            ));
        }
        Ok(())
    }
}
