//! What in a request fights the model that is to draw it.

use plantain_sampling::SamplerKind;
use plantain_weights::{Manifest, Recipe};

use crate::layout::Layout;
use crate::prompt::Reading;
use crate::request::{Request, embeds_guidance};

/// How many times its own steps a model may take before they are too many.
const MANY_STEPS: usize = 4;

impl Request {
    /// Whether a run of this request keeps out what the negative prompt says: only with classifier-free guidance.
    ///
    /// ```
    /// use plantain::Request;
    ///
    /// let model = plantain::default_model()?;
    /// let request = Request::new("a red fox");
    /// assert!(!request.heeds_negative_prompt(model.manifest()));
    /// assert!(request.guidance(2.0).heeds_negative_prompt(model.manifest()));
    /// # Ok::<(), plantain::Error>(())
    /// ```
    pub fn heeds_negative_prompt(&self, manifest: &Manifest) -> bool {
        let guidance = self.guidance.unwrap_or(manifest.defaults.guidance);
        guidance > 1.0 && !embeds_guidance(manifest)
    }

    /// Settings that fight the model: each a sentence for the user.
    ///
    /// ```
    /// use plantain::Request;
    ///
    /// let model = plantain::default_model()?;
    /// assert!(Request::new("a red fox").warnings(model.manifest()).is_empty());
    /// let large = Request::new("a red fox").size([1024, 1024]);
    /// assert_eq!(large.warnings(model.manifest()).len(), 1);
    /// # Ok::<(), plantain::Error>(())
    /// ```
    pub fn warnings(&self, manifest: &Manifest) -> Vec<String> {
        let reading = self.reading(manifest);
        let layout = Layout::of(&reading, self, self.size_for(manifest), manifest);
        let guidance = self.warn_of_guidance(manifest);
        let content = self.warn_of_content(&reading, &layout, manifest);
        let size = self.warn_of_size(&layout, manifest);
        [guidance, content, size, self.warn_of_sampling(manifest)].concat()
    }

    /// Whether the prompt names anything that the model was taught to draw, beyond the colour of its ground; so does every prompt for a
    /// model that has no list of it.
    ///
    /// ```
    /// use plantain::Request;
    ///
    /// let model = plantain::default_model()?;
    /// assert!(Request::new("an orange").names_subject(model.manifest()));
    /// assert!(!Request::new("a unicycle on an orange background").names_subject(model.manifest()));
    /// # Ok::<(), plantain::Error>(())
    /// ```
    pub fn names_subject(&self, manifest: &Manifest) -> bool {
        self.reading(manifest).names_subject
    }

    fn warn_of_guidance(&self, manifest: &Manifest) -> Vec<String> {
        let trained = manifest.defaults.guidance;
        let guidance = self.guidance.unwrap_or(trained);
        let mut warnings = Vec::new();
        let recipe = manifest.recipe.as_deref();
        let takes_guidance = recipe
            .and_then(|name| Recipe::named(name).ok())
            .is_some_and(|recipe| recipe.takes_guidance);
        if trained <= 1.0 && guidance > 1.0 && !embeds_guidance(manifest) && !takes_guidance {
            warnings.push(format!(
                "`{}` was distilled to run without guidance; a guidance scale of {guidance} doubles the time and usually spoils the picture",
                manifest.name
            ));
        }
        if !self.negative_prompt.is_empty() && !self.heeds_negative_prompt(manifest) {
            warnings.push(
                "the negative prompt has no effect, because this run uses no classifier-free guidance".into(),
            );
        }
        warnings
    }

    /// Of what the prompt asks for and is not drawn.
    fn warn_of_content(
        &self,
        reading: &Reading<'_>,
        layout: &Layout,
        manifest: &Manifest,
    ) -> Vec<String> {
        let mut warnings = Vec::new();
        if !reading.names_subject {
            warnings.push(unknown_subject(manifest, &self.prompt));
        }
        let single = layout.prompts.len() == 1;
        if let Some(things) = reading.things.as_ref().filter(|_| single) {
            let [width, height] = self.size_for(manifest);
            warnings.push(format!(
                "{width}x{height} pixels have no room for the {} things that the prompt names, so it is drawn as if it named one; make the picture wider or higher",
                things.prompts().len()
            ));
        }
        warnings.extend(untaught_styles(reading, layout, manifest));
        warnings.extend(two_styles(reading, manifest));
        let Reading {
            caption, things, ..
        } = reading;
        let left_out = things.as_ref().map_or("", |things| &things.left_out);
        let drawn = match (single, caption.reduced, left_out) {
            (true, true, _) => format!("drawn as `{}`", caption.prompt),
            (_, _, "") => return warnings,
            _ => format!("drawn without `{left_out}`"),
        };
        warnings.push(format!(
            "`{}` takes of a prompt a thing with its colour, a style and a ground; {drawn}",
            manifest.name
        ));
        warnings
    }

