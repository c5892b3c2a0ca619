//! Removing blocks of a UNet, as BK-SDM does before it distils what is left (arXiv:2305.15798).

use std::sync::Arc;

use plantain_nn::{BlockType, PerLevel, TransformerLayers, UNetConfig};
use serde::Deserialize;

use crate::manifest::Component;
use crate::package::Model;

const PLANS: &str = include_str!("prune_plans.toml");

/// Which blocks of a UNet stay.
///
/// ```
/// # use plantain_weights::PrunePlan;
/// let tiny = PrunePlan::named("bk-sdm-tiny")?;
/// assert!(!tiny.mid && tiny.down.len() == 3);
/// # Ok::<(), plantain_weights::PruneError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PrunePlan {
    /// Its name.
    #[serde(default)]
    pub name: String,
    /// What it makes, in a sentence without its full stop.
    #[serde(default)]
    pub about: String,
    /// Whether the block in the middle stays.
    pub mid: bool,
    /// Residual blocks, each with its transformer, that stay on the way down: a list per level, finest first. Levels without a
    /// list are removed.
    pub down: Vec<Vec<usize>>,
    /// The same for the way up, finest level first; one more than in `down`.
    pub up: Vec<Vec<usize>>,
}

/// Why a UNet cannot be pruned so.
///
/// ```
/// let error = plantain_weights::PrunePlan::parse("mid = 3").unwrap_err();
/// println!("{error}");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PruneError {
    /// The plan is not what it should be.
    #[error("the plan cannot be read: {0}")]
    Plan(String),
    /// No plan has that name.
    #[error("there is no plan `{name}`; the plans are {}", .known.join(", "))]
    Unknown {
        /// The name.
        name: String,
        /// The plans there are.
        known: Vec<String>,
    },
    /// The model has no UNet.
    #[error("the model has no UNet to prune")]
    NoUnet,
    /// The plan asks for what the UNet does not have, or for what is no UNet.
    #[error("the plan does not fit the UNet: {0}")]
    Misfit(String),
}

impl PrunePlan {
    /// The plans that are part of this library.
    ///
    /// ```
    /// for plan in plantain_weights::PrunePlan::all() {
    ///     println!("{}: {}", plan.name, plan.about);
    /// }
    /// ```
    pub fn all() -> Vec<Self> {
        #[derive(Deserialize)]
        struct Plans {
            plan: Vec<PrunePlan>,
        }
        toml::from_str::<Plans>(PLANS)
            .expect("the plans are tested")
            .plan
    }

    /// The plan called `name`.
    ///
    /// # Errors
    /// When there is none.
    ///
    /// ```
    /// assert!(plantain_weights::PrunePlan::named("bk-sdm-small").is_ok());
    /// ```
    pub fn named(name: &str) -> Result<Self, PruneError> {
        let found = Self::all().into_iter().find(|plan| plan.name == name);
        found.ok_or_else(|| PruneError::Unknown {
            name: name.to_string(),
            known: Self::all().into_iter().map(|plan| plan.name).collect(),
        })
    }

    /// Reads a plan from TOML.
    ///
    /// # Errors
    /// When `text` is no plan.
    ///
    /// ```
    /// let plan = plantain_weights::PrunePlan::parse("mid = false\ndown = [[0]]\nup = [[0, 1]]")?;
    /// assert_eq!(plan.down, [[0]]);
    /// # Ok::<(), plantain_weights::PruneError>(())
    /// ```
    pub fn parse(text: &str) -> Result<Self, PruneError> {
        let plan = toml::from_str(text);
        plan.map_err(|error: toml::de::Error| {
            let line = error.span().map(|span| {
                let before = &text.as_bytes()[..span.start.min(text.len())];
                1 + before.iter().filter(|byte| **byte == b'\n').count()
            });
            let line = line.map_or_else(String::new, |line| format!("line {line}: "));
            PruneError::Plan(format!("{line}{}", error.message()))
        })
    }

