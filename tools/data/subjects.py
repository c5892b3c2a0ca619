"""Puts the things of a scene into words: with articles, briefly, and what those words state."""
from tools.data.layouts import OPPOSITE
from tools.data.words import NUMBERS, with_article

RELATION_WORDS = {
    "next to": ("{a} next to {b}", "{a} beside {b}", "{a} and {b} side by side", "{a} and {b}"),
    "left of": ("{a} to the left of {b}", "{a} on the left and {b} on the right", "{a} left of {b}"),
    "right of": ("{a} to the right of {b}", "{a} on the right and {b} on the left", "{a} right of {b}"),
    "above": ("{a} above {b}", "{a} over {b}", "{a} at the top and {b} at the bottom"),
    "below": ("{a} below {b}", "{a} under {b}", "{a} at the bottom and {b} at the top"),
    "in front of": ("{a} in front of {b}", "{a} in front of {b}", "{b} behind {a}"),
}
WITHOUT_RELATION = "{a} and {b}"
PLACES = {"left": "on the left", "right": "on the right", "top": "at the top", "bottom": "at the bottom"}


def named(figure, words):
    """A figure's thing with its colour, with and without an article."""
    thing = figure.thing
    name = words.pick(thing.name, thing.names[1:])
    if figure.colour:
        name = f"{words.colour(figure.colour)} {name}"
    return with_article(name, thing.article), name


def single(scene, words):
    return (*named(scene.figures[0], words), {})


def pair(scene, words):
    """Two things; the sentence says on which side the first is."""
    (a_first, first), (a_second, second) = (named(figure, words) for figure in scene.figures)
    form = words.any(*RELATION_WORDS[scene.relation])
    stated = {"second": scene.figures[1].thing.code}
    if form != WITHOUT_RELATION:
        stated["relation"] = scene.relation
    if scene.figures[1].colour:
        stated["second_object_colour"] = scene.figures[1].colour
    return form.format(a=a_first, b=a_second), form.format(a=first, b=second), stated


def count(scene, words):
    """One to four of a thing."""
    number, thing, colour = len(scene.figures), scene.figures[0].thing, scene.figures[0].colour
    adjective = f"{words.colour(colour)} " if colour else ""
    if number == 1:
        one = adjective + singular(thing)
        return words.any(f"one {one}", f"one {one}", f"a single {one}"), f"one {one}", {"count": 1}
    several = f"{NUMBERS[number]} {adjective}{thing.plural}"
    group = f"a group of {several}" if number > 2 else several
    return words.any(several, several, several, group), several, {"count": number}


def singular(thing):
    """What one of a thing is called, after a number: "pair of scissors"."""
    return "pair of" + thing.plural.removeprefix("pairs of") if thing.plural.startswith("pairs of") else thing.name


def pattern(scene, words):
    """Rows of one thing or two."""
    first, second = (figure.thing for figure in scene.figures)
    two = first.code != second.code
    plurals = f"{first.plural} and {second.plural}" if two else first.plural
    kind = words.any("seamless pattern", "seamless pattern", "repeating pattern", "pattern")
    names = f"{first.name} and {second.name}" if two else first.name
    brief = words.any(f"pattern of {plurals}", f"{names} pattern")
    return f"{with_article(kind)} of {plurals}", brief, {"second": second.code} if two else {}


def tile(scene, words):
    """A drawing on a rounded square of a named colour."""
    a_name, name = named(scene.figures[0], words)
    colour = words.colour(scene.tile)
    subject = words.any(
        f"{with_article(colour)} app icon tile with {a_name}", f"app icon tile with {a_name} on {colour}",
        f"{a_name} on {with_article(colour)} rounded square tile",
    )
    return subject, f"{name} on {colour} app icon tile", {"tile": scene.tile}


def banner(scene, words):
    """A thing on one side and free space on the other."""
    a_name, name = named(scene.figures[0], words)
    side, free = PLACES[OPPOSITE[scene.copy_space]], PLACES[scene.copy_space]
    kind = words.any("banner", "banner", "web banner", "social media banner")
    space = f"copy space {free}"
    if scene.bars:
        space = words.any(f"placeholder text {free}", f"text placeholder bars {free}")
        if scene.button:
            space += f" and {with_article(words.colour(scene.button))} button"
    else:
        space = words.any(space, f"empty space {free}", f"empty copy space {free}")
    subject = words.any(
        f"{with_article(kind)} with {a_name} {side} and {space}", f"{kind}, {a_name} {side}, {space}",
        f"{a_name} {side}, {space}",
    )
    brief = words.any(f"{kind}, {name} {side}, {space}", f"{name} {side}, {space}")
    stated = {"copy_space": scene.copy_space} | ({"button": scene.button} if scene.button else {})
    return subject, brief, stated


KINDS = {"single": single, "pair": pair, "count": count, "pattern": pattern, "tile": tile, "banner": banner}


def subject_of(scene, words):
    """The subject with articles, the same in brief, and the facts that both state."""
    subject, brief, stated = KINDS[scene.kind](scene, words)
    first = scene.figures[0]
    facts = {"thing": first.thing.code} | ({"object_colour": first.colour} if first.colour else {})
    return subject, brief, facts | stated
