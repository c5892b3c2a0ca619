"""What can be asked for: things, drawing styles and colours."""
import tomllib
from dataclasses import dataclass
from pathlib import Path

THINGS_FOLDER = Path(__file__).with_name("things")
BLOCKED = "blocked"

# Words a caption may use for each style, the usual ones first. The keys name the styles in the pack of parts.
STYLES = {
    "3d": ["3d render", "3d", "3d icon", "3d illustration"],
    "flat": ["flat illustration", "flat", "flat vector", "flat design"],
    "gradient": ["gradient illustration", "gradient vector", "glossy gradient illustration"],
    "cartoon": ["cartoon", "cartoon drawing", "cartoon illustration"],
    "minimal": ["minimal vector", "minimal illustration", "minimal drawing"],
    "soft": ["soft cartoon", "soft blob cartoon", "blob cartoon"],
    "sticker": ["sticker", "sticker art", "sticker drawing"],
    "glyph": ["glyph icon", "monochrome icon", "glyph", "silhouette icon"],
    "ui": ["app icon", "gradient app icon", "colourful app icon"],
    "flatui": ["ui icon", "flat ui icon", "simple ui icon"],
}

# What people call styles besides. No caption says so: the program asks the network for the usual names instead.
ALSO_CALLED = {
    "3d": ["3d emoji", "3d model", "3d art", "clay render", "clay"],
    "flat": ["vector illustration", "vector art", "vector graphic", "vector", "flat art", "material design", "2d illustration", "2d",
             "illustration"],
    "gradient": ["gradient icon", "gradient art"],
    "cartoon": ["comic", "cartoonish", "hand-drawn", "hand drawn", "drawing"],
    "glyph": ["line icon", "outline icon", "monochrome", "silhouette", "outline",
              "line art", "lineart"],
}

# What is drawn in a style of a single colour, where it has none of its own.
INKS = {"glyph": (51, 65, 85)}

COLOURS = {
    "red": (222, 60, 60),
    "orange": (245, 140, 50),
    "yellow": (250, 215, 80),
    "green": (80, 175, 95),
    "teal": (45, 165, 160),
    "blue": (60, 110, 225),
    "navy": (28, 40, 90),
    "purple": (130, 85, 205),
    "pink": (245, 160, 195),
    "white": (250, 250, 250),
    "grey": (150, 155, 162),
    "black": (22, 22, 26),
    "brown": (122, 80, 54),
    "cyan": (95, 210, 235),
    "lime": (165, 220, 60),
    "gold": (205, 160, 50),
    "beige": (232, 216, 184),
    "magenta": (210, 50, 150),
}


@dataclass(frozen=True)
class Thing:
    """One thing: the code its drawings are filed under, and its names, the usual one first.

    `plural` is empty for what cannot be counted; `article` is None where "a" or "an" follows from the sound;
    `also` lists further codes whose drawings show the same thing.
    """

    code: str
    names: tuple
    group: str
    plural: str
    article: str | None = None
    also: tuple = ()

    @property
    def name(self):
        return self.names[0]


def read_thing(row, group):
    """A thing from its row in the table."""
    names = tuple(row["names"])
    plural = row.get("plural", names[0] + "s")
    return Thing(row["code"], names, group, plural, row.get("article"), tuple(row.get("also", ())))


def load_things(codes=None, folder=THINGS_FOLDER):
    """The hand-checked things, in file order; only those with the given codes if there are any."""
    things = []
    for path in sorted(Path(folder).glob("*.toml")):
        if path.stem != BLOCKED:
            rows = tomllib.loads(path.read_text()).get("thing", [])
            things += [read_thing(row, path.stem) for row in rows]
    if codes is None:
        return things
    codes = set(codes)
    return [thing for thing in things if thing.code in codes]
