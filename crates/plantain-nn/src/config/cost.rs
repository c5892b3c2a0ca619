//! What a UNet costs, from its configuration alone.

use super::UNetConfig;

/// Counts the products of the parts of one evaluation.
struct Counter {
    /// Products of two numbers, each of which is added to a sum.
    products: u64,
    time_width: usize,
    tokens: usize,
    text_width: usize,
}

impl UNetConfig {
    /// Floating-point operations (two for a product that is added to a sum) of the convolutions, linear layers and attentions in
    /// one evaluation for one latent of `height` x `width` and a text of `tokens` tokens. Norms and activations are not counted.
    /// Valid after [`Self::validate`].
    pub fn flops(&self, height: usize, width: usize, tokens: usize) -> u64 {
        let channels = &self.block_out_channels;
        let levels = channels.len();
        let area = |level: usize| height.div_ceil(1 << level) * width.div_ceil(1 << level);
        let mut count = Counter {
            products: 0,
            time_width: self.time_embed_dim(),
            tokens,
            text_width: self.text_dim(),
        };
        count.conv(self.in_channels, channels[0], 9, area(0));
        count.conv(channels[0], self.time_embed_dim(), 1, 1);
        count.conv(self.time_embed_dim(), self.time_embed_dim(), 1, 1);
        let mut skips = vec![channels[0]];
        let mut before = channels[0];
        for (level, &own) in channels.iter().enumerate() {
            for block in 0..self.down_layers(level) {
                count.resnet(before, own, area(level));
                if self.down_block_types[level].has_attention() {
                    let layers = self.down_transformer_layers(level, block);
                    count.transformer(own, layers, area(level));
                }
                before = own;
                skips.push(own);
            }
            if level + 1 < levels {
                count.conv(own, own, 9, area(level + 1));
                skips.push(own);
            }
        }
        if self.mid_block_type.is_some() {
            let last = levels - 1;
            count.resnet(before, before, area(last));
            count.transformer(before, self.down_transformer_layers(last, 0), area(last));
            count.resnet(before, before, area(last));
        }
        for (index, &own) in channels.iter().rev().enumerate() {
            let level = levels - 1 - index;
            for block in 0..=self.down_layers(level) {
                let skip = skips.pop().unwrap_or(0);
                count.resnet(before + skip, own, area(level));
                if self.up_block_types[index].has_attention() {
                    let layers = self.up_transformer_layers(index, block);
                    count.transformer(own, layers, area(level));
                }
                before = own;
            }
            if level > 0 {
                count.conv(own, own, 9, area(level - 1));
            }
        }
        count.conv(before, self.out_channels, 9, area(0));
        2 * count.products
    }
}

impl Counter {
    fn conv(&mut self, from: usize, to: usize, taps: usize, area: usize) {
        self.products += (from * to * taps * area) as u64;
    }

    fn resnet(&mut self, from: usize, to: usize, area: usize) {
        self.conv(from, to, 9, area);
        self.conv(to, to, 9, area);
        self.conv(self.time_width, to, 1, 1);
        if from != to {
            self.conv(from, to, 1, area);
        }
    }

    fn transformer(&mut self, width: usize, layers: usize, area: usize) {
        // Into and out of the transformer.
        self.conv(width, 2 * width, 1, area);
        for _ in 0..layers {
            // Query, key, value and output; every position with every other, twice.
            self.conv(width, 4 * width, 1, area);
            self.conv(width, 2 * area, 1, area);
            // Query and output; key and value of the text; every position with every token, twice.
            self.conv(width, 2 * width, 1, area);
            self.conv(self.text_width, 2 * width, 1, self.tokens);
            self.conv(width, 2 * self.tokens, 1, area);
            // A gated layer to twice four widths, and one back.
            self.conv(width, 12 * width, 1, area);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{BlockType, PerLevel};
    use super::*;

    /// Counted by torch in diffusers' networks: `tests/reference/flops.py`.
    const SD1: u64 = 803_273_441_280;
    const TINY: u64 = 485_509_038_080;

    #[test]
    fn counts_are_torchs() {
        let sd1 = UNetConfig {
            cross_attention_dim: PerLevel::All(768),
            ..UNetConfig::default()
        };
        assert_eq!(sd1.flops(64, 64, 77), SD1);
        let tiny = UNetConfig {
            down_block_types: vec![BlockType::CrossAttnDownBlock2D; 3],
            up_block_types: vec![BlockType::CrossAttnUpBlock2D; 3],
            block_out_channels: vec![320, 640, 1280],
            layers_per_block: PerLevel::All(1),
            mid_block_type: None,
            ..sd1
        };
        assert_eq!(tiny.flops(64, 64, 77), TINY);
    }
}
