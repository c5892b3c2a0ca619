"""Writes captions for scenes, and tells what each caption really states."""
from dataclasses import dataclass, field

from tools.data.scenes import keeps_its_colours
from tools.data.subjects import subject_of
from tools.data.vocabulary import COLOURS, STYLES
from tools.data.words import Words, with_article

EMPTY_CHANCE = 0.10

# (weight, form). The words in a form tell what it states; about 30 in 100 leave something out.
LONG = [
    (26, "{subject}, {style}, {on_background}"),
    (20, "{subject} {on_background}, {style}"),
    (7, "{style}, {subject} {on_background}"),
    (10, "{brief}, {style}, {background}"),
]
SHORT = [
    (10, "{subject} {on_background}"),
    (3, "{brief}, {background}"),
    (6, "{subject}, {style}"),
    (4, "{subject}"),
    (4, "{brief}"),
]
# Only where a style may stand directly before the subject: not "sticker of a seamless pattern".
OF = [
    (18, "{style} of {subject} {on_background}"),
    (8, "{a_style} of {subject} {on_background}"),
    (6, "{style} of {subject}"),
]
BEFORE = [(8, "{style} {brief}, {background}")]

FORMS = {
    "single": LONG + SHORT + OF + BEFORE, "pair": LONG + SHORT + OF, "count": LONG + SHORT + OF,
    "pattern": LONG + SHORT, "tile": LONG + SHORT, "banner": LONG + SHORT,
}
TYPICAL = LONG[0][1]

# What people say around a thing that the drawing does not follow: its pictures stay as they are.
LEADS = ("", "", "", "a picture of", "an image of", "a drawing of", "an illustration of", "an icon of", "draw me", "please draw")
ADJECTIVES = (
    "cute", "adorable", "small", "tiny", "little", "big", "large", "happy", "friendly", "funny", "simple", "minimalist",
    "beautiful", "nice", "modern", "fresh", "shiny", "fluffy", "old", "new")
ADJECTIVE_CHANCE = 0.75
SEVERAL = ("", "two", "three", "some", "many")
SEVERAL_CHANCE = 0.12
AFTER = (
    " icon", " logo", " symbol", " clip art", " for a website", " for a poster", " for kids", " for my shop",
    " sitting", " standing", " running", " smiling", " sleeping", " at night", " in the forest", " in the snow", " on a table",
    ", game asset", ", concept art", ", digital art", ", high quality", ", highly detailed", ", centered", ", isolated")
AFTER_CHANCE = 0.3

# What may be said of a landscape: after a subject, and by itself; "{wall}" stands for the wall of a named colour.
LANDSCAPE_WORDS = {
    "field": (("in a grassy field", "in a green meadow", "on green grass"), "grassy field background"),
    "snow": (("in the snow", "in a snowy landscape"), "snowy background"),
    "desert": (("in the desert", "in a sandy desert"), "desert background"),
    "beach": (("on a sandy beach", "on the beach"), "beach background"),
    "night city": (("in a city at night", "in a night city"), "night city background"),
    "table": (("on a wooden table, {wall}",), "wooden table, {wall}"),
    "podium": (("on a white podium, {wall}", "on a round podium, {wall}"), "white podium, {wall}"),
    "sky": (("in the sky", "in a blue sky with clouds"), "cloudy sky background"),
    "sea": (("on the sea", "on the water"), "sea background"),
    "forest": (("in a forest", "in the woods"), "forest background"),
}
PATTERN_WORDS = {"stripes": ("striped", "stripes"), "checks": ("checkered", "checks"), "rays": ("sunburst", "rays")}
# What photos show, where it does not go without an article.
PHOTO_ARTICLES = dict.fromkeys(("beach", "canyon", "city", "desert", "forest", "lake", "valley"), "a") | dict.fromkeys(
    ("sea", "sky"), "the")


@dataclass(frozen=True)
class Caption:
    """A text, and what it says: only facts that a reader of the text alone would know.

    `stated` may hold "thing" and "second" (codes), "style", "colour" and "second_colour" (of the background),
    "object_colour" and "second_object_colour", "count", "relation", "backdrop", "tile", "copy_space" and "button".
    """

    text: str
    stated: dict = field(default_factory=dict)


