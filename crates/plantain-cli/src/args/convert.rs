//! What `convert` may be told, and what may be added to a model anywhere.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::ValueEnum;
use plantain::sampling::PredictionType;
use plantain::weights::TargetType;

/// Type of the numbers in a converted model.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Dtype {
    /// 32 bits
    F32,
    /// 16 bits, up to 65504
    F16,
    /// 16 bits, the range of f32
    Bf16,
    /// Large weights as 8-bit integers with a scale per channel, the rest as f16
    #[value(alias = "q8")]
    Int8,
}

impl From<Dtype> for TargetType {
    fn from(dtype: Dtype) -> Self {
        match dtype {
            Dtype::F32 => Self::F32,
            Dtype::F16 => Self::F16,
            Dtype::Bf16 => Self::Bf16,
            Dtype::Int8 => Self::Int8,
        }
    }
}

#[derive(Debug, clap::Args)]
pub(crate) struct ConvertArgs {
    /// A checkpoint in one file (safetensors, .ckpt, .pt or GGUF), a diffusers folder, or a model file to write anew
    #[arg(required_unless_present = "recipes")]
    pub(crate) source: Option<PathBuf>,

    /// The model file to write, such as model.safetensors
    #[arg(required_unless_present = "recipes")]
    pub(crate) destination: Option<PathBuf>,

    /// Type of the numbers [default: as in the source]
    #[arg(long)]
    pub(crate) dtype: Option<Dtype>,

    #[command(flatten)]
    pub(crate) adapt: AdaptArgs,

    /// What the network predicts, where the source does not say it: epsilon, v_prediction, sample or flow_prediction
    #[arg(long, value_name = "KIND", value_parser = prediction_type)]
    pub(crate) prediction: Option<PredictionType>,

    /// Leave out tensors that do not fit instead of refusing
    #[arg(long)]
    pub(crate) allow_partial: bool,

    /// Name of the model [default: the source's]
    #[arg(long)]
    pub(crate) name: Option<String>,

    /// Licence of the weights [default: the source's]
    #[arg(long)]
    pub(crate) license: Option<String>,

    /// A sentence about the model [default: the source's]
    #[arg(long)]
    pub(crate) description: Option<String>,

    /// List the recipes that --recipe takes
    #[arg(long, exclusive = true)]
    pub(crate) recipes: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct PruneArgs {
    /// Model file, checkpoint or diffusers folder
    pub(crate) model: PathBuf,

    /// The model file to write
    pub(crate) destination: PathBuf,

    /// Which blocks stay: bk-sdm-base, bk-sdm-small, bk-sdm-tiny, or a TOML file (see docs/models.md)
    #[arg(long, value_name = "NAME|FILE")]
    pub(crate) plan: String,

    /// Type of the numbers [default: as in the source]
    #[arg(long)]
    pub(crate) dtype: Option<Dtype>,

    /// Do not time both networks
    #[arg(long)]
    pub(crate) no_timing: bool,
}

#[cfg(feature = "pull")]
#[derive(Debug, clap::Args)]
pub(crate) struct PullArgs {
    /// The repository, such as segmind/tiny-sd
    #[arg(value_name = "OWNER/NAME")]
    pub(crate) repository: String,

    /// The model file to write [default: NAME.safetensors]
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,

    /// Branch, tag or commit
    #[arg(long, default_value = "main")]
    pub(crate) revision: String,

    /// Open no connection: use what was downloaded before (as with HF_HUB_OFFLINE=1)
    #[arg(long)]
    pub(crate) offline: bool,

    /// Type of the numbers [default: as in the source]
    #[arg(long)]
    pub(crate) dtype: Option<Dtype>,

    #[command(flatten)]
    pub(crate) adapt: AdaptArgs,

    /// Show no progress
    #[arg(short, long)]
    pub(crate) quiet: bool,
}

/// What is added to a model, or takes the place of a part of it.
#[derive(Debug, clap::Args)]
pub(crate) struct AdaptArgs {
    /// A LoRA to add, and how much of it (1 where nothing is said); may be given several times
    #[arg(long = "lora", value_name = "FILE[:WEIGHT]")]
    pub(crate) loras: Vec<WeightedFile>,

    /// A textual inversion to add: the word that it names, or the name of its file, is then one of the prompt; may be given
    /// several times
    #[arg(long = "embedding", value_name = "FILE")]
    pub(crate) embeddings: Vec<PathBuf>,

    /// An autoencoder in place of the model's, such as the tiny decoder TAESD
    #[arg(long, value_name = "PATH")]
    pub(crate) vae: Option<PathBuf>,

    /// Sample as a family of models is: lcm, sd-turbo, ... (`plantain convert --recipes` lists them) [default: what the files
    /// say, or the model's name]
    #[arg(long, value_name = "NAME")]
    pub(crate) recipe: Option<String>,
}

/// A file and its weight, as in `style.safetensors:0.8`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct WeightedFile {
    pub(crate) path: PathBuf,
    pub(crate) weight: f32,
}

impl FromStr for WeightedFile {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // Windows has a colon after the letter of a drive, so only what is a number after the last one counts.
        let weighted = text.rsplit_once(':').and_then(|(path, weight)| {
            let weight = weight.parse::<f32>().ok()?;
            Some((path, weight))
        });
        let (path, weight) = weighted.unwrap_or((text, 1.0));
        if let (None, Some((file, weight))) = (weighted, text.rsplit_once(':'))
            && Path::new(file).is_file()
            && !Path::new(text).exists()
        {
            return Err(format!("the weight `{weight}` of {file} is no number"));
        }
        if path.is_empty() || !weight.is_finite() || weight.abs() > 100.0 {
            return Err("give a file, and if need be a weight between -100 and 100".to_string());
        }
        let path = PathBuf::from(path);
        Ok(Self { path, weight })
    }
}

fn prediction_type(text: &str) -> Result<PredictionType, String> {
    let kinds = [
        PredictionType::Epsilon,
        PredictionType::VPrediction,
        PredictionType::Sample,
        PredictionType::FlowPrediction,
    ];
    let found = kinds.into_iter().find(|kind| kind.name() == text);
    found.ok_or_else(|| {
        let names = kinds.map(PredictionType::name).join(", ");
        format!("it is one of {names}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_weight_follows_the_last_colon() {
        let parse = |text: &str| {
            let WeightedFile { path, weight } = text.parse()?;
            Ok::<_, String>((path.to_str().unwrap().to_string(), weight))
        };
        for (text, path, weight) in [
            ("a.safetensors", "a.safetensors", 1.0),
            ("a.safetensors:0.8", "a.safetensors", 0.8),
            ("C:\\a.safetensors", "C:\\a.safetensors", 1.0),
            ("a:b:-.5", "a:b", -0.5),
        ] {
            assert_eq!(parse(text), Ok((path.to_string(), weight)));
        }
        for text in ["", ":1", "a:inf", "a:NaN", "a:1000", "Cargo.toml:much"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
