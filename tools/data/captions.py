"""Writes captions for (thing, style, colour) triples, and the classes that each caption really states."""
from dataclasses import dataclass

from tools.data.vocabulary import STYLES

EMPTY_CHANCE = 0.10
SYNONYM_CHANCE = 0.15

# Other words that people use for the styles and colours, checked by hand.
STYLE_SYNONYMS = {
    "3d": ["3d", "3d icon", "3d illustration"],
    "flat": ["flat", "flat vector", "flat design"],
    "cartoon": ["cartoon drawing", "cartoon illustration"],
}
COLOUR_SYNONYMS = {"grey": ["gray"], "navy": ["dark blue"], "purple": ["violet"]}

# (weight, form). {a_thing} and {a_style} carry their article; the words in the form tell what it states.
FORMS = [
    (26, "{a_thing}, {style}, on {a_colour} background"),
    (14, "{style} of {a_thing} on {a_colour} background"),
    (7, "{a_style} of {a_thing} on {a_colour} background"),
    (14, "{a_thing} on {a_colour} background, {style}"),
    (9, "{style} {thing}, {colour} background"),
    (6, "{thing}, {style}, {colour} background"),
    (6, "{a_thing} on {colour}, {style}"),
    (5, "{a_thing} on {a_colour} background"),
    (3, "{a_thing} on {colour}"),
    (4, "{a_thing}, {style}"),
    (2, "{style} of {a_thing}"),
    (2, "{a_thing}"),
    (2, "{thing}"),
]
WEIGHTS = [weight for weight, _ in FORMS]

NOT_STATED = -100


@dataclass(frozen=True)
class Caption:
    """A text, and whether it states the thing, the style and the colour."""

    text: str
    states_thing: bool
    states_style: bool
    states_colour: bool


EMPTY = Caption("", False, False, False)


def with_article(words):
    """The words with a or an in front, chosen by sound."""
    sounds_like_consonant = words.startswith(("uni", "ufo", "one"))
    return ("an " if words[0] in "aeiou" and not sounds_like_consonant else "a ") + words


def pick(rng, usual, synonyms):
    """The usual word mostly, a synonym at times."""
    if synonyms and rng.random() < SYNONYM_CHANCE:
        return rng.choice(synonyms)
    return usual


def typical(thing, style, colour):
    """The caption form that is used most, without synonyms: what evaluation asks for."""
    return FORMS[0][1].format(
        a_thing=with_article(thing.name), style=STYLES[style][0], a_colour=with_article(colour)
    )


def write(thing, style, colour, rng):
    """A random caption for a picture of this triple; some are empty, for guidance."""
    if rng.random() < EMPTY_CHANCE:
        return EMPTY
    form = rng.choices([form for _, form in FORMS], WEIGHTS)[0]
    name = pick(rng, thing.name, thing.names[1:])
    style_words = pick(rng, STYLES[style][0], STYLE_SYNONYMS[style])
    colour_word = pick(rng, colour, COLOUR_SYNONYMS.get(colour))
    text = form.format(
        thing=name, a_thing=with_article(name), style=style_words, a_style=with_article(style_words),
        colour=colour_word, a_colour=with_article(colour_word),
    )
    return Caption(text, True, "style}" in form, "colour}" in form)
