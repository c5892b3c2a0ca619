"""Judges a model that redraws the drawings it knows: how near its pictures come to them, and whether they are those asked for.

    python -m tools.eval.drawings --preset wide

Draws fixed prompts of combinations that were never trained (PRESET_prompts.txt), by the teacher, by the teacher in as few steps and with as
few evaluations as the finished model has, and by that, without its refiner; encodes drawings that were never trained on, and draws them again with other captions. Writes WORK/drawings/report.json and
sheets. A picture counts as the thing, the style and the ground whose drawing it is most like, among all, at 32 x 32.
"""
import json
import random
import zlib
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from itertools import islice
from pathlib import Path

import torch
import torch.nn.functional as F

from tools.data.compose import Painter, Parts
from tools.data.scenes import Backdrop, Figure, Scene
from tools.data.shapes import rgb
from tools.data.vocabulary import STYLES, Thing
from tools.data.words import with_article
from tools.eval.contact_sheet import lay_out
from tools.train.autoencoder import psnr
from tools.train.common import common_arguments, pack_folder, set_up
from tools.train.dataset import planner_for
from tools.train.networks import Codec, Generator, noise_for
from tools.train.parallel import in_parts
from tools.train.presets import PRESETS

FOLDER = Path(__file__).parent
ENCODED = 64
BATCH = 4
STRENGTHS = (0.3, 0.5, 0.7, 0.85)
MANY_STEPS = 24
FEW_STEPS = (4, 2, 1)
REDRAWN = 24
# How large the drawings are in training, and how small they are compared.
SIZE, SMALL = 0.83, 32
SHOWN = 8
SEED = 7


def agreement(pictures, others):
    """Mean and least agreement of two rows of pictures, in dB."""
    values = psnr((pictures - others).pow(2).mean((1, 2, 3)))
    return dict(mean=round(values.mean().item(), 2), worst=round(values.min().item(), 2))


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


def wishes(scene, preset, drawn):
    """What the scene shows, and the same with one other thing of it each, where that is among what was `drawn`."""
    shown = Wish(scene.figures[0].thing, scene.style, scene.backdrop.colours[0])
    salt = shown.caption
    return {
        "same": shown,
        "colour": replace(shown, colour=other_of(preset.colours, shown.colour, salt)),
        "style": replace(shown, style=other_of([style for thing, style in drawn if thing == shown.thing], shown.style, salt)),
        "thing": replace(shown, thing=other_of([thing for thing, style in drawn if style == shown.style], shown.thing, salt)),
    }


class Drawings:
    """All drawings that the model knows, small, on a ground of each colour."""

    def __init__(self, painter, preset):
        self.painter = painter
        self.all = [(thing, style) for thing in preset.things() for style in preset.styles
                    if (thing.code, style) in painter.parts.available]
        self.on = lru_cache(self.on)

    def on(self, colour):
        scenes = [Scene("single", style, (Figure(thing, style, 0.5, 0.5, SIZE),), Backdrop("plain", (colour,)))
                  for thing, style in self.all]
        return self.painter.paint(scenes, SMALL).flatten(1)

    def picture(self, wish):
        """The drawing that is wished for, small [3, h, w]."""
        return self.on(wish.colour)[self.all.index((wish.thing, wish.style))].view(3, SMALL, SMALL)

    def closest(self, picture, colour):
        """The thing and the style of the drawing most like a picture."""
        small = F.interpolate(picture[None], size=SMALL, mode="area").flatten(1)
        return self.all[(self.on(colour) - small).pow(2).sum(1).argmin().item()]


def read_wishes(preset):
    """What the fixed prompts ask for."""
    every = [Wish(thing, style, colour) for thing in preset.things() for style in preset.styles for colour in preset.colours]
    by_caption = {wish.caption: wish for wish in every}
    return [by_caption[line] for line in (FOLDER / f"{preset.name}_prompts.txt").read_text().splitlines()]


def grounds(pictures, preset):
    """The named colour closest to the rim of each picture."""
    rim = torch.cat([pictures[..., 0, :], pictures[..., -1, :], pictures[..., 0], pictures[..., -1]], -1)
    middle = (rim.median(-1).values + 1) / 2
    return torch.cdist(middle, rgb(preset.colours, "cpu")).argmin(1)


class Judge:
    """Counts what pictures show, and how near they come to the drawings that they should be."""

    def __init__(self, painter, preset):
        self.preset, self.drawings = preset, Drawings(painter, preset)

    def __call__(self, made, asked):
        """Pictures that show the thing, the style and the ground that were asked for, and their mean agreement at 32 x 32."""
        closest = [self.drawings.closest(picture, wish.colour) for picture, wish in zip(made, asked)]
        things = sum(thing == wish.thing for (thing, _), wish in zip(closest, asked))
        both = sum(found == (wish.thing, wish.style) for found, wish in zip(closest, asked))
        styles = sum(style == wish.style for (_, style), wish in zip(closest, asked))
        found = [self.preset.colours[row] for row in grounds(made, self.preset)]
        colours = sum(colour == wish.colour for colour, wish in zip(found, asked))
        small = F.interpolate(made, size=SMALL, mode="area")
        wanted = torch.stack([self.drawings.picture(wish) for wish in asked])
        return dict(of=len(asked), thing=things, thing_and_style=both, style=styles, ground=colours,
                    drawing=agreement(small, wanted)["mean"])


