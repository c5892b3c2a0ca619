"""Draws the training pictures once and stores their latents, each with several captions already in tokens.

Training then only picks rows of tensors, which keeps a fast GPU busy and costs a CPU nothing.
"""
import json
import random
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import get_context

import torch
from transformers import CLIPTokenizer

from tools.data.captions import usual, write
from tools.data.compose import Painter, Parts
from tools.data.scenes import MIXES, Planner
from tools.data.vocabulary import COLOURS, STYLES, load_things
from tools.train.common import common_arguments, pack_folder, set_up
from tools.train.networks import Codec
from tools.train.parallel import on_all_cores, worker_count
from tools.train.presets import FEWER_THINGS, LESS_TRAINING, PRESETS

# What a caption may state; each is a class the text encoder has to name in training.
FACTS = ("thing", "style", "colour", "second", "object_colour", "count")
NOT_STATED = -100
# What a drawing goes by.
DRAWING = ("thing", "style")
# What makes the caption of a plain picture complete: there is one picture that it can mean.
COMPLETE = (*DRAWING, "colour")
# Pictures painted and encoded at once: few on a processor, enough to keep a graphics card busy.
PAINT_BATCH = {"cpu": 32, "cuda": 256}
CHUNK = 512
MAX_COUNT = 4
# How many of random scenes have a colour of their own, where the preset recolours drawings.
RECOLOURED_SHARE = 0.4


def fact_classes():
    """For each fact, its values in a fixed order."""
    codes = {thing.code: number for number, thing in enumerate(load_things())}
    colours = {name: number for number, name in enumerate(COLOURS)}
    styles = {key: number for number, key in enumerate(STYLES)}
    return dict(thing=codes, style=styles, colour=colours, second=codes, object_colour=colours,
                count={number: number - 1 for number in range(1, MAX_COUNT + 1)})


def mix_of(preset):
    """How often the preset's scenes show what."""
    mix = MIXES[preset.mix]
    return replace(mix, recolour=RECOLOURED_SHARE) if preset.recoloured else mix


def planner_for(preset, parts, split="seen"):
    """A planner of the preset's scenes."""
    return Planner(preset.things(), list(preset.styles), parts.available, mix_of(preset), split, preset.held_out,
                   preset.colours)


@dataclass
class Job:
    """Pictures to plan: so many random ones, or these scenes, of each of which the first caption is the usual one."""

    seed: int
    count: int = 0
    scenes: tuple = ()


def plan_chunk(planner, tokenizer, captions_each, loose, aspect, job):
    """Scenes with the tokens [n, captions, length] and stated facts [n, captions, facts] of their captions."""
    rng, classes = random.Random(job.seed), fact_classes()
    scenes = job.scenes or [planner.draw(rng, aspect=aspect) for _ in range(job.count)]
    captions = [usual(scene) if job.scenes and number == 0 else write(scene, rng, loose)
                for scene in scenes for number in range(captions_each)]
    ids = tokenizer([caption.text for caption in captions], padding="max_length", truncation=True)["input_ids"]
    facts = [[classes[fact].get(caption.stated.get(fact), NOT_STATED) for fact in FACTS] for caption in captions]
    shape = (len(scenes), captions_each, -1)
    return scenes, torch.tensor(ids, dtype=torch.int16).view(shape), torch.tensor(facts, dtype=torch.int16).view(shape)


