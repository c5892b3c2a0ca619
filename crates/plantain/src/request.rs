//! What a user asks for, and what that means for a given model.

use std::sync::Arc;

use image::{GrayImage, RgbImage};
use plantain_sampling::{Sampler, SamplerKind, SamplerOptions};
use plantain_weights::Manifest;

use crate::aspect::Aspect;
use crate::error::RequestError;
use crate::layout::Layout;
use crate::prompt::{Reading, on_ground_to_cut};
use crate::size::check_size;

/// Strength of a run that starts from a picture, where none is given.
const STRENGTH: f64 = 0.8;
/// The same where a mask says which part is drawn anew: that part owes nothing to what was there.
const MASKED_STRENGTH: f64 = 1.0;

/// A text and the settings to draw it with; what is `None` comes from the model's manifest.
///
/// Fields can be set one by one, or in a row:
///
/// ```
/// # use plantain::Request;
/// let request = Request::new("a red fox").seed(7).count(2).steps(4).size([512, 512]);
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Request {
    /// What the picture shows. Where the model draws single things on plain grounds, a list of its subjects ("a fox and two cats", "a
    /// dog above a cat"; with an article or a number each) makes it draw each by itself, beside or above the others, if there is room:
    /// each takes the latent that the model was trained for. Of other prompts such a model is asked for the subject that is meant, with
    /// its colour, a style and a ground, in the words that it was taught; [`Self::warnings`] tell where a prompt says more. Where it names
    /// no style, a model of a few styles draws in the first that the subject was taught in, and where it names no ground, on white.
    pub prompt: String,
    /// What it should not show; only matters with a guidance scale above 1.
    pub negative_prompt: String,
    /// Seed of the first picture; picture `k` of a run uses `seed + k`.
    pub seed: u64,
    /// Number of pictures; 0 is taken as 1.
    pub count: usize,
    /// Pictures that go through the UNet together, which takes more memory and on some devices less time; 0 is taken as
    /// 1. Each is what it is by itself but for rounding.
    pub batch: usize,
    /// Sampling steps.
    pub steps: Option<usize>,
    /// Classifier-free guidance scale; 1 or less means none.
    pub guidance: Option<f64>,
    /// Width and height in pixels.
    pub size: Option<[usize; 2]>,
    /// Shape, instead of a size: about as many pixels as the model's default size has, or, where wide and tall pictures
    /// are square ones whose ground goes on, its shorter side (half of it where the longer one would be too long).
    pub aspect: Option<Aspect>,
    /// Sampler.
    pub sampler: Option<SamplerKind>,
    /// Leave out the latent refiner.
    pub skip_refiner: bool,
    /// Decode in overlapping tiles of 64 positions of the latent a side (512 pixels for most models), which takes less memory for
    /// large pictures. See [`MemoryPlan`](crate::MemoryPlan).
    pub tiled: bool,
    /// A picture to start from. It is cropped around its centre to the shape of the run's size, then resized.
    pub init_image: Option<Arc<RgbImage>>,
    /// How much of `init_image` is lost, above 0 and up to 1: of so many steps this share is run. 0.8 where there is none
    /// given, 1 with a mask.
    pub strength: Option<f64>,
    /// Which part of `init_image` is drawn anew: white is, black stays. It is laid over the whole of the picture, whatever
    /// its own size.
    pub mask: Option<Arc<GrayImage>>,
}

/// A request with the model's defaults filled in, checked against the model.
///
/// ```
/// use plantain::Request;
///
/// let model = plantain::default_model()?;
/// let settings = Request::new("a red fox").steps(4).settings(model.manifest())?;
/// assert_eq!((settings.steps, settings.width), (4, 512));
/// # Ok::<(), plantain::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Sampling steps.
    pub steps: usize,
    /// Classifier-free guidance scale.
    pub guidance: f64,
    /// Width in pixels.
    pub width: usize,
    /// Height in pixels.
    pub height: usize,
    /// Sampler.
    pub sampler: SamplerKind,
    /// Whether the latent refiner runs.
    pub refine: bool,
    /// Whether the picture is decoded in tiles.
    pub tiled: bool,
    /// How the picture to start from is used, where there is one.
    pub init: Option<InitSettings>,
}

/// How a picture to start from is used.
///
/// ```
/// use plantain::InitSettings;
///
/// let half = InitSettings { strength: 0.5, masked: false };
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct InitSettings {
    /// The share of the steps that is run, above 0 and up to 1.
    pub strength: f64,
    /// Whether only a part of the picture is drawn anew.
    pub masked: bool,
}

