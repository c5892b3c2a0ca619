"""Measures a trained encoder, and shows what can be drawn from pictures with it.

    python -m tools.eval.encoder --preset warm [--photo FILE ...]

Writes WORK/encoder/report.json and sheets. The encoder stands beside the best latents that there are for some pictures,
found by descent, which tell what the decoder alone costs; and beside latents that are linear in the colours of the
squares that they stand for, which tell what little would do. Then drawings that were never trained on are drawn again by
the teacher with other captions.
"""
import json
import zlib
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from tools.data.scenes import Backdrop, Figure, Scene
from tools.data.shapes import rgb
from tools.data.vocabulary import STYLES, Thing
from tools.data.words import with_article
from tools.eval.contact_sheet import lay_out
from tools.train.autoencoder import psnr
from tools.train.common import common_arguments, on_all_cores, save_grid, set_up, worker_count
from tools.train.encoder import World, relative_error, sampled_latents
from tools.train.networks import Codec, Generator, noise_for
from tools.train.presets import PRESETS

COUNT = 64
BATCH = 4
DESCENT_COUNT, DESCENT_STEPS, DESCENT_RATE = 8, 150, 0.03
STRENGTHS = (0.3, 0.5, 0.7, 0.85)
STEPS = (6, 12)
GUIDANCE = 1.5
REDRAWN = 24
# How large the drawings are in training, and how small they are compared.
SIZE, SMALL = 0.83, 32
SHOWN = 8
SEED = 7


def in_parts(function, batch):
    """What a function makes of a batch, a few rows at a time on all cores."""
    width = worker_count(batch.device)
    parts = batch.split(BATCH)
    made = [one for k in range(0, len(parts), width) for one in on_all_cores(function, parts[k : k + width])]
    return torch.cat(made)


class Colours:
    """Latents as the best linear function of the mean colour of the square of pixels that each stands for."""

    def __init__(self, pictures, latents):
        self.square = pictures.shape[-1] // latents.shape[-1]
        self.map = torch.linalg.lstsq(self.features(pictures).flatten(0, 2), latents.movedim(1, -1).flatten(0, 2)).solution

    def features(self, pictures):
        means = F.avg_pool2d(pictures, self.square)
        return torch.cat([means, torch.ones_like(means[:, :1])], 1).movedim(1, -1)

    def __call__(self, pictures):
        return (self.features(pictures) @ self.map).movedim(-1, 1)


def descended(codec, pictures, start):
    """Latents whose pictures are as close as descent finds them, from given ones on."""
    latents = start.clone().requires_grad_(True)
    optimizer = torch.optim.Adam([latents], DESCENT_RATE)
    for step in range(DESCENT_STEPS):
        optimizer.param_groups[0]["lr"] = DESCENT_RATE * (1 - 0.9 * step / DESCENT_STEPS)
        optimizer.zero_grad()
        (codec.decode_differentiably(latents) - pictures).pow(2).sum().backward()
        optimizer.step()
    return latents.detach()


def agreement(pictures, others):
    """Mean and least agreement of two rows of pictures, in dB."""
    values = psnr((pictures - others).pow(2).mean((1, 2, 3)))
    return dict(mean=round(values.mean().item(), 2), worst=round(values.min().item(), 2))


def judge_pictures(codec, encoders, pictures):
    return {name: agreement(in_parts(codec.decode, in_parts(encode, pictures)), pictures)
            for name, encode in encoders.items()}


def judge_latents(codec, encoders, latents):
    """How far latents are from those found in their own pictures, relative to their length."""
    pictures = in_parts(codec.decode, latents)
    errors = {name: relative_error(in_parts(encode, pictures), latents) for name, encode in encoders.items()}
    return {name: dict(mean=round(error.mean().item(), 4), worst=round(error.max().item(), 4))
            for name, error in errors.items()}


