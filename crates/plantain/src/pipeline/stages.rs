//! The stages of a run: text, picture to start from, sampling, decoding.

use std::cell::RefCell;
use std::sync::PoisonError;

use burn::tensor::{Tensor, TensorData};
use plantain_nn::{ClipTextModel, Decoder, DecoderConfig, Encoder, Refiner, Upscaler};
use plantain_sampling::Noise;

use super::{Pipeline, notify};
use crate::denoiser::{Denoiser, Guided, InitLatent, Prompted, SamplingRun, SamplingWatch};
use crate::error::Error;
use crate::host::read_finite;
use crate::initial::InitImage;
use crate::metadata::Parameters;
use crate::observer::{Event, Observer};
use crate::preview::{LatentToRgb, Preview};
use crate::prompt::PromptTokens;
use crate::request::{InitSettings, Request, Settings, embeds_guidance};
use crate::text_input::TextInput;
use crate::tiling::{TILE, Tiling};
use crate::widening::{Wide, Widening};

impl Pipeline {
    /// The picture to start from as a latent of the UNet: the mean of what the encoder says, so that the same picture
    /// always gives the same latent.
    pub(super) fn encode_image(
        &self,
        image: &InitImage,
        how: InitSettings,
        settings: &Settings,
        observer: &mut dyn Observer,
    ) -> Result<InitLatent, Error> {
        let [.., height, width] = self.latent_shape(settings, 1);
        let mask = image.latent_mask(settings.width / width)?;
        let encoder = self.encoder(observer)?;
        notify(observer, Event::EncodingImage)?;
        let [height, width] = [height, width].map(|side| side * self.scale());
        let pixels = TensorData::new(image.values([width, height]), [1, 3, height, width]);
        let pixels = Tensor::from_data(pixels, &self.target.device);
        let (scaling, shift) = self.scaling();
        let encode = |encoder: &Encoder| {
            let latent = (encoder.forward(pixels.clone()) - shift) * scaling;
            read_finite(latent, "encoder", "")
        };
        let load = |wide: &Wide| Ok(wide.model().load_encoder(wide.target())?);
        Ok(InitLatent {
            values: encoder.run(encode, |component| self.widen(component, observer, load))?,
            mask,
            strength: how.strength,
        })
    }

    /// The encoder of pictures, loaded now if it was not before.
    fn encoder(&self, observer: &mut dyn Observer) -> Result<&Widening<Encoder>, Error> {
        if let Some(encoder) = self.encoder.get() {
            return Ok(encoder);
        }
        let component = "encoder";
        notify(observer, Event::Loading { component })?;
        let encoder = self.model.load_encoder(&self.target)?;
        Ok(self.encoder.get_or_init(|| Widening::new(encoder)))
    }

    /// Fits the map that previews are made with, if that was not done before.
    pub(super) fn prepare_previews(&self, observer: &mut dyn Observer) -> Result<(), Error> {
        if self.previews.get().is_none() {
            let channels = self.denoiser.get().channels();
            let map = LatentToRgb::fit(channels, self.scale(), |latent, shape| {
                let latent = self.denoiser.get().tensor(latent, shape);
                Ok(self.decode(latent, false, observer)?.0)
            })?;
            self.previews.get_or_init(|| map);
        }
        Ok(())
    }

    pub(super) fn encode_text(
        &self,
        request: &Request,
        settings: &Settings,
        observer: &mut dyn Observer,
    ) -> Result<Guided, Error> {
        let embeds = embeds_guidance(self.manifest());
        let guided = settings.guidance > 1.0 && !embeds;
        let mut prompt = self.tokenizer.read(&request.prompt)?;
        let negative = guided.then(|| self.tokenizer.read(&request.negative_prompt));
        let mut negative = negative.transpose()?;
        if let Some(negative) = &mut negative {
            // Both go through the network together, so they have to be of one length.
            let chunks = prompt.chunks.len().max(negative.chunks.len());
            self.tokenizer.pad_to(chunks, &mut prompt);
            self.tokenizer.pad_to(chunks, negative);
        }
        let prompt = self.encoded(prompt, observer)?;
        if embeds {
            let denoiser = self.denoiser.get();
            return Ok(denoiser.embedded(prompt, settings.guidance));
        }
        let negative = negative.map(|text| self.encoded(text, observer));
        Ok(Guided::new(
            prompt,
            negative.transpose()?,
            settings.guidance,
        ))
    }

