//! Model packages: one model is one `.safetensors` file.
//!
//! [`Model::open`] takes a package or a diffusers folder; [`convert`] writes either as a package;
//! [`Model::load_unet`] and its siblings fill the networks of `plantain-nn`.
//!
//! # Package format, version 1
//!
//! A safetensors file. Tensors are `F32`, `F16` or `BF16`, named `<component>.<module path>` with
//! the components `text_encoder`, `unet`, `vae` and `refiner`. The `__metadata__` holds the
//! [`Manifest`] as JSON under [`MANIFEST_KEY`] and, for models with a tokenizer, that as JSON of
//! the `tokenizers` crate under [`TOKENIZER_KEY`].

mod atomic;
mod container;
mod error;
mod import;
mod inspect;
mod keys;
mod load;
mod manifest;
mod package;
mod tensors;
mod write;

pub use atomic::write_atomically;
pub use error::{ConvertError, LoadError, ReadError, TensorProblem};
pub use import::{ConvertOptions, ConvertReport, TargetType, convert};
pub use inspect::{ComponentSummary, MemoryEstimate};
pub use load::{ExpectedTensor, expected_tensors, load_module};
pub use manifest::{
    Component, Components, Defaults, FORMAT_VERSION, Manifest, Provenance, SamplerInfo, SourceFile,
    TokenizerInfo,
};
pub use package::{MANIFEST_KEY, Model, TOKENIZER_KEY};
pub use plantain_nn::DecoderConfig;
pub use tensors::{FloatType, TensorRef, TensorSource};
