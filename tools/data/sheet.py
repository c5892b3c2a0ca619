"""Paints a contact sheet of training pictures with their captions underneath, for looking at the data."""
import argparse
import random
import textwrap
from pathlib import Path

from PIL import Image, ImageDraw

from tools.data.captions import write
from tools.data.compose import Painter, Parts
from tools.data.scenes import MIXES, Planner
from tools.data.splits import SPLITS, STANDARD_KINDS
from tools.data.vocabulary import STYLES, THINGS_FOLDER, load_things

SIDE = 256
COLUMNS = 8
CAPTION_HEIGHT = 58
CHARACTERS = 42
# Few things are enough for one sheet, and reading all drawings takes long.
THINGS = 120


def to_image(picture):
    """A picture tensor [3, h, w] in [-1, 1] as an image."""
    return Image.fromarray(((picture + 1) * 127.5).round().byte().permute(1, 2, 0).cpu().numpy())


def sheet(pictures, texts):
    """One image of all pictures in rows, each with its text underneath."""
    height, width = pictures.shape[2:]
    rows = -(-len(texts) // COLUMNS)
    page = Image.new("RGB", (COLUMNS * (width + 4), rows * (height + CAPTION_HEIGHT)), "white")
    draw = ImageDraw.Draw(page)
    for position, (picture, text) in enumerate(zip(pictures, texts)):
        x, y = position % COLUMNS * (width + 4), position // COLUMNS * (height + CAPTION_HEIGHT)
        page.paste(to_image(picture), (x, y))
        draw.text((x + 2, y + height + 2), "\n".join(textwrap.wrap(text or "(empty)", CHARACTERS)), fill="black")
    return page


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pack", type=Path, required=True)
    parser.add_argument("--things", type=Path, default=THINGS_FOLDER)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--mix", choices=MIXES, default="full")
    parser.add_argument("--split", choices=SPLITS, default="seen")
    parser.add_argument("--aspect", type=int, nargs=2, default=(1, 1))
    parser.add_argument("--count", type=int, default=48)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    rng = random.Random(args.seed)
    things = load_things(folder=args.things)
    things = rng.sample(things, min(THINGS, len(things)))
    parts = Parts(args.pack, things, STYLES)
    kinds = STANDARD_KINDS if args.split in ("seen", *STANDARD_KINDS) else (args.split,)
    planner = Planner(things, STYLES, parts.available, MIXES[args.mix], args.split, kinds)
    scenes = [planner.draw(rng, tuple(args.aspect)) for _ in range(args.count)]
    pictures = Painter(parts).paint(scenes, SIDE)
    sheet(pictures, [write(scene, rng).text for scene in scenes]).save(args.out)


if __name__ == "__main__":
    main()