def background_of(backdrop, words):
    """The background after a subject, and as a phrase by itself."""
    names = [words.colour(colour) for colour in backdrop.colours]
    if backdrop.kind == "plain":
        ground = f"{names[0]} background"
        a_ground = with_article(ground)
        return words.any(f"on {a_ground}", f"on {a_ground}", f"on {names[0]}", f"against {a_ground}"), ground
    if backdrop.kind == "gradient" and len(names) == 1:
        ground = f"{names[0]} gradient background"
        return words.any(f"on {with_article(ground)}", f"on {with_article(names[0] + ' gradient')}"), ground
    if backdrop.kind == "photo":
        seen = with_article(backdrop.label, PHOTO_ARTICLES.get(backdrop.label, ""))
        return words.any(f"on a photo of {seen}", f"against a photo of {seen}"), f"photo of {seen} as background"
    if backdrop.kind in LANDSCAPE_WORDS:
        phrases, alone = LANDSCAPE_WORDS[backdrop.kind]
        wall = names and words.any(f"{names[0]} background", f"{names[0]} wall")
        return words.any(*phrases).format(wall=wall), alone.format(wall=wall)
    return two_colours(backdrop.kind, *names, words)


def two_colours(kind, first, second, words):
    """A background of two colours, after a subject and by itself."""
    both = f"{first} and {second}"
    if kind == "gradient":
        ground = f"{first} to {second} gradient"
        phrase = words.any(f"on {with_article(ground)}", f"on a gradient from {first} to {second}")
        return phrase, f"{ground} background"
    if kind == "dots":
        ground = f"{first} background with {second} dots"
        return words.any(f"on {with_article(ground)}", f"on {with_article(both)} polka dot background"), ground
    adjective, plural = PATTERN_WORDS[kind]
    ground = f"{both} {adjective} background"
    return words.any(f"on {with_article(ground)}", f"against {plural} of {both}", f"against {both} {plural}"), ground


def background_facts(backdrop):
    """What a caption with the background states."""
    stated = {"backdrop": backdrop.kind}
    for key, colour in zip(("colour", "second_colour"), backdrop.colours):
        stated[key] = colour
    return stated


def fill(scene, form, words):
    """The caption that a form gives."""
    subject, brief, stated = subject_of(scene, words)
    on_background, background = background_of(scene.backdrop, words)
    style = words.pick(STYLES[scene.style][0], STYLES[scene.style][1:])
    if "style}" in form:
        stated["style"] = scene.style
    if "background}" in form:
        stated |= background_facts(scene.backdrop)
    text = form.format(subject=subject, brief=brief, style=style, a_style=with_article(style),
                       on_background=on_background, background=background)
    return Caption(text, stated)


def usual(scene):
    """The form that is used most, without synonyms, which programs bring prompts to."""
    return fill(scene, TYPICAL, Words())


def typical(scene):
    """The text of the usual caption: what evaluation asks for."""
    return usual(scene).text


def loose_subject(figure, brief, rng):
    """A thing that is drawn once, with an adjective or as several, and with an article where it takes one."""
    thing = figure.thing
    several = thing.plural and not figure.colour and rng.random() < SEVERAL_CHANCE
    noun = thing.plural if several else brief
    if rng.random() < ADJECTIVE_CHANCE:
        # What keeps its colours does so whatever is asked.
        adjectives = (*ADJECTIVES, *COLOURS) if keeps_its_colours(thing, figure.style) else ADJECTIVES
        noun = f"{rng.choice(adjectives)} {noun}"
    if several:
        return f"{rng.choice(SEVERAL)} {noun}".strip()
    return noun if thing.article == "" else with_article(noun)


def loosely(scene, rng):
    """A caption of a single thing with words that its drawing does not follow, so that they do no harm."""
    words = Words(rng)
    _, brief, stated = subject_of(scene, words)
    subject = loose_subject(scene.figures[0], brief, rng)
    text = f"{rng.choice(LEADS)} {subject}".strip() + (rng.choice(AFTER) if rng.random() < AFTER_CHANCE else "")
    style, on_background = words.pick(STYLES[scene.style][0], STYLES[scene.style][1:]), background_of(scene.backdrop, words)[0]
    if rng.random() < 0.6:
        text, stated = f"{text}, {style}", stated | {"style": scene.style}
    if rng.random() < 0.7:
        text, stated = f"{text}, {on_background}", stated | background_facts(scene.backdrop)
    return Caption(text, stated)


def write(scene, rng, loose=0.0):
    """A random caption for a scene; some are empty, for guidance, and a share of those of single things is loose."""
    if rng.random() < EMPTY_CHANCE:
        return Caption("")
    if loose and scene.kind == "single" and rng.random() < loose:
        return loosely(scene, rng)
    weights, forms = zip(*FORMS[scene.kind])
    return fill(scene, rng.choices(forms, weights)[0], Words(rng))
