//! CLIP tokenizers: `tokenizer.json` as it is, or built from `vocab.json` and `merges.txt`.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use super::files::{read_json, read_text};
use crate::error::ReadError;
use crate::manifest::TokenizerInfo;

const START: &str = "<|startoftext|>";
const END: &str = "<|endoftext|>";

/// CLIP's word split (source: transformers `tokenization_clip.py`).
const WORDS: &str =
    r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+";

/// The tokenizer of `folder` as JSON of the `tokenizers` crate and how to pad its sequences, at
/// most to `longest` tokens; `None` when there is no such folder.
pub(super) fn read(
    folder: &Path,
    longest: usize,
) -> Result<Option<(String, TokenizerInfo)>, ReadError> {
    if !folder.is_dir() {
        return Ok(None);
    }
    let config = optional_object(&folder.join("tokenizer_config.json"))?;
    let special = optional_object(&folder.join("special_tokens_map.json"))?;
    let pad = pad_token(&config, &special);
    let unusable = |reason: String| ReadError::Tokenizer {
        origin: folder.display().to_string(),
        reason,
    };
    let mut tokenizer = if folder.join("tokenizer.json").exists() {
        read_json::<Value>(&folder.join("tokenizer.json"))?
    } else if folder.join("vocab.json").exists() {
        let vocabulary = read_json(&folder.join("vocab.json"))?;
        let merges = read_text(&folder.join("merges.txt"))?;
        build(&vocabulary, &merges, pad).map_err(unusable)?
    } else {
        let reason = "there is neither tokenizer.json nor vocab.json with merges.txt";
        return Err(unusable(reason.to_string()));
    };
    // The pipeline pads and truncates, to the length of the text encoder.
    if let Value::Object(fields) = &mut tokenizer {
        fields.insert("padding".to_string(), Value::Null);
        fields.insert("truncation".to_string(), Value::Null);
    }
    let json = tokenizer.to_string();
    let built = parse(&json).map_err(unusable)?;
    let pad_token_id = built.token_to_id(pad).ok_or_else(|| {
        unusable(format!(
            "the padding token `{pad}` is not in the vocabulary"
        ))
    })?;
    let info = TokenizerInfo {
        pad_token_id,
        max_length: max_length(&config, longest),
        embeddings: Vec::new(),
    };
    Ok(Some((json, info)))
}

/// The files of a tokenizer that are in `folder`.
pub(super) fn files(folder: &Path) -> Vec<PathBuf> {
    const FILES: [&str; 5] = [
        "tokenizer.json",
        "vocab.json",
        "merges.txt",
        "tokenizer_config.json",
        "special_tokens_map.json",
    ];
    let files = FILES.map(|file| folder.join(file)).into_iter();
    files.filter(|path| path.exists()).collect()
}

/// The merges of CLIP's own tokenizer, which all of Stable Diffusion 1 and 2 use.
const CLIP_MERGES: &str = include_str!("../../../../weights/clip-merges.txt");
/// Tokens of CLIP's vocabulary.
pub(super) const CLIP_VOCABULARY: usize = 49408;

/// CLIP's own tokenizer for sequences of `longest` tokens. Stable Diffusion 2 pads with the first token instead of the last.
pub(super) fn clip(
    pad_with_first: bool,
    longest: usize,
) -> Result<(String, TokenizerInfo), ReadError> {
    let pad = if pad_with_first { "!" } else { END };
    let unusable = |reason| ReadError::Tokenizer {
        origin: "CLIP's vocabulary".to_string(),
        reason,
    };
    let vocabulary = clip_vocabulary();
    let json = build(&vocabulary, CLIP_MERGES, pad).map_err(unusable)?;
    let info = TokenizerInfo {
        pad_token_id: vocabulary[pad],
        max_length: longest,
        embeddings: Vec::new(),
    };
    Ok((json.to_string(), info))
}

/// The tokens in the order in which CLIP numbers them: single bytes, single bytes at the end of a word, merges, and the two
/// marks.
fn clip_vocabulary() -> HashMap<String, u32> {
    let bytes = byte_symbols();
    let ends = bytes.iter().map(|symbol| format!("{symbol}</w>"));
    let merges = CLIP_MERGES.lines().map(|line| line.replace(' ', ""));
    let marks = [START, END].map(str::to_string);
    let tokens = bytes.iter().map(char::to_string).chain(ends);
    tokens.chain(merges).chain(marks).zip(0..).collect()
}