    /// Checks that `unet` has what is to stay, and that a UNet is left.
    fn check(&self, unet: &UNetConfig) -> Result<(), PruneError> {
        let misfit = |reason: String| Err(PruneError::Misfit(reason));
        let levels = unet.block_out_channels.len();
        if self.down.is_empty() || self.down.len() > levels || self.up.len() != self.down.len() {
            let (down, up) = (self.down.len(), self.up.len());
            return misfit(format!(
                "it has lists for {down} levels down and {up} up; both must be of the same number, 1 to {levels}"
            ));
        }
        for (level, (down, up)) in self.down.iter().zip(&self.up).enumerate() {
            let has = unet.down_layers(level);
            let beyond = down.iter().any(|i| *i >= has) || up.iter().any(|i| *i > has);
            let rising = |list: &[usize]| list.windows(2).all(|pair| pair[0] < pair[1]);
            if beyond || !rising(down) || !rising(up) {
                return misfit(format!(
                    "level {level} has blocks 0 to {} down and 0 to {has} up; lists name some of them in rising order",
                    has - 1
                ));
            }
            if down.is_empty() || up.len() != down.len() + 1 {
                return misfit(format!(
                    "level {level} keeps {} blocks down and {} up; there must be one more up than down",
                    down.len(),
                    up.len()
                ));
            }
        }
        if self.mid && self.down.len() < levels {
            return misfit("the middle belongs to the last level, which it removes".to_string());
        }
        Ok(())
    }

    /// The configuration of what is left.
    fn config(&self, unet: &UNetConfig) -> UNetConfig {
        let levels = self.down.len();
        let removed = unet.block_out_channels.len() - levels;
        let layers = |layers: &TransformerLayers| match layers {
            TransformerLayers::Each(each) => {
                TransformerLayers::Each(each.iter().take(levels).cloned().collect())
            }
            all @ TransformerLayers::All(_) => all.clone(),
        };
        let heads = match &unet.attention_head_dim {
            PerLevel::Each(heads) => PerLevel::Each(heads.iter().take(levels).copied().collect()),
            all @ PerLevel::All(_) => all.clone(),
        };
        let types = |types: &[BlockType]| types.to_vec();
        UNetConfig {
            down_block_types: types(&unet.down_block_types[..levels]),
            up_block_types: types(&unet.up_block_types[removed..]),
            mid_block_type: unet.mid_block_type.clone().filter(|_| self.mid),
            block_out_channels: unet.block_out_channels[..levels].to_vec(),
            layers_per_block: PerLevel::Each(self.down.iter().map(Vec::len).collect()),
            attention_head_dim: heads,
            transformer_layers_per_block: layers(&unet.transformer_layers_per_block),
            ..unet.clone()
        }
    }

    /// What the tensor `name` of a UNet of `levels` levels is called in what is left of it; `None` when it is removed.
    fn renamed(&self, name: &str, levels: usize) -> Option<String> {
        let left = self.down.len();
        let mut parts = name.splitn(5, '.');
        let (block, index) = (parts.next()?, parts.next());
        let (kind, place, rest) = (parts.next(), parts.next(), parts.next());
        let index = index.and_then(|index| index.parse::<usize>().ok());
        let (level, kept, end) = match (block, index) {
            ("mid_block", _) => return self.mid.then(|| name.to_string()),
            ("down_blocks", Some(level)) => (level, self.down.get(level)?, "downsamplers"),
            ("up_blocks", Some(index)) => {
                let level = levels.checked_sub(1 + index)?;
                (level, self.up.get(level)?, "upsamplers")
            }
            _ => return Some(name.to_string()),
        };
        let (kind, place, rest) = (kind?, place?.parse::<usize>().ok()?, rest?);
        let index = if block == "down_blocks" {
            level
        } else {
            left - 1 - level
        };
        let place = if kind == end {
            // What was made smaller for the levels that are removed is not needed.
            (level + 1 < left || block == "up_blocks").then_some(place)?
        } else {
            kept.iter().position(|kept| *kept == place)?
        };
        Some(format!("{block}.{index}.{kind}.{place}.{rest}"))
    }
}

