//! The UNet of latent diffusion's own code, whole or pruned: its architecture from names and shapes.
//!
//! Its blocks are numbered in a row (source: CompVis latent-diffusion `openaimodel.py`): what a block holds tells what it
//! is, so gaps in the numbers, which some converters of pruned networks leave, do no harm.

use plantain_nn::{BlockType, PerLevel, TransformerLayers, UNetConfig};

use super::super::autoencoder::Half;
use super::Problem;
use super::part::{Lacks, Part};
use crate::keys::KeyMap;

/// Heads of all attentions in Stable Diffusion 1; in 2, which projects by linear layers, heads are [`HEAD_WIDTH`] wide.
const HEADS: usize = 8;
const HEAD_WIDTH: usize = 64;

/// Recognises the UNet that `part` is; `second` tells that it is of Stable Diffusion 2, whatever shape its projections have.
pub(super) fn recognise(part: &Part<'_>, second: bool) -> Result<Half<UNetConfig>, Problem> {
    refuse_other_families(part)?;
    let mut walk = Walk::new(part);
    let down = walk.down()?;
    let middle = walk.middle()?;
    let up = walk.up(down.len())?;
    let config = config(
        part,
        &down,
        middle,
        &up,
        walk.transformer.as_deref(),
        second,
    )?;
    Ok(Half {
        config,
        keys: KeyMap::ldm_unet(walk.names),
    })
}

/// Other families are told by their parts; this one has the same.
fn refuse_other_families(part: &Part<'_>) -> Result<(), Problem> {
    if part.has("label_emb.") {
        let what = "a UNet with a vector of further conditions (unCLIP)";
        return Err(Problem::Unsupported(what.to_string()));
    }
    let [takes, gives] = [
        part.length("input_blocks.0.0.weight", 1)?,
        part.length("out.2.weight", 0)?,
    ];
    if takes != gives {
        let what = format!(
            "a UNet that takes {takes} channels and gives {gives} (for inpainting, depth or editing)"
        );
        return Err(Problem::Unsupported(what));
    }
    Ok(())
}

/// One level of the network: its residual blocks, and whether each is followed by a transformer.
#[derive(Debug, Default)]
struct Level {
    channels: usize,
    blocks: usize,
    transformers: usize,
}

impl Level {
    /// Whether it attends: with all of its blocks, or with none.
    fn attends(&self, what: &str) -> Result<bool, Problem> {
        if self.transformers != 0 && self.transformers != self.blocks {
            let (blocks, transformers) = (self.blocks, self.transformers);
            return Err(Problem::Unsupported(format!(
                "{what} of {blocks} residual blocks and {transformers} transformers"
            )));
        }
        Ok(self.transformers != 0)
    }
}

/// Walks over the numbered blocks and writes down what each is called in diffusers' layout.
struct Walk<'a> {
    part: &'a Part<'a>,
    names: Vec<(String, String)>,
    /// Name of the first transformer met.
    transformer: Option<String>,
}

impl<'a> Walk<'a> {
    fn new(part: &'a Part<'a>) -> Self {
        let ends = [
            ("time_embed.0.", "time_embedding.linear_1."),
            ("time_embed.2.", "time_embedding.linear_2."),
            ("time_embed.cond_proj.", "time_embedding.cond_proj."),
            // Converters leave this one as diffusers has it.
            ("time_embedding.cond_proj.", "time_embedding.cond_proj."),
            ("input_blocks.0.0.", "conv_in."),
            ("out.0.", "conv_norm_out."),
            ("out.2.", "conv_out."),
        ];
        Self {
            part,
            names: ends
                .map(|(from, to)| (from.to_string(), to.to_string()))
                .to_vec(),
            transformer: None,
        }
    }

    /// Notes that names starting with `from` and a dot start with `to` and a dot in diffusers' layout.
    fn name(&mut self, from: &str, to: &str) {
        self.names.push((format!("{from}."), format!("{to}.")));
    }

    /// Notes the residual block `from` as the next of `level`, which `to` names.
    fn residual(&mut self, from: &str, to: &str, level: &mut Level) -> Result<(), Lacks> {
        level.channels = self
            .part
            .length(&format!("{from}.out_layers.3.weight"), 0)?;
        self.name(from, &format!("{to}.resnets.{}", level.blocks));
        level.blocks += 1;
        Ok(())
    }

    /// Notes the transformer `from`, if it is one, as that of the last block of `level`. A common converter of pruned networks
    /// leaves diffusers' name to those that it does not expect.
    fn transformer(&mut self, from: String, to: &str, level: &mut Level) {
        let name = format!("{to}.attentions.{}", level.blocks - 1);
        let found = [from, name.clone()]
            .into_iter()
            .find(|from| self.part.has(&format!("{from}.transformer_blocks.")));
        if let Some(from) = found {
            self.name(&from, &name);
            self.transformer.get_or_insert(from);
            level.transformers += 1;
        }
    }