def judge_limit(codec, pictures, path):
    """The encoder and descent on the same pictures, with a sheet of originals, copies and best copies."""
    first = in_parts(codec.encode, pictures)
    best = torch.cat(on_all_cores(lambda part: descended(codec, *part), list(zip(
        pictures.split(BATCH), first.split(BATCH)))))
    copies, limit = in_parts(codec.decode, first), in_parts(codec.decode, best)
    save_grid(torch.stack([pictures, copies, limit], 1).flatten(0, 1), path, 3 * min(4, len(pictures)))
    return dict(encoder=agreement(copies, pictures), descent=agreement(limit, pictures),
                moved=round(relative_error(first, best).mean().item(), 4))


@dataclass(frozen=True)
class Wish:
    """What a caption asks for."""

    thing: Thing
    style: str
    colour: str

    @property
    def caption(self):
        style, colour = STYLES[self.style][0], with_article(self.colour)
        return f"{with_article(self.thing.name, self.thing.article)}, {style}, on {colour} background"


def other_of(options, current, salt):
    """One of the other options, always the same."""
    others = [option for option in options if option != current]
    return others[zlib.crc32(salt.encode()) % len(others)]


def wishes(scene, preset):
    """What the scene shows, and the same with one other thing of it each."""
    shown = Wish(scene.figures[0].thing, scene.style, scene.backdrop.colours[0])
    salt = shown.caption
    return {
        "same": shown,
        "colour": replace(shown, colour=other_of(preset.colours, shown.colour, salt)),
        "style": replace(shown, style=other_of(preset.styles, shown.style, salt)),
        "thing": replace(shown, thing=other_of(preset.things(), shown.thing, salt)),
    }


class Drawings:
    """All drawings that the model knows, small, on a ground of each colour."""

    def __init__(self, painter, preset):
        self.painter = painter
        self.all = [(thing, style) for thing in preset.things() for style in preset.styles]
        self.on = lru_cache(self.on)

    def on(self, colour):
        scenes = [Scene("single", style, (Figure(thing, style, 0.5, 0.5, SIZE),), Backdrop("plain", (colour,)))
                  for thing, style in self.all]
        return self.painter.paint(scenes, SMALL).flatten(1)

    def closest(self, picture, colour):
        """The thing and the style of the drawing most like a picture."""
        small = F.interpolate(picture[None], size=SMALL, mode="area").flatten(1)
        return self.all[(self.on(colour) - small).pow(2).sum(1).argmin().item()]


def grounds(pictures, preset):
    """The named colour closest to the rim of each picture."""
    rim = torch.cat([pictures[..., 0, :], pictures[..., -1, :], pictures[..., 0], pictures[..., -1]], -1)
    middle = (rim.median(-1).values + 1) / 2
    return torch.cdist(middle, rgb(preset.colours, "cpu")).argmin(1)


