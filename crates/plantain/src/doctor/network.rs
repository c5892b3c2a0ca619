//! The components of a model with inputs that are the same on every device.

use burn::tensor::Tensor;
use plantain_nn::{ClipTextModel, Decoder, Encoder, Tap};
use plantain_weights::{EncoderConfig, HostTensor, Model, Target};

use crate::denoiser::{Denoiser, ReadText};
use crate::error::{Error, RequestError};
use crate::host::read;
use crate::reference::{TIMESTEP, fixed_text, normal, token_ids};
use crate::refinement::Refinement;
use crate::text_input::TextInput;
use crate::trace::TraceComponent;

/// Guidance told to a network that takes it as an input.
const GUIDANCE: f64 = 7.5;

/// A loaded component and what goes into it.
#[allow(clippy::large_enum_variant)] // One exists at a time.
pub(super) enum Network {
    TextEncoder {
        encoder: ClipTextModel,
        ids: Vec<i64>,
    },
    Unet {
        denoiser: Denoiser,
        text: ReadText,
        timestep_cond: Option<Tensor<2>>,
        latent: Tensor<4>,
    },
    Refiner {
        refiner: Refinement,
        text: TextInput,
        latent: Tensor<4>,
    },
    Decoder {
        decoder: Decoder,
        latent: Tensor<4>,
    },
    Encoder {
        encoder: Encoder,
        image: Tensor<4>,
    },
}

impl Network {
    /// Loads a component of `model`, to be run on a latent of `shape`; `None` where the model has no such component.
    pub(super) fn load(
        component: TraceComponent,
        shape: [usize; 4],
        model: &Model,
        target: &Target,
    ) -> Result<Option<Self>, Error> {
        let components = &model.manifest().components;
        let latent = || normal(0, shape, &target.device);
        Ok(match component {
            TraceComponent::TextEncoder if components.text_encoder.is_some() => {
                Some(Self::TextEncoder {
                    encoder: model.load_text_encoder(target)?,
                    ids: token_ids(model),
                })
            }
            TraceComponent::Unet if components.unet.is_some() => {
                let unet = &components.unet.clone().unwrap_or_default();
                let denoiser = Denoiser::load(model, target)?;
                Some(Self::Unet {
                    text: denoiser.read_text(&fixed_text(model, unet, &target.device)),
                    timestep_cond: denoiser.timestep_cond(1, GUIDANCE),
                    latent: latent(),
                    denoiser,
                })
            }
            TraceComponent::Refiner => {
                let refiner = Refinement::load(model, target)?;
                refiner.map(|refiner| Self::Refiner {
                    text: fixed_text(model, refiner.unet(), &target.device),
                    refiner,
                    latent: latent(),
                })
            }
            TraceComponent::Decoder if components.vae.is_some() => {
                let [batch, channels, height, width] = shape;
                let scale = components.refiner_scale();
                let refined = [batch, channels, scale * height, scale * width];
                Some(Self::Decoder {
                    decoder: model.load_decoder(target)?,
                    latent: normal(0, refined, &target.device),
                })
            }
            TraceComponent::Encoder => {
                let scale = components.vae_encoder.as_ref().map(EncoderConfig::scale);
                let load = |scale| -> Result<Self, Error> {
                    Ok(Self::Encoder {
                        encoder: model.load_encoder(target)?,
                        image: normal(0, picture_shape(shape, scale), &target.device),
                    })
                };
                scale.map(load).transpose()?
            }
            _ => None,
        })
    }

    /// Runs the component once.
    pub(super) fn run(&self, tap: &mut impl Tap) -> Result<HostTensor, Error> {
        match self {
            Self::TextEncoder { encoder, ids } => {
                let states = encoder.forward_tapped(std::slice::from_ref(ids), tap);
                on_host(states.map_err(RequestError::from)?.last_hidden_state)
            }
            Self::Unet {
                denoiser,
                text,
                timestep_cond,
                latent,
            } => {
                let (latent, cond) = (latent.clone(), timestep_cond.as_ref());
                on_host(denoiser.evaluate_tapped(latent, &[TIMESTEP], text, cond, tap))
            }
            Self::Refiner {
                refiner,
                text,
                latent,
            } => on_host(refiner.refine_tapped(latent.clone(), text, tap)),
            Self::Decoder { decoder, latent } => {
                on_host(decoder.forward_tapped(latent.clone(), tap))
            }
            Self::Encoder { encoder, image } => on_host(encoder.forward_tapped(image.clone(), tap)),
        }
    }
}

/// Shape of the picture that is encoded to a latent of the given one.
fn picture_shape([batch, _, height, width]: [usize; 4], scale: usize) -> [usize; 4] {
    [batch, 3, height * scale, width * scale]
}

/// A tensor as it came, finite or not.
pub(super) fn on_host<const D: usize>(tensor: Tensor<D>) -> Result<HostTensor, Error> {
    Ok(HostTensor {
        shape: tensor.dims().to_vec(),
        values: read(tensor)?,
    })
}
