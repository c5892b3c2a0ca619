"""Trains the small byte-pair vocabulary on our own captions and saves it in CLIP's layout."""
import json
import random
from pathlib import Path

from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers
from transformers import CLIPTokenizer

from tools.data.captions import write
from tools.data.scenes import MIXES, Planner
from tools.data.vocabulary import STYLES, load_things
from tools.train.common import common_arguments
from tools.train.networks import MAX_TOKENS
from tools.train.presets import PRESETS

CAPTIONS = 40_000
START, END = "<|startoftext|>", "<|endoftext|>"
WORDS = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"


def sample_captions(count, rng):
    """Random captions of everything that can be drawn, whatever the preset, and every name once."""
    things = load_things()
    everything = {(thing.code, style) for thing in things for style in STYLES}
    planner = Planner(things, list(STYLES), everything, MIXES["full"], "seen")
    for thing in things:
        yield from (*thing.names, thing.plural)
    for _ in range(count):
        yield write(planner.draw(rng), rng).text


def train(captions, size):
    """Merges and vocabulary learned from the captions."""
    tokenizer = Tokenizer(models.BPE(unk_token=END, end_of_word_suffix="</w>", continuing_subword_prefix=""))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(WORDS), behavior="removed", invert=True),
        pre_tokenizers.ByteLevel(add_prefix_space=False),
    ])
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=size, initial_alphabet=alphabet, end_of_word_suffix="</w>", show_progress=False
    )
    tokenizer.train_from_iterator(captions, trainer)
    merges = json.loads(tokenizer.to_str())["model"]["merges"]
    return alphabet, [tuple(m) if isinstance(m, list) else tuple(m.split(" ")) for m in merges]


def save(alphabet, merges, folder, length=MAX_TOKENS):
    """vocab.json in CLIP's order (letters, word-final letters, merges, specials), merges.txt, tokenizer.json."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    tokens = alphabet + [letter + "</w>" for letter in alphabet]
    tokens += ["".join(merge) for merge in merges] + [START, END]
    vocabulary = {token: number for number, token in enumerate(dict.fromkeys(tokens))}
    (folder / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False))
    lines = ["#version: 0.2"] + [" ".join(merge) for merge in merges]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n")
    tokenizer = CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"), model_max_length=length)
    tokenizer.save_pretrained(folder)
    return tokenizer


def main(words=None):
    args = common_arguments(__doc__).parse_args(words)
    captions = sample_captions(CAPTIONS, random.Random(args.seed))
    tokenizer = save(*train(captions, PRESETS[args.preset].vocabulary), args.work / "tokenizer")
    print(len(tokenizer), "tokens;", tokenizer.tokenize("a red fox, 3d render, on a teal background"))


if __name__ == "__main__":
    main()
