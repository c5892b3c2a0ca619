"""Tells for each picture which of the things its prompt states are to be seen in it.

Every fact is a bool, or absent where the prompt does not state it. No fact uses the model that drew the picture.
"""
import torch
import torch.nn.functional as F

from tools.data.layouts import RELATION_SIDES
from tools.data.vocabulary import COLOURS
from tools.eval.prompt_files import RECOLOURED_SETS
from tools.eval.regions import (
    BORDER, MASK_SIDE, WHOLE, box_of, foreground, halves, labels, on_border, pieces, shrink, small_lab, to_lab,
)
from tools.eval.styles import Styles
from tools.eval.templates import small_crops

# Shades of a thing's own colour differ in lightness more than in hue.
LIGHTNESS_WEIGHT = 0.5

FACTS = {
    "thing": "the nearest drawing is one of the thing (of a pair: in either half one of the two things)",
    "thing in 5": "the thing is among the five nearest things",
    "thing by features": "the thing is the nearest by the network's features alone, without a look at the drawings' colours",
    "style": "of the drawings of the thing the nearest has the style (of a pair: of both, each in its half)",
    "thing and style": "both of these",
    "background": "the border's median is nearest to the colour",
    "own colour": "most of the inside of what stands out is nearest to the colour",
    "count": "as many connected pieces stand out",
    "both": "the two halves show the two things",
    "order": "the halves fit the stated places better than the swapped ones",
}


def colour_table():
    """Lab of all named colours [colours, 3]."""
    rgb = torch.tensor(list(COLOURS.values())).float() / 127.5 - 1
    return to_lab(rgb.T[None, :, None])[0, :, 0].T


def nearest_colours(lab, lightness=1.0):
    """Names of the colours nearest to rows of Lab values."""
    scale = torch.tensor([lightness, 1, 1])
    distances = torch.cdist(lab * scale, colour_table() * scale)
    return [list(COLOURS)[i] for i in distances.argmin(1).tolist()]


def border_medians(small):
    """The median of each channel over the border of pictures at the masks' resolution [n, 3]."""
    return small.permute(0, 2, 3, 1)[:, on_border(MASK_SIDE, BORDER)].median(1).values


def border_colours(lab):
    """The named colour of each picture's border."""
    return nearest_colours(border_medians(lab))


def inside(mask):
    """The mask without its rim, where colours mix; the mask itself if nothing is left."""
    shrunk = 1 - F.max_pool2d(1 - mask[None, None].float(), 3, 1, 1)[0, 0] > 0
    return shrunk if shrunk.any() else mask


def own_colour(lab, mask):
    """The colour to which most of what stands out in one picture is nearest; None if nothing does."""
    if not mask.any():
        return None
    names = nearest_colours(lab[:, inside(mask)].T, LIGHTNESS_WEIGHT)
    return max(sorted(set(names)), key=names.count)


def pair_axis(scene):
    """Whether the two figures of a scene lie side by side (0) or one over the other (1)."""
    first, second = scene.figures[:2]
    return 0 if abs(first.x - second.x) >= abs(first.y - second.y) else 1


def first_is_before(scene, axis):
    """Whether the first figure is the left or upper one."""
    first, second = scene.figures[:2]
    return (first.x < second.x) if axis == 0 else (first.y < second.y)


def grounds_of(pictures):
    """The colour of each picture's border in 0..1 [n, 3]."""
    return (border_medians(shrink(pictures)) + 1) / 2


def on_plain(prompt):
    """Whether the thing can be told from the background by its colour."""
    return prompt.scene.backdrop.kind == "plain"


def subject(prompt, mask, found):
    """Where to look for the thing."""
    if not on_plain(prompt):
        return WHOLE
    return found[0] if prompt.scene.kind == "count" and found else box_of(mask)


