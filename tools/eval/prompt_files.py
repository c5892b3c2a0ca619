"""The fixed evaluation prompts: the presets, what a prompt asks for, and the files it is kept in."""
import json
from dataclasses import MISSING, dataclass, fields
from pathlib import Path

from tools.data.scenes import Backdrop, Figure, Scene
from tools.data.splits import LATER_STYLES
from tools.train.presets import PRESETS as TRAINING_PRESETS

FOLDER = Path(__file__).with_name("prompts")
FREE_PROMPTS = FOLDER / "free.txt"

# Sets of single things on plain backgrounds that the distances between sets of pictures are taken on.
SINGLE_SETS = ("seen", "style", "colour", "triple")
# Sets of single things that are asked for in a colour, at times the one that their drawing has anyway; of the second training shows no drawing
# that was given that colour.
RECOLOURED_SETS = ("recolour", "own colour")
# Of each style that the model learned later: things that it was shown in it, and things that it was not.
SHOWN, NOT_SHOWN = "shown", "not shown"
LATER_SETS = {f"{style} {kind}": style for style in LATER_STYLES for kind in (SHOWN, NOT_SHOWN)}
# Things called by another of their names than the first.
SYNONYMS = "synonym"
ALL_SETS = ("seen", "style", "colour", "pair", "seen pair", "count", "recolour", "scene")


@dataclass(frozen=True)
class Preset:
    """How much is measured, on which sets, and which training it belongs to: that tells things, styles and size."""

    training: str
    sets: tuple
    per_set: int
    real: int

    @property
    def trained(self):
        return TRAINING_PRESETS[self.training]

    def things(self):
        return self.trained.things()


PRESETS = {
    "warm": Preset("warm", ("seen", "triple"), per_set=72, real=300),
    "wide": Preset("wide", ("seen", "triple", *RECOLOURED_SETS, SYNONYMS, *LATER_SETS), per_set=150, real=300),
    "cpu": Preset("cpu", ("seen", "style", "colour"), per_set=72, real=300),
    "full": Preset("all", ALL_SETS, per_set=200, real=2000),
}


@dataclass(frozen=True)
class Prompt:
    """A text, the set it belongs to, and a scene that it describes."""

    set: str
    text: str
    scene: Scene

    @property
    def things(self):
        """The different things asked for, the first figure's first."""
        return list({figure.thing.code: figure.thing for figure in self.scene.figures}.values())


def told(thing):
    """The fields of a dataclass that differ from their defaults, with numbers rounded."""
    values = {field.name: getattr(thing, field.name) for field in fields(thing)
              if field.default is MISSING or getattr(thing, field.name) != field.default}
    return {name: round(value, 4) if isinstance(value, float) else value for name, value in values.items()}


def to_line(prompt):
    """A prompt as one line of JSON; things are kept by their code."""
    figures = [dict(told(figure), thing=figure.thing.code) for figure in prompt.scene.figures]
    backdrop = told(prompt.scene.backdrop)
    backdrop["dice"] = [round(number, 3) for number in prompt.scene.backdrop.dice]
    scene = dict(told(prompt.scene), figures=figures, backdrop=backdrop)
    return json.dumps(dict(set=prompt.set, text=prompt.text, scene=scene))


def with_tuples(values):
    """A dict read from JSON with its lists as tuples."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}


def from_line(line, things):
    """The prompt of a line, given the things by code."""
    row = json.loads(line)
    scene = row["scene"]
    figures = tuple(Figure(**{**values, "thing": things[values["thing"]]}) for values in scene.pop("figures"))
    backdrop = Backdrop(**with_tuples(scene.pop("backdrop")))
    return Prompt(row["set"], row["text"], Scene(figures=figures, backdrop=backdrop, **with_tuples(scene)))


def write_prompts(prompts, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(to_line(prompt) + "\n" for prompt in prompts))


def read_prompts(path, things, count=None):
    """All prompts of a file, or only the first `count` of each set."""
    by_code = {thing.code: thing for thing in things}
    kept, taken = [], {}
    for line in Path(path).read_text().splitlines():
        prompt = from_line(line, by_code)
        taken[prompt.set] = taken.get(prompt.set, 0) + 1
        if count is None or taken[prompt.set] <= count:
            kept.append(prompt)
    return kept


def read_free_prompts(path=FREE_PROMPTS):
    """The prompts in the lines of a file."""
    return [line.strip() for line in Path(path).read_text().splitlines() if line.strip()]
