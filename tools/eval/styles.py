"""Tells the style of a thing by comparing it with each of its drawings, colour by colour.

The features that recognise things confuse styles that share their outlines, more so when a picture is blurred. So the
drawings are painted on the picture's own background, cut out like it, and compared at low resolution.
"""
from functools import lru_cache

import torch
import torch.nn.functional as F

from tools.data.scenes import Backdrop, Figure, Scene
from tools.eval.regions import square_crops, subject_boxes, to_lab

PAINTED_SIDE = 128
CROP_SIDE = 96
COMPARED_SIDE = 32
SIZE = 0.8


def small_crops(pictures, boxes):
    """Lab of the boxes' contents at low resolution [n, 3, 32, 32]."""
    return to_lab(F.interpolate(square_crops(pictures, boxes, CROP_SIDE), size=COMPARED_SIDE, mode="area"))


class Styles:
    """All drawings of a thing, on any background."""

    def __init__(self, painter):
        self.painter = painter
        self.drawings = lru_cache(maxsize=256)(self.drawings)

    def drawings(self, thing, background, own_colour):
        """The style and the small crop of each drawing of a thing."""
        styles, scenes = [], []
        for (code, style), rows in sorted(self.painter.parts.drawings.items()):
            if code == thing.code:
                for k in range(len(rows)):
                    figure = Figure(thing, style, 0.5, 0.5, SIZE, colour=own_colour, variant=(k + 0.5) / len(rows))
                    scenes.append(Scene("single", style, (figure,), Backdrop("plain", (background,))))
                    styles.append(style)
        pictures = self.painter.paint(scenes, PAINTED_SIDE).cpu()
        return styles, small_crops(pictures, subject_boxes(pictures))

    def nearest(self, crop, thing, background, own_colour):
        """The style of the drawing that is nearest to a small crop, either way round."""
        styles, drawn = self.drawings(thing, background, own_colour)
        differences = torch.stack([(drawn - side).norm(dim=1).mean((1, 2)) for side in (crop, crop.flip(-1))])
        return styles[differences.amin(0).argmin().item()]
