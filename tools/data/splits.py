"""Which combinations stay unseen in training, so that they can show what the model generalises to.

The choice is a fixed hash of the combination: it is the same on every machine and does not change when things,
styles or colours are added.
"""
import zlib
from itertools import combinations

SPLIT = "1"
SPLITS = ("seen", "style", "later style", "pair", "colour", "own colour", "triple")
STANDARD_KINDS = ("style", "pair", "colour")

STYLE_PER_MILLE = 100
PAIR_PER_MILLE = 50
COLOUR_PER_MILLE = 80
TRIPLE_PER_MILLE = 100

# Most interface icons exist in one style only: holding that out would hide the thing altogether.
NEVER_HELD_OUT = ("ui", "flatui")
# Styles that the published model is taught since some of their drawings are kept from it; of those before, it has seen every one.
# Gradient is so close to 3d that things kept out of it test little (`tools.eval.style_distances`).
LATER_STYLES = ("gradient", "soft")


def falls_below(per_mille, *words):
    """Whether the hash of these words falls among the given thousandths."""
    return zlib.crc32("|".join((SPLIT, *words)).encode()) % 1000 < per_mille


def held_out_style(thing, style):
    """Whether this thing is never drawn in this style."""
    return style not in NEVER_HELD_OUT and falls_below(STYLE_PER_MILLE, "style", thing.code, style)


def held_out_pair(thing, other):
    """Whether these two things never share a picture, in whichever order."""
    return falls_below(PAIR_PER_MILLE, "pair", *sorted((thing.code, other.code)))


def held_out_colour(thing, colour):
    """Whether this thing never has this colour, neither itself nor around it."""
    return falls_below(COLOUR_PER_MILLE, "colour", thing.code, colour)


def held_out_triple(thing, style, colour):
    """Whether the first published model was never shown this thing in this style on this colour.

    Models that go on from it keep to the same choice, without the salt that later kinds have.
    """
    return zlib.crc32(f"{thing.code}|{style}|{colour}".encode()) % 1000 < TRIPLE_PER_MILLE


def held_out_kinds(scene):
    """The kinds of held-out combinations that a scene contains; empty for a scene that may be trained on."""
    things = {figure.thing.code: figure.thing for figure in scene.figures}.values()
    kinds = set()
    unseen = {figure.style for figure in scene.figures if held_out_style(figure.thing, figure.style)}
    if unseen:
        kinds.add("style")
    if unseen & set(LATER_STYLES):
        kinds.add("later style")
    if any(held_out_pair(*pair) for pair in combinations(things, 2)):
        kinds.add("pair")
    own = [(figure.thing, figure.colour) for figure in scene.figures if figure.colour]
    around = [(thing, colour) for thing in things for colour in scene.colours]
    if any(held_out_colour(*combination) for combination in own + around):
        kinds.add("colour")
    if any(held_out_colour(*combination) for combination in own):
        kinds.add("own colour")
    if any(held_out_triple(f.thing, f.style, colour) for f in scene.figures for colour in scene.colours):
        kinds.add("triple")
    return kinds
