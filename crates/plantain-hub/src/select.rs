//! Which files of a repository a model of the Stable Diffusion kind needs.

use std::collections::BTreeSet;

use crate::family::ModelIndex;
use crate::weights;

/// The file that makes a folder a pipeline.
pub(crate) const MODEL_INDEX: &str = "model_index.json";
/// The repository's card.
pub(crate) const README: &str = "README.md";
/// What a person says about the model, for this program.
const MODEL_CARD: &str = "model.json";

/// Folders with a network.
const NETWORKS: [&str; 4] = ["text_encoder", "unet", "vae", "refiner"];
const SCHEDULER: &str = "scheduler";
const TOKENIZER: &str = "tokenizer";
/// What a tokenizer may consist of.
const TOKENIZER_FILES: [&str; 6] = [
    "tokenizer.json",
    "vocab.json",
    "merges.txt",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
];

/// What to take.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Selection {
    /// Paths in the repository.
    pub(crate) files: Vec<String>,
    /// The checkpoint, where the whole model is one file.
    pub(crate) single_file: Option<String>,
}

/// Chooses among `names`, or says in words what is missing. `index` is the repository's `model_index.json`.
pub(crate) fn select(
    names: &BTreeSet<String>,
    index: Option<&ModelIndex>,
) -> Result<Selection, String> {
    let Some(index) = index else {
        return single_file(names);
    };
    let mut files = Vec::new();
    let top = [MODEL_INDEX, README, MODEL_CARD];
    files.extend(
        top.iter()
            .filter(|name| names.contains(**name))
            .map(|name| (*name).to_string()),
    );
    for component in [SCHEDULER, TOKENIZER].iter().chain(&NETWORKS) {
        let inside = files_in(names, component);
        match of_component(component, &inside) {
            Ok(chosen) => files.extend(chosen.iter().map(|name| format!("{component}/{name}"))),
            Err(missing) if index.uses(component) => return Err(missing),
            Err(_) => {}
        }
    }
    Ok(Selection {
        files,
        single_file: None,
    })
}

/// The names of the files right in the folder `folder`.
fn files_in<'a>(names: &'a BTreeSet<String>, folder: &str) -> Vec<&'a str> {
    let inside = |name: &'a String| name.strip_prefix(folder)?.strip_prefix('/');
    names
        .iter()
        .filter_map(inside)
        .filter(|name| !name.contains('/'))
        .collect()
}

/// What to take of a component with the files `names`.
fn of_component<'a>(component: &str, names: &[&'a str]) -> Result<Vec<&'a str>, String> {
    let find = |wanted: &str| names.iter().copied().find(|name| *name == wanted);
    let need =
        |wanted: &str| find(wanted).ok_or_else(|| format!("{component}/{wanted} is missing"));
    match component {
        SCHEDULER => Ok(vec![need("scheduler_config.json")?]),
        TOKENIZER => {
            if find("tokenizer.json").is_none() {
                need("vocab.json")?;
                need("merges.txt")?;
            }
            Ok(TOKENIZER_FILES
                .iter()
                .filter_map(|wanted| find(wanted))
                .collect())
        }
        _ => {
            let mut files = vec![need("config.json")?];
            let weights = weights::best(names);
            files
                .extend(weights.ok_or_else(|| {
                    format!("{component} has no weights as .safetensors or .bin")
                })?);
            Ok(files)
        }
    }
}