    /// A text as the UNet takes it: as it was encoded lately, or encoded now.
    fn encoded(
        &self,
        tokens: PromptTokens,
        observer: &mut dyn Observer,
    ) -> Result<TextInput, Error> {
        if let Some(input) = self.texts.get(&tokens.chunks) {
            return Ok(input);
        }
        notify(observer, Event::Encoding)?;
        let encode = |encoder: &ClipTextModel| TextInput::encode(encoder, &tokens);
        let load = |wide: &Wide| Ok(wide.model().load_text_encoder(wide.target())?);
        let encoder = &self.text_encoder;
        let input = encoder.run(encode, |component| self.widen(component, observer, load))?;
        self.texts.keep(tokens.chunks, input.clone());
        Ok(input)
    }

    /// The component that overflowed, loaded in single precision, where it was not already.
    fn widen<C>(
        &self,
        component: &'static str,
        observer: &mut dyn Observer,
        load: impl FnOnce(&Wide) -> Result<C, Error>,
    ) -> Result<Option<C>, Error> {
        let Some(wide) = &self.wide else {
            return Ok(None);
        };
        notify(observer, Event::Widening { component })?;
        load(wide).map(Some)
    }

    /// The latents of a group of pictures, one for each of its seeds.
    pub(super) fn sample(
        &self,
        group: &Group<'_>,
        text: &Prompted,
        observer: &mut dyn Observer,
    ) -> Result<Tensor<4>, Error> {
        let batch = group.seeds.len();
        let shape = self.sampled_shape(group, batch);
        let run = SamplingRun {
            kind: group.settings.sampler,
            steps: group.settings.steps,
            shape,
            init: group.init,
        };
        // Each picture has the noise of its own seed, whatever is drawn beside it.
        let sources: Vec<_> = group.seeds.iter().map(|seed| Noise::new(*seed)).collect();
        let count = shape.iter().skip(1).product();
        let noise: Vec<_> = sources.iter().flat_map(|n| n.normal(count)).collect();
        let step_noise = |step| {
            let each = sources.iter().flat_map(|n| n.step_normal(step, count));
            each.collect()
        };
        let observer = RefCell::new(observer);
        let sample = |denoiser: &Denoiser| {
            let mut observer = observer.borrow_mut();
            let watch = Watch {
                pipeline: self,
                observer: &mut **observer,
                picture: group.first,
                shape,
            };
            let read = text.read_by(denoiser, batch);
            denoiser.sample(&run, self.manifest(), &read, &noise, &step_noise, watch)
        };
        let load = |wide: &Wide| Denoiser::load(wide.model(), wide.target());
        let latent = self.denoiser.run(sample, |component| {
            self.widen(component, *observer.borrow_mut(), load)
        })?;
        let latent = self.denoiser.get().tensor(latent, shape);
        Ok(on_plain_ground(
            latent,
            self.latent_shape(group.settings, batch),
        ))
    }

    /// `[batch, channels, height, width]` of what is sampled: smaller than the whole latent where the ground goes on around it.
    fn sampled_shape(&self, group: &Group<'_>, batch: usize) -> [usize; 4] {
        let [_, channels, height, width] = self.latent_shape(group.settings, batch);
        let [width, height] = self.sampled_latent([width, height], group.init.is_some());
        [batch, channels, height, width]
    }

    /// Width and height of what is sampled of a latent: all of it where there is a picture to start from.
    pub(super) fn sampled_latent(&self, size: [usize; 2], from_picture: bool) -> [usize; 2] {
        if from_picture {
            size
        } else {
            self.manifest().sampled_size(size)
        }
    }

    /// Whether latents of this shape are new to the kernels, which they are no longer afterwards.
    fn compiles(&self, shape: [usize; 4]) -> bool {
        self.compiled.as_ref().is_some_and(|compiled| {
            let mut compiled = compiled.lock().unwrap_or_else(PoisonError::into_inner);
            compiled.insert(shape)
        })
    }

