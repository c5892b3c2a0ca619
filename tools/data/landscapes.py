"""Draws simple landscapes behind things, many pictures of one kind at a time.

Positions are in units of the picture's shorter side; `dice` [n, 8] are numbers in 0..1 that vary what no caption tells.
"""
import math

import torch

from tools.data.shapes import LIGHT, column, rgb


def paint(red, green, blue):
    """A colour from the usual 0..255 values."""
    return red / 255, green / 255, blue / 255


SKY_TOP, SKY_LOW = paint(96, 178, 240), paint(205, 233, 250)
SUN = paint(255, 226, 130)
WOOD, WOOD_EDGE, WOOD_LINE = paint(176, 124, 78), paint(140, 94, 56), paint(156, 106, 64)
SAND = paint(244, 222, 170)
WATER, WATER_DEEP, FOAM = paint(52, 150, 210), paint(28, 104, 176), paint(225, 245, 252)


def down_to(canvas, share):
    """The y of a share of the picture's height from the top."""
    return (share - 0.5) * canvas.height


def sky(canvas, dice, top=SKY_TOP, low=SKY_LOW, horizon=1.0):
    """A sky that grows paler towards the horizon."""
    start = torch.tensor([top], device=canvas.device).expand(len(dice), 3)
    share = (canvas.y + canvas.height / 2) / (horizon * canvas.height)
    return canvas.lay(canvas.fill(start), share, low)


def ground(canvas, picture, edge, colour):
    """Everything below an edge (a y for each x)."""
    return canvas.lay(picture, canvas.inside(edge - canvas.y), colour)


def hills(canvas, dice, first, height):
    """A wavy edge around 0, different for each picture."""
    turns = 3 + 4 * column(dice, first)
    return height * torch.sin(turns * canvas.x + 2 * math.pi * column(dice, first + 1))


def clouds(canvas, picture, dice, rows):
    """Small clouds; each row is (number in dice, share of the height)."""
    for number, share in rows:
        x = (column(dice, number) - 0.5) * canvas.width * 1.1
        y = down_to(canvas, share + 0.08 * column(dice, (number + 3) % 8))
        for step, radius in ((-0.07, 0.038), (0, 0.058), (0.075, 0.042)):
            puff = canvas.disc(x + step, y - radius * 0.5, radius)
            picture = canvas.lay(picture, canvas.inside(torch.maximum(puff, canvas.y - y)) * 0.95, LIGHT)
    return picture


def field(canvas, backdrops, dice):
    """Green hills under a blue sky."""
    picture = clouds(canvas, sky(canvas, dice, horizon=0.6), dice, ((0, 0.1), (1, 0.2), (2, 0.14)))
    picture = ground(canvas, picture, down_to(canvas, 0.56) + hills(canvas, dice, 3, 0.05), paint(150, 208, 112))
    return ground(canvas, picture, down_to(canvas, 0.66) + hills(canvas, dice, 5, 0.02), paint(104, 178, 78))


def snow(canvas, backdrops, dice):
    """White ground, blue shadows and falling flakes."""
    picture = sky(canvas, dice, paint(140, 180, 222), paint(222, 235, 246), 0.6)
    picture = ground(canvas, picture, down_to(canvas, 0.56) + hills(canvas, dice, 3, 0.05), paint(214, 228, 242))
    picture = ground(canvas, picture, down_to(canvas, 0.66) + hills(canvas, dice, 5, 0.02), paint(246, 249, 253))
    return specks(canvas, picture, dice, 6, 0.011, LIGHT)


