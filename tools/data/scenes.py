"""Plans training pictures: what stands where, in which style and colours, on which backdrop. Nothing is drawn here."""
import math
from dataclasses import dataclass
from itertools import accumulate, islice

from tools.data import layouts
from tools.data.splits import STANDARD_KINDS, held_out_kinds
from tools.data.vocabulary import COLOURS, INKS

DICE = 8
ATTEMPTS = 20000

PLAIN = ("plain", "gradient")
PATTERNED = ("stripes", "dots", "checks", "rays")
# Landscapes in which things stand on the ground, and one in which they float.
GROUNDS = ("field", "snow", "desert", "beach", "night city", "table", "podium", "sea", "forest")
LANDSCAPES = (*GROUNDS, "sky")
PHOTO = "photo"
# Named colours of a backdrop: the wall behind a table counts; a gradient has one or two, other landscapes none.
COLOUR_COUNTS = dict.fromkeys(PATTERNED, 2) | dict.fromkeys(("plain", "table", "podium"), 1)

RELATIONS = {"next to": 5, "left of": 5, "right of": 5, "in front of": 4, "above": 4, "below": 4}
STANDING_RELATIONS = {"next to": 5, "left of": 5, "right of": 5, "in front of": 4}

# Interface icons do not stand in landscapes; people and faces keep the colours of skin.
WITHOUT_LANDSCAPE = ("interface",)
KEEP_COLOURS = ("people", "smileys")
METALS = ("bronze", "silver", "golden")
SIDED_WORDS = {"left", "right", "leftwards", "rightwards", "clockwise", "counterclockwise"}
LEAST_COLOUR_DISTANCE = 110


@dataclass(frozen=True)
class Figure:
    """One drawing in a picture: its centre in units of the picture's width and height, its frame's side as a share of
    the picture's shorter side. `variant` in 0..1 chooses among several drawings of the thing; a figure that `stands`
    touches the lower edge of its frame."""

    thing: object
    style: str
    x: float
    y: float
    size: float
    flip: bool = False
    colour: str | None = None
    variant: float = 0.0
    stands: bool = False


@dataclass(frozen=True)
class Backdrop:
    """What is behind the figures; `dice` are numbers in 0..1 for everything in it that no caption tells."""

    kind: str
    colours: tuple = ()
    dice: tuple = (0.5,) * DICE
    label: str | None = None


@dataclass(frozen=True)
class Scene:
    """A whole picture. The first figure is the nearest; `relation` is that of the first figure to the second.

    `period` is the distance after which figures repeat in a pattern, `tile` the colour of the rounded square under the
    figure, `bars` the number of placeholder bars in the copy space and `button` the colour of the button there.
    """

    kind: str
    style: str
    figures: tuple
    backdrop: Backdrop
    relation: str | None = None
    copy_space: str | None = None
    aspect: tuple = (1, 1)
    period: tuple | None = None
    tile: str | None = None
    bars: int = 0
    button: str | None = None

    @property
    def colours(self):
        """All named colours around the figures."""
        return (*self.backdrop.colours, *(colour for colour in (self.tile, self.button) if colour))


@dataclass(frozen=True)
class Mix:
    """How often each kind of scene and of backdrop is drawn, and how things are placed and recoloured."""

    kinds: dict
    backdrops: dict
    size: tuple = (0.78, 0.88)
    shift: float = 0.02
    flip: float = 0.06
    recolour: float = 0.0


MIXES = {
    # Nothing is left to chance that no caption tells: what cannot be known is learned as a blur.
    "plain": Mix(kinds={"single": 1}, backdrops={"plain": 1}, size=(0.83, 0.83), shift=0.0, flip=0.0),
    "single": Mix(kinds={"single": 1}, backdrops={"plain": 85, "gradient": 15}),
    "full": Mix(
        kinds={"single": 46, "pair": 22, "count": 11, "pattern": 6, "tile": 7, "banner": 8},
        backdrops={"plain": 42, "gradient": 12, PHOTO: 4}
        | dict.fromkeys(PATTERNED, 3.5) | dict.fromkeys(LANDSCAPES, 2.8),
        size=(0.55, 0.88), shift=0.04, flip=0.12, recolour=0.15,
    ),
}


