//! One component on given tensors, for checking against any reference implementation.
//!
//! Tensors are `f32` under fixed names, pictures and latents as `[batch, channels, height, width]`:
//!
//! | component | takes | gives |
//! |---|---|---|
//! | text-encoder | `input_ids` | `last_hidden_state`, `pooler_output` |
//! | unet | `sample`, `timestep`, `encoder_hidden_states`, `class_labels` and `timestep_cond` where the model has them | `sample` |
//! | refiner | `latent`, `encoder_hidden_states`, `class_labels` where the model has them | `latent` |
//! | decoder | `latent`, as diffusers' `vae.decode` takes it | `image`, about -1 to 1 |
//! | encoder | `image`, -1 to 1 | `latent`, the mean, as diffusers' `vae.encode` gives it |
//! | sampler | `noise`, `encoder_hidden_states`, `class_labels` where the model has them, `step_noise` `[steps - 1, ..]` for stochastic samplers, `negative_encoder_hidden_states` and `negative_class_labels` for guidance, `init_latent` `[1, ..]` scaled for the UNet, and `mask` `[1, 1, height, width]` of the latent for a part of it | `latent` (unrefined), `timesteps` |
//!
//! ```
//! use plantain::DeviceOptions;
//! use plantain::trace::{HostTensor, SamplerTrace, Tensors, TraceComponent, trace};
//!
//! let model = plantain::default_model()?;
//! let latent = HostTensor { shape: vec![1, 12, 4, 4], values: vec![0.0; 192] };
//! let inputs = Tensors::from([("latent".into(), latent)]);
//! let (options, settings) = (DeviceOptions::default(), SamplerTrace::default());
//! let outputs = trace(&model, TraceComponent::Decoder, &inputs, options, settings)?;
//! assert_eq!(outputs["image"].shape, [1, 3, 64, 64]);
//! # Ok::<(), plantain::Error>(())
//! ```

use std::fmt;
use std::str::FromStr;

use burn::tensor::{Tensor, TensorData};
use plantain_sampling::{Sampler, SamplerKind};
use plantain_weights::{EncoderConfig, Model, Target, UNetConfig};
pub use plantain_weights::{HostTensor, Tensors};

use crate::denoiser::{Denoiser, Guided, InitLatent, SamplingRun};
use crate::device::DeviceOptions;
use crate::error::{Error, RequestError};
use crate::host::{read, read_finite};
use crate::pipeline::check_fit;
use crate::prompt::PromptTokenizer;
use crate::refinement::Refinement;
use crate::request::{check_guidance, check_strength, embeds_guidance};
use crate::text_input::TextInput;

/// A component that can be traced.
///
/// ```
/// use plantain::trace::TraceComponent;
///
/// assert_eq!("unet".parse::<TraceComponent>()?, TraceComponent::Unet);
/// # Ok::<(), String>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum TraceComponent {
    TextEncoder,
    Unet,
    Refiner,
    Decoder,
    Encoder,
    Sampler,
}

impl TraceComponent {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::TextEncoder,
        Self::Unet,
        Self::Refiner,
        Self::Decoder,
        Self::Encoder,
        Self::Sampler,
    ];

    /// Name on the command line.
    ///
    /// ```
    /// assert_eq!(plantain::trace::TraceComponent::TextEncoder.name(), "text-encoder");
    /// ```
    pub fn name(self) -> &'static str {
        match self {
            Self::TextEncoder => "text-encoder",
            Self::Unet => "unet",
            Self::Refiner => "refiner",
            Self::Decoder => "decoder",
            Self::Encoder => "encoder",
            Self::Sampler => "sampler",
        }
    }
}

impl fmt::Display for TraceComponent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for TraceComponent {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|c| c.name() == name);
        found.ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            format!("there is no component `{name}`; choose one of {names}")
        })
    }
}

/// Settings of a sampler trace; what is `None` comes from the manifest, but for the guidance scale,
/// which is 1 unless negative states are given.
///
/// ```
/// use plantain::trace::SamplerTrace;
///
/// let short = SamplerTrace { steps: Some(2), ..SamplerTrace::default() };
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct SamplerTrace {
    /// Sampler.
    pub sampler: Option<SamplerKind>,
    /// Sampling steps.
    pub steps: Option<usize>,
    /// Classifier-free guidance scale; above 1 it needs negative states, or a model that can encode
    /// the empty prompt.
    pub guidance: Option<f64>,
    /// The share of the steps that is run from `init_latent`; 1 where there is none.
    pub strength: Option<f64>,
}