impl Request {
    /// A request with every setting left to the model.
    ///
    /// ```
    /// let request = plantain::Request::new("a red fox");
    /// assert_eq!((request.count, request.steps), (1, None));
    /// ```
    pub fn new(prompt: impl Into<String>) -> Self {
        Self {
            prompt: prompt.into(),
            count: 1,
            batch: 1,
            ..Self::default()
        }
    }

    /// Sets what the picture should not show.
    ///
    /// ```
    /// let request = plantain::Request::new("a harbour").guidance(5.0).negative_prompt("boats");
    /// assert_eq!(request.negative_prompt, "boats");
    /// ```
    #[must_use]
    pub fn negative_prompt(mut self, text: impl Into<String>) -> Self {
        self.negative_prompt = text.into();
        self
    }

    /// Sets the seed of the first picture.
    ///
    /// ```
    /// assert_eq!(plantain::Request::new("a red fox").seed(7).seed, 7);
    /// ```
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Sets the number of pictures.
    ///
    /// ```
    /// assert_eq!(plantain::Request::new("a red fox").count(4).count, 4);
    /// ```
    #[must_use]
    pub fn count(mut self, count: usize) -> Self {
        self.count = count;
        self
    }

    /// Sets how many pictures go through the UNet together.
    ///
    /// ```
    /// let request = plantain::Request::new("a red fox").count(8).batch(4);
    /// assert_eq!(request.batch, 4);
    /// ```
    #[must_use]
    pub fn batch(mut self, batch: usize) -> Self {
        self.batch = batch;
        self
    }

    /// Sets whether the picture is decoded in tiles.
    ///
    /// ```
    /// let request = plantain::Request::new("a harbour at dusk").size([1024, 1024]).tiled(true);
    /// assert!(request.tiled);
    /// ```
    #[must_use]
    pub fn tiled(mut self, tiled: bool) -> Self {
        self.tiled = tiled;
        self
    }

    /// Sets the sampling steps.
    ///
    /// ```
    /// assert_eq!(plantain::Request::new("a red fox").steps(4).steps, Some(4));
    /// ```
    #[must_use]
    pub fn steps(mut self, steps: usize) -> Self {
        self.steps = Some(steps);
        self
    }

    /// Sets the guidance scale; 1 or less means none.
    ///
    /// ```
    /// assert_eq!(plantain::Request::new("a harbour").guidance(5.0).guidance, Some(5.0));
    /// ```
    #[must_use]
    pub fn guidance(mut self, guidance: f64) -> Self {
        self.guidance = Some(guidance);
        self
    }

    /// Sets width and height in pixels.
    ///
    /// ```
    /// let request = plantain::Request::new("a red fox").size([128, 64]);
    /// assert_eq!(request.size, Some([128, 64]));
    /// ```
    #[must_use]
    pub fn size(mut self, size: [usize; 2]) -> Self {
        self.size = Some(size);
        self
    }