def jobs_for(planner, preset, count, seed):
    """The pictures of one aspect in chunks: plain ones of every drawing alike, and then recoloured ones; others at random."""
    first = seed * 1_000_003
    if preset.mix != "plain":
        return [Job(first + start, min(CHUNK, count - start)) for start in range(0, count, CHUNK)]
    each = max(1, count // sum(map(len, planner.styles.values())))
    scenes = planner.each_drawing(random.Random(first), each)
    if preset.recoloured:
        scenes += planner.each_drawing(random.Random(first + 1), preset.recoloured, recoloured=True)
    return [Job(first + start, scenes=tuple(scenes[start : start + CHUNK])) for start in range(0, len(scenes), CHUNK)]


def encode_bucket(planner, tokenizer, preset, aspect, count, painter, codec, seed):
    """All pictures of one aspect as latents, tokens and facts."""
    jobs = jobs_for(planner, preset, count, seed)
    latents, tokens, facts = [], [], []
    batch, workers = PAINT_BATCH[codec.device.type], worker_count(codec.device)

    def draw(scenes):
        return codec.encode(painter.paint(scenes, preset.side)).half().cpu()

    # Fresh processes: forked ones wait for ever for threads that torch had here and that did not come along.
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        plans = pool.map(partial(plan_chunk, planner, tokenizer, preset.captions_each, preset.loose, aspect), jobs)
        for scenes, chunk_tokens, chunk_facts in plans:
            tokens.append(chunk_tokens)
            facts.append(chunk_facts)
            parts = [scenes[start : start + batch] for start in range(0, len(scenes), batch)]
            for start in range(0, len(parts), workers):
                latents += on_all_cores(draw, parts[start : start + workers])
    return dict(latents=torch.cat(latents), tokens=torch.cat(tokens), facts=torch.cat(facts))


def give_unit_spread(buckets, config_path):
    """Scales the latents to a standard deviation of 1, which differs with what the pictures show, and tells the autoencoder."""
    everything = torch.cat([bucket["latents"].float().flatten() for bucket in buckets])
    spread = everything.std().item()
    for bucket in buckets:
        bucket["latents"] = (bucket["latents"].float() / spread).half()
    config = json.loads(config_path.read_text())
    config["scaling_factor"] /= spread
    config_path.write_text(json.dumps(config, indent=2) + "\n")


def keep_spread(config_path, first_path):
    """Lets the autoencoder scale latents as the model was used to that training goes on from."""
    config, first = (json.loads(path.read_text()) for path in (config_path, first_path))
    config |= {name: first[name] for name in ("scaling_factor", "shift_factor")}
    config_path.write_text(json.dumps(config, indent=2) + "\n")


@dataclass
class Batch:
    """Clean latents, the tokens of a caption of each, and what it states."""

    latents: torch.Tensor
    tokens: torch.Tensor
    facts: torch.Tensor


def are_complete(facts):
    """Which captions [n, captions] of plain pictures leave nothing open."""
    return (facts[..., [FACTS.index(fact) for fact in COMPLETE]] != NOT_STATED).all(-1)


def drawings(facts):
    """Which drawing each picture shows [n], as numbers from 0, by what captions state [n, captions, facts]."""
    drawn = facts[..., [FACTS.index(fact) for fact in DRAWING]].amax(1)
    return drawn.unique(dim=0, return_inverse=True)[1]


def evenly(facts):
    """How often each picture is to come up [n] for all drawings to do so alike, by what captions state [n, captions, facts]."""
    which = drawings(facts)
    return 1.0 / which.bincount()[which]


class LatentSet:
    """The stored latents on the training device, in one bucket for each aspect."""

    def __init__(self, path, device, seed):
        buckets = torch.load(path, weights_only=True)
        self.buckets = [{name: value.to(device) for name, value in bucket.items()} for bucket in buckets]
        self.sizes = torch.tensor([float(len(bucket["latents"])) for bucket in self.buckets])
        self.generator = torch.Generator(device).manual_seed(seed)
        self.choice = torch.Generator().manual_seed(seed)
        self.weights = None
        self.told = None
        self.device = device

    def weigh(self, weights):
        """Lets pictures come up within their bucket as often as its weights [n] say, instead of all alike."""
        self.weights = weights

    def leave_out_empty(self, end):
        """Draws no more captions that end, with the token `end`, where they begin."""
        self._tell([bucket["tokens"][..., 1] != end for bucket in self.buckets])

    def leave_out_open(self, usual):
        """Draws no more captions that are not complete, and the first, which is the usual one, for this share of the pictures."""
        self._tell([are_complete(bucket["facts"]) for bucket in self.buckets])
        for told in self.told:
            told[:, 0] *= usual / (1 - usual) * told[:, 1:].sum(1).clamp(min=1)

    def _tell(self, wanted):
        """Draws those captions alone for which this is true; a picture that has none keeps all."""
        self.told = [torch.where(captions, 1.0, 1e-6) for captions in wanted]

    def draw(self, count):
        """A random batch of one aspect; every use picks one of the captions anew."""
        number = torch.multinomial(self.sizes, 1, generator=self.choice).item()
        bucket = self.buckets[number]
        amount, captions = bucket["tokens"].shape[:2]
        if self.weights:
            rows = torch.multinomial(self.weights[number], count, replacement=True, generator=self.generator)
        else:
            rows = torch.randint(amount, (count,), generator=self.generator, device=self.device)
        if self.told:
            which = torch.multinomial(self.told[number][rows], 1, generator=self.generator).squeeze(1)
        else:
            which = torch.randint(captions, (count,), generator=self.generator, device=self.device)
        return Batch(bucket["latents"][rows].float(), bucket["tokens"][rows, which].long(),
                     bucket["facts"][rows, which].long())


class CaptionSet:
    """Captions of random scenes with the shape of their latents, where no picture is needed."""

    def __init__(self, preset, parts, tokenizer, device, seed):
        job = Job(seed, preset.pictures)
        _, self.tokens, self.facts = plan_chunk(planner_for(preset, parts), tokenizer, 1, preset.loose, (1, 1), job)
        self.shape = preset.latent_channels, preset.latent_side, preset.latent_side
        self.generator = torch.Generator().manual_seed(seed)
        self.device = device

    def draw(self, count):
        """A random batch; its latents are empty."""
        rows = torch.randint(len(self.tokens), (count,), generator=self.generator)
        return Batch(torch.empty(count, *self.shape, device=self.device), self.tokens[rows, 0].long().to(self.device),
                     self.facts[rows, 0].long().to(self.device))


def main(words=None):
    args = common_arguments(__doc__).parse_args(words)
    preset = PRESETS[args.preset]
    device = set_up(args.seed)
    parts = Parts(pack_folder(args), preset.things(), list(preset.styles))
    config, has_its_spread = args.work / "vae" / "config.json", preset.goes_on_from in (FEWER_THINGS, LESS_TRAINING)
    if has_its_spread:
        keep_spread(config, args.work / "first" / "vae" / "config.json")
    painter, codec = Painter(parts, device), Codec(args.work / "vae", device)
    tokenizer = CLIPTokenizer.from_pretrained(args.work / "tokenizer")
    planner = planner_for(preset, parts)
    buckets = []
    for number, (aspect, share) in enumerate(preset.aspects.items()):
        count = round(share * preset.pictures)
        buckets.append(encode_bucket(planner, tokenizer, preset, aspect, count, painter, codec, args.seed + number))
        stored = buckets[-1]["latents"].float()
        print(f"{aspect}: {list(stored.shape)}, mean {stored.mean():.3f}, spread {stored.std():.3f}", flush=True)
    if not has_its_spread:
        give_unit_spread(buckets, config)
    torch.save(buckets, args.work / "latents.tmp")
    (args.work / "latents.tmp").replace(args.work / "latents.pt")


if __name__ == "__main__":
    main()