def choose(rng, weights):
    """A key of the dict, by weight."""
    return rng.choices(list(weights), list(weights.values()))[0]


def distinct(colour, others):
    """Whether a colour can be told from all the others at a glance."""
    return stands_out(COLOURS[colour], others)


def stands_out(rgb, colours):
    """Whether what has these values of red, green and blue is seen on grounds of all these colours."""
    return all(math.dist(rgb, COLOURS[colour]) >= LEAST_COLOUR_DISTANCE for colour in colours)


def is_seen(figure, colours):
    """Whether a figure is seen on grounds of these colours; most drawings have several of their own."""
    ink = None if figure.colour else INKS.get(figure.style)
    return ink is None or stands_out(ink, colours)


def distinct_colours(rng, count, others=(), names=tuple(COLOURS)):
    """Random colours of these names that differ well from each other and from those given."""
    chosen = []
    while len(chosen) < count:
        colour = rng.choice(names)
        if distinct(colour, (*chosen, *others)):
            chosen.append(colour)
    return tuple(chosen)


def keeps_its_colours(thing, style):
    """Whether a thing is never given a colour of its own, which all may have that a style draws in a single one."""
    return thing.group in KEEP_COLOURS and style not in INKS


def words_of(thing):
    """All words in the names of a thing."""
    return {word for name in thing.names for word in name.replace("-", " ").split()}


def may_be_mirrored(thing):
    """Whether the mirror image still has the thing's name: not a "right arrow", nor a sign such as "next"."""
    return thing.group != "interface" and not SIDED_WORDS & words_of(thing)


