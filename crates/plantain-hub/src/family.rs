//! What `model_index.json` tells of a model before its weights are there.

use serde_json::{Map, Value};

/// Parts that only models of other families have, and what they are.
const OTHER_PARTS: [(&str, &str); 8] = [
    ("transformer", "a diffusion transformer"),
    ("text_encoder_2", "a second text encoder"),
    ("text_encoder_3", "a third text encoder"),
    ("image_encoder", "an image encoder"),
    ("prior", "a prior"),
    ("controlnet", "a ControlNet"),
    ("motion_adapter", "a motion adapter"),
    ("vqvae", "a quantising autoencoder"),
];
/// Pipelines whose names begin like Stable Diffusion's, and which are none.
const OTHER_STABLE_DIFFUSIONS: [&str; 4] = ["XL", "3", "Upscale", "LatentUpscale"];
/// The parts without which a pipeline of an unknown name is no Stable Diffusion.
const PARTS: [&str; 3] = ["text_encoder", "unet", "vae"];
/// The network of Stable Diffusion.
const UNET: &str = "UNet2DConditionModel";

/// The file `model_index.json`: the parts of a pipeline with their classes.
#[derive(Debug)]
pub(crate) struct ModelIndex {
    entries: Map<String, Value>,
}

impl ModelIndex {
    /// Reads the file.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(bytes).map(|entries| Self { entries })
    }

    /// Whether the pipeline has this part: it is listed, and not as `[null, null]`.
    pub(crate) fn uses(&self, part: &str) -> bool {
        self.class_of(part).is_some()
    }

    fn class_of(&self, part: &str) -> Option<&str> {
        self.entries.get(part)?.get(1)?.as_str()
    }

    /// Says what shows that the model is clearly no Stable Diffusion 1 or 2.
    pub(crate) fn other_family(&self) -> Option<String> {
        let class = self
            .entries
            .get("_class_name")
            .and_then(Value::as_str)
            .unwrap_or("");
        let named = class.strip_prefix("StableDiffusion");
        if named.is_some_and(|rest| {
            OTHER_STABLE_DIFFUSIONS
                .iter()
                .any(|other| rest.starts_with(other))
        }) {
            return Some(class.to_string());
        }
        let of_class = |what: &str| match class {
            "" => what.to_string(),
            class => format!("{class}, with {what}"),
        };
        if let Some((_, what)) = OTHER_PARTS.iter().find(|(part, _)| self.uses(part)) {
            return Some(of_class(what));
        }
        if let Some(unet) = self.class_of("unet").filter(|unet| *unet != UNET) {
            return Some(of_class(&format!("a {unet}")));
        }
        let lacking = PARTS.iter().find(|part| !self.uses(part));
        let unknown = named.is_none() && !class.is_empty();
        lacking
            .filter(|_| unknown)
            .map(|part| format!("{class}, without {part}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn other_family(index: &Value) -> Option<String> {
        ModelIndex::parse(index.to_string().as_bytes())
            .unwrap()
            .other_family()
    }

    /// The parts of a pipeline with a UNet, under the name `class`.
    fn with_unet(class: &str) -> Value {
        json!({
            "_class_name": class,
            "_diffusers_version": "0.42.1",
            "feature_extractor": [null, null],
            "image_encoder": [null, null],
            "requires_safety_checker": false,
            "safety_checker": ["stable_diffusion", "StableDiffusionSafetyChecker"],
            "scheduler": ["diffusers", "PNDMScheduler"],
            "text_encoder": ["transformers", "CLIPTextModel"],
            "tokenizer": ["transformers", "CLIPTokenizer"],
            "unet": ["diffusers", "UNet2DConditionModel"],
            "vae": ["diffusers", "AutoencoderKL"],
        })
    }

    #[test]
    fn stable_diffusion_passes_under_its_names() {
        for class in [
            "StableDiffusionPipeline",
            "StableDiffusionImg2ImgPipeline",
            "LatentConsistencyModelPipeline",
            "DiffusionPipeline",
            "OurOwnPipeline",
        ] {
            assert_eq!(other_family(&with_unet(class)), None, "{class}");
        }
        assert_eq!(other_family(&json!({})), None);
    }

    #[test]
    fn other_families_are_named() {
        for class in [
            "StableDiffusionXLPipeline",
            "StableDiffusion3Pipeline",
            "StableDiffusionUpscalePipeline",
        ] {
            assert_eq!(other_family(&with_unet(class)).as_deref(), Some(class));
        }
        let flux = json!({"_class_name": "FluxPipeline", "transformer": ["diffusers", "FluxTransformer2DModel"]});
        assert_eq!(
            other_family(&flux).unwrap(),
            "FluxPipeline, with a diffusion transformer"
        );
        let mut video = with_unet("TextToVideoSDPipeline");
        video["unet"][1] = json!("UNet3DConditionModel");
        assert_eq!(
            other_family(&video).unwrap(),
            "TextToVideoSDPipeline, with a UNet3DConditionModel"
        );
        let kandinsky = json!({"_class_name": "KandinskyPipeline", "unet": ["diffusers", UNET], "movq": ["diffusers", "VQModel"]});
        assert_eq!(
            other_family(&kandinsky).unwrap(),
            "KandinskyPipeline, without text_encoder"
        );
    }

    #[test]
    fn what_is_listed_as_null_is_not_used() {
        let index = ModelIndex::parse(
            br#"{"unet": ["diffusers", "X"], "vae": [null, null], "x": 7, "y": ["a"]}"#,
        )
        .unwrap();
        assert!(index.uses("unet"));
        for part in ["vae", "x", "y", "z"] {
            assert!(!index.uses(part), "{part}");
        }
        assert!(ModelIndex::parse(b"[]").is_err());
    }
}
