"""Where the pictures of each row of the report come from: real drawings, look-up, or a model.

Every row draws pictures [n, 3, h, w] in [-1, 1] for prompts and seeds; the same seed gives the same picture.
"""
import random
import subprocess
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from PIL import Image

from tools.eval.features import BATCH

SHIFT = 0.015
RESIZE = (0.95, 1.03)


class Generate(Protocol):
    """What a model has to offer: pictures [n, 3, h, w] in [-1, 1] for captions, one seed each."""

    def __call__(self, captions: list[str], seeds: list[int]) -> torch.Tensor: ...


def replaced(scene, seed):
    """The same scene drawn anew: moved and resized a little, with new dice for all that no caption tells."""
    rng = random.Random(f"replaced {seed}")
    x, y = rng.uniform(-SHIFT, SHIFT), rng.uniform(-SHIFT, SHIFT)
    resize, variant = rng.uniform(*RESIZE), rng.random()
    figures = tuple(
        replace(figure, x=figure.x + x, y=figure.y + y, size=figure.size * resize, variant=variant)
        for figure in scene.figures
    )
    dice = tuple(rng.random() for _ in scene.backdrop.dice)
    return replace(scene, figures=figures, backdrop=replace(scene.backdrop, dice=dice))


class Ceiling:
    """Real pictures of what the prompts ask for: what a perfect model would score."""

    name = "ceiling"

    def __init__(self, painter, side):
        self.painter, self.side = painter, side

    def draw(self, prompts, seeds):
        scenes = [replaced(prompt.scene, seed) for prompt, seed in zip(prompts, seeds)]
        return self.painter.paint(scenes, self.side).cpu()


class Retrieval:
    """Real pictures of the training captions nearest to the prompts."""

    name = "retrieval"

    def __init__(self, painter, side, training_scenes):
        self.painter, self.side, self.training_scenes = painter, side, training_scenes

    def draw(self, prompts, seeds):
        nearest = [self.training_scenes.nearest(prompt.text, 1)[0] for prompt in prompts]
        return self.painter.paint([replaced(s, seed) for s, seed in zip(nearest, seeds)], self.side).cpu()


class Model:
    """Pictures from a function that is given captions and seeds."""

    def __init__(self, name, generate: Generate):
        self.name, self.generate = name, generate

    def draw(self, prompts, seeds):
        return self.generate([prompt.text for prompt in prompts], list(seeds)).float().cpu()


def read_picture(path):
    """A picture file as a tensor [3, h, w] in [-1, 1]."""
    return torch.from_numpy(np.array(Image.open(path).convert("RGB"))).permute(2, 0, 1) / 127.5 - 1


class Program:
    """A function of captions and seeds that runs the built program once for each picture."""

    def __init__(self, program, model=None, options=()):
        self.command = [str(program), "generate"]
        self.options = [*(["--model", str(model)] if model else []), *options]

    def __call__(self, captions, seeds):
        pictures = []
        with tempfile.TemporaryDirectory() as folder:
            for caption, seed in zip(captions, seeds):
                file = Path(folder) / "picture.png"
                arguments = ["--quiet", "--seed", str(seed), "-o", str(file), *self.options, "--", caption]
                subprocess.run([*self.command, *arguments], check=True, stdout=subprocess.DEVNULL)
                pictures.append(read_picture(file))
        return torch.stack(pictures)


def model_row(description, program, device):
    """A row from NAME=torch:FOLDER or NAME=plantain:MODEL[,OPTION...]; an empty MODEL is the built-in one."""
    name, _, source = description.partition("=")
    kind, _, place = source.partition(":")
    if kind == "torch":
        from tools.train.networks import load_generator

        return Model(name, load_generator(place, device))
    if kind == "plantain":
        model, *options = place.split(",")
        return Model(name, Program(program, model, options))
    raise ValueError(f"{description!r} is neither ceiling, retrieval, NAME=torch:FOLDER nor NAME=plantain:MODEL")


def draw_all(row, prompts, seeds):
    """All pictures of a row for the prompts, drawn in batches."""
    batches = [slice(k, k + BATCH) for k in range(0, len(prompts), BATCH)]
    return torch.cat([row.draw(prompts[batch], seeds[batch]) for batch in batches])