    /// Sets the shape, instead of a size.
    ///
    /// ```
    /// let request = plantain::Request::new("a red fox").aspect("3:2".parse()?);
    /// let model = plantain::default_model()?;
    /// assert_eq!(request.settings(model.manifest())?.width, 768);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn aspect(mut self, aspect: Aspect) -> Self {
        self.aspect = Some(aspect);
        self
    }

    /// Sets the sampler.
    ///
    /// ```
    /// use plantain::{Request, SamplerKind};
    ///
    /// let request = Request::new("a harbour").sampler(SamplerKind::Ddim);
    /// assert_eq!(request.sampler, Some(SamplerKind::Ddim));
    /// ```
    #[must_use]
    pub fn sampler(mut self, sampler: SamplerKind) -> Self {
        self.sampler = Some(sampler);
        self
    }

    /// Sets the picture to start from.
    ///
    /// ```
    /// use plantain::{Request, RgbImage};
    ///
    /// let grey = RgbImage::from_pixel(64, 64, image::Rgb([128; 3]));
    /// let request = Request::new("a lighthouse").init_image(grey).strength(0.6);
    /// ```
    #[must_use]
    pub fn init_image(mut self, image: impl Into<Arc<RgbImage>>) -> Self {
        self.init_image = Some(image.into());
        self
    }

    /// Sets how much of the picture to start from is lost, above 0 and up to 1.
    ///
    /// ```
    /// assert_eq!(plantain::Request::new("a lighthouse").strength(0.6).strength, Some(0.6));
    /// ```
    #[must_use]
    pub fn strength(mut self, strength: f64) -> Self {
        self.strength = Some(strength);
        self
    }

    /// Sets which part of the picture to start from is drawn anew: white is, black stays.
    ///
    /// ```
    /// use plantain::{GrayImage, Request, RgbImage};
    ///
    /// // The left half is drawn anew.
    /// let mask = GrayImage::from_fn(64, 64, |x, _| image::Luma([if x < 32 { 255 } else { 0 }]));
    /// let request = Request::new("a lighthouse").init_image(RgbImage::new(64, 64)).mask(mask);
    /// ```
    #[must_use]
    pub fn mask(mut self, mask: impl Into<Arc<GrayImage>>) -> Self {
        self.mask = Some(mask.into());
        self
    }

    /// Fills in the defaults of `manifest` and checks the result.
    ///
    /// # Errors
    /// When a number is out of range, the size cannot be made or contradicts the shape, the sampler does not suit the
    /// model, or a picture to start from is not there, of no use to the model or left without a step.
    ///
    /// ```
    /// use plantain::Request;
    ///
    /// let model = plantain::default_model()?;
    /// let settings = Request::new("a red fox").settings(model.manifest())?;
    /// assert_eq!([settings.width, settings.height], [512, 512]);
    /// assert!(Request::new("a red fox").steps(0).settings(model.manifest()).is_err());
    /// # Ok::<(), plantain::Error>(())
    /// ```
    pub fn settings(&self, manifest: &Manifest) -> Result<Settings, RequestError> {
        let defaults = &manifest.defaults;
        if self.size.is_some()
            && let Some(aspect) = self.aspect
        {
            return Err(RequestError::SizeAndAspect { aspect });
        }
        let [width, height] = self.size_for(manifest);
        check_size([width, height], manifest)?;
        let steps = self.steps.unwrap_or(defaults.steps as usize);
        if steps == 0 {
            return Err(RequestError::OutOfRange {
                name: "steps",
                value: steps.to_string(),
                expected: "at least 1",
            });
        }
        let guidance = self.guidance.unwrap_or(defaults.guidance);
        check_guidance(guidance)?;
        let sampler = self.sampler.unwrap_or(manifest.sampler.kind);
        let options = SamplerOptions::default();
        Sampler::new(sampler, &manifest.sampler.schedule, steps, options)?;
        let init = self.init_settings(manifest)?;
        if let Some(init) = init {
            skipped_steps(steps, init.strength)?;
        }
        Ok(Settings {
            steps,
            guidance,
            width,
            height,
            sampler,
            refine: !self.skip_refiner && manifest.components.refiner.is_some(),
            tiled: self.tiled,
            init,
        })
    }

    /// What is drawn of the prompt, where the model takes less of it than it says: a model of single things that was taught no words
    /// for what they do.
    ///
    /// ```
    /// use plantain::Request;
    ///
    /// let model = plantain::default_model()?;
    /// let request = Request::new("a cat wearing a crown, cartoon");
    /// assert_eq!(request.reduced_prompt(model.manifest()).as_deref(), Some("a cat, cartoon, on a white background"));
    /// assert_eq!(Request::new("a cat").reduced_prompt(model.manifest()), None);
    /// # Ok::<(), plantain::Error>(())
    /// ```
    pub fn reduced_prompt(&self, manifest: &Manifest) -> Option<String> {
        let reading = self.reading(manifest);
        let layout = Layout::of(&reading, self, self.size_for(manifest), manifest);
        let single = layout.prompts.len() == 1;
        (reading.caption.reduced && single).then_some(reading.caption.prompt)
    }

    /// What the model is asked for: the prompt; or, where it draws single things on plain grounds, what a prompt comes to that names any, for
    /// each thing by itself. Where it names no style that the thing was taught in, the first of [its styles](Manifest::styles_of) is added or
    /// takes the place of another, and where it names no ground, a white one is added. To a prompt for a picture that is made from another
    /// nothing is added.
    ///
    /// ```
    /// use plantain::Request;
    ///
    /// let model = plantain::default_model()?;
    /// let drawn = Request::new("a cat and a dog, cartoon").size([1024, 512]).drawn_prompts(model.manifest());
    /// assert_eq!(drawn, ["a cat, cartoon, on a white background", "a dog, cartoon, on a white background"]);
    /// # Ok::<(), plantain::Error>(())
    /// ```
    pub fn drawn_prompts(&self, manifest: &Manifest) -> Vec<String> {
        Layout::new(self, self.size_for(manifest), manifest).prompts
    }

    /// The same request with a ground that things are cut out of with little lost, where the prompt leaves it to a model of single things on
    /// plain grounds: that would draw on white, as parts of many things are. A picture that is made from another keeps its ground.
    ///
    /// ```
    /// use plantain::Request;
    ///
    /// let model = plantain::default_model()?;
    /// let prompt = |text| Request::new(text).on_ground_to_cut(model.manifest()).prompt;
    /// assert_eq!(prompt("a fox."), "a fox, on a teal background");
    /// assert_eq!(prompt("a turquoise car"), "a turquoise car, on a pink background");
    /// assert_eq!(prompt("a fox on light blue"), "a fox on light blue");
    /// # Ok::<(), plantain::Error>(())
    /// ```
    #[must_use]
    pub fn on_ground_to_cut(mut self, manifest: &Manifest) -> Self {
        if self.init_image.is_none()
            && let Some(prompt) = on_ground_to_cut(&self.prompt, manifest)
        {
            self.prompt = prompt;
        }
        self
    }

    /// What the prompt comes to for a model.
    pub(crate) fn reading<'a>(&'a self, manifest: &'a Manifest) -> Reading<'a> {
        Reading::new(&self.prompt, self.init_image.is_none(), manifest)
    }

    fn init_settings(&self, manifest: &Manifest) -> Result<Option<InitSettings>, RequestError> {
        let Some(image) = &self.init_image else {
            let orphan = match (&self.mask, self.strength) {
                (Some(_), _) => "a mask",
                (None, Some(_)) => "a strength",
                (None, None) => return Ok(None),
            };
            return Err(RequestError::NoInitImage { orphan });
        };
        if manifest.components.vae_encoder.is_none() {
            let model = manifest.name.clone();
            return Err(RequestError::NoEncoder { model });
        }
        check_picture("the picture to start from", image.dimensions())?;
        if let Some(mask) = &self.mask {
            check_picture("the mask", mask.dimensions())?;
        }
        let masked = self.mask.is_some();
        let default = if masked { MASKED_STRENGTH } else { STRENGTH };
        let strength = self.strength.unwrap_or(default);
        check_strength(strength)?;
        Ok(Some(InitSettings { strength, masked }))
    }
}

