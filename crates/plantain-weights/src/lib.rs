//! Model packages: one model is one `.safetensors` file.
//!
//! [`Model::open`] takes a package, a diffusers folder or a checkpoint in one file; [`convert`] writes any of them as a package;
//! [`Model::load_unet`] and its siblings fill the networks of `plantain-nn`.
//!
//! # Package format, version 2
//!
//! A safetensors file. Tensors are `F32`, `F16` or `BF16`, named `<component>.<module path>` with
//! the components `text_encoder`, `unet`, `vae` (the decoder), `vae_encoder`, and `refiner`. The `__metadata__` holds the
//! [`Manifest`] as JSON under [`MANIFEST_KEY`] and, for models with a tokenizer, that as JSON of
//! the `tokenizers` crate under [`TOKENIZER_KEY`].
//!
//! Version 2 adds int8 weights: a weight `NAME`, `[out, ..]`, may be `I8`, and then `NAME_scale`,
//! `[out]`, is there as `F32` or `F16`, finite and above 0, and the numbers of output channel `o`
//! are `NAME[o, ..] * NAME_scale[o]`. A package without any says that it is of version 1.
//!
//! `vae_encoder` is optional in both versions. It came after them and has no version of its own: a reader that does not
//! know it draws from texts as before, and mentions its tensors as unused.

mod addition;
mod atomic;
mod change;
mod container;
mod embedding;
mod error;
mod fingerprint;
mod float;
mod geometry;
mod import;
mod inspect;
mod int8;
mod keys;
mod license;
mod load;
mod lora;
mod manifest;
mod package;
mod plain;
mod prune;
mod recipe;
mod sha256;
mod subjects;
mod tensor;
mod tensors;
mod write;

pub use addition::{Addition, AdditionKind};
pub use atomic::{check_destination, write_atomically};
pub use embedding::EmbeddingError;
pub use error::{ConvertError, LoadError, ReadError, ScaleProblem, TensorProblem};
pub use float::FloatType;
pub use import::{ConvertOptions, ConvertReport, TargetType, convert};
pub use inspect::{ComponentSummary, MemoryEstimate};
pub use license::{is_research_only, license_in_readme};
pub use load::{ExpectedTensor, expected_tensors, load_module};
pub use lora::{LoraError, LoraReport};
pub use manifest::{
    AddedEmbedding, Component, Components, Defaults, FORMAT_VERSION, Manifest, Provenance,
    SamplerInfo, SourceFile, TokenizerInfo,
};
pub use package::{MANIFEST_KEY, Model, TOKENIZER_KEY, Target};
pub use plain::{HostTensor, Tensors, read_tensors, write_tensors};
pub use plantain_nn::{DecoderConfig, EncoderConfig, UNetConfig};
pub use prune::{PruneError, PrunePlan};
pub use recipe::{Recipe, UnknownRecipe, recipes};
pub use sha256::sha256;
pub use subjects::{NEGATIONS, SubjectNames};
pub use tensor::TensorRef;
pub use tensors::TensorSource;
