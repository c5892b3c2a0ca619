"""Reference renders of every drawing, and recognising a picture by the drawing that is nearest to it.

The references stand in other places, sizes and colours than training pictures do, and have their own seeds. Pictures
are cut out around what stands out from the background, so that neither the place nor the size matters.
"""
import random
import zlib
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from tools.data.scenes import Backdrop, Figure, Scene, is_seen
from tools.data.vocabulary import COLOURS
from tools.eval.features import BATCH, SIDE
from tools.eval.regions import square_crops, subject_boxes
from tools.eval.templates import Templates

# One view of each drawing as it is and two blurred ones, made by shrinking to these sides: models blur.
SOFTENED_SIDES = (None, 112, 64)
VIEWS = len(SOFTENED_SIDES)
SIZES = (0.55, 0.92)
SHIFT = 0.08

# Of the ways tried (centring, whitening, 64 to 512 directions) this recognised reference renders best.
DIRECTIONS = 256
DAMPING = 1.0

# So many of the drawings with the most similar features are also compared by colour, which counts this much.
SHORTLIST = 100
COLOUR_WEIGHT = 0.02


@dataclass(frozen=True)
class Drawing:
    """One drawing of the pack; `variant` chooses it among those of its thing and style."""

    thing: object
    style: str
    variant: float
    position: int


def list_drawings(things, parts):
    """All drawings of the things, in a fixed order."""
    by_code = {thing.code: thing for thing in things}
    return [
        Drawing(by_code[code], style, (k + 0.5) / len(positions), position)
        for (code, style), positions in sorted(parts.drawings.items()) if code in by_code
        for k, position in enumerate(positions)
    ]


def reference_scene(drawing, view):
    """A scene with one drawing; each view has its own place and colours."""
    rng = random.Random(f"reference {drawing.thing.code} {drawing.style} {drawing.variant} {view}")
    x, y = (0.5 + rng.uniform(-SHIFT, SHIFT) for _ in range(2))
    figure = Figure(drawing.thing, drawing.style, x, y, rng.uniform(*SIZES), rng.random() < 0.2, None, drawing.variant)
    grounds = [colour for colour in COLOURS if is_seen(figure, (colour,))]
    return Scene("single", drawing.style, (figure,), Backdrop("plain", (rng.choice(grounds),)))


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
    """All drawings: features of their reference renders, whitened, and small templates."""

    def __init__(self, things, painter, extractor, cache, identity):
        self.drawings = list_drawings(things, painter.parts)
        self.codes = sorted({drawing.thing.code for drawing in self.drawings})
        position = {code: i for i, code in enumerate(self.codes)}
        self.owners = torch.tensor([position[drawing.thing.code] for drawing in self.drawings])
        self.extractor = extractor
        self.templates = Templates(painter.parts.pictures[[drawing.position for drawing in self.drawings]])

        def make():
            features = []
            for view, side in enumerate(SOFTENED_SIDES):
                scenes = [reference_scene(drawing, view) for drawing in self.drawings]
                for pictures in paint_in_batches(painter, scenes, SIDE):
                    pictures = softened(pictures, side)
                    features.append(crop_features(extractor, pictures, subject_boxes(pictures)))
            return torch.cat(features)

        names = [(drawing.thing.code, drawing.style, drawing.variant) for drawing in self.drawings]
        features = F.normalize(cached(cache, "references", make, identity, SOFTENED_SIDES, names), dim=1)
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

    def by_thing(self, scores):
        """The best score of any drawing of each thing [n, things], in the order of `codes`."""
        best = torch.full((len(scores), len(self.codes)), -torch.inf)
        return best.scatter_reduce(1, self.owners.expand(len(scores), -1), scores, "amax")

    def ranking(self, scores):
        """For each picture the codes of all things, best first."""
        order = self.by_thing(scores).argsort(dim=1, descending=True, stable=True)
        return [[self.codes[i] for i in row] for row in order.tolist()]

    def with_colours(self, similarities, crops, grounds, own_colours=None):
        """Scores that add what the small crops' colours tell of drawings in their own or other colours; those that are not on the
        shortlist score lowest."""
        scores = torch.full_like(similarities, -torch.inf)
        own_colours = own_colours or [None] * len(crops)
        for row, score, crop, ground, own in zip(similarities, scores, crops, grounds, own_colours, strict=True):
            near = row.topk(min(SHORTLIST, len(row))).indices
            score[near] = row[near] - COLOUR_WEIGHT * self.templates.differences(crop, ground, near, own)
        return scores
