"""Tells the style of a thing by comparing it with each drawing of that thing, painted on the picture's background."""
from functools import lru_cache

from tools.data.scenes import Backdrop, Figure, Scene
from tools.eval.regions import subject_boxes
from tools.eval.templates import colour_difference, small_crops

PAINTED_SIDE = 128
SIZE = 0.8


class Styles:
    """All drawings of a thing, in its own or another colour."""

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
        """The style of the drawing that is nearest to a small crop."""
        styles, drawn = self.drawings(thing, background, own_colour)
        return styles[colour_difference(crop, drawn).argmin().item()]