class Model:
    """A saved generator with its sampling and its decoder."""

    def __init__(self, args, stage, device):
        folder = args.work / stage
        self.sampling = json.loads((folder / "sampling.json").read_text())
        self.generator = Generator.saved(folder, device).eval().requires_grad_(False)
        self.codec = Codec(args.work / "vae", device)

    def sample(self, captions, steps, guided=True):
        """Latents of captions, each from the noise of its place in the row."""
        shape = self.generator.unet.config
        seeds = range(SEED, SEED + len(captions))
        noise = noise_for(seeds, shape.in_channels, shape.sample_size, shape.sample_size, 1 + steps)
        guidance = self.sampling["guidance"] if guided else 1
        return self.in_parts(lambda tokens, noise: self.generator.sample(tokens, noise[:, 0], steps, guidance, noise[:, 1:]),
                             self.generator.token_ids(captions), noise)

    def redraw(self, captions, latents, strength):
        """Latents drawn again from `strength` on."""
        steps, guidance = self.sampling["steps"], self.sampling["guidance"]
        noise = noise_for(range(SEED, SEED + len(captions)), *latents.shape[1:], 1 + steps)

        def redrawn(tokens, latents, noise):
            return self.generator.redraw(tokens, latents, noise[:, 0], strength, steps, guidance, noise[:, 1:])

        return self.in_parts(redrawn, self.generator.token_ids(captions), latents, noise)

    def decode(self, latents):
        return self.in_parts(self.codec.decode, latents)

    def encode(self, pictures):
        return self.in_parts(self.codec.encode, pictures)

    def in_parts(self, function, *batches):
        return in_parts(function, BATCH, self.codec.device, *batches)


def drawn_latents(teacher, model, captions):
    """Latents of the captions by the teacher in many steps, which is the reference, and by both in fewer."""
    rows = {f"teacher {steps}": teacher.sample(captions, steps) for steps in (MANY_STEPS, teacher.sampling["steps"])}
    rows["teacher unguided"] = teacher.sample(captions, model.sampling["steps"], guided=False)
    rows |= {f"model {steps}": model.sample(captions, steps) for steps in FEW_STEPS}
    return rows


def judge_drawn(teacher, model, judge, asked, folder):
    """The fixed prompts, by the teacher and the model."""
    captions = [wish.caption for wish in asked]
    rows = drawn_latents(teacher, model, captions)
    results, many = {}, rows[f"teacher {MANY_STEPS}"]
    reference = model.decode(many)
    for name, latents in rows.items():
        made = model.decode(latents)
        lay_out(made, captions).save(folder / f"{name.replace(' ', '-')}.png")
        to_many = dict(latent_error=round(F.mse_loss(latents, many).item(), 4), many_steps=agreement(made, reference)["mean"])
        results[name] = judge(made, asked) | (to_many if latents is not many else {})
    return results


def judge_redrawn(model, judge, latents, pictures, scenes, preset, folder):
    """For each strength and each change of caption, what drawings turn into that were never trained on."""
    asked = [wishes(scene, preset, judge.drawings.all) for scene in scenes]
    results = {}
    for change in asked[0]:
        wanted = [each[change] for each in asked]
        captions, shown = [wish.caption for wish in wanted], [pictures[:SHOWN]]
        for strength in STRENGTHS:
            made = model.decode(model.redraw(captions, latents, strength))
            results[f"{change} {strength}"] = agreement(made, pictures) | judge(made, wanted)
            shown.append(made[:SHOWN])
        lay_out(torch.cat(shown), captions[:SHOWN] * len(shown)).save(folder / f"redrawn-{change}.png")
    return results


def main():
    parser = common_arguments(__doc__)
    parser.add_argument("--stage", default="quantize", help="which stage's network is the finished model")
    args = parser.parse_args()
    preset, device = PRESETS[args.preset], set_up(args.seed)
    folder = args.work / "drawings"
    folder.mkdir(exist_ok=True)
    parts = Parts(pack_folder(args), preset.things(), list(preset.styles))
    painter, planner, rng = Painter(parts, device), planner_for(preset, parts, preset.held_out[0]), random.Random("judged")
    # Of things as they are that could be drawn in another style too.
    drawn = (scene for scene in iter(partial(planner.draw, rng), None)
             if len(planner.styles[scene.figures[0].thing.code]) > 1 and not scene.figures[0].colour)
    scenes = list(islice(drawn, ENCODED))
    pictures = painter.paint(scenes, preset.side)
    teacher, model = (Model(args, stage, device) for stage in ("teacher", args.stage))
    judge = Judge(painter, preset)
    latents = model.encode(pictures)
    results = dict(
        encoded=agreement(model.decode(latents), pictures),
        drawn=judge_drawn(teacher, model, judge, read_wishes(preset), folder),
        redrawn=judge_redrawn(
            model, judge, latents[:REDRAWN], pictures[:REDRAWN], scenes[:REDRAWN], preset, folder),
    )
    (folder / "report.json").write_text(json.dumps(results, indent=1) + "\n")
    print(json.dumps(results, indent=1), flush=True)


if __name__ == "__main__":
    main()