/// Whether the model takes the guidance scale as an input, as LCM does, instead of two evaluations.
pub(crate) fn embeds_guidance(manifest: &Manifest) -> bool {
    let unet = manifest.components.unet.as_ref();
    unet.is_some_and(|unet| unet.time_cond_proj_dim.is_some())
}

pub(crate) fn check_guidance(guidance: f64) -> Result<(), RequestError> {
    if (0.0..=100.0).contains(&guidance) {
        return Ok(());
    }
    Err(RequestError::OutOfRange {
        name: "guidance",
        value: guidance.to_string(),
        expected: "0 to 100, where 1 or less means none",
    })
}

fn check_picture(what: &'static str, (width, height): (u32, u32)) -> Result<(), RequestError> {
    if width > 0 && height > 0 {
        return Ok(());
    }
    Err(RequestError::NoPixels { what })
}

pub(crate) fn check_strength(strength: f64) -> Result<(), RequestError> {
    if strength > 0.0 && strength <= 1.0 {
        return Ok(());
    }
    Err(RequestError::OutOfRange {
        name: "strength",
        value: strength.to_string(),
        expected: "above 0, where the picture stays as it is, and at most 1",
    })
}

/// How many of `steps` a run of `strength` leaves out at the beginning.
///
/// Source: diffusers `pipelines/stable_diffusion/pipeline_stable_diffusion_img2img.py`, `get_timesteps`.
///
/// # Errors
/// When none would be left.
pub(crate) fn skipped_steps(steps: usize, strength: f64) -> Result<usize, RequestError> {
    let taken = ((steps as f64 * strength) as usize).min(steps);
    if taken > 0 {
        return Ok(steps - taken);
    }
    Err(RequestError::NoSteps {
        steps,
        strength,
        needed: (1.0 / strength).ceil() as usize,
    })
}