    /// `[batch, channels, height, width]`
    pub(super) fn latent_shape(&self, settings: &Settings, batch: usize) -> [usize; 4] {
        let size = [settings.width, settings.height];
        let scale = self.manifest().sampling_scale(size);
        let channels = self.denoiser.get().channels();
        [
            batch,
            channels,
            settings.height / scale,
            settings.width / scale,
        ]
    }

    /// Pixels per position of the latent that is decoded, in each direction.
    fn scale(&self) -> usize {
        self.manifest().components.decoder_scale()
    }

    /// See [`DecoderConfig::scaling`].
    fn scaling(&self) -> (f64, f64) {
        let vae = self.manifest().components.vae.as_ref();
        vae.map_or((1.0, 0.0), DecoderConfig::scaling)
    }

    /// Latent to `[1, 3, height, width]` in -1 to 1, checked.
    pub(super) fn finish(
        &self,
        settings: &Settings,
        mut latent: Tensor<4>,
        picture: usize,
        observer: &mut dyn Observer,
    ) -> Result<(Vec<f32>, [usize; 2]), Error> {
        let refiner = self.manifest().components.refiner.as_ref();
        if let (true, Some(refiner), Some(config)) = (settings.refine, &self.refiner, refiner) {
            notify(observer, Event::Refining { picture })?;
            let refine = |refiner: &Refiner| {
                let refined = refiner.forward(latent.clone(), config.sigma as f32);
                read_finite(refined.clone(), "refiner", "")?;
                Ok(refined)
            };
            let load = |wide: &Wide| {
                let refiner = wide.model().load_refiner(wide.target())?;
                Ok(refiner.expect("the model had a refiner before"))
            };
            latent = refiner.run(refine, |component| self.widen(component, observer, load))?;
        }
        notify(observer, Event::Decoding { picture })?;
        let decoded = self.decode(latent, settings.tiled, observer)?;
        let size = [settings.width, settings.height];
        match &self.upscaler {
            Some(upscaler) if self.manifest().is_enlarged(size) => {
                self.enlarge(upscaler, decoded, observer)
            }
            _ => Ok(decoded),
        }
    }

    /// The values of `[1, 3, height, width]` and `[width, height]` of a decoded picture, as the upscaler enlarges it.
    fn enlarge(
        &self,
        upscaler: &Widening<Upscaler>,
        (values, [width, height]): (Vec<f32>, [usize; 2]),
        observer: &mut dyn Observer,
    ) -> Result<(Vec<f32>, [usize; 2]), Error> {
        let picture = TensorData::new(values, [1, 3, height, width]);
        let picture = Tensor::from_data(picture, &self.target.device);
        let enlarge = |upscaler: &Upscaler| {
            let enlarged = upscaler.forward(picture.clone());
            let [_, _, height, width] = enlarged.dims();
            Ok((read_finite(enlarged, "upscaler", "")?, [width, height]))
        };
        let load = |wide: &Wide| {
            let upscaler = wide.model().load_upscaler(wide.target())?;
            Ok(upscaler.expect("the model had an upscaler before"))
        };
        upscaler.run(enlarge, |component| self.widen(component, observer, load))
    }

    /// A latent of the UNet to the values of `[1, 3, height, width]` and `[width, height]`.
    fn decode(
        &self,
        latent: Tensor<4>,
        tiled: bool,
        observer: &mut dyn Observer,
    ) -> Result<(Vec<f32>, [usize; 2]), Error> {
        let (scaling, shift) = self.scaling();
        let latent = latent / scaling + shift;
        // The tiny decoder saturates, so it would hide an infinity.
        read_finite(latent.clone(), "decoder input", "")?;
        let decode = |decoder: &Decoder| {
            if tiled {
                return Tiling::new(TILE, self.scale()).decode(decoder, &latent);
            }
            let image = decoder.forward(latent.clone());
            let [_, _, height, width] = image.dims();
            Ok((read_finite(image, "decoder", "")?, [width, height]))
        };
        let load = |wide: &Wide| Ok(wide.model().load_decoder(wide.target())?);
        self.decoder
            .run(decode, |component| self.widen(component, observer, load))
    }