    /// The levels on the way down, finest first: each ends with a downsampling.
    fn down(&mut self) -> Result<Vec<Level>, Problem> {
        let mut levels = vec![Level::default()];
        for index in self.part.numbers("input_blocks.").into_iter().skip(1) {
            let block = format!("input_blocks.{index}");
            let to = format!("down_blocks.{}", levels.len() - 1);
            let level = levels.last_mut().expect("there is always a level");
            if self.part.has(&format!("{block}.0.op.")) {
                self.name(
                    &format!("{block}.0.op"),
                    &format!("{to}.downsamplers.0.conv"),
                );
                levels.push(Level::default());
                continue;
            }
            self.residual(&format!("{block}.0"), &to, level)?;
            self.transformer(format!("{block}.1"), &to, level);
        }
        Ok(levels)
    }

    /// Whether there is a middle.
    fn middle(&mut self) -> Result<bool, Problem> {
        if !self.part.has("middle_block.") {
            return Ok(false);
        }
        let mut level = Level::default();
        self.residual("middle_block.0", "mid_block", &mut level)?;
        self.transformer("middle_block.1".to_string(), "mid_block", &mut level);
        self.residual("middle_block.2", "mid_block", &mut level)?;
        if level.transformers != 1 {
            let what = "a middle without a transformer";
            return Err(Problem::Unsupported(what.to_string()));
        }
        Ok(true)
    }

    /// The levels on the way up, coarsest first: each but the last ends with an upsampling.
    fn up(&mut self, count: usize) -> Result<Vec<Level>, Problem> {
        let mut levels = vec![Level::default()];
        for index in self.part.numbers("output_blocks.") {
            let block = format!("output_blocks.{index}");
            let to = format!("up_blocks.{}", levels.len() - 1);
            let level = levels.last_mut().expect("there is always a level");
            if self.part.has(&format!("{block}.0.in_layers.")) {
                self.residual(&format!("{block}.0"), &to, level)?;
                self.transformer(format!("{block}.1"), &to, level);
            }
            let upsampling = (0..3).map(|i| format!("{block}.{i}.conv"));
            if let Some(from) = upsampling
                .into_iter()
                .find(|name| self.part.has(&format!("{name}.")))
            {
                self.name(&from, &format!("{to}.upsamplers.0.conv"));
                levels.push(Level::default());
            }
        }
        if levels.len() != count {
            let found = levels.len();
            return Err(Problem::Unsupported(format!(
                "a UNet of {count} levels down and {found} up"
            )));
        }
        Ok(levels)
    }
}

fn config(
    part: &Part<'_>,
    down: &[Level],
    middle: bool,
    up: &[Level],
    transformer: Option<&str>,
    second: bool,
) -> Result<UNetConfig, Problem> {
    let Some(transformer) = transformer else {
        let what = "a UNet that does not attend to text";
        return Err(Problem::Unsupported(what.to_string()));
    };
    for (level, (down, up)) in down.iter().zip(up.iter().rev()).enumerate() {
        if up.blocks != down.blocks + 1 || up.channels != down.channels {
            return Err(Problem::Unsupported(format!(
                "a UNet whose level {level} has {} residual blocks of {} channels down and {} of {} up",
                down.blocks, down.channels, up.blocks, up.channels
            )));
        }
    }
    let projection = part.shape(&format!("{transformer}.proj_in.weight"))?;
    let linear = second || projection.len() == 2;
    let channels: Vec<_> = down.iter().map(|level| level.channels).collect();
    let width = part.length(
        &format!("{transformer}.transformer_blocks.0.attn2.to_k.weight"),
        1,
    )?;
    let down_types = down.iter().map(|level| {
        Ok(match level.attends("a down block")? {
            true => BlockType::CrossAttnDownBlock2D,
            false => BlockType::DownBlock2D,
        })
    });
    let up_types = up.iter().map(|level| {
        Ok(match level.attends("an up block")? {
            true => BlockType::CrossAttnUpBlock2D,
            false => BlockType::UpBlock2D,
        })
    });
    let guidance = ["time_embed", "time_embedding"].iter().find_map(|start| {
        let name = format!("{start}.cond_proj.weight");
        part.length(&name, 1).ok()
    });
    Ok(UNetConfig {
        in_channels: part.length("input_blocks.0.0.weight", 1)?,
        out_channels: part.length("out.2.weight", 0)?,
        down_block_types: down_types.collect::<Result<_, Problem>>()?,
        up_block_types: up_types.collect::<Result<_, Problem>>()?,
        mid_block_type: middle.then(|| "UNetMidBlock2DCrossAttn".to_string()),
        layers_per_block: PerLevel::Each(down.iter().map(|level| level.blocks).collect()),
        cross_attention_dim: PerLevel::All(width),
        attention_head_dim: match linear {
            false => PerLevel::All(HEADS),
            true => PerLevel::Each(channels.iter().map(|c| (c / HEAD_WIDTH).max(1)).collect()),
        },
        transformer_layers_per_block: TransformerLayers::All(
            part.count(&format!("{transformer}.transformer_blocks.")),
        ),
        use_linear_projection: linear,
        time_cond_proj_dim: guidance,
        block_out_channels: channels,
        ..UNetConfig::default()
    })
}