/// Runs one component of `model` on `inputs`.
///
/// # Errors
/// When the model has no such component, or an input is missing or misshaped.
///
/// ```
/// use plantain::REFERENCE;
/// use plantain::trace::{HostTensor, SamplerTrace, Tensors, TraceComponent, trace};
///
/// let model = plantain::default_model()?;
/// let latent = HostTensor { shape: vec![1, 12, 4, 4], values: vec![0.0; 192] };
/// let inputs = Tensors::from([("latent".into(), latent)]);
/// let settings = SamplerTrace::default();
/// let decoded = trace(&model, TraceComponent::Decoder, &inputs, REFERENCE, settings)?;
/// assert_eq!(decoded["image"].shape, [1, 3, 64, 64]);
/// # Ok::<(), plantain::Error>(())
/// ```
pub fn trace(
    model: &Model,
    component: TraceComponent,
    inputs: &Tensors,
    options: DeviceOptions,
    settings: SamplerTrace,
) -> Result<Tensors, Error> {
    let target = options.target()?;
    let inputs = Inputs {
        tensors: inputs,
        target: &target,
    };
    match component {
        TraceComponent::TextEncoder => text_encoder(model, &inputs),
        TraceComponent::Unet => unet(model, &inputs),
        TraceComponent::Refiner => refiner(model, &inputs),
        TraceComponent::Decoder => decoder(model, &inputs),
        TraceComponent::Encoder => encoder(model, &inputs),
        TraceComponent::Sampler => sampler(model, &inputs, settings),
    }
}

fn text_encoder(model: &Model, inputs: &Inputs<'_>) -> Result<Tensors, Error> {
    let ids = inputs.get("input_ids")?;
    let length = match ids.shape[..] {
        [length] | [_, length] if length > 0 => length,
        _ => return Err(misshaped("input_ids", "[batch, tokens]", &ids.shape)),
    };
    if let Some(id) = ids.values.iter().find(|id| id.fract() != 0.0) {
        return Err(input(format!(
            "`input_ids` holds {id}, which is no token id"
        )));
    }
    let rows: Vec<Vec<i64>> = ids
        .values
        .chunks(length)
        .map(|row| row.iter().map(|id| *id as i64).collect())
        .collect();
    let encoder = model.load_text_encoder(inputs.target)?;
    let states = encoder.forward(&rows).map_err(RequestError::from)?;
    let mut outputs = output("last_hidden_state", states.last_hidden_state)?;
    outputs.extend(output("pooler_output", states.pooler_output)?);
    Ok(outputs)
}

fn unet(model: &Model, inputs: &Inputs<'_>) -> Result<Tensors, Error> {
    let denoiser = Denoiser::load(model, inputs.target)?;
    let sample = inputs.tensor::<4>("sample")?;
    let [batch, ..] = sample.dims();
    let timesteps = match inputs.get("timestep")?.values[..] {
        [timestep] => vec![timestep; batch],
        ref timesteps if timesteps.len() == batch => timesteps.to_vec(),
        _ => {
            return Err(misshaped(
                "timestep",
                "[], [1] or [batch]",
                &inputs.get("timestep")?.shape,
            ));
        }
    };
    let config = model.manifest().components.unet.clone().unwrap_or_default();
    let text = inputs.text("", batch, &config)?;
    check_channels("sample", sample.dims(), config.in_channels)?;
    let timestep_cond = match config.time_cond_proj_dim {
        Some(width) => inputs.optional_rows("timestep_cond", [batch, width])?,
        None => None,
    };
    let text = denoiser.read_text(&text);
    let predicted = denoiser.evaluate(sample, &timesteps, &text, timestep_cond.as_ref());
    output("sample", predicted)
}

fn refiner(model: &Model, inputs: &Inputs<'_>) -> Result<Tensors, Error> {
    let latent = inputs.tensor::<4>("latent")?;
    let config = model.manifest().components.refiner.as_ref();
    let loaded = Refinement::load(model, inputs.target)?;
    let (Some(config), Some(refiner)) = (config, loaded) else {
        let name = &model.manifest().name;
        return Err(input(format!("model `{name}` has no refiner to trace")));
    };
    let [batch, ..] = latent.dims();
    check_channels("latent", latent.dims(), config.latent_channels())?;
    let text = inputs.text("", batch, &config.unet)?;
    output("latent", refiner.refine(latent, &text))
}

fn decoder(model: &Model, inputs: &Inputs<'_>) -> Result<Tensors, Error> {
    let latent = inputs.tensor::<4>("latent")?;
    if let Some(vae) = &model.manifest().components.vae {
        check_channels("latent", latent.dims(), vae.latent_channels())?;
    }
    let decoder = model.load_decoder(inputs.target)?;
    output("image", decoder.forward(latent))
}