class Judge:
    """Looks at batches of pictures with the references, and with the drawings themselves."""

    def __init__(self, references, painter):
        self.references, self.styles = references, Styles(painter)
        self.position = {code: i for i, code in enumerate(references.codes)}

    def facts(self, prompts, pictures):
        """A dict of facts for each prompt."""
        masks, lab = foreground(pictures), small_lab(pictures)
        found = [pieces(piece) for piece in labels(masks)]
        borders = border_colours(lab)
        results = [{} for _ in prompts]
        self.judge_single(prompts, pictures, masks, found, borders, results)
        self.judge_pairs(prompts, pictures, masks, found, borders, results)
        for i, prompt in enumerate(prompts):
            if on_plain(prompt):
                results[i]["background"] = borders[i] == prompt.scene.backdrop.colours[0]
            if prompt.set in RECOLOURED_SETS:
                results[i]["own colour"] = own_colour(lab[i], masks[i]) == prompt.scene.figures[0].colour
            if prompt.set == "count":
                results[i]["count"] = len(found[i]) == len(prompt.scene.figures)
        return results

    def judge_single(self, prompts, pictures, masks, found, borders, results):
        """What pictures of one kind of thing show."""
        rows = [i for i, prompt in enumerate(prompts) if prompt.scene.kind != "pair"]
        if not rows:
            return
        boxes = [subject(prompts[i], masks[i], found[i]) for i in rows]
        crops, similarities = small_crops(pictures[rows], boxes), self.references.similarities(pictures[rows], boxes)
        rankings = self.references.ranking(self.scores(similarities, pictures[rows], crops, [prompts[i] for i in rows]))
        by_features = self.references.ranking(similarities)
        for i, crop, ranking, by_feature in zip(rows, crops, rankings, by_features):
            figure = prompts[i].scene.figures[0]
            results[i]["thing"] = ranking[0] == figure.thing.code
            results[i]["thing by features"] = by_feature[0] == figure.thing.code
            results[i]["thing in 5"] = figure.thing.code in ranking[:5]
            if on_plain(prompts[i]):
                results[i]["style"] = self.has_style(crop, figure, borders[i])
                results[i]["thing and style"] = results[i]["thing"] and results[i]["style"]

    def scores(self, similarities, pictures, crops, prompts):
        """How well each drawing, in the colour that was asked for, fits each picture: by features, and by colours on plain grounds."""
        own_colours = [prompt.scene.figures[0].colour for prompt in prompts]
        scores = self.references.with_colours(similarities, crops, grounds_of(pictures), own_colours)
        plain = torch.tensor([on_plain(prompt) for prompt in prompts])
        return torch.where(plain[:, None], scores, similarities)

    def has_style(self, crop, figure, border):
        """Whether the nearest drawing of the figure's thing has its style."""
        return self.styles.nearest(crop, figure.thing, border, figure.colour) == figure.style

    def judge_pairs(self, prompts, pictures, masks, found, borders, results):
        """Whether both things are there, in their style, and in the stated places."""
        rows = [i for i, prompt in enumerate(prompts) if prompt.scene.kind == "pair"]
        if not rows:
            return
        axes = [pair_axis(prompts[i].scene) for i in rows]
        boxes = [box for i, axis in zip(rows, axes) for box in halves(masks[i], found[i], axis)]
        twice = pictures[rows].repeat_interleave(2, 0)
        similarities = self.references.similarities(twice, boxes)
        alike = self.references.by_thing(similarities).view(len(rows), 2, -1)
        crops = small_crops(twice, boxes)
        scores = self.references.with_colours(similarities, crops, grounds_of(twice))
        seen = [ranking[0] for ranking in self.references.ranking(scores)]
        for k, (i, axis) in enumerate(zip(rows, axes)):
            scene = prompts[i].scene
            figures = scene.figures if first_is_before(scene, axis) else scene.figures[::-1]
            wanted = [figure.thing.code for figure in figures]
            results[i]["thing"] = bool(set(wanted) & set(seen[2 * k : 2 * k + 2]))
            results[i]["both"] = sorted(wanted) == sorted(seen[2 * k : 2 * k + 2])
            results[i]["style"] = all(
                self.has_style(crops[2 * k + half], figure, borders[i]) for half, figure in enumerate(figures)
            )
            if scene.relation in RELATION_SIDES:
                a, b = (alike[k][:, self.position[code]] for code in wanted)
                results[i]["order"] = (a[0] + b[1] > a[1] + b[0]).item()
