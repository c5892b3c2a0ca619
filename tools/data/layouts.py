"""Where figures go: lists of (x, y, size), x and y in units of the picture's width and height, size as a share of its
shorter side. `extent` is the picture's width and height in units of its shorter side."""

# Where things stand in landscapes, from the top.
GROUND = 0.82
LARGEST_STANDING = 0.70
GRIDS = {1: ((1, 1),), 2: ((2, 1), (1, 2)), 3: ((3, 1), (2, 2), (1, 3)), 4: ((4, 1), (2, 2), (1, 4))}
# Unit steps from the middle of the picture towards each side.
SIDES = {"left": (-1, 0), "right": (1, 0), "top": (0, -1), "bottom": (0, 1)}
OPPOSITE = {"left": "right", "right": "left", "top": "bottom", "bottom": "top"}
# On which side the first thing of a pair is.
RELATION_SIDES = {"left of": "left", "right of": "right", "above": "top", "below": "bottom"}


def extent_of(aspect):
    """Width and height in units of the shorter side."""
    return max(1, aspect[0] / aspect[1]), max(1, aspect[1] / aspect[0])


def near(rng, value, reach):
    """A number at most `reach` away."""
    return value + rng.uniform(-reach, reach)


def centre_above(feet, size, extent):
    """The y of a frame's centre whose lower edge is at `feet`."""
    return feet - size / (2 * extent[1])


def single(rng, extent, size, shift, stands):
    """One thing near the middle."""
    x = near(rng, 0.5, shift)
    if stands:
        size = min(size, LARGEST_STANDING)
        return [(x, centre_above(near(rng, GROUND, 0.03), size, extent), size)]
    return [(x, near(rng, 0.5, shift), size)]


def pair(rng, extent, relation, stands):
    """Two things; the first is beside, above, below or in front of the second."""
    if relation == "in front of":
        return in_front(rng, extent, stands)
    side = RELATION_SIDES.get(relation) or rng.choice(("left", "right"))
    step_x, step_y = SIDES[side]
    length = extent[0] if step_x else extent[1]
    size = min(0.62, 0.46 * length) * rng.uniform(0.86, 1)
    step = min(0.25, 0.34 / length)
    spots = []
    for sign, scale in ((1, 1), (-1, rng.uniform(0.88, 1))):
        x, y = near(rng, 0.5 + sign * step * step_x, 0.012), near(rng, 0.5 + sign * step * step_y, 0.012)
        if stands:
            y = centre_above(near(rng, GROUND, 0.015), size * scale, extent)
        spots.append((x, y, size * scale))
    return spots


def in_front(rng, extent, stands):
    """A smaller thing overlapping a larger one from below."""
    side = rng.choice((-1, 1))
    front, back = rng.uniform(0.36, 0.44), rng.uniform(0.58, 0.66)
    x_front, x_back = 0.5 + side * 0.15 / extent[0], 0.5 - side * 0.07 / extent[0]
    if stands:
        feet = near(rng, GROUND + 0.06, 0.015)
        return [(x_front, centre_above(feet, front, extent), front),
                (x_back, centre_above(feet - 0.11, back, extent), back)]
    return [(x_front, 0.5 + 0.19 / extent[1], front), (x_back, 0.5 - 0.09 / extent[1], back)]


def group(rng, extent, count, stands):
    """Several equal things in a row, or in a grid whose last row is centred."""
    def cell(grid):
        return min(extent[0] / grid[0], extent[1] / grid[1])

    grids = [(count, 1)] if stands else sorted(GRIDS[count], key=cell, reverse=True)
    columns, rows = grids[0] if rng.random() < 0.75 or len(grids) == 1 else grids[1]
    size = min(cell((columns, rows)), 0.9) * rng.uniform(0.78, 0.92)
    spread_x, spread_y = min(1 / columns, 1.15 * size / extent[0]), min(1 / rows, 1.15 * size / extent[1])
    size = min(size, LARGEST_STANDING) if stands else size
    spots = []
    for position in range(count):
        row, column = divmod(position, columns)
        in_row = min(columns, count - row * columns)
        x = near(rng, 0.5 + (column - (in_row - 1) / 2) * spread_x, 0.008)
        y = near(rng, 0.5 + (row - (rows - 1) / 2) * spread_y, 0.008)
        if stands:
            y = centre_above(near(rng, GROUND, 0.015), size, extent)
        spots.append((x, y, size))
    return spots


def pattern(rng, extent):
    """Two spots whose endless repetition makes rows, and the distances after which they repeat."""
    cells = rng.choice((2, 2, 3, 4))
    columns, pairs = round(cells * extent[0]), max(1, round(cells * extent[1] / 2))
    size = min(extent[0] / columns, extent[1] / (2 * pairs)) * rng.uniform(0.62, 0.86)
    x, y = rng.random(), rng.random()
    shift = rng.choice((0, 0.5, 0.5)) / columns
    return [(x, y, size), (x + shift, y + 0.5 / pairs, size)], (1 / columns, 1 / pairs)


def banner(rng, extent, side, stands):
    """One thing on the given side; the other half of the picture stays free."""
    step_x, step_y = SIDES[side]
    length = extent[0] if step_x else extent[1]
    size = min(0.74, 0.48 * length) * rng.uniform(0.86, 1)
    x, y = near(rng, 0.5 + 0.25 * step_x, 0.012), near(rng, 0.5 + 0.25 * step_y, 0.012)
    if stands:
        size = min(size, LARGEST_STANDING)
        y = centre_above(near(rng, GROUND, 0.015), size, extent)
    return [(x, y, size)]
