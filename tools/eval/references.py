"""Reference renders of every drawing, and recognising a picture by the reference that is nearest to it.

The references stand in other places, sizes and colours than training pictures do, and have their own seeds. Pictures
are cut out around what stands out from the background, so that neither the place nor the size matters.
"""
import random
import zlib

import torch
import torch.nn.functional as F

from tools.data.scenes import Backdrop, Figure, Scene
from tools.data.vocabulary import COLOURS
from tools.eval.features import BATCH, SIDE
from tools.eval.regions import square_crops, subject_boxes

# One view of each drawing as it is and two blurred ones, made by shrinking to these sides: models blur.
SOFTENED_SIDES = (None, 112, 64)
VIEWS = len(SOFTENED_SIDES)
SIZES = (0.55, 0.92)
SHIFT = 0.08

# Of the ways tried (centring, whitening, 64 to 512 directions) this recognised reference renders best.
DIRECTIONS = 256
DAMPING = 1.0


def reference_scenes(things, available, view):
    """One scene for each available drawing; each view has its own places and colours."""
    scenes = []
    for thing in things:
        for style in sorted(style for code, style in available if code == thing.code):
            rng = random.Random(f"reference {thing.code} {style} {view}")
            x, y = (0.5 + rng.uniform(-SHIFT, SHIFT) for _ in range(2))
            figure = Figure(thing, style, x, y, rng.uniform(*SIZES), rng.random() < 0.2, variant=(view + 0.5) / VIEWS)
            scenes.append(Scene("single", style, (figure,), Backdrop("plain", (rng.choice(list(COLOURS)),))))
    return scenes


def paint_in_batches(painter, scenes, side):
    """Pictures of the scenes, a few at a time."""
    for k in range(0, len(scenes), BATCH):
        yield painter.paint(scenes[k : k + BATCH], side).cpu()


def softened(pictures, side):
    """The pictures as if they had only this many pixels across."""
    if side is None:
        return pictures
    small = F.interpolate(pictures, size=(side, side), mode="area")
    return F.interpolate(small, size=pictures.shape[-2:], mode="bilinear", align_corners=False)


def crop_features(extractor, pictures, boxes):
    """Features of the boxes' contents [n, 1280]."""
    return extractor.pooled(square_crops(pictures, boxes, SIDE))[0]


def cached(folder, name, make, *identity):
    """A tensor kept on disk under a name that also tells what it was made from."""
    key = zlib.crc32(repr(identity).encode())
    path = folder / f"{name}-{key:08x}.pt"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        torch.save(make(), path)
    return torch.load(path, weights_only=True)


class References:
    """Features of the reference renders, whitened, with the thing that each shows."""

    def __init__(self, things, available, painter, extractor, cache, identity):
        scenes = [reference_scenes(things, available, view) for view in range(VIEWS)]
        self.keys = [(scene.figures[0].thing.code, scene.style) for scene in scenes[0]]
        self.codes = sorted({code for code, _ in self.keys})
        self.extractor = extractor

        def make():
            features = []
            for view, side in zip(scenes, SOFTENED_SIDES):
                for pictures in paint_in_batches(painter, view, SIDE):
                    pictures = softened(pictures, side)
                    features.append(crop_features(extractor, pictures, subject_boxes(pictures)))
            return torch.cat(features)

        features = F.normalize(cached(cache, "references", make, identity, SOFTENED_SIDES, self.keys), dim=1)
        self.mean = features.mean(0)
        _, spread, axes = torch.linalg.svd(features - self.mean, full_matrices=False)
        variance = spread[:DIRECTIONS].pow(2) / len(features)
        self.whitening = axes[:DIRECTIONS].T / (variance + DAMPING * variance.mean()).sqrt()
        self.features = self.whiten(features)

    def whiten(self, features):
        """Unit vectors whose dot product tells how alike two drawings look."""
        return F.normalize((F.normalize(features, dim=1) - self.mean) @ self.whitening, dim=1)

    def similarities(self, pictures, boxes):
        """How alike the contents of the boxes are to each drawing, best view [n, drawings]."""
        found = self.whiten(crop_features(self.extractor, pictures, boxes))
        return (found @ self.features.T).view(len(found), VIEWS, -1).amax(1)

    def by_thing(self, similarities):
        """The best similarity to any drawing of each thing [n, things], in the order of `codes`."""
        index = torch.tensor([self.codes.index(code) for code, _ in self.keys]).expand(len(similarities), -1)
        best = torch.full((len(similarities), len(self.codes)), -1.0)
        return best.scatter_reduce(1, index, similarities, "amax")

    def ranking(self, similarities):
        """For each picture the codes of all things, most alike first."""
        order = self.by_thing(similarities).argsort(dim=1, descending=True, stable=True)
        return [[self.codes[i] for i in row] for row in order.tolist()]
