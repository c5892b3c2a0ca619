//! The stages of a run: text, picture to start from, sampling, decoding.

use std::cell::RefCell;
use std::sync::PoisonError;

use burn::tensor::{Tensor, TensorData};
use plantain_nn::{ClipTextModel, Decoder, DecoderConfig, Encoder};
use plantain_sampling::Noise;

use super::{Pipeline, notify};
use crate::batch::decodes_at_once;
use crate::denoiser::{Denoiser, Guided, InitLatent, Prompted, SamplingRun, SamplingWatch};
use crate::error::Error;
use crate::host::read_finite;
use crate::initial::InitImage;
use crate::layout::Layout;
use crate::metadata::Parameters;
use crate::observer::{Event, Observer};
use crate::preview::{LatentToRgb, Preview};
use crate::prompt::PromptTokens;
use crate::refinement::Refinement;
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
        layout: &Layout,
        observer: &mut dyn Observer,
    ) -> Result<InitLatent, Error> {
        let [.., height, width] = layout.shape(1, 1);
        let mask = image.latent_mask([height, width])?;
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

    /// `prompt`, and what is to be kept out, as the UNet takes them.
    pub(super) fn encode_text(
        &self,
        prompt: &str,
        request: &Request,
        settings: &Settings,
        observer: &mut dyn Observer,
    ) -> Result<Guided, Error> {
        let embeds = embeds_guidance(self.manifest());
        let guided = settings.guidance > 1.0 && !embeds;
        let mut prompt = self.tokenizer.read(prompt)?;
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

    /// The latents to be decoded of a group of pictures, one for each of its seeds.
    pub(super) fn sample(
        &self,
        group: &Group<'_>,
        texts: &[Prompted],
        observer: &mut dyn Observer,
    ) -> Result<Tensor<4>, Error> {
        let things = texts.iter().enumerate();
        let things = things.map(|(thing, text)| self.sample_thing(group, thing, text, observer));
        let mut things: Vec<_> = things.collect::<Result<_, _>>()?;
        if let (true, Some(refiner)) = (group.settings.refine, &self.refiner) {
            let picture = group.first;
            notify(observer, Event::Refining { picture })?;
            let refine = |(thing, text): (&Tensor<4>, &Prompted)| {
                self.refine(refiner, thing, text.prompt(), observer)
            };
            things = things
                .iter()
                .zip(texts)
                .map(refine)
                .collect::<Result<_, _>>()?;
        }
        Ok(group.layout.place(&things))
    }

    /// Latents of one text as the refiner makes them.
    fn refine(
        &self,
        refiner: &Widening<Refinement>,
        latent: &Tensor<4>,
        text: &TextInput,
        observer: &mut dyn Observer,
    ) -> Result<Tensor<4>, Error> {
        let refine = |refiner: &Refinement| {
            let refined = refiner.refine(latent.clone(), text);
            read_finite(refined.clone(), "refiner", "")?;
            Ok(refined)
        };
        let load = |wide: &Wide| {
            let refiner = Refinement::load(wide.model(), wide.target())?;
            Ok(refiner.expect("the model had a refiner before"))
        };
        refiner.run(refine, |component| self.widen(component, observer, load))
    }

    /// The latents of one of the things in each picture of a group.
    fn sample_thing(
        &self,
        group: &Group<'_>,
        thing: usize,
        text: &Prompted,
        observer: &mut dyn Observer,
    ) -> Result<Tensor<4>, Error> {
        let batch = group.seeds.len();
        let shape = group
            .layout
            .sampled_shape(batch, self.denoiser.get().channels());
        let run = SamplingRun {
            kind: group.settings.sampler,
            steps: group.settings.steps,
            shape,
            init: group.init,
        };
        // Each picture has the noise of its own seed, whatever is drawn beside it.
        let seeds = group.seeds.iter().map(|seed| seed_of_thing(*seed, thing));
        let sources: Vec<_> = seeds.map(Noise::new).collect();
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
                thing,
                things: group.layout.prompts.len(),
            };
            let read = text.read_by(denoiser, batch);
            denoiser.sample(&run, self.manifest(), &read, &noise, &step_noise, watch)
        };
        let load = |wide: &Wide| Denoiser::load(wide.model(), wide.target());
        let latent = self.denoiser.run(sample, |component| {
            self.widen(component, *observer.borrow_mut(), load)
        })?;
        Ok(self.denoiser.get().tensor(latent, shape))
    }

    /// Whether latents of this shape are new to the kernels, which they are no longer afterwards.
    fn compiles(&self, shape: [usize; 4]) -> bool {
        self.compiled.as_ref().is_some_and(|compiled| {
            let mut compiled = compiled.lock().unwrap_or_else(PoisonError::into_inner);
            compiled.insert(shape)
        })
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

    /// A latent as the UNet sees it to the values of `[1, 3, height, width]` in -1 to 1, checked, and `[width, height]`.
    pub(super) fn decode(
        &self,
        latent: Tensor<4>,
        tiled: bool,
        observer: &mut dyn Observer,
    ) -> Result<(Vec<f32>, [usize; 2]), Error> {
        let (scaling, shift) = self.scaling();
        let latent = latent / scaling + shift;
        // The tiny decoder saturates, so it would hide an infinity.
        read_finite(latent.clone(), "decoder input", "")?;
        let vae = self.manifest().components.vae.as_ref();
        let [_, _, height, width] = latent.dims();
        let packing = self.target.packing.as_ref();
        let at_once = vae.is_none_or(|vae| decodes_at_once(vae, packing, [height, width]));
        let decode = |decoder: &Decoder| {
            // One that fits a tile would be cut for nothing.
            let fits = height.max(width) <= TILE;
            if (tiled && !fits) || !at_once {
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
            transparent: false,
        }
    }
}

/// Pictures that are drawn together.
pub(super) struct Group<'a> {
    pub(super) settings: &'a Settings,
    pub(super) layout: &'a Layout,
    pub(super) init: Option<&'a InitLatent>,
    /// The first of them, counted from the beginning of the run.
    pub(super) first: usize,
    pub(super) seeds: Vec<u64>,
}

/// Where the noise of a thing in a picture with `seed` comes from; that of the first is the seed's own.
fn seed_of_thing(seed: u64, thing: usize) -> u64 {
    // Far apart, because the next picture has the next seed (Weyl's sequence of the golden ratio).
    seed.wrapping_add((thing as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

/// Tells an observer about the sampling of a group.
struct Watch<'a> {
    pipeline: &'a Pipeline,
    observer: &'a mut dyn Observer,
    picture: usize,
    shape: [usize; 4],
    /// Which thing of each picture, and how many it has.
    thing: usize,
    things: usize,
}

impl SamplingWatch for Watch<'_> {
    fn before_step(&mut self, step: usize, steps: usize) -> Result<(), Error> {
        let picture = self.picture;
        let event = Event::Step {
            picture,
            step: self.thing * steps + step,
            steps: self.things * steps,
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
                step: self.thing * steps + step,
                steps: self.things * steps,
                image: map.picture(latent, [height, width]),
            });
        }
        Ok(())
    }
}
