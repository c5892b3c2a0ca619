//! What devices are measured against and with: one device, and inputs that are the same everywhere.

use burn::tensor::{Device, Tensor, TensorData};
use plantain_nn::{DecoderConfig, RefinerConfig};
use plantain_sampling::Noise;
use plantain_weights::{Model, UNetConfig};

use crate::device::{DeviceChoice, DeviceOptions, PrecisionChoice};
use crate::error::{Error, RequestError};
use crate::text_input::TextInput;

/// What other devices and precisions are compared with: single precision on the CPU. Its networks agree with diffusers to about
/// 1e-6 of their outputs.
pub const REFERENCE: DeviceOptions = DeviceOptions {
    device: DeviceChoice::Flex,
    precision: PrecisionChoice::F32,
};

/// Timestep at which a UNet is evaluated once: the middle of the usual thousand.
pub(crate) const TIMESTEP: f32 = 499.0;

/// A prompt that fills all tokens.
pub(crate) fn token_ids(model: &Model) -> Vec<i64> {
    let config = model
        .manifest()
        .components
        .text_encoder
        .clone()
        .unwrap_or_default();
    (0..config.max_position_embeddings)
        .map(|i| (i % config.vocab_size) as i64)
        .collect()
}

/// Standard normal numbers; another `stream`, other numbers.
pub(crate) fn normal<const D: usize>(stream: u64, shape: [usize; D], device: &Device) -> Tensor<D> {
    let values = Noise::new(stream).normal(shape.iter().product());
    Tensor::from_data(TensorData::new(values, shape), device)
}

/// A text as long as the model's prompts, as a network takes it.
pub(crate) fn fixed_text(model: &Model, unet: &UNetConfig, device: &Device) -> TextInput {
    let components = &model.manifest().components;
    let tokens = components
        .text_encoder
        .clone()
        .unwrap_or_default()
        .max_position_embeddings;
    TextInput {
        states: normal(1, [1, tokens, unet.text_dim()], device),
        pooled: unet
            .class_labels_dim()
            .map(|width| normal(2, [1, width], device)),
    }
}

/// Width and height of the picture in pixels: `size`, or the model's own.
pub(crate) fn picture_size(model: &Model, size: Option<[usize; 2]>) -> [usize; 2] {
    size.unwrap_or_else(|| model.manifest().own_size())
}

/// `[1, channels, height, width]` of the latent for a picture of `size`, or of the model's own.
///
/// # Errors
/// When a side is no multiple of what a position of the latent becomes.
pub(crate) fn latent_shape(model: &Model, size: Option<[usize; 2]>) -> Result<[usize; 4], Error> {
    let components = &model.manifest().components;
    let [width, height] = picture_size(model, size);
    let scale = model.manifest().sampling_scale();
    if width == 0 || height == 0 || width % scale != 0 || height % scale != 0 {
        let message =
            format!("a picture of {width}x{height}: both sides must be multiples of {scale}");
        return Err(RequestError::Input(message).into());
    }
    let unet = components.unet.as_ref().map(|unet| unet.in_channels);
    let refiner = components.refiner.as_ref();
    let refiner = refiner.map(RefinerConfig::latent_channels);
    let vae = components.vae.as_ref();
    let vae = vae.map(DecoderConfig::latent_channels);
    let channels = unet.or(refiner).or(vae).unwrap_or(4);
    Ok([1, channels, height / scale, width / scale])
}
