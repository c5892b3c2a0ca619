"""Draws flat backdrops: plain colours, gradients and patterns, many pictures of one kind at a time."""
import math

import torch

from tools.data.landscapes import LANDSCAPES
from tools.data.shapes import column, rgb


def plain(canvas, backdrops, dice):
    colour = rgb([backdrop.colours[0] for backdrop in backdrops], canvas.device)
    return canvas.fill(colour)


def both_colours(canvas, backdrops):
    """First and last colour of each backdrop."""
    return [rgb([backdrop.colours[end] for backdrop in backdrops], canvas.device) for end in (0, -1)]


def gradient(canvas, backdrops, dice):
    """From the first colour at the top or the left to the second; a single colour runs from darker to lighter."""
    first, second = both_colours(canvas, backdrops)
    alone = torch.tensor([len(backdrop.colours) == 1 for backdrop in backdrops], device=canvas.device)[:, None]
    first, second = torch.where(alone, first * 0.8, first), torch.where(alone, 0.6 * second + 0.4, second)
    angle = (column(dice, 0) * 3).floor() * (math.pi / 4)
    reach = canvas.width * angle.cos() + canvas.height * angle.sin()
    return canvas.mix(first, second, (canvas.x * angle.cos() + canvas.y * angle.sin()) / reach + 0.5)


def stripes(canvas, backdrops, dice):
    """Equal stripes: upright, lying or slanting."""
    angle = (column(dice, 0) * 4).floor() * (math.pi / 4)
    along = canvas.x * angle.cos() + canvas.y * angle.sin()
    per_unit = 3 + (column(dice, 1) * 5).floor()
    share = halves(canvas, along * per_unit + column(dice, 2), 1 / per_unit)
    return canvas.mix(*both_colours(canvas, backdrops), share)


def halves(canvas, phase, length):
    """Coverage of the middle half of every whole step of `phase`; one step is `length` long in the picture."""
    return canvas.inside(((phase % 1 - 0.5).abs() - 0.25) * length)


def dots(canvas, backdrops, dice):
    """Rows of dots of the second colour, every other row shifted."""
    per_unit = 4 + (column(dice, 1) * 5).floor()
    y = canvas.y * per_unit + column(dice, 2)
    x = canvas.x * per_unit + column(dice, 3) + 0.5 * (y.floor() % 2)
    radius = 0.2 + 0.12 * column(dice, 0)
    distance = torch.hypot(x % 1 - 0.5, y % 1 - 0.5) - radius
    return canvas.mix(*both_colours(canvas, backdrops), canvas.inside(distance / per_unit))


def checks(canvas, backdrops, dice):
    """A chequered board."""
    per_unit = 2 + (column(dice, 1) * 3).floor()
    across = halves(canvas, canvas.x * per_unit + column(dice, 2), 1 / per_unit)
    down = halves(canvas, canvas.y * per_unit + column(dice, 3), 1 / per_unit)
    return canvas.mix(*both_colours(canvas, backdrops), across + down - 2 * across * down)


def rays(canvas, backdrops, dice):
    """Rays from the middle."""
    count = 8 + (column(dice, 1) * 8).floor()
    turn = torch.atan2(canvas.y, canvas.x) / (2 * math.pi) * count + column(dice, 0)
    length = torch.hypot(canvas.x, canvas.y) * 2 * math.pi / count
    return canvas.mix(*both_colours(canvas, backdrops), halves(canvas, turn, length))


def photo(canvas, backdrops, dice):
    """Black: the painter lays the photograph over it."""
    return canvas.fill(torch.zeros(len(backdrops), 3, device=canvas.device))


FLAT = {
    "plain": plain, "gradient": gradient, "stripes": stripes, "dots": dots, "checks": checks, "rays": rays,
    "photo": photo,
}
KINDS = FLAT | LANDSCAPES


def draw_backdrops(canvas, backdrops):
    """Pictures [n, 3, h, w] in 0..1 of the backdrops, drawn kind by kind."""
    picture = torch.empty(len(backdrops), 3, canvas.rows, canvas.columns, device=canvas.device)
    for kind in sorted({backdrop.kind for backdrop in backdrops}):
        rows = [i for i, backdrop in enumerate(backdrops) if backdrop.kind == kind]
        chosen = [backdrops[i] for i in rows]
        dice = torch.tensor([backdrop.dice for backdrop in chosen], device=canvas.device)
        picture[rows] = KINDS[kind](canvas, chosen, dice)
    return picture