    /// Which two styles the prompt names for one thing, where the model was taught one at a time: a sentence for the user, and among
    /// the [warnings](Self::warnings).
    ///
    /// ```
    /// use plantain::Request;
    ///
    /// let model = plantain::default_model()?;
    /// let told = Request::new("a red fox, cartoon, 3d render").two_styles(model.manifest());
    /// assert!(told.is_some_and(|told| told.contains("two styles")));
    /// # Ok::<(), plantain::Error>(())
    /// ```
    pub fn two_styles(&self, manifest: &Manifest) -> Option<String> {
        two_styles(&self.reading(manifest), manifest)
    }

    /// Which things are drawn in another style than the prompt names, because they were not taught in that: each a sentence for the
    /// user, and among the [warnings](Self::warnings).
    ///
    /// ```
    /// use plantain::Request;
    ///
    /// let model = plantain::default_model()?;
    /// assert!(Request::new("a red fox, cartoon").untaught_styles(model.manifest()).is_empty());
    /// # Ok::<(), plantain::Error>(())
    /// ```
    pub fn untaught_styles(&self, manifest: &Manifest) -> Vec<String> {
        let reading = self.reading(manifest);
        let layout = Layout::of(&reading, self, self.size_for(manifest), manifest);
        untaught_styles(&reading, &layout, manifest)
    }

    fn warn_of_size(&self, layout: &Layout, manifest: &Manifest) -> Vec<String> {
        let (size @ [width, height], trained) = (self.size_for(manifest), manifest.own_size());
        if layout.is_trained(manifest) {
            let decoded = layout.decoded_size(!self.skip_refiner, manifest);
            let enlarged = size
                .iter()
                .zip(decoded)
                .any(|(side, decoded)| *side > decoded);
            let warning = format!(
                "{width}x{height} pixels are drawn as {}x{} and enlarged",
                decoded[0], decoded[1]
            );
            return Vec::from_iter(enlarged.then_some(warning));
        }
        vec![format!(
            "`{}` was trained at {}x{}; at {width}x{height} things may repeat or lose their shape",
            manifest.name, trained[0], trained[1]
        )]
    }

    fn warn_of_sampling(&self, manifest: &Manifest) -> Vec<String> {
        let (own, trained) = (manifest.sampler.kind, manifest.defaults.steps as usize);
        // Models of many steps take any sampler that is not one of distilled ones.
        let distilled = |kind: SamplerKind| !is_general(kind) || manifest.defaults.guidance <= 1.0;
        let sampler = self
            .sampler
            .filter(|sampler| *sampler != own && (distilled(own) || !is_general(*sampler)));
        let sampler = sampler.map(|sampler| {
            format!(
                "`{}` was made for the sampler {own}; {sampler} may give worse pictures",
                manifest.name
            )
        });
        let steps = self.steps.filter(|steps| *steps > MANY_STEPS * trained);
        let steps = steps.map(|steps| {
            format!(
                "`{}` is meant for {trained} steps; {steps} take longer and rarely look better",
                manifest.name
            )
        });
        sampler.into_iter().chain(steps).collect()
    }
}

/// See [`Request::two_styles`].
fn two_styles(reading: &Reading<'_>, manifest: &Manifest) -> Option<String> {
    let [one, other] = reading.two_styles.filter(|_| reading.things.is_none())?;
    Some(format!(
        "the prompt names two styles, {one} and {other}; `{}` was taught one at a time",
        manifest.name
    ))
}

/// See [`Request::untaught_styles`].
fn untaught_styles(reading: &Reading<'_>, layout: &Layout, manifest: &Manifest) -> Vec<String> {
    let several = reading.things.as_ref().filter(|_| layout.prompts.len() > 1);
    let untaught = match several {
        Some(things) => &things.untaught[..],
        None => reading.caption.untaught.as_slice(),
    };
    let mut told: Vec<String> = Vec::new();
    for sentence in untaught.iter().map(|untaught| untaught.sentence(manifest)) {
        if !told.contains(&sentence) {
            told.push(sentence);
        }
    }
    told
}

/// Whether a sampler is for models of many steps, whatever they were made of.
fn is_general(sampler: SamplerKind) -> bool {
    use SamplerKind::{Ddim, Dpmpp2m, Euler, EulerA};
    matches!(sampler, Ddim | Dpmpp2m | Euler | EulerA)
}

/// That a prompt names nothing that the model was taught to draw.
fn unknown_subject(manifest: &Manifest, prompt: &str) -> String {
    let (name, taught) = (&manifest.name, manifest.subjects.len());
    let meant = manifest.likely_subject(prompt);
    let meant = meant.map_or(String::new(), |meant| format!("; did you mean `{meant}`?"));
    format!(
        "`{name}` was taught to draw {taught} things, and the prompt names none of them, so expect another thing than it asks for (`plantain inspect` lists them){meant}"
    )
}
