//! Configurations that can be built, and those that cannot.

use plantain_nn::{
    BlockType, ConfigError, DecoderConfig, EncoderConfig, KlEncoderConfig, PerLevel,
    TinyDecoderConfig, TinyEncoderConfig, UNetConfig,
};

use BlockType::{CrossAttnDownBlock2D, CrossAttnUpBlock2D, DownBlock2D, UpBlock2D};

/// Two levels of 8 and 16 channels that attend nowhere.
fn plain() -> UNetConfig {
    UNetConfig {
        block_out_channels: vec![8, 16],
        down_block_types: vec![DownBlock2D, DownBlock2D],
        up_block_types: vec![UpBlock2D, UpBlock2D],
        mid_block_type: None,
        norm_num_groups: 4,
        ..UNetConfig::default()
    }
}

fn validated(heads: [usize; 2], change: impl FnOnce(&mut UNetConfig)) -> Result<(), ConfigError> {
    let mut config = UNetConfig {
        attention_head_dim: PerLevel::Each(heads.to_vec()),
        ..plain()
    };
    change(&mut config);
    config.validate()
}

#[test]
fn heads_matter_on_levels_with_attention_alone() {
    validated([3, 0], |_| {}).unwrap();
    let down = |config: &mut UNetConfig| config.down_block_types[0] = CrossAttnDownBlock2D;
    // The finest level is the last one on the way up.
    let up = |config: &mut UNetConfig| config.up_block_types[1] = CrossAttnUpBlock2D;
    let middle = |config: &mut UNetConfig| {
        config.mid_block_type = UNetConfig::default().mid_block_type;
    };
    for change in [down, up] {
        validated([2, 3], change).unwrap();
        for heads in [3, 0] {
            let error = validated([heads, 3], change).unwrap_err().to_string();
            assert!(error.contains("level 0: 8 channels"), "{error}");
        }
    }
    validated([3, 2], middle).unwrap();
    let error = validated([2, 3], middle).unwrap_err().to_string();
    assert!(error.contains("level 1: 16 channels"), "{error}");
}

#[test]
fn groups_matter_on_every_level() {
    let config = UNetConfig {
        norm_num_groups: 3,
        ..plain()
    };
    let error = config.validate().unwrap_err().to_string();
    assert!(error.contains("3 groups"), "{error}");
}

#[test]
fn each_level_but_the_first_doubles_the_picture() {
    for (blocks, scale) in [
        (vec![3, 4, 2, 1, 0], 16),
        (vec![3, 3, 3, 1], 8),
        (vec![0, 0], 2),
        (vec![1], 1),
        (vec![1; 8], 128),
    ] {
        let config = DecoderConfig::AutoencoderTiny(TinyDecoderConfig {
            decoder_block_out_channels: vec![40; blocks.len()],
            num_decoder_blocks: blocks,
            latent_channels: 12,
            ..TinyDecoderConfig::default()
        });
        config.validate().unwrap();
        assert_eq!((config.scale(), config.latent_channels()), (scale, 12));
    }
    for (channels, blocks) in [(vec![40; 4], vec![3, 4, 2, 1, 0]), (vec![], vec![])] {
        let config = DecoderConfig::AutoencoderTiny(TinyDecoderConfig {
            decoder_block_out_channels: channels,
            num_decoder_blocks: blocks,
            ..TinyDecoderConfig::default()
        });
        config.validate().unwrap_err();
    }
}

#[test]
fn each_level_of_an_encoder_but_the_first_halves_the_picture() {
    for (blocks, scale) in [
        (vec![1, 3, 3, 3], 8),
        (vec![0, 1, 1, 1, 1], 16),
        (vec![1], 1),
    ] {
        let config = EncoderConfig::AutoencoderTiny(TinyEncoderConfig {
            encoder_block_out_channels: vec![40; blocks.len()],
            num_encoder_blocks: blocks,
            ..TinyEncoderConfig::default()
        });
        config.validate().unwrap();
        assert_eq!(config.scale(), scale);
    }
    let kl = KlEncoderConfig {
        block_out_channels: vec![32, 64],
        down_block_types: vec!["AttnDownEncoderBlock2D".into()],
        ..KlEncoderConfig::default()
    };
    let error = EncoderConfig::AutoencoderKL(kl.clone()).validate();
    let error = error.unwrap_err().to_string();
    assert!(error.contains("AttnDownEncoderBlock2D"), "{error}");
    let config = EncoderConfig::AutoencoderKL(KlEncoderConfig {
        down_block_types: KlEncoderConfig::default().down_block_types,
        ..kl
    });
    config.validate().unwrap();
    assert_eq!(config.scale(), 2);
}
