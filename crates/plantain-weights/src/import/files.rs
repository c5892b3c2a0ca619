//! Reading the small files of a source folder, and finding its weight files.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::error::ReadError;

/// Longest JSON or text file read. The largest real ones are tokenizers of a few megabytes.
const MAX_TEXT: u64 = 100_000_000;

/// The text of the file at `path`.
pub(super) fn read_text(path: &Path) -> Result<String, ReadError> {
    let metadata = path.metadata().map_err(|e| ReadError::io(path, e))?;
    if !metadata.is_file() || metadata.len() > MAX_TEXT {
        return Err(ReadError::Unsupported {
            path: path.to_path_buf(),
            what: format!("a file of {} bytes here", metadata.len()),
            supported: "a text file of at most 100 MB",
        });
    }
    fs::read_to_string(path).map_err(|e| ReadError::io(path, e))
}

/// The JSON document at `path`.
pub(super) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T, ReadError> {
    serde_json::from_str(&read_text(path)?).map_err(|e| ReadError::json(path.display(), e))
}

/// The weights of a component: whole files, or the shards that an index lists, tensor by tensor.
#[derive(Debug)]
pub(super) struct WeightFiles {
    /// The files with weights.
    pub(super) files: Vec<PathBuf>,
    /// The index, where the weights are in shards.
    pub(super) index: Option<PathBuf>,
}

/// Names of weight files, the most precise first (source: diffusers `utils/constants.py`).
const STEMS: [&str; 2] = ["diffusion_pytorch_model", "model"];
/// The same of before safetensors.
const TORCH_STEMS: [&str; 2] = ["diffusion_pytorch_model", "pytorch_model"];
const VARIANTS: [&str; 4] = ["", ".fp32", ".bf16", ".fp16"];
/// Weights of before the averaging over steps: worse, so only when there is nothing else.
const LAST_VARIANT: &str = ".non_ema";
/// Formats that hold no weights of this program's kind, or whose name tells too little of what they hold.
const OTHER_FORMATS: [&str; 7] = ["bin", "ckpt", "pt", "pth", "msgpack", "onnx", "gguf"];

/// Finds the weight files in the folder of a component.
pub(super) fn find_weights(folder: &Path) -> Result<WeightFiles, ReadError> {
    for variant in VARIANTS.into_iter().chain([LAST_VARIANT]) {
        for stem in STEMS {
            let whole = folder.join(format!("{stem}{variant}.safetensors"));
            if whole.exists() || whole.is_symlink() {
                return Ok(WeightFiles {
                    files: vec![whole],
                    index: None,
                });
            }
            for index in [
                format!("{stem}.safetensors.index{variant}.json"),
                format!("{stem}{variant}.safetensors.index.json"),
            ] {
                let index = folder.join(index);
                if index.exists() {
                    return read_index(folder, index);
                }
            }
        }
    }
    torch_weights(folder).map_or_else(|| only_safetensors(folder), Ok)
}

/// The file of PyTorch's own format, in repositories that have no safetensors.
fn torch_weights(folder: &Path) -> Option<WeightFiles> {
    let names = VARIANTS
        .iter()
        .flat_map(|variant| TORCH_STEMS.map(|stem| folder.join(format!("{stem}{variant}.bin"))));
    let found = names.into_iter().find(|path| path.exists());
    found.map(|path| WeightFiles {
        files: vec![path],
        index: None,
    })
}

fn read_index(folder: &Path, index: PathBuf) -> Result<WeightFiles, ReadError> {
    #[derive(Deserialize)]
    struct Index {
        weight_map: BTreeMap<String, String>,
    }
    let Index { weight_map } = read_json(&index)?;
    let shards: BTreeSet<String> = weight_map.into_values().collect();
    if let Some(outside) = shards.iter().find(|s| s.contains(['/', '\\', ':'])) {
        return Err(ReadError::Unsupported {
            path: index,
            what: format!("the shard `{outside}`"),
            supported: "file names within the same folder",
        });
    }
    Ok(WeightFiles {
        files: shards.into_iter().map(|shard| folder.join(shard)).collect(),
        index: Some(index),
    })
}

/// The safetensors file of an unknown name, if it is the only one.
fn only_safetensors(folder: &Path) -> Result<WeightFiles, ReadError> {
    let entries = fs::read_dir(folder).map_err(|e| ReadError::io(folder, e))?;
    let mut found = Vec::new();
    let mut other = None;
    for entry in entries {
        let path = entry.map_err(|e| ReadError::io(folder, e))?.path();
        match path.extension().and_then(|e| e.to_str()) {
            Some("safetensors") => found.push(path),
            Some(extension) if OTHER_FORMATS.contains(&extension) => other = Some(path),
            _ => {}
        }
    }
    found.sort();
    let reason = match (&found[..], other) {
        ([_], _) => {
            return Ok(WeightFiles {
                files: found,
                index: None,
            });
        }
        ([first, second, ..], _) => format!(
            "both {} and {} could be the weights; keep one of them",
            first.display(),
            second.display()
        ),
        ([], Some(path)) => format!(
            "its weights are in {}; save the model as safetensors (`safe_serialization=True` in diffusers)",
            path.display()
        ),
        ([], None) => "there is no .safetensors file; download the model again".to_string(),
    };
    Err(ReadError::NoWeights {
        path: folder.to_path_buf(),
        reason,
    })
}
