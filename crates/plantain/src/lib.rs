//! Text in, picture out.
//!
//! ```no_run
//! use std::path::Path;
//! use plantain::{DeviceOptions, Format, ModelSource, Pipeline, Request, Unobserved};
//!
//! let pipeline = Pipeline::load(ModelSource::BuiltIn, DeviceOptions::default())?;
//! let pictures = pipeline.generate(&Request::new("a fox, 3d render"), &mut Unobserved)?;
//! pictures[0].save(Path::new("fox.png"), Format::Png)?;
//! # Ok::<(), plantain::Error>(())
//! ```
//!
//! [`Pipeline`] holds a loaded model; a [`Request`] is a prompt with settings, and may start from a picture or
//! draw a part of one anew; an [`Observer`] watches the run, is shown previews if it wants them, and may stop it, as may a
//! [`Cancellation`] from another thread. Nothing here prints or touches the network; only [`mod@bench`] and
//! [`doctor`], which measure, read the clock.

mod aspect;
mod batch;
pub mod bench;
mod cancel;

mod denoiser;
mod device;
mod difference;
pub mod doctor;
mod error;
mod fitting;
#[cfg(feature = "wgpu")]
mod gpu;
mod host;
mod initial;
mod layout;
mod memory;
mod metadata;
mod observer;
mod open;
mod picture;
mod pipeline;
mod preview;
mod prompt;
mod reference;
mod refinement;
mod request;
mod size;
mod source;
pub mod style;
mod text_input;
mod texts;
mod tiling;
pub mod trace;
mod warnings;
mod widening;

pub use aspect::{Aspect, AspectError};
pub use cancel::{Cancellable, Cancellation};
pub use device::{
    DeviceChoice, DeviceError, DeviceOptions, GraphicsApi, NoGpu, PrecisionChoice, UnknownDevice,
    UnknownPrecision,
};
pub use error::{Error, RequestError};
#[cfg(feature = "wgpu")]
pub use gpu::{Adapter, AdapterKind, adapters};
pub use image::{GrayImage, RgbImage};
pub use memory::{MemoryPlan, OutOfMemory, available_memory};
pub use metadata::{PNG_KEYWORD, Parameters, ParseError, shell_quoted};
pub use observer::{Event, Observer, Unobserved};
pub use open::{OpenError, open_mask, open_picture};
pub use picture::{
    Format, InfoError, Picture, UnknownFormat, read_parameters, read_parameters_text,
};
pub use pipeline::Pipeline;
#[cfg(feature = "wgpu")]
pub use plantain_kernels::RuntimeSettings;
pub use plantain_kernels::{cpu_features, keep_freed_memory, threads, use_threads};
pub use plantain_sampling as sampling;
pub use plantain_sampling::SamplerKind;
pub use plantain_weights as weights;
pub use plantain_weights::Model;
pub use preview::Preview;
pub use reference::REFERENCE;
pub use request::{InitSettings, Request, Settings};
pub use size::MAX_SIDE;
pub use source::ModelSource;
#[cfg(feature = "embedded-model")]
pub use source::default_model;