    pub(super) fn parameters(
        &self,
        request: &Request,
        settings: &Settings,
        seed: u64,
    ) -> Parameters {
        Parameters {
            prompt: request.prompt.clone(),
            negative_prompt: request.negative_prompt.clone(),
            seed,
            settings: settings.clone(),
            model: self.manifest().name.clone(),
            additions: self.model.additions().to_vec(),
            precision: self.precision.parse().ok(),
        }
    }
}

/// A latent in the middle of one of `shape`, whose other positions have the mean of its rim: a plain ground goes on.
fn on_plain_ground(latent: Tensor<4>, shape: [usize; 4]) -> Tensor<4> {
    let [batch, channels, height, width] = latent.dims();
    if latent.dims() == shape {
        return latent;
    }
    let edge = |dim: usize, at: usize| {
        let edge = latent.clone().narrow(dim, at, 1);
        edge.reshape([batch, channels, height * width / latent.dims()[dim]])
    };
    let rim = [
        edge(2, 0),
        edge(2, height - 1),
        edge(3, 0),
        edge(3, width - 1),
    ];
    let ground = Tensor::cat(rim.to_vec(), 2).mean_dim(2);
    let whole = ground.reshape([batch, channels, 1, 1]).expand(shape);
    let [_, _, whole_height, whole_width] = shape;
    let (top, left) = ((whole_height - height) / 2, (whole_width - width) / 2);
    let middle = [0..batch, 0..channels, top..top + height, left..left + width];
    whole.slice_assign(middle, latent)
}

/// Pictures that are drawn together.
pub(super) struct Group<'a> {
    pub(super) settings: &'a Settings,
    pub(super) init: Option<&'a InitLatent>,
    /// The first of them, counted from the beginning of the run.
    pub(super) first: usize,
    pub(super) seeds: Vec<u64>,
}

/// Tells an observer about the sampling of a group.
struct Watch<'a> {
    pipeline: &'a Pipeline,
    observer: &'a mut dyn Observer,
    picture: usize,
    shape: [usize; 4],
}

impl SamplingWatch for Watch<'_> {
    fn before_step(&mut self, step: usize, steps: usize) -> Result<(), Error> {
        let picture = self.picture;
        let event = Event::Step {
            picture,
            step,
            steps,
        };
        notify(self.observer, event)?;
        if step == 0 && self.pipeline.compiles(self.shape) {
            notify(self.observer, Event::Compiling { picture })?;
        }
        Ok(())
    }

    fn after_step(&mut self, step: usize, steps: usize, denoised: &[f32]) -> Result<(), Error> {
        let (true, Some(map)) = (self.observer.wants_previews(), self.pipeline.previews.get())
        else {
            return Ok(());
        };
        let [_, channels, height, width] = self.shape;
        let latents = denoised.chunks(channels * height * width);
        for (i, latent) in latents.enumerate() {
            self.observer.preview(&Preview {
                picture: self.picture + i,
                step,
                steps,
                image: map.picture(latent, [height, width]),
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;

    #[test]
    fn a_ground_goes_on_with_the_mean_of_the_rim() {
        let device = Device::flex();
        // The rim of the first channel is 1 and 3 in turn, its middle 9; the second is 5 everywhere.
        let rows = [1.0, 3.0, 1.0, 3.0, 9.0, 3.0, 1.0, 3.0, 1.0];
        let values: Vec<f32> = rows.into_iter().chain([5.0; 9]).collect();
        let latent = Tensor::from_data(TensorData::new(values, [1, 2, 3, 3]), &device);
        let wide = on_plain_ground(latent.clone(), [1, 2, 3, 6]);
        let wide = wide.into_data().try_into_vec::<f32>().unwrap();
        let mean = (4.0 * (1.0 + 3.0 + 1.0)) / 12.0;
        assert_eq!(wide[..6], [mean, 1.0, 3.0, 1.0, mean, mean]);
        assert_eq!(wide[6..12], [mean, 3.0, 9.0, 3.0, mean, mean]);
        assert!(wide[18..].iter().all(|value| *value == 5.0));
        let same = on_plain_ground(latent.clone(), [1, 2, 3, 3]);
        assert_eq!(same.into_data(), latent.into_data());
    }
}