impl Model {
    /// This model with the blocks of its UNet that `plan` keeps. It draws nothing sensible before it is trained again.
    ///
    /// # Errors
    /// When the plan does not fit the UNet. Where the levels have different widths, removing one can leave blocks that do not
    /// fit each other; this shows when the model is converted or loaded.
    ///
    /// ```
    /// # use std::path::Path;
    /// # use plantain_weights::Model;
    /// # let model = Model::open(Path::new("../../tests/fixtures/single_files/sd1.safetensors"))?;
    /// use plantain_weights::PrunePlan;
    ///
    /// let pruned = model.pruned(&PrunePlan::named("bk-sdm-small")?)?;
    /// assert!(pruned.unet_flops() < model.unet_flops());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn pruned(&self, plan: &PrunePlan) -> Result<Self, PruneError> {
        let unet = self.manifest.components.unet.as_ref();
        let unet = unet.ok_or(PruneError::NoUnet)?;
        if unet.reverse_transformer_layers_per_block.is_some() {
            let reason = "it has other numbers of transformers up than down".to_string();
            return Err(PruneError::Misfit(reason));
        }
        plan.check(unet)?;
        let config = plan.config(unet);
        config
            .validate()
            .map_err(|error| PruneError::Misfit(error.to_string()))?;
        let levels = unet.block_out_channels.len();
        let mut model = self.clone();
        model.manifest.components.unet = Some(config);
        let start = format!("{}.", Component::Unet);
        Arc::make_mut(&mut model.tensors).rename(|name| match name.strip_prefix(&start) {
            Some(name) => plan
                .renamed(name, levels)
                .map(|name| format!("{start}{name}")),
            None => Some(name.to_string()),
        });
        Ok(model)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn renamed(plan: &str, name: &str) -> Option<String> {
        PrunePlan::named(plan).unwrap().renamed(name, 4)
    }

    #[test]
    fn blocks_move_up_where_others_go() {
        for (plan, name, to) in [
            (
                "bk-sdm-base",
                "up_blocks.1.attentions.2.norm.bias",
                Some("up_blocks.1.attentions.1.norm.bias"),
            ),
            ("bk-sdm-base", "up_blocks.1.attentions.1.norm.bias", None),
            (
                "bk-sdm-base",
                "mid_block.resnets.0.conv1.bias",
                Some("mid_block.resnets.0.conv1.bias"),
            ),
            ("bk-sdm-small", "mid_block.resnets.0.conv1.bias", None),
            ("bk-sdm-tiny", "up_blocks.0.resnets.0.conv1.bias", None),
            (
                "bk-sdm-tiny",
                "up_blocks.1.upsamplers.0.conv.bias",
                Some("up_blocks.0.upsamplers.0.conv.bias"),
            ),
            (
                "bk-sdm-tiny",
                "down_blocks.2.downsamplers.0.conv.bias",
                None,
            ),
            (
                "bk-sdm-tiny",
                "down_blocks.1.downsamplers.0.conv.bias",
                Some("down_blocks.1.downsamplers.0.conv.bias"),
            ),
            ("bk-sdm-tiny", "down_blocks.0.resnets.1.conv1.bias", None),
            ("bk-sdm-tiny", "conv_in.weight", Some("conv_in.weight")),
        ] {
            assert_eq!(renamed(plan, name).as_deref(), to, "{plan}: {name}");
        }
    }

    #[test]
    fn plans_that_leave_no_unet_are_refused() {
        let plan = |text: &str| {
            PrunePlan::parse(text)
                .unwrap()
                .check(&UNetConfig::default())
        };
        for (text, says) in [
            ("mid = true\ndown = []\nup = []", "0 levels down"),
            (
                "mid = true\ndown = [[0]]\nup = [[0, 1]]",
                "the middle belongs to the last level",
            ),
            (
                "mid = false\ndown = [[0, 2]]\nup = [[0, 1, 2]]",
                "level 0 has blocks 0 to 1 down",
            ),
            (
                "mid = false\ndown = [[0]]\nup = [[0]]",
                "one more up than down",
            ),
            ("mid = false\ndown = [[0]]\nup = [[2, 0]]", "rising order"),
        ] {
            let message = plan(text).unwrap_err().to_string();
            assert!(message.contains(says), "{message}");
        }
        let message = PrunePlan::parse("mid = true\ndwn = []")
            .unwrap_err()
            .to_string();
        assert!(
            message.contains("line 2") && message.contains("dwn"),
            "{message}"
        );
    }
}