/// The characters that stand for the 256 bytes in byte-level vocabularies: those that can be printed stand for themselves and
/// come first (source: GPT-2's `encoder.py`).
fn byte_symbols() -> Vec<char> {
    let printable = || ('!'..='~').chain('¡'..='¬').chain('®'..='ÿ');
    let others = (256u32..).filter_map(char::from_u32);
    printable().chain(others).take(256).collect()
}

/// Checks that `json` is a tokenizer that can be built.
pub(crate) fn check(json: &str) -> Result<(), String> {
    parse(json).map(drop)
}

fn parse(json: &str) -> Result<tokenizers::Tokenizer, String> {
    // The tokenizers crate panics on some texts that are no JSON.
    serde_json::from_str::<serde::de::IgnoredAny>(json).map_err(|e| e.to_string())?;
    json.parse().map_err(|e: tokenizers::Error| e.to_string())
}

fn optional_object(path: &Path) -> Result<Map<String, Value>, ReadError> {
    if path.exists() {
        read_json(path)
    } else {
        Ok(Map::new())
    }
}

/// The token that fills up prompts. Where `tokenizer_config.json` does not list the added tokens
/// (repositories of before 2023), `special_tokens_map.json` has the last word, as in transformers.
fn pad_token<'a>(config: &'a Map<String, Value>, special: &'a Map<String, Value>) -> &'a str {
    let [first, second] = if config.contains_key("added_tokens_decoder") {
        [config, special]
    } else {
        [special, config]
    };
    token(first).or_else(|| token(second)).unwrap_or(END)
}

fn token(fields: &Map<String, Value>) -> Option<&str> {
    let value = fields.get("pad_token")?;
    value.as_str().or_else(|| value.get("content")?.as_str())
}

/// `model_max_length` is a huge number in some repositories.
fn max_length(config: &Map<String, Value>, longest: usize) -> usize {
    config
        .get("model_max_length")
        .and_then(Value::as_u64)
        .and_then(|n| usize::try_from(n).ok())
        .filter(|&n| n >= 2)
        .map_or(longest, |n| n.min(longest))
}

/// The tokenizer that transformers' `CLIPTokenizer` builds from the same files.
fn build(vocabulary: &HashMap<String, u32>, merges: &str, pad: &str) -> Result<Value, String> {
    let id = |token: &str| {
        let id = vocabulary.get(token).copied();
        id.ok_or_else(|| format!("`{token}` is not in vocab.json"))
    };
    let (start, end) = (id(START)?, id(END)?);
    let mut special = vec![(start, START), (end, END)];
    if pad != START && pad != END {
        special.push((id(pad)?, pad));
    }
    special.sort_unstable();
    let added: Vec<_> = special
        .into_iter()
        .map(|(id, content)| {
            json!({"id": id, "content": content, "single_word": false, "lstrip": false,
                "rstrip": false, "normalized": false, "special": true})
        })
        .collect();
    let merges = merges
        .lines()
        .filter(|line| !line.starts_with("#version") && !line.is_empty())
        .map(|line| {
            let pair = line.split_once(' ');
            pair.map(|(a, b)| [a, b])
                .ok_or_else(|| format!("merges.txt: `{line}` is not a pair"))
        })
        .collect::<Result<Vec<_>, _>>()?;
    Ok(json!({
        "version": "1.0",
        "added_tokens": added,
        "normalizer": {"type": "Sequence", "normalizers": [
            {"type": "NFC"},
            {"type": "Replace", "pattern": {"Regex": r"\s+"}, "content": " "},
            {"type": "Lowercase"},
        ]},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": WORDS}, "behavior": "Removed", "invert": true},
            {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
        ]},
        "post_processor": {"type": "RobertaProcessing", "sep": [END, end], "cls": [START, start],
            "trim_offsets": false, "add_prefix_space": false},
        "decoder": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true},
        "model": {"type": "BPE", "dropout": null, "unk_token": END, "continuing_subword_prefix": "",
            "end_of_word_suffix": "</w>", "fuse_unk": false, "byte_fallback": false,
            "ignore_merges": false, "vocab": vocabulary, "merges": merges},
    }))
}
