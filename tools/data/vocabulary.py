"""What can be asked for: things, drawing styles and background colours, and which combinations stay unseen."""
import tomllib
import zlib
from dataclasses import dataclass
from itertools import product
from pathlib import Path

THINGS_FILE = Path(__file__).with_name("things.toml")

# Words a caption may use for each style, the usual one first. The keys name the styles in the pack of parts.
STYLES = {
    "3d": ["3d render"],
    "flat": ["flat illustration"],
    "cartoon": ["cartoon"],
}

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
}

HELD_OUT_PER_MILLE = 100


@dataclass(frozen=True)
class Thing:
    """One thing: the code point its pictures are filed under, and its names, the usual one first."""

    code: str
    names: tuple

    @property
    def name(self):
        return self.names[0]


def load_things(path=THINGS_FILE):
    """The hand-checked list of things, in file order."""
    with open(path, "rb") as file:
        rows = tomllib.load(file)["thing"]
    return [Thing(row["code"], tuple(row["names"])) for row in rows]


def order_key(thing, style, colour):
    """A fixed pseudo-random number for a triple, the same on every machine."""
    return zlib.crc32(f"{thing.code}|{style}|{colour}".encode())


def is_held_out(thing, style, colour):
    """Whether this triple is never drawn for training, so that it can show what the model generalises to."""
    return order_key(thing, style, colour) % 1000 < HELD_OUT_PER_MILLE


def triples(things, held_out):
    """All (thing, style, colour) that are held out, or all that are not."""
    everything = product(things, STYLES, COLOURS)
    return [triple for triple in everything if is_held_out(*triple) == held_out]