def specks(canvas, picture, dice, per_unit, radius, colour, lowest=1.0):
    """Small discs scattered one to a square cell, down to a share of the height."""
    x, y = canvas.x * per_unit + 40, canvas.y * per_unit + 40
    cell_x, cell_y = x.floor(), y.floor()
    shift_x = 0.5 + 0.34 * torch.sin(cell_x * 12.9 + cell_y * 78.2 + 6 * column(dice, 6))
    shift_y = 0.5 + 0.34 * torch.sin(cell_x * 39.3 + cell_y * 11.1 + 6 * column(dice, 7))
    distance = torch.hypot(x - cell_x - shift_x, y - cell_y - shift_y) / per_unit - radius
    return canvas.lay(picture, canvas.inside(distance) * (canvas.y < down_to(canvas, lowest)), colour)


def desert(canvas, backdrops, dice):
    """Dunes and a pale sun under an orange sky."""
    picture = sky(canvas, dice, paint(250, 186, 108), paint(254, 232, 190), 0.6)
    sun = canvas.disc((column(dice, 0) - 0.5) * canvas.width * 0.8, down_to(canvas, 0.2), 0.075)
    picture = canvas.lay(picture, canvas.inside(sun), paint(255, 244, 206))
    picture = ground(canvas, picture, down_to(canvas, 0.56) + hills(canvas, dice, 1, 0.06), paint(238, 196, 128))
    return ground(canvas, picture, down_to(canvas, 0.68) + hills(canvas, dice, 3, 0.035), paint(222, 168, 98))


def beach(canvas, backdrops, dice):
    """Sand in front of the sea."""
    picture = clouds(canvas, sky(canvas, dice, horizon=0.45), dice, ((0, 0.1), (1, 0.22)))
    picture = ground(canvas, picture, down_to(canvas, 0.45), WATER)
    shore = down_to(canvas, 0.62) + hills(canvas, dice, 3, 0.018)
    picture = ground(canvas, picture, shore - 0.022, FOAM)
    return ground(canvas, picture, shore, SAND)


def night_city(canvas, backdrops, dice):
    """Lit windows under the moon, and a street."""
    picture = sky(canvas, dice, paint(22, 26, 70), paint(92, 84, 150), 0.7)
    picture = specks(canvas, picture, dice, 7, 0.004, paint(250, 246, 220), 0.5)
    moon = canvas.disc((column(dice, 0) - 0.5) * canvas.width * 0.8, down_to(canvas, 0.16), 0.06)
    picture = canvas.lay(picture, canvas.inside(moon), paint(250, 240, 205))
    for layer, (width, share, spread, colour) in enumerate((
        (0.11, 0.42, 0.16, paint(66, 66, 122)), (0.15, 0.5, 0.14, paint(46, 48, 98)),
    )):
        step = canvas.x / width + 3 * column(dice, 1 + layer) + 50
        house = step.floor()
        roof = down_to(canvas, share) + spread * torch.sin(house * 12.7 + 40 * column(dice, 3 + layer))
        picture = ground(canvas, picture, roof, colour)
    wall = (step - house) * width
    pane_x, pane_y = wall / width * 5, (canvas.y - roof) / 0.035
    lit = torch.sin(pane_x.floor() * 31.7 + pane_y.floor() * 17.3 + house * 7.1) > 0.2
    pane = torch.maximum(((pane_x % 1) - 0.5).abs() * width / 5, ((pane_y % 1) - 0.5).abs() * 0.035) - 0.009
    pane = canvas.inside(pane) * lit * (pane_y > 1) * (pane_x > 1) * (pane_x < 4)
    picture = canvas.lay(picture, pane, paint(252, 214, 120))
    return ground(canvas, picture, down_to(canvas, 0.74), paint(98, 96, 134))


def table(canvas, backdrops, dice):
    """A wooden table before a wall of the named colour."""
    wall = rgb([backdrop.colours[0] for backdrop in backdrops], canvas.device)
    top = down_to(canvas, 0.64 + 0.05 * column(dice, 0))
    picture = ground(canvas, canvas.fill(wall), top, WOOD)
    board = ((canvas.y - top) / (0.1 + 0.05 * column(dice, 1))) % 1
    picture = canvas.lay(picture, ((board < 0.06) & (canvas.y > top)).float(), WOOD_LINE)
    return canvas.lay(picture, canvas.inside((canvas.y - top - 0.008).abs() - 0.008), WOOD_EDGE)


