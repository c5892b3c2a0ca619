//! Models of which something is changed.

use std::fs;
use std::path::Path;

use plantain::Model;
use plantain::weights::{read_tensors, write_tensors};
use tempfile::TempDir;

/// A copy of the model in `folder` in which tensors of one part, a folder, are multiplied.
pub(crate) fn scaled(folder: &Path, part: &str, factors: &[(&str, f32)]) -> (TempDir, Model) {
    let copy = tempfile::tempdir().unwrap();
    copy_folder(folder, copy.path());
    let names = ["diffusion_pytorch_model.safetensors", "model.safetensors"];
    let mut files = names
        .map(|name| copy.path().join(part).join(name))
        .into_iter();
    let weights = files.find(|file| file.exists()).unwrap();
    let mut tensors = read_tensors(&weights).unwrap();
    for (name, factor) in factors {
        let values = &mut tensors.get_mut(*name).unwrap().values;
        values.iter_mut().for_each(|value| *value *= factor);
    }
    write_tensors(&weights, &tensors).unwrap();
    let model = Model::open(copy.path()).unwrap();
    (copy, model)
}

fn copy_folder(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let copy = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            fs::create_dir(&copy).unwrap();
            copy_folder(&entry.path(), &copy);
        } else {
            fs::copy(entry.path(), copy).unwrap();
        }
    }
}
