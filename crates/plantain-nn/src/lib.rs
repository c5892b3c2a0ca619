//! The networks of a latent diffusion model as Burn modules: text encoder, UNet, refiner, and the encoders and decoders of the autoencoders.
//!
//! Every network has a configuration with `init(&Device)`; parameters carry the names that diffusers
//! and transformers give them, but for a few flattened containers (see `plantain-weights`, which
//! holds the name maps). Nothing here reads files, tokenizes or samples.

mod autoencoder;
mod blocks;
mod config;
mod decoder;
mod embedding;
mod encoder;
mod layers;
mod refiner;
mod tap;
mod text;
mod transformer;
mod unet;

pub use config::{
    BlockType, ConfigError, DecoderConfig, EncoderConfig, KlDecoderConfig, KlEncoderConfig,
    PerLevel, RefinerConfig, TextActivation, TextEncoderConfig, TinyDecoderConfig,
    TinyEncoderConfig, TransformerLayers, UNetConfig,
};
pub use decoder::{Decoder, KlDecoder, TinyDecoder};
pub use embedding::guidance_scale_embedding;
pub use encoder::{Encoder, KlEncoder, TinyEncoder};
pub use layers::StoredRows;
pub use plantain_kernels::{Packing, Precision, Storage, multiplies_bf16};
pub use refiner::Refiner;
pub use tap::Tap;
pub use text::{ClipTextModel, TextStates, TokenError};
pub use transformer::TextContext;
pub use unet::{Conditioning, UNet2DConditionModel};