fn encoder(model: &Model, inputs: &Inputs<'_>) -> Result<Tensors, Error> {
    let image = inputs.tensor::<4>("image")?;
    check_channels("image", image.dims(), 3)?;
    let config = model.manifest().components.vae_encoder.as_ref();
    let scale = config.map_or(1, EncoderConfig::scale);
    if image.dims()[2..].iter().any(|side| side % scale != 0) {
        let expected = format!("[batch, 3, height, width], both sides multiples of {scale}");
        return Err(misshaped("image", &expected, &image.dims()));
    }
    let encoder = model.load_encoder(inputs.target)?;
    output("latent", encoder.forward(image))
}

fn sampler(model: &Model, inputs: &Inputs<'_>, trace: SamplerTrace) -> Result<Tensors, Error> {
    check_fit(model)?;
    let manifest = model.manifest();
    let denoiser = Denoiser::load(model, inputs.target)?;
    let noise = inputs.tensor::<4>("noise")?;
    let shape = noise.dims();
    let config = manifest.components.unet.clone().unwrap_or_default();
    check_channels("noise", shape, config.in_channels)?;
    let init = init_latent(inputs, shape, trace.strength)?;
    let run = SamplingRun {
        kind: trace.sampler.unwrap_or(manifest.sampler.kind),
        steps: trace.steps.unwrap_or(manifest.defaults.steps as usize),
        shape,
        init: init.as_ref(),
    };
    let plan = run.sampler(&manifest.sampler.schedule)?;
    let count: usize = shape.iter().product();
    let step_noise = step_noise(&plan, inputs, count)?;
    let text = guided_text(model, inputs, shape[0], trace)?;
    let text = if embeds_guidance(manifest) {
        let guidance = trace.guidance.unwrap_or(manifest.defaults.guidance);
        denoiser.embedded(text.prompt, guidance)
    } else {
        text
    };
    let latent = denoiser.sample(
        &run,
        manifest,
        &denoiser.read_guided(&text),
        &read(noise)?,
        |step| step_noise[step * count..][..count].to_vec(),
        (),
    )?;
    let timesteps = plan.timesteps().to_vec();
    Ok(Tensors::from([
        (
            "latent".into(),
            HostTensor {
                shape: shape.to_vec(),
                values: latent,
            },
        ),
        (
            "timesteps".into(),
            HostTensor {
                shape: vec![timesteps.len()],
                values: timesteps,
            },
        ),
    ]))
}

/// The latent to start from and its mask, if they are given.
fn init_latent(
    inputs: &Inputs<'_>,
    [_, channels, height, width]: [usize; 4],
    strength: Option<f64>,
) -> Result<Option<InitLatent>, Error> {
    let given = |name, shape: [usize; 4]| {
        let tensor = inputs.tensors.get(name);
        match tensor {
            Some(tensor) if tensor.shape != shape => {
                Err(misshaped(name, &format!("{shape:?}"), &tensor.shape))
            }
            given => Ok(given.map(|tensor| tensor.values.clone())),
        }
    };
    let values = given("init_latent", [1, channels, height, width])?;
    let mask = given("mask", [1, 1, height, width])?;
    let Some(values) = values else {
        let orphan = mask.map(|_| "a mask").or(strength.map(|_| "a strength"));
        return orphan.map_or(Ok(None), |orphan| {
            Err(RequestError::NoInitImage { orphan }.into())
        });
    };
    let strength = strength.unwrap_or(1.0);
    check_strength(strength)?;
    Ok(Some(InitLatent {
        values,
        mask,
        strength,
    }))
}

/// The noise of the steps that add some, `count` values a step, checked to be enough.
fn step_noise(plan: &Sampler, inputs: &Inputs<'_>, count: usize) -> Result<Vec<f32>, Error> {
    let steps = plan.steps();
    let needed = (0..steps).rev().find(|step| plan.adds_noise(*step));
    let needed = needed.map_or(0, |last| (last + 1) * count);
    if needed == 0 {
        return Ok(Vec::new());
    }
    let noise = inputs.get("step_noise")?;
    if noise.values.len() < needed {
        let expected = format!("[{}, ..noise shape..]", steps - 1);
        return Err(misshaped("step_noise", &expected, &noise.shape));
    }
    Ok(noise.values.clone())
}