class Planner:
    """Draws random scenes of the drawings that are available, keeping to one split.

    `kinds` are the kinds of combinations that training leaves out, `colours` those that backdrops may have.
    """

    def __init__(self, things, styles, available, mix, split="seen", kinds=STANDARD_KINDS, colours=tuple(COLOURS)):
        self.mix, self.split, self.kinds, self.colours = mix, split, set(kinds), colours
        self.wanted = set() if split == "seen" else {split}
        self.styles = {thing.code: [s for s in styles if (thing.code, s) in available] for thing in things}
        self.things = [thing for thing in things if self.styles[thing.code]]
        self.by_style = {s: [thing for thing in self.things if s in self.styles[thing.code]] for s in styles}
        # Things in many styles get more pictures, but not in proportion: rare ones have to be learned too.
        self.weights = list(accumulate(len(self.styles[thing.code]) ** 0.5 for thing in self.things))
        self.names = {name for thing in things for name in thing.names}
        self.photos = sorted(label for label, style in available if style == PHOTO)

    def draw(self, rng, aspect=(1, 1)):
        """A scene with exactly the held-out combinations that the split asks for."""
        kind, backdrops = choose(rng, self.mix.kinds), self.mix.backdrops
        if self.split != "seen":
            kind = "pair" if self.split == "pair" else "single"
        if not self.photos:
            backdrops = {key: weight for key, weight in backdrops.items() if key != PHOTO}
        backdrop_kind = "plain" if self.split in ("colour", "triple") else choose(rng, backdrops)
        for _ in range(ATTEMPTS):
            scene = KINDS[kind](self, rng, aspect, backdrop_kind)
            if scene and self.suits(scene):
                return scene
        raise ValueError(f"these things and styles give no {kind} scene of the split {self.split!r}")

    def each_drawing(self, rng, times, recoloured=False):
        """So many scenes of each drawing by itself, in random order, on plain grounds that differ; fewer where the split has fewer.

        They show drawings as they are, or in random colours of their own, without those that keep their colours.
        """
        scenes = []
        for thing in self.things:
            for style in self.styles[thing.code]:
                on_grounds = (self.alone(rng, thing, style, Backdrop("plain", (colour,)), (1, 1), float(recoloured))
                              for colour in rng.sample(self.colours, len(self.colours)))
                wanted = (scene for scene in on_grounds
                          if self.suits(scene) and bool(scene.figures[0].colour) == recoloured)
                scenes += islice(wanted, times)
        rng.shuffle(scenes)
        return scenes

    def suits(self, scene):
        """Whether a scene belongs to the split, and shows its figures."""
        seen = all(is_seen(figure, scene.backdrop.colours) for figure in scene.figures)
        return seen and held_out_kinds(scene) & self.kinds == self.wanted

    def thing(self, rng):
        """A random thing and a style it is available in."""
        thing = rng.choices(self.things, cum_weights=self.weights)[0]
        return thing, rng.choice(self.styles[thing.code])

    def other(self, rng, thing, style):
        """A second thing in the same style, or None if there is none this time."""
        other = rng.choice(self.by_style[style])
        return None if set(other.names) & set(thing.names) else other

    def backdrop(self, rng, kind, thing=None, colours=0):
        """A backdrop of this kind in random colours; a landscape that does not suit the thing becomes a plain one."""
        if kind in (*LANDSCAPES, PHOTO) and (thing.group in WITHOUT_LANDSCAPE or words_of(thing) & set(kind.split())):
            kind = "plain"
        count = colours or (rng.choice((1, 2)) if kind == "gradient" else COLOUR_COUNTS.get(kind, 0))
        label = rng.choice(self.photos) if kind == PHOTO else None
        dice = tuple(rng.random() for _ in range(DICE))
        return Backdrop(kind, distinct_colours(rng, count, names=self.colours), dice, label)

    def own_colour(self, rng, thing, style, around, chance=None):
        """At times a colour for the thing itself, unless its name speaks of one."""
        if rng.random() >= (self.mix.recolour if chance is None else chance) or keeps_its_colours(thing, style):
            return None
        colour = rng.choice(list(COLOURS))
        named = words_of(thing) & {*COLOURS, *METALS} or {f"{colour} {name}" for name in thing.names} & self.names
        return colour if not named and distinct(colour, around) else None

    def figures(self, rng, things, style, spots, stands=False, colours=()):
        """Figures of the things at the spots, the same way round."""
        flip, variant = rng.random() < self.mix.flip and all(map(may_be_mirrored, things)), rng.random()
        colours = colours or (None,) * len(spots)
        return tuple(
            Figure(thing, style, *spot, flip, colour, variant, stands)
            for thing, spot, colour in zip(things, spots, colours)
        )

    def single(self, rng, aspect, backdrop_kind):
        """One thing in the middle."""
        thing, style = self.thing(rng)
        return self.alone(rng, thing, style, self.backdrop(rng, backdrop_kind, thing), aspect)

    def alone(self, rng, thing, style, backdrop, aspect, recolour=None):
        """This thing in the middle of a backdrop, with a chance of a colour of its own that is the mix's where none is given."""
        stands = backdrop.kind in GROUNDS
        size = rng.uniform(*self.mix.size)
        spots = layouts.single(rng, layouts.extent_of(aspect), size, self.mix.shift, stands)
        colours = (self.own_colour(rng, thing, style, backdrop.colours, recolour),)
        figures = self.figures(rng, (thing,), style, spots, stands, colours)
        return Scene("single", style, figures, backdrop, aspect=aspect)

    def pair(self, rng, aspect, backdrop_kind):
        """Two things in one style, in a relation."""
        thing, style = self.thing(rng)
        other = self.other(rng, thing, style)
        if other is None:
            return None
        backdrop = self.backdrop(rng, backdrop_kind, thing)
        stands = backdrop.kind in GROUNDS
        relation = choose(rng, STANDING_RELATIONS if stands else RELATIONS)
        spots = layouts.pair(rng, layouts.extent_of(aspect), relation, stands)
        colours = self.pair_colours(rng, (thing, other), style, backdrop.colours)
        figures = self.figures(rng, (thing, other), style, spots, stands, colours)
        return Scene("pair", style, figures, backdrop, relation, aspect=aspect)

    def pair_colours(self, rng, things, style, around):
        """Own colours for both things, or for none: mixed up colours teach which one belongs to which."""
        if rng.random() >= self.mix.recolour:
            return ()
        first = self.own_colour(rng, things[0], style, around, 1)
        second = self.own_colour(rng, things[1], style, (*around, first), 1) if first else None
        return (first, second) if second else ()

    def count(self, rng, aspect, backdrop_kind):
        """One to four of the same thing."""
        thing, style = self.thing(rng)
        if not thing.plural:
            return None
        count = rng.choice((1, 2, 2, 3, 3, 4, 4))
        backdrop = self.backdrop(rng, backdrop_kind, thing)
        stands = backdrop.kind in GROUNDS
        spots = layouts.group(rng, layouts.extent_of(aspect), count, stands)
        colours = (self.own_colour(rng, thing, style, backdrop.colours),) * count
        figures = self.figures(rng, (thing,) * count, style, spots, stands, colours)
        return Scene("count", style, figures, backdrop, aspect=aspect)

    def pattern(self, rng, aspect, backdrop_kind):
        """Rows of one thing, or of two in turn, that go on at the other side of the picture."""
        thing, style = self.thing(rng)
        other = self.other(rng, thing, style) if rng.random() < 0.3 else thing
        if not thing.plural or other is None or not other.plural:
            return None
        spots, period = layouts.pattern(rng, layouts.extent_of(aspect))
        figures = self.figures(rng, (thing, other), style, spots)
        return Scene("pattern", style, figures, self.backdrop(rng, "plain"), aspect=aspect, period=period)

    def tile(self, rng, aspect, backdrop_kind):
        """A drawing on a rounded square, as on the screen of a telephone."""
        thing, style = self.thing(rng)
        backdrop = self.backdrop(rng, backdrop_kind if backdrop_kind in PLAIN else "plain", colours=1)
        figures = self.figures(rng, (thing,), style, [(0.5, 0.5, rng.uniform(0.42, 0.5))])
        tile, = distinct_colours(rng, 1, backdrop.colours)
        return Scene("tile", style, figures, backdrop, aspect=aspect, tile=tile)

    def banner(self, rng, aspect, backdrop_kind):
        """One thing on a side and free space for words on the other, at times with bars and a button in their place."""
        thing, style = self.thing(rng)
        # Words need a calm ground, and the podium is in the middle.
        calm = "gradient" if backdrop_kind in (*PATTERNED, "podium") else backdrop_kind
        backdrop = self.backdrop(rng, calm, thing)
        stands = backdrop.kind in GROUNDS
        wide, tall = aspect[0] >= aspect[1], aspect[1] >= aspect[0] and not stands
        copy_space = rng.choice(("left", "right") * (wide or stands) + ("top", "bottom") * tall)
        spots = layouts.banner(rng, layouts.extent_of(aspect), layouts.OPPOSITE[copy_space], stands)
        figures = self.figures(rng, (thing,), style, spots, stands)
        bars = rng.choice((2, 3)) if backdrop.kind in PLAIN and rng.random() < 0.45 else 0
        button = distinct_colours(rng, 1, backdrop.colours)[0] if bars and rng.random() < 0.6 else None
        return Scene("banner", style, figures, backdrop, copy_space=copy_space, aspect=aspect, bars=bars, button=button)


KINDS = {
    "single": Planner.single, "pair": Planner.pair, "count": Planner.count, "pattern": Planner.pattern,
    "tile": Planner.tile, "banner": Planner.banner,
}