/// The one checkpoint of a repository that is no pipeline.
fn single_file(names: &BTreeSet<String>) -> Result<Selection, String> {
    let at_top = |extension: &str| -> Vec<&String> {
        let plain =
            |name: &str| !name.contains(['/', '\\', ':']) && !name.contains(char::is_control);
        names
            .iter()
            .filter(|name| plain(name) && name.ends_with(extension))
            .collect()
    };
    let mut found = at_top(".safetensors");
    if found.is_empty() {
        found = at_top(".ckpt");
    }
    let checkpoint = match found[..] {
        [one] => one.clone(),
        [] => {
            return Err(format!(
                "it has neither {MODEL_INDEX} nor a checkpoint at its top, .safetensors or .ckpt"
            ));
        }
        [first, second, ..] => {
            return Err(format!(
                "it has no {MODEL_INDEX} but several checkpoints, among them {first} and {second}; download the one you want"
            ));
        }
    };
    let readme = names.get(README).cloned();
    Ok(Selection {
        files: readme.into_iter().chain([checkpoint.clone()]).collect(),
        single_file: Some(checkpoint),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const INDEX: &str = r#"{
        "scheduler": ["diffusers", "PNDMScheduler"], "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"], "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"]
    }"#;
    /// What is to be taken of a repository as they are published.
    const WANTED: [&str; 14] = [
        "README.md",
        "model_index.json",
        "scheduler/scheduler_config.json",
        "text_encoder/config.json",
        "text_encoder/model.safetensors",
        "tokenizer/merges.txt",
        "tokenizer/special_tokens_map.json",
        "tokenizer/tokenizer_config.json",
        "tokenizer/vocab.json",
        "unet/config.json",
        "unet/diffusion_pytorch_model-00001-of-00002.safetensors",
        "unet/diffusion_pytorch_model-00002-of-00002.safetensors",
        "unet/diffusion_pytorch_model.safetensors.index.json",
        "vae/config.json",
    ];
    /// What is to be left.
    const UNWANTED: [&str; 14] = [
        ".gitattributes",
        "feature_extractor/preprocessor_config.json",
        "safety_checker/config.json",
        "safety_checker/model.safetensors",
        "text_encoder/flax_model.msgpack",
        "text_encoder/model.fp16.safetensors",
        "text_encoder/model.onnx",
        "text_encoder/pytorch_model.bin",
        "text_encoder/openvino_model.bin",
        "unet/diffusion_pytorch_model.fp16.safetensors",
        "unet/old/config.json",
        "v1-5-pruned-emaonly.safetensors",
        "v1-5-pruned.ckpt",
        "samples/a.png",
    ];
    const VAE: &str = "vae/diffusion_pytorch_model.safetensors";

    fn set(names: &[&[&str]]) -> BTreeSet<String> {
        names.concat().into_iter().map(str::to_string).collect()
    }

    fn select_with_index(names: &BTreeSet<String>) -> Result<Selection, String> {
        select(names, Some(&ModelIndex::parse(INDEX.as_bytes()).unwrap()))
    }

    #[test]
    fn a_folder_gets_what_it_needs_and_nothing_else() {
        let selection = select_with_index(&set(&[&WANTED, &UNWANTED, &[VAE]])).unwrap();
        let mut files = selection.files;
        files.sort();
        let mut expected: Vec<&str> = WANTED.into_iter().chain([VAE]).collect();
        expected.sort_unstable();
        assert_eq!(files, expected);
        assert_eq!(selection.single_file, None);
    }

    #[test]
    fn each_necessary_file_is_missed() {
        let whole = set(&[&WANTED, &[VAE]]);
        for name in WANTED.into_iter().chain([VAE]) {
            let optional = [
                "README.md",
                "model_index.json",
                "tokenizer/special_tokens_map.json",
                "tokenizer/tokenizer_config.json",
            ];
            let mut names = whole.clone();
            names.remove(name);
            let result = select_with_index(&names);
            assert_eq!(
                result.is_ok(),
                optional.contains(&name),
                "{name}: {result:?}"
            );
        }
    }

    #[test]
    fn a_refiner_is_taken_along() {
        let refiner = [
            "refiner/config.json",
            "refiner/diffusion_pytorch_model.safetensors",
        ];
        let files = select_with_index(&set(&[&WANTED, &[VAE], &refiner]))
            .unwrap()
            .files;
        assert!(refiner.iter().all(|name| files.iter().any(|f| f == name)));
    }

    #[test]
    fn one_checkpoint_at_the_top_is_taken() {
        let single = |names: &[&str]| select(&set(&[names]), None).map(|s| s.single_file.unwrap());
        assert_eq!(
            single(&["a.safetensors", "README.md", "x/b.safetensors"]).unwrap(),
            "a.safetensors"
        );
        assert_eq!(single(&["a.ckpt"]).unwrap(), "a.ckpt");
        assert_eq!(
            single(&["a.ckpt", "a.safetensors"]).unwrap(),
            "a.safetensors"
        );
        assert!(
            single(&["a.safetensors", "b.safetensors"])
                .unwrap_err()
                .contains("several")
        );
        assert!(
            single(&["README.md", "x/a.ckpt"])
                .unwrap_err()
                .contains("neither")
        );
    }
}