/// The states of the prompt and, where guidance needs them, of the negative prompt: as given, or
/// the empty prompt's.
fn guided_text(
    model: &Model,
    inputs: &Inputs<'_>,
    batch: usize,
    trace: SamplerTrace,
) -> Result<Guided, Error> {
    let config = model.manifest().components.unet.clone().unwrap_or_default();
    let prompt = inputs.text("", batch, &config)?;
    let given = inputs
        .tensors
        .contains_key("negative_encoder_hidden_states");
    let default = if given {
        model.manifest().defaults.guidance
    } else {
        1.0
    };
    let guidance = trace.guidance.unwrap_or(default);
    check_guidance(guidance)?;
    let negative = if guidance <= 1.0 || embeds_guidance(model.manifest()) {
        None
    } else if given {
        Some(inputs.text("negative_", batch, &config)?)
    } else {
        Some(empty_prompt(model, inputs.target, batch)?)
    };
    if let Some(negative) = &negative
        && negative.states.dims() != prompt.states.dims()
    {
        let expected = format!("{:?}, as the prompt's", prompt.states.dims());
        let found = negative.states.dims();
        return Err(misshaped(
            "negative_encoder_hidden_states",
            &expected,
            &found,
        ));
    }
    Ok(Guided::new(prompt, negative, guidance))
}

fn empty_prompt(model: &Model, target: &Target, batch: usize) -> Result<TextInput, Error> {
    let tokens = PromptTokenizer::new(model)
        .and_then(|tokenizer| tokenizer.encode(""))
        .map_err(|e| {
            input(format!(
                "guidance needs `negative_encoder_hidden_states`, as the empty prompt cannot be encoded: {e}"
            ))
        })?;
    let encoder = model.load_text_encoder(target)?;
    let states = encoder.forward(&vec![tokens; batch]);
    Ok(states.map_err(RequestError::from)?.into())
}

/// The given tensors, looked up by name.
struct Inputs<'a> {
    tensors: &'a Tensors,
    target: &'a Target,
}

impl Inputs<'_> {
    fn get(&self, name: &str) -> Result<&HostTensor, Error> {
        self.tensors.get(name).ok_or_else(|| {
            let given: Vec<_> = self.tensors.keys().map(String::as_str).collect();
            input(format!(
                "the input `{name}` is missing; given are: {}",
                given.join(", ")
            ))
        })
    }

    fn tensor<const D: usize>(&self, name: &str) -> Result<Tensor<D>, Error> {
        let tensor = self.get(name)?;
        let shape: [usize; D] = tensor.shape[..]
            .try_into()
            .ok()
            .filter(|shape: &[usize; D]| !shape.contains(&0))
            .ok_or_else(|| {
                let expected = format!("{D} dimensions, none of them 0");
                misshaped(name, &expected, &tensor.shape)
            })?;
        let data = TensorData::new(tensor.values.clone(), shape);
        Ok(Tensor::from_data(data, &self.target.device))
    }

    /// Rows of exactly `shape`, if the input is given.
    fn optional_rows(&self, name: &str, shape: [usize; 2]) -> Result<Option<Tensor<2>>, Error> {
        if !self.tensors.contains_key(name) {
            return Ok(None);
        }
        let tensor = self.tensor::<2>(name)?;
        if tensor.dims() == shape {
            Ok(Some(tensor))
        } else {
            Err(misshaped(name, &format!("{shape:?}"), &tensor.dims()))
        }
    }

    /// Text states and, where the network takes them, pooled ones, under names with `prefix`.
    fn text(&self, prefix: &str, batch: usize, config: &UNetConfig) -> Result<TextInput, Error> {
        let name = format!("{prefix}encoder_hidden_states");
        let states = self.tensor::<3>(&name)?;
        let [rows, _, width] = states.dims();
        if rows != batch || width != config.text_dim() {
            let expected = format!("[{batch}, tokens, {}]", config.text_dim());
            return Err(misshaped(&name, &expected, &states.dims()));
        }
        let pooled = match config.class_labels_dim() {
            None => None,
            Some(width) => {
                let name = format!("{prefix}class_labels");
                self.get(&name)?;
                self.optional_rows(&name, [batch, width])?
            }
        };
        Ok(TextInput { states, pooled })
    }
}

fn check_channels(name: &str, shape: [usize; 4], channels: usize) -> Result<(), Error> {
    if shape[1] == channels {
        return Ok(());
    }
    let expected = format!("[batch, {channels}, height, width]");
    Err(misshaped(name, &expected, &shape))
}

fn output<const D: usize>(name: &str, tensor: Tensor<D>) -> Result<Tensors, Error> {
    let shape = tensor.dims().to_vec();
    let values = read_finite(tensor, "traced component", "")?;
    Ok(Tensors::from([(name.into(), HostTensor { shape, values })]))
}

fn input(message: String) -> Error {
    RequestError::Input(message).into()
}

fn misshaped(name: &str, expected: &str, found: &[usize]) -> Error {
    input(format!(
        "the input `{name}` has the shape {found:?}; expected {expected}"
    ))
}
