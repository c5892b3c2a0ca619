//! What can go wrong, split by who can mend it.

use std::path::PathBuf;

use plantain_nn::{ConfigError, TokenError};
use plantain_sampling::SamplingError;
use plantain_weights::{LoadError, ReadError};

use crate::aspect::Aspect;
use crate::device::DeviceError;

/// A failure of the pipeline.
///
/// ```
/// use plantain::{DeviceOptions, Error, Pipeline};
///
/// let loaded = Pipeline::load(std::path::Path::new("no-such-model"), DeviceOptions::default());
/// match loaded {
///     Err(Error::Read(error)) => println!("{error}"),
///     _ => unreachable!("there is no such file"),
/// }
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The model cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A component of the model cannot be loaded.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The request cannot be met by this model.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// The device cannot be had.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// A component computed NaN or infinity.
    #[error(
        "the {component} produced values that are not finite{detail}; the weights are damaged or do not suit these settings"
    )]
    NonFinite {
        /// Component, in words.
        component: &'static str,
        /// Where in the run, starting with a space, or empty.
        detail: String,
    },
    /// The device failed to return a result.
    #[error("the {device} device failed: {reason}")]
    DeviceFailed {
        /// Name of the device.
        device: String,
        /// What it said.
        reason: String,
    },
    /// A picture cannot be encoded or written.
    #[error("cannot write {path}: {reason}")]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system or the encoder said.
        reason: String,
    },
    /// An observer asked to stop.
    #[error("cancelled")]
    Cancelled,
}

/// A request that does not fit the model.
///
/// ```
/// use plantain::{Request, RequestError};
///
/// let model = plantain::default_model()?;
/// let refused = Request::new("a red fox").steps(0).settings(model.manifest());
/// assert!(matches!(refused, Err(RequestError::OutOfRange { name: "steps", .. })));
/// # Ok::<(), plantain::Error>(())
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// The model was converted without a tokenizer.
    #[error(
        "model `{model}` has no tokenizer, so it cannot be prompted; convert it from a folder that has one"
    )]
    NoTokenizer {
        /// Name of the model.
        model: String,
    },
    /// The tokenizer failed.
    #[error("cannot tokenize the prompt: {0}")]
    Tokenizer(String),
    /// The text encoder refused the tokens.
    #[error(transparent)]
    Tokens(#[from] TokenError),
    /// The size cannot be made.
    #[error("{width}x{height} pixels: {reason}")]
    Size {
        /// Width asked for.
        width: usize,
        /// Height asked for.
        height: usize,
        /// What would do.
        reason: String,
    },
    /// Both a size and a shape are given.
    #[error("a size and the shape {aspect} are both given; leave one of them out")]
    SizeAndAspect {
        /// The shape.
        aspect: Aspect,
    },
    /// The components of the model do not fit each other.
    #[error("the components of this model do not fit each other: {0}")]
    Components(ConfigError),
    /// The sampler refused the settings.
    #[error(transparent)]
    Sampling(#[from] SamplingError),
    /// A number is out of range.
    #[error("{name} {value} is out of range: {expected}")]
    OutOfRange {
        /// Name of the setting.
        name: &'static str,
        /// Value given.
        value: String,
        /// Values that would do.
        expected: &'static str,
    },
    /// The model was converted without the encoder of its autoencoder.
    #[error(
        "model `{model}` has no encoder, so it cannot start from a picture; convert it again from a diffusers folder whose `vae` has one, or choose another model"
    )]
    NoEncoder {
        /// Name of the model.
        model: String,
    },
    /// A setting for a picture to start from, but no such picture.
    #[error(
        "{orphan} is given, but no picture to start from: give an initial image, or leave it out"
    )]
    NoInitImage {
        /// What is given, in words.
        orphan: &'static str,
    },
    /// A picture without pixels.
    #[error("{what} has no pixels")]
    NoPixels {
        /// Which picture, in words.
        what: &'static str,
    },
    /// The mask leaves nothing to draw.
    #[error(
        "the mask has no white in it, so nothing would be drawn anew: paint white what is to change, in spots of {scale}x{scale} pixels of the result or larger"
    )]
    NothingMasked {
        /// Pixels per position of the latent, in each direction.
        scale: usize,
    },
    /// The strength leaves no step to run.
    #[error(
        "a strength of {strength} leaves none of {steps} steps to run: take at least {needed} steps, or a higher strength"
    )]
    NoSteps {
        /// Steps of a whole run.
        steps: usize,
        /// Share of them that is run.
        strength: f64,
        /// Fewest steps of which that share is one.
        needed: usize,
    },
    /// The model needs an input that a component trace did not give.
    #[error("{0}")]
    Input(String),
}
