"""Tells for each picture which of the things its prompt states are to be seen in it.

Every fact is a bool, or absent where the prompt does not state it. No fact uses the model that drew the picture.
"""
import torch
import torch.nn.functional as F

from tools.data.layouts import RELATION_SIDES
from tools.data.vocabulary import COLOURS
from tools.eval.regions import (
    BORDER, MASK_SIDE, WHOLE, box_of, foreground, halves, labels, on_border, pieces, small_lab, to_lab,
)

# Shades of a thing's own colour differ in lightness more than in hue.
LIGHTNESS_WEIGHT = 0.35

FACTS = {
    "thing": "the nearest reference shows the thing (one of a pair: either of them)",
    "thing in 5": "the thing is among the five nearest things",
    "style": "among the references of the thing, the nearest has the style",
    "thing and style": "the nearest reference of all is that drawing",
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


def border_colours(lab):
    """The named colour of each picture's border."""
    return nearest_colours(lab.permute(0, 2, 3, 1)[:, on_border(MASK_SIDE, BORDER)].median(1).values)


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


class Judge:
    """Looks at batches of pictures with the references."""

    def __init__(self, references):
        self.references = references
        self.position = {code: i for i, code in enumerate(references.codes)}

    def facts(self, prompts, pictures):
        """A dict of facts for each prompt."""
        masks, lab = foreground(pictures), small_lab(pictures)
        numbered = labels(masks)
        found = [pieces(piece) for piece in numbered]
        results = [{} for _ in prompts]
        self.judge_single(prompts, pictures, masks, found, results)
        self.judge_pairs(prompts, pictures, masks, found, results)
        borders = border_colours(lab)
        for i, prompt in enumerate(prompts):
            if prompt.scene.backdrop.kind == "plain":
                results[i]["background"] = borders[i] == prompt.scene.backdrop.colours[0]
            if prompt.set == "recolour":
                results[i]["own colour"] = own_colour(lab[i], masks[i]) == prompt.scene.figures[0].colour
            if prompt.set == "count":
                results[i]["count"] = len(found[i]) == len(prompt.scene.figures)
        return results

    def judge_single(self, prompts, pictures, masks, found, results):
        """What pictures of one kind of thing show."""
        rows = [i for i, prompt in enumerate(prompts) if prompt.scene.kind != "pair"]
        if not rows:
            return
        boxes = [self.subject(prompts[i], masks[i], found[i]) for i in rows]
        similarities = self.references.similarities(pictures[rows], boxes)
        for i, row, ranking in zip(rows, similarities, self.references.ranking(similarities)):
            code, style = prompts[i].things[0].code, prompts[i].scene.style
            results[i]["thing"] = ranking[0] == code
            results[i]["thing in 5"] = code in ranking[:5]
            results[i]["style"] = self.references.nearest_style(row, code) == style
            results[i]["thing and style"] = self.references.keys[row.argmax().item()] == (code, style)

    def subject(self, prompt, mask, found):
        """Where to look for the thing."""
        if prompt.scene.backdrop.kind != "plain":
            return WHOLE
        return found[0] if prompt.scene.kind == "count" and found else box_of(mask)

    def judge_pairs(self, prompts, pictures, masks, found, results):
        """Whether both things are there, and in the stated places."""
        rows = [i for i, prompt in enumerate(prompts) if prompt.scene.kind == "pair"]
        if not rows:
            return
        axes = [pair_axis(prompts[i].scene) for i in rows]
        boxes = [box for i, axis in zip(rows, axes) for box in halves(masks[i], found[i], axis)]
        similarities = self.references.similarities(pictures[rows].repeat_interleave(2, 0), boxes)
        alike = self.references.by_thing(similarities).view(len(rows), 2, -1)
        seen = [ranking[0] for ranking in self.references.ranking(similarities)]
        for k, (i, axis) in enumerate(zip(rows, axes)):
            scene = prompts[i].scene
            wanted = [thing.code for thing in prompts[i].things]
            results[i]["thing"] = bool(set(wanted) & set(seen[2 * k : 2 * k + 2]))
            results[i]["both"] = sorted(wanted) == sorted(seen[2 * k : 2 * k + 2])
            if scene.relation in RELATION_SIDES:
                a, b = (alike[k][:, self.position[code]] for code in wanted)
                difference = (a[0] + b[1] - a[1] - b[0]).item()
                results[i]["order"] = (difference > 0) == first_is_before(scene, axis)