def podium(canvas, backdrops, dice):
    """A round white podium before a wall of the named colour."""
    wall = rgb([backdrop.colours[0] for backdrop in backdrops], canvas.device)
    picture = ground(canvas, canvas.fill(wall), down_to(canvas, 0.7), wall * 0.86)
    top, low = down_to(canvas, 0.82), down_to(canvas, 0.93)
    radius = (0.42 + 0.05 * column(dice, 0)) * canvas.width

    def ellipse(y):
        return canvas.inside((torch.hypot(canvas.x / radius, (canvas.y - y) / 0.07) - 1) * 0.07)

    side = canvas.inside(canvas.x.abs() - radius) * (canvas.y > top) * (canvas.y < low)
    picture = canvas.lay(picture, torch.maximum(side, ellipse(low)), paint(206, 206, 214))
    return canvas.lay(picture, ellipse(top), paint(246, 246, 250))


def open_sky(canvas, backdrops, dice):
    """Clouds all over a blue sky."""
    rows = ((0, 0.12), (1, 0.3), (2, 0.52), (3, 0.7), (4, 0.86), (5, 0.2))
    return clouds(canvas, sky(canvas, dice), dice, rows)


def sea(canvas, backdrops, dice):
    """Waves up to the horizon."""
    picture = clouds(canvas, sky(canvas, dice, horizon=0.5), dice, ((0, 0.1), (1, 0.2)))
    sun = canvas.disc((column(dice, 2) - 0.5) * canvas.width * 0.8, down_to(canvas, 0.2), 0.06)
    picture = canvas.lay(picture, canvas.inside(sun), SUN)
    for share, colour in ((0.5, WATER), (0.64, paint(42, 132, 196)), (0.8, WATER_DEEP)):
        crest = (canvas.x * 5 + 6 * column(dice, 3) + 9 * share).sin().abs() * 0.02 * (share > 0.5)
        picture = ground(canvas, picture, down_to(canvas, share) + crest, colour)
    return picture


def forest(canvas, backdrops, dice):
    """Two rows of firs behind a clearing."""
    picture = sky(canvas, dice, paint(176, 216, 226), paint(226, 240, 230), 0.6)
    for row, (width, foot, tall, colour) in enumerate((
        (0.15, 0.62, 0.3, paint(112, 164, 130)), (0.21, 0.7, 0.46, paint(56, 118, 78)),
    )):
        step = canvas.x / width + column(dice, row) + 20
        tree = tall * (0.85 + 0.15 * torch.sin(step.floor() * 5.3 + 9 * column(dice, 2 + row)))
        off_middle = ((step % 1) - 0.5).abs() * 2
        below_top = canvas.y - (down_to(canvas, foot) - tree)
        # Three tiers, each a triangle that widens downwards.
        reach = torch.stack([0.42 + 0.25 * tier + (below_top / tree - (tier + 1) * 0.33) for tier in range(3)])
        starts = torch.stack([below_top > tree * 0.25 * tier for tier in range(3)])
        ends = torch.stack([below_top < tree * (0.34 * (tier + 1)) for tier in range(3)])
        reach = torch.where(starts & ends, reach, reach.new_tensor(-1)).amax(0)
        picture = canvas.lay(picture, canvas.inside((off_middle - reach) * width / 2), colour)
        picture = ground(canvas, picture, down_to(canvas, foot), colour)
    return ground(canvas, picture, down_to(canvas, 0.7) + hills(canvas, dice, 5, 0.012), paint(126, 176, 92))


LANDSCAPES = {
    "field": field, "snow": snow, "desert": desert, "beach": beach, "night city": night_city, "table": table,
    "podium": podium, "sky": open_sky, "sea": sea, "forest": forest,
}
