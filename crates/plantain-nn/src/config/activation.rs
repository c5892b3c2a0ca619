//! How large the tensors of a UNet become, from its configuration alone.

use super::UNetConfig;

/// Channels of a gated feed-forward layer before its gate, for each of its input.
const GATED: usize = 8;

impl UNetConfig {
    /// The most numbers that a tensor has in one evaluation for one latent of `height` x `width`: at some level a map that is
    /// joined with a skip connection, or what a gated feed-forward layer makes before its gate. Valid after
    /// [`Self::validate`].
    pub fn largest_activation(&self, height: usize, width: usize) -> usize {
        let channels = &self.block_out_channels;
        let last = channels.len() - 1;
        let of_level = |level: usize| {
            let own = channels[level];
            let near = &channels[level.saturating_sub(1)..=last.min(level + 1)];
            let joined = 2 * near.iter().copied().fold(own, usize::max);
            let attends = self.down_block_types[level].has_attention()
                || self.up_block_types[last - level].has_attention();
            let gated = if attends { GATED * own } else { 0 };
            let area = height.div_ceil(1 << level) * width.div_ceil(1 << level);
            joined.max(gated) * area
        };
        (0..=last).map(of_level).max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::BlockType;

    #[test]
    fn the_gate_of_the_finest_level_is_the_largest_of_stable_diffusion() {
        let config = UNetConfig::default();
        assert_eq!(config.largest_activation(64, 64), 8 * 320 * 64 * 64);
    }

    #[test]
    fn a_level_without_attention_joins_what_is_near_it() {
        let mut config = UNetConfig::default();
        config.down_block_types[0] = BlockType::DownBlock2D;
        config.up_block_types[3] = BlockType::UpBlock2D;
        assert_eq!(config.largest_activation(64, 64), 8 * 640 * 32 * 32);
        config.block_out_channels = vec![320, 960, 960, 960];
        assert_eq!(config.largest_activation(64, 64), 2 * 960 * 64 * 64);
    }
}
