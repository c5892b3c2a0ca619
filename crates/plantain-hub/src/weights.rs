//! One set of weights of the many in which a network may be stored.

use std::collections::BTreeMap;

/// Formats, the best first, with their extension and how diffusers and transformers name files of them.
const FORMATS: [(&str, [&str; 2]); 2] = [
    ("safetensors", ["diffusion_pytorch_model", "model"]),
    ("bin", ["diffusion_pytorch_model", "pytorch_model"]),
];

/// A set of weights. Sets compare as they are preferred: by format, by variant, and whole before in shards.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Set<'a> {
    format: usize,
    rank: Rank,
    variant: &'a str,
    /// How many shards; 0 if it is one file.
    shards: usize,
    stem: &'a str,
}

/// Variants as they are preferred.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Plain,
    Half,
    Other,
    /// Weights of before the averaging over steps, which draw worse.
    NotAveraged,
}

/// What a file is in its set.
#[derive(Debug, PartialEq, Eq)]
enum Part {
    Whole,
    Shard { of: usize },
    Index,
}

#[derive(Debug)]
struct WeightFile<'a> {
    format: usize,
    stem: &'a str,
    variant: &'a str,
    part: Part,
}

/// The files of the best set of weights among `names`, the files in the folder of a network. Names that neither diffusers nor
/// transformers would choose count only where they leave no choice.
pub(crate) fn best<'a>(names: &[&'a str]) -> Option<Vec<&'a str>> {
    let mut sets: BTreeMap<Set<'_>, Vec<&str>> = BTreeMap::new();
    let mut indices: Vec<(WeightFile<'_>, &str)> = Vec::new();
    let mut strangers = Vec::new();
    for name in names {
        match parse(name) {
            Some(file) if file.part == Part::Index => indices.push((file, name)),
            Some(file) => sets.entry(file.set()).or_default().push(name),
            None if is_stranger(name) => strangers.push(*name),
            None => {}
        }
    }
    for (set, mut files) in sets {
        if set.shards == 0 {
            return Some(files);
        }
        let index = indices.iter().find(|(index, _)| {
            (index.format, index.stem, index.variant) == (set.format, set.stem, set.variant)
        });
        if let Some((_, index)) = index
            && files.len() == set.shards
        {
            files.push(index);
            return Some(files);
        }
    }
    (strangers.len() == 1).then_some(strangers)
}

fn is_stranger(name: &str) -> bool {
    let plain = |c: char| c.is_alphanumeric() || "-_.+ ".contains(c);
    name.ends_with(".safetensors") && name.chars().all(plain)
}

impl<'a> WeightFile<'a> {
    fn set(&self) -> Set<'a> {
        let rank = match self.variant {
            "" => Rank::Plain,
            "fp16" => Rank::Half,
            "non_ema" => Rank::NotAveraged,
            _ => Rank::Other,
        };
        Set {
            format: self.format,
            rank,
            variant: self.variant,
            shards: match self.part {
                Part::Shard { of } => of,
                Part::Whole | Part::Index => 0,
            },
            stem: self.stem,
        }
    }
}

/// Takes a name such as `diffusion_pytorch_model-00001-of-00002.fp16.safetensors` apart.
fn parse(name: &str) -> Option<WeightFile<'_>> {
    FORMATS
        .iter()
        .enumerate()
        .find_map(|(format, (extension, stems))| {
            stems.iter().find_map(|stem| {
                let rest = name.strip_prefix(stem)?;
                let (part, variant) = rest_of(rest, extension)?;
                Some(WeightFile {
                    format,
                    stem,
                    variant,
                    part,
                })
            })
        })
}

/// What comes after the stem: variant and shard in any order, or the index, whose variant stands before or after.
fn rest_of<'a>(rest: &'a str, extension: &str) -> Option<(Part, &'a str)> {
    if let Some(index) = rest.strip_suffix(".json") {
        return match index.split_once(&format!(".{extension}.index"))? {
            (variant, "") | ("", variant) => Some((Part::Index, variant_in(variant)?)),
            _ => None,
        };
    }
    let rest = rest.strip_suffix(extension)?.strip_suffix('.')?;
    let Some((left, right)) = rest.split_once("-of-") else {
        return Some((Part::Whole, variant_in(rest)?));
    };
    let (before, number) = left.rsplit_once('-')?;
    let (count, after) = right.split_at(right.find('.').unwrap_or(right.len()));
    let variant = match (before, after) {
        (variant, "") | ("", variant) => variant_in(variant)?,
        _ => return None,
    };
    let (number, count): (usize, usize) = (number.parse().ok()?, count.parse().ok()?);
    (1..=count)
        .contains(&number)
        .then_some((Part::Shard { of: count }, variant))
}