class Redrawing:
    """Draws held-out drawings again with other captions."""

    def __init__(self, generator, codec, preset, painter, scenes, pictures):
        self.generator, self.codec, self.preset = generator, codec, preset
        self.pictures, self.latents = pictures, in_parts(codec.encode, pictures)
        self.wishes = [wishes(scene, preset) for scene in scenes]
        self.drawings = Drawings(painter, preset)
        self.noise = noise_for(range(SEED, SEED + len(scenes)), *self.latents.shape[1:])

    def draw(self, latents, captions, strength, steps):
        """Pictures of latents drawn again."""
        tokens = self.generator.token_ids(captions)
        parts = list(zip(tokens.split(BATCH), latents.split(BATCH), self.noise.split(BATCH)))
        width = worker_count(self.codec.device)
        made = [one for k in range(0, len(parts), width) for one in on_all_cores(
            lambda part: self.generator.redraw(*part, strength, steps, GUIDANCE), parts[k : k + width])]
        return in_parts(self.codec.decode, torch.cat(made))

    def counts(self, made, asked):
        """How many pictures show the thing, the style and the ground that were asked for."""
        closest = [self.drawings.closest(picture, wish.colour) for picture, wish in zip(made, asked)]
        things = sum(thing == wish.thing for (thing, _), wish in zip(closest, asked))
        styles = sum(style == wish.style for (_, style), wish in zip(closest, asked))
        found = [self.preset.colours[row] for row in grounds(made, self.preset)]
        colours = sum(colour == wish.colour for colour, wish in zip(found, asked))
        return dict(thing=things, style=styles, ground=colours, of=len(asked))

    def judge(self, change, steps, folder):
        """For each strength, how close the drawings stay and what they show; and a sheet, the originals first."""
        asked = [each[change] for each in self.wishes]
        captions = [wish.caption for wish in asked]
        numbers, shown = {}, [self.pictures[:SHOWN]]
        for strength in STRENGTHS:
            made = self.draw(self.latents, captions, strength, steps)
            numbers[strength] = agreement(made, self.pictures) | self.counts(made, asked)
            shown.append(made[:SHOWN])
        lay_out(torch.cat(shown), captions[:SHOWN] * len(shown)).save(folder / f"{change}_{steps}.png")
        return numbers

    def familiar(self, latents, strength, steps):
        """Agreement of what is drawn from sampled latents and from those found in their pictures."""
        found = in_parts(self.codec.encode, in_parts(self.codec.decode, latents))
        captions = [""] * len(latents)
        return agreement(self.draw(latents, captions, strength, steps), self.draw(found, captions, strength, steps))


def photo(path, side):
    """The middle of a photograph."""
    image = Image.open(path).convert("RGB")
    least = min(image.size)
    left, top = (image.width - least) // 2, (image.height - least) // 2
    small = image.crop((left, top, left + least, top + least)).resize((side, side), Image.Resampling.LANCZOS)
    return torch.from_numpy(np.array(small)).permute(2, 0, 1).float()[None] / 127.5 - 1


def main():
    parser = common_arguments(__doc__)
    parser.add_argument("--photo", nargs="*", default=[], help="pictures of another kind to encode as well")
    args = parser.parse_args()
    preset, device = PRESETS[args.preset], set_up(args.seed)
    folder = args.work / "encoder"
    codec, world = Codec(folder / "vae", device), World(args, preset, device)
    trained, kept_aside = sampled_latents(args, preset)
    some = trained[:: len(trained) // COUNT]
    encoders = {"encoder": codec.encode, "colours": Colours(in_parts(codec.decode, some), some)}
    scenes = world.known(-1, held_out=True).scenes(COUNT)
    pictures = world.painters[0].paint(scenes, world.side)
    results = dict(
        drawings=judge_pictures(codec, encoders, pictures),
        others=judge_pictures(codec, encoders, world.other(-1, held_out=True).pictures(COUNT)),
        latents=judge_latents(codec, encoders, kept_aside),
        limit=judge_limit(codec, pictures[:DESCENT_COUNT], folder / "limit.png"),
    )
    if args.photo:
        photos = torch.cat([photo(path, world.side) for path in args.photo])
        results["photos"] = judge_limit(codec, photos, folder / "photos.png")
    print(json.dumps(results), flush=True)
    generator = Generator.saved(args.work / "teacher", device).eval().requires_grad_(False)
    redrawing = Redrawing(generator, codec, preset, world.painters[0], scenes[:REDRAWN], pictures[:REDRAWN])
    for steps in STEPS:
        results[f"redrawn in {steps}"] = {
            change: redrawing.judge(change, steps, folder) for change in redrawing.wishes[0]}
    results["familiar"] = {strength: redrawing.familiar(kept_aside[:REDRAWN], strength, 6) for strength in STRENGTHS}
    (folder / "report.json").write_text(json.dumps(results, indent=1) + "\n")
    print(json.dumps(results), flush=True)


if __name__ == "__main__":
    main()
