//! Chunks, weights and embeddings against AUTOMATIC1111's code; see `tests/reference/prompts.py`.

use std::path::{Path, PathBuf};

use burn::tensor::Device;
use plantain_weights::{Target, Tensors, read_tensors};
use serde_json::Value;

use super::*;
use crate::text_input::TextInput;

/// Six layers of f32 arithmetic in another order.
const TOLERANCE: f32 = 2e-5;

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/prompts")
}

fn json(file: &str) -> Value {
    serde_json::from_str(&std::fs::read_to_string(fixtures().join(file)).unwrap()).unwrap()
}

fn expected(file: &str) -> Tensors {
    read_tensors(&fixtures().join(file)).unwrap()
}

fn model() -> Model {
    Model::open(&fixtures().join("model")).unwrap()
}

/// The states of `prompt`, row by row.
fn states(model: &Model, prompt: &str) -> Vec<f32> {
    let tokens = PromptTokenizer::new(model).unwrap().read(prompt).unwrap();
    let encoder = model
        .load_text_encoder(&Target::stock(Device::flex()))
        .unwrap();
    let input = TextInput::encode(&encoder, &tokens).unwrap();
    input.states.into_data().try_to_vec().unwrap()
}

#[track_caller]
fn assert_close(actual: &[f32], expected: &[f32], what: &str) {
    assert_eq!(actual.len(), expected.len(), "{what}");
    let error = actual.iter().zip(expected).map(|(a, b)| (a - b).abs());
    let worst = error.fold(0.0, f32::max);
    assert!(worst < TOLERANCE, "{what}: {worst}");
}

#[test]
fn chunks_and_weights_are_the_web_interfaces() {
    let (model, expected) = (model(), expected("states.safetensors"));
    let tokenizer = PromptTokenizer::new(&model).unwrap();
    for (i, prompt) in json("states.json").as_array().unwrap().iter().enumerate() {
        let prompt = prompt.as_str().unwrap();
        // There, BREAK within brackets becomes words of negative weight.
        if prompt == "(a red BREAK circle:1.2)" {
            continue;
        }
        let read = tokenizer.read(prompt).unwrap();
        let ids = read.chunks.iter().flat_map(|chunk| &chunk.ids);
        let ids: Vec<f32> = ids.map(|id| *id as f32).collect();
        assert_eq!(
            ids,
            expected[&format!("webui.{i}.input_ids")].values,
            "{prompt}"
        );
        let weights = read.chunks.iter().flat_map(|chunk| chunk.weights.clone());
        let weights: Vec<f32> = weights.collect();
        assert_close(
            &weights,
            &expected[&format!("webui.{i}.weights")].values,
            prompt,
        );
        let states = states(&model, prompt);
        assert_close(
            &states,
            &expected[&format!("webui.{i}.states")].values,
            prompt,
        );
    }
}

#[test]
fn what_pads_comes_after_the_end() {
    let json = json("states.json");
    let expected = expected("states.safetensors");
    let folder = tempfile::tempdir().unwrap();
    for part in ["text_encoder", "tokenizer"] {
        std::fs::create_dir(folder.path().join(part)).unwrap();
        for file in std::fs::read_dir(fixtures().join("model").join(part)).unwrap() {
            let file = file.unwrap();
            std::fs::copy(file.path(), folder.path().join(part).join(file.file_name())).unwrap();
        }
    }
    let special = folder.path().join("tokenizer/special_tokens_map.json");
    std::fs::write(special, r#"{"pad_token": "!"}"#).unwrap();
    let model = Model::open(folder.path()).unwrap();
    let tokenizer = PromptTokenizer::new(&model).unwrap();
    for i in [1, 3, 8] {
        let prompt = json[i].as_str().unwrap();
        let read = tokenizer.read(prompt).unwrap();
        let ids = read.chunks.iter().flat_map(|chunk| &chunk.ids);
        let ids: Vec<f32> = ids.map(|id| *id as f32).collect();
        assert_eq!(
            ids,
            expected[&format!("webui-pad-0.{i}.input_ids")].values,
            "{prompt}"
        );
    }
}

#[test]
fn a_prompt_is_padded_to_the_length_of_another() {
    let model = model();
    let tokenizer = PromptTokenizer::new(&model).unwrap();
    let mut read = tokenizer.read("a cat").unwrap();
    tokenizer.pad_to(3, &mut read);
    assert_eq!(read.chunks.len(), 3);
    assert_eq!(read.chunks[1], tokenizer.read("").unwrap().chunks[0]);
    assert_eq!(read.cut, "");
}

#[test]
fn what_is_too_long_is_cut_and_named() {
    let model = model();
    let tokenizer = PromptTokenizer::new(&model).unwrap();
    let words = "a ".repeat(14 * MAX_CHUNKS);
    let read = tokenizer.read(&format!("{words}red circle")).unwrap();
    assert_eq!(read.chunks.len(), MAX_CHUNKS);
    assert_eq!(read.cut, "red circle");
    // What follows the last comma has nowhere to move to.
    let words = format!("{}, a a a ", "a ".repeat(14 * MAX_CHUNKS - 4));
    let read = tokenizer.read(&format!("{words}red circle")).unwrap();
    let last = read.chunks.last().unwrap();
    assert_eq!(read.chunks.len(), MAX_CHUNKS);
    assert!(last.ids[..15].iter().all(|id| *id != tokenizer.end));
    assert_eq!(read.cut, "red circle");
}

#[test]
fn embeddings_are_words_of_the_prompt() {
    let expected = expected("embeddings.safetensors");
    for (i, case) in json("embeddings.json")
        .as_array()
        .unwrap()
        .iter()
        .enumerate()
    {
        let (file, prompt) = (
            case["file"].as_str().unwrap(),
            case["prompt"].as_str().unwrap(),
        );
        let path = fixtures().join("embeddings").join(file);
        let model = model().with_embedding(&path).unwrap();
        let what = format!("{file}: {prompt}");
        let states = states(&model, prompt);
        assert_close(&states, &expected[&format!("{i}.states")].values, &what);
    }
}
