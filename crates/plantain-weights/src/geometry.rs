//! From the pixels of a picture to the positions of its latents.

use plantain_nn::{DecoderConfig, UpscalerConfig};

use crate::manifest::{Components, Manifest};

impl Components {
    /// Pixels per position of the latent that the decoder takes, in each direction.
    ///
    /// ```
    /// assert_eq!(plantain_weights::Components::default().decoder_scale(), 8);
    /// ```
    pub fn decoder_scale(&self) -> usize {
        self.vae.as_ref().map_or(8, DecoderConfig::scale)
    }

    /// How many times as wide and high the upscaler makes pictures; 1 without one.
    ///
    /// ```
    /// assert_eq!(plantain_weights::Components::default().upscaler_scale(), 1);
    /// ```
    pub fn upscaler_scale(&self) -> usize {
        self.upscaler.as_ref().map_or(1, |_| UpscalerConfig::SCALE)
    }
}

impl Manifest {
    /// Width and height in pixels that the model was made for.
    ///
    /// ```
    /// # use std::path::Path;
    /// # use plantain_weights::Model;
    /// # let model = Model::open(Path::new("../../tests/fixtures/weights/turbo"))?;
    /// assert_eq!(model.manifest().own_size(), [24, 16]);
    /// # Ok::<(), plantain_weights::ReadError>(())
    /// ```
    pub fn own_size(&self) -> [usize; 2] {
        [self.defaults.width, self.defaults.height].map(|side| side as usize)
    }

    /// Whether a picture of this width and height in pixels is drawn smaller and then enlarged by the upscaler. Where what is sampled
    /// ([`Self::sampled_size`]) has half the pixels of the model's own or fewer, it is drawn as large as it is, because the UNet was
    /// trained for that.
    ///
    /// ```
    /// # use std::path::Path;
    /// # use plantain_weights::Model;
    /// # let model = Model::open(Path::new("../../tests/fixtures/weights/turbo"))?;
    /// assert!(!model.manifest().is_enlarged([512, 512]), "it has no upscaler");
    /// # Ok::<(), plantain_weights::ReadError>(())
    /// ```
    pub fn is_enlarged(&self, size: [usize; 2]) -> bool {
        let pixels = |size| {
            let [width, height] = self.sampled_size(size);
            width.saturating_mul(height)
        };
        self.components.upscaler.is_some() && pixels(size) > pixels(self.own_size()) / 2
    }

    /// Width and height of what the UNet samples for a picture of this width and height (in pixels, or in positions of a latent), but
    /// for what the upscaler does: the same, or the square in its middle, whose plain ground goes on.
    ///
    /// ```
    /// # use std::path::Path;
    /// # use plantain_weights::Model;
    /// # let model = Model::open(Path::new("../../tests/fixtures/weights/turbo"))?;
    /// let mut manifest = model.manifest().clone();
    /// assert_eq!(manifest.sampled_size([896, 512]), [896, 512]);
    /// manifest.plain_ground = true;
    /// assert_eq!(manifest.sampled_size([896, 512]), [512, 512]);
    /// # Ok::<(), plantain_weights::ReadError>(())
    /// ```
    pub fn sampled_size(&self, [width, height]: [usize; 2]) -> [usize; 2] {
        if self.plain_ground {
            [width.min(height); 2]
        } else {
            [width, height]
        }
    }

    /// Pixels per position of the latent that the UNet samples for a picture of this width and height in pixels, in each direction.
    ///
    /// ```
    /// # use std::path::Path;
    /// # use plantain_weights::Model;
    /// # let model = Model::open(Path::new("../../tests/fixtures/weights/turbo"))?;
    /// assert_eq!(model.manifest().sampling_scale([64, 64]), 2);
    /// # Ok::<(), plantain_weights::ReadError>(())
    /// ```
    pub fn sampling_scale(&self, size: [usize; 2]) -> usize {
        let enlargement = if self.is_enlarged(size) {
            self.components.upscaler_scale()
        } else {
            1
        };
        enlargement * self.components.decoder_scale()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::Model;

    #[test]
    fn only_large_pictures_are_enlarged() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/weights");
        let model = Model::open(&Path::new(folder).join("deep")).unwrap();
        let mut manifest = model.manifest().clone();
        (manifest.defaults.width, manifest.defaults.height) = (512, 512);
        let scale = manifest.components.decoder_scale();
        assert_eq!(manifest.sampling_scale([512, 512]), scale);
        manifest.components.upscaler = Some(UpscalerConfig {
            width: 8,
            num_blocks: 1,
        });
        assert_eq!(manifest.sampling_scale([512, 512]), 2 * scale);
        assert_eq!(manifest.sampling_scale([704, 384]), 2 * scale);
        assert_eq!(manifest.sampling_scale([256, 256]), scale);
        assert_eq!(manifest.sampling_scale([352, 192]), scale);
        assert_eq!(manifest.sampling_scale([640, 256]), 2 * scale);
        manifest.plain_ground = true;
        assert_eq!(manifest.sampling_scale([640, 256]), scale);
        assert_eq!(manifest.sampling_scale([640, 512]), 2 * scale);
    }
}