/// The variant in "" or ".fp16".
fn variant_in(text: &str) -> Option<&str> {
    if text.is_empty() {
        return Some("");
    }
    let variant = text.strip_prefix('.')?;
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    (!variant.is_empty() && variant.chars().all(plain)).then_some(variant)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(names: &[&str]) -> Option<Vec<String>> {
        let mut files: Vec<String> = best(names)?.into_iter().map(str::to_string).collect();
        files.sort();
        Some(files)
    }

    fn one(name: &str) -> Option<Vec<String>> {
        Some(vec![name.to_string()])
    }

    #[test]
    fn safetensors_come_before_bin_and_plain_before_half() {
        let mut names = vec![
            "diffusion_flax_model.msgpack",
            "openvino_model.bin",
            "diffusion_pytorch_model.non_ema.bin",
            "diffusion_pytorch_model.fp16.bin",
            "diffusion_pytorch_model.bin",
            "diffusion_pytorch_model.non_ema.safetensors",
            "diffusion_pytorch_model.bf16.safetensors",
            "diffusion_pytorch_model.fp16.safetensors",
            "diffusion_pytorch_model.safetensors",
        ];
        // Whatever is best is taken away, and the next best must follow.
        for expected in [
            "diffusion_pytorch_model.safetensors",
            "diffusion_pytorch_model.fp16.safetensors",
            "diffusion_pytorch_model.bf16.safetensors",
            "diffusion_pytorch_model.non_ema.safetensors",
            "diffusion_pytorch_model.bin",
            "diffusion_pytorch_model.fp16.bin",
            "diffusion_pytorch_model.non_ema.bin",
        ] {
            assert_eq!(chosen(&names), one(expected));
            names.retain(|name| *name != expected);
        }
        assert_eq!(chosen(&names), None);
    }

    #[test]
    fn shards_come_with_their_index() {
        for [first, second, index] in [
            [
                "model-00001-of-00002.safetensors",
                "model-00002-of-00002.safetensors",
                "model.safetensors.index.json",
            ],
            [
                "model-00001-of-00002.fp16.safetensors",
                "model-00002-of-00002.fp16.safetensors",
                "model.safetensors.index.fp16.json",
            ],
            [
                "model.fp16-00001-of-00002.safetensors",
                "model.fp16-00002-of-00002.safetensors",
                "model.fp16.safetensors.index.json",
            ],
            [
                "pytorch_model-00001-of-00002.bin",
                "pytorch_model-00002-of-00002.bin",
                "pytorch_model.bin.index.json",
            ],
        ] {
            let all = chosen(&[first, second, index]).unwrap();
            assert_eq!(all.len(), 3);
            for lacking in [[first, second], [first, index]] {
                assert_eq!(chosen(&lacking), None, "{lacking:?}");
            }
            assert_eq!(
                chosen(&[first, index, "pytorch_model.bin"]),
                one("pytorch_model.bin")
            );
        }
    }

    #[test]
    fn one_file_is_preferred_to_shards() {
        let names = [
            "model-00001-of-00001.safetensors",
            "model.safetensors.index.json",
            "model.safetensors",
        ];
        assert_eq!(chosen(&names), one("model.safetensors"));
    }

    #[test]
    fn a_strange_name_is_taken_only_without_a_choice() {
        assert_eq!(chosen(&["mine.safetensors"]), one("mine.safetensors"));
        assert_eq!(chosen(&["mine.safetensors", "yours.safetensors"]), None);
        assert_eq!(
            chosen(&["mine.safetensors", "pytorch_model.bin"]),
            one("pytorch_model.bin")
        );
        assert_eq!(
            chosen(&[
                "model-00003-of-00002.safetensors.x",
                "model.onnx",
                "a:b.safetensors"
            ]),
            None
        );
    }
}
