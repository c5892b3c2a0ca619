//! From the pixels of a picture to the positions of its latents.

use plantain_nn::DecoderConfig;

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

    /// How many times as wide and high the refiner makes latents; 1 without one.
    ///
    /// ```
    /// assert_eq!(plantain_weights::Components::default().refiner_scale(), 1);
    /// ```
    pub fn refiner_scale(&self) -> usize {
        self.refiner.as_ref().map_or(1, |refiner| refiner.scale)
    }

    /// Pixels of what is decoded per position of the latent that the UNet samples, in each direction.
    ///
    /// ```
    /// assert_eq!(plantain_weights::Components::default().sampling_scale(), 8);
    /// ```
    pub fn sampling_scale(&self) -> usize {
        self.decoder_scale() * self.refiner_scale()
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

    /// Width and height of what the UNet samples for what is decoded at this width and height (in pixels, or in positions of a latent):
    /// the same, or the square in its middle, whose plain ground goes on.
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

    /// [`Components::sampling_scale`] of the model.
    ///
    /// ```
    /// # use std::path::Path;
    /// # use plantain_weights::Model;
    /// # let model = Model::open(Path::new("../../tests/fixtures/weights/turbo"))?;
    /// assert_eq!(model.manifest().sampling_scale(), 2);
    /// # Ok::<(), plantain_weights::ReadError>(())
    /// ```
    pub fn sampling_scale(&self) -> usize {
        self.components.sampling_scale()
    }
}
