//! The latent refiner with the texts that it reads.

use burn::tensor::Tensor;
use plantain_nn::{Conditioning, Refiner, Tap};
use plantain_weights::{Model, Target, UNetConfig};

use crate::error::Error;
use crate::text_input::TextInput;

/// A model's refiner.
#[derive(Debug)]
pub(crate) struct Refinement {
    refiner: Refiner,
    unet: UNetConfig,
}

impl Refinement {
    /// `None` where the model has no refiner.
    pub(crate) fn load(model: &Model, target: &Target) -> Result<Option<Self>, Error> {
        let config = model.manifest().components.refiner.as_ref();
        let loaded = model.load_refiner(target)?.zip(config);
        Ok(loaded.map(|(refiner, config)| Self {
            refiner,
            unet: config.unet.clone(),
        }))
    }

    /// What reads the text.
    pub(crate) fn unet(&self) -> &UNetConfig {
        &self.unet
    }

    /// The refined latents of pictures of one text.
    pub(crate) fn refine(&self, latent: Tensor<4>, text: &TextInput) -> Tensor<4> {
        self.refine_tapped(latent, text, &mut ())
    }

    /// [`Self::refine`], with `tap` looking at what each block computes.
    pub(crate) fn refine_tapped(
        &self,
        latent: Tensor<4>,
        text: &TextInput,
        tap: &mut impl Tap,
    ) -> Tensor<4> {
        let [batch, ..] = latent.dims();
        let [texts, ..] = text.states.dims();
        let text = text.repeated(batch / texts);
        let conditioning = Conditioning {
            text: self.refiner.read_text(text.states),
            class_labels: text
                .pooled
                .filter(|_| self.unet.class_labels_dim().is_some()),
            timestep_cond: None,
        };
        self.refiner.forward_tapped(latent, &conditioning, tap)
    }
}
