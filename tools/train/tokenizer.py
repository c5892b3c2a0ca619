"""Trains the small byte-pair vocabulary on our own captions and saves it in CLIP's layout.

Where training goes on from a model that knows fewer things, its vocabulary stays and only grows. Most of what it has read is
cut into the same tokens as before; where new tokens occur in it, it is cut anew.
"""
import json
import random
from collections import Counter
from pathlib import Path

from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers
from transformers import CLIPTokenizer

from tools.data.captions import write
from tools.data.scenes import MIXES, Planner
from tools.data.vocabulary import STYLES, load_things
from tools.train.common import common_arguments
from tools.train.networks import MAX_TOKENS
from tools.train.presets import FEWER_THINGS, PRESETS

CAPTIONS = 40_000
START, END = "<|startoftext|>", "<|endoftext|>"
WORD_END = "</w>"
WORDS = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"


def sample_captions(count, loose, rng):
    """Random captions of everything that can be drawn, whatever the preset, a share of them loose, and every name once."""
    things = load_things()
    everything = {(thing.code, style) for thing in things for style in STYLES}
    planner = Planner(things, list(STYLES), everything, MIXES["full"], "seen")
    for thing in things:
        yield from (*thing.names, thing.plural)
    for _ in range(count):
        yield write(planner.draw(rng), rng, loose).text


def train(captions, size):
    """Merges and vocabulary learned from the captions."""
    tokenizer = Tokenizer(models.BPE(unk_token=END, end_of_word_suffix=WORD_END, continuing_subword_prefix=""))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(WORDS), behavior="removed", invert=True),
        pre_tokenizers.ByteLevel(add_prefix_space=False),
    ])
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=size, initial_alphabet=alphabet, end_of_word_suffix=WORD_END, show_progress=False
    )
    tokenizer.train_from_iterator(captions, trainer)
    merges = json.loads(tokenizer.to_str())["model"]["merges"]
    return alphabet, [tuple(m) if isinstance(m, list) else tuple(m.split(" ")) for m in merges]


def words_in(captions, tokenizer):
    """How often each word occurs, by the pieces that it is cut into."""
    words, word = Counter(), []
    for caption in captions:
        for piece in tokenizer.tokenize(caption):
            word.append(piece)
            if piece.endswith(WORD_END):
                words[tuple(word)] += 1
                word = []
    return words


def joined(word, pair):
    """The pieces of a word with every occurrence of the pair joined."""
    pieces = []
    for piece in word:
        if pieces and (pieces[-1], piece) == pair:
            pieces[-1] += piece
        else:
            pieces.append(piece)
    return tuple(pieces)


def more_merges(words, count):
    """The merges that byte-pair encoding would go on with (Sennrich et al., 2016): each time the most frequent pair."""
    merges = []
    while len(merges) < count:
        pairs = Counter()
        for word, times in words.items():
            for pair in zip(word, word[1:]):
                pairs[pair] += times
        if not pairs:
            break
        merges.append(max(pairs, key=lambda pair: (pairs[pair], pair)))
        grown = Counter()
        for word, times in words.items():
            grown[joined(word, merges[-1])] += times
        words = grown
    return merges


def alphabet_of(vocabulary, merges):
    """The letters of a vocabulary in CLIP's order, which begins with them."""
    return sorted(vocabulary, key=vocabulary.get)[: (len(vocabulary) - len(merges) - 2) // 2]


def grow(known, captions, size):
    """Alphabet and merges of a vocabulary of `size` that begins with those of the known tokenizer."""
    stored = json.loads(known.backend_tokenizer.to_str())["model"]
    merges = [tuple(merge) for merge in stored["merges"]]
    return alphabet_of(stored["vocab"], merges), merges + more_merges(words_in(captions, known), size - len(stored["vocab"]))


def save(alphabet, merges, folder, length=MAX_TOKENS):
    """vocab.json in CLIP's order (letters, word-final letters, merges, specials), merges.txt, tokenizer.json."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    tokens = alphabet + [letter + WORD_END for letter in alphabet]
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
    preset = PRESETS[args.preset]
    captions = sample_captions(CAPTIONS, preset.loose, random.Random(args.seed))
    if preset.goes_on_from == FEWER_THINGS:
        known = CLIPTokenizer.from_pretrained(args.work / "first" / "tokenizer")
        learned = grow(known, captions, preset.vocabulary)
    else:
        learned = train(captions, preset.vocabulary)
    tokenizer = save(*learned, args.work / "tokenizer")
    print(len(tokenizer), "tokens;", tokenizer.tokenize("a red fox, 3d render, on a teal background"))


if __name__ == "__main__":
    main()
