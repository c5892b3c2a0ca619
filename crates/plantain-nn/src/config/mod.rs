//! Component configurations, read from the same JSON keys as diffusers' and transformers' `config.json`.
//!
//! A key that this crate does not know is ignored; a key that asks for something this crate cannot
//! compute is refused by `validate`, so that no model runs with a part of it silently missing.

mod activation;
mod cost;
mod decoder;
mod encoder;
mod refiner;
mod text;
mod unet;

use serde::{Deserialize, Serialize};

pub use decoder::{DecoderConfig, KlDecoderConfig, TinyDecoderConfig};
pub use encoder::{EncoderConfig, KlEncoderConfig, TinyEncoderConfig};
pub use refiner::RefinerConfig;
pub use text::{TextActivation, TextEncoderConfig};
pub use unet::{BlockType, TransformerLayers, UNetConfig};

/// A configuration that cannot be built.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The configuration asks for a feature that is not implemented.
    #[error("{component}: `{key}` = {value} is not supported ({supported})")]
    Unsupported {
        /// Component the configuration belongs to, such as `unet`.
        component: &'static str,
        /// JSON key.
        key: &'static str,
        /// Value found.
        value: String,
        /// What would be accepted.
        supported: &'static str,
    },
    /// Two keys contradict each other, or a number is out of range.
    #[error("{component}: {reason}")]
    Invalid {
        /// Component the configuration belongs to.
        component: &'static str,
        /// What is wrong, naming the keys.
        reason: String,
    },
}

/// Most levels of a network: 256 times smaller at the coarsest is more than any model has.
const MAX_LEVELS: usize = 8;

fn unsupported(
    component: &'static str,
    key: &'static str,
    value: impl std::fmt::Debug,
    supported: &'static str,
) -> ConfigError {
    ConfigError::Unsupported {
        component,
        key,
        value: format!("{value:?}"),
        supported,
    }
}

fn invalid(component: &'static str, reason: impl Into<String>) -> ConfigError {
    ConfigError::Invalid {
        component,
        reason: reason.into(),
    }
}

/// A value given once for all levels, or once per level.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum PerLevel<T> {
    /// The same for every level.
    All(T),
    /// One value per level, finest first.
    Each(Vec<T>),
}

impl<T: Clone> PerLevel<T> {
    /// The value for `level`, finest level 0; `None` when a list is too short.
    pub fn get(&self, level: usize) -> Option<T> {
        match self {
            Self::All(value) => Some(value.clone()),
            Self::Each(values) => values.get(level).cloned(),
        }
    }

    fn fits(&self, levels: usize) -> bool {
        match self {
            Self::All(_) => true,
            Self::Each(values) => values.len() == levels,
        }
    }
}
