"""Draws sheets of pictures with their prompts, good or bad: the first prompts of each style and set, and the free ones.

    python -m tools.eval.contact_sheet --preset full --source plantain: --out samples
    python -m tools.eval.contact_sheet --texts held-out=tools/eval/wide_prompts.txt --thumbnails --seed 1
"""
import argparse
import textwrap
from pathlib import Path

import torch
from PIL import Image, ImageDraw, ImageFont

from tools.data.vocabulary import STYLES
from tools.eval.features import BATCH, fit_side
from tools.eval.measure import FIRST_SEED
from tools.eval.prompt_files import FOLDER, LATER_SETS, NOT_SHOWN, PRESETS, SINGLE_SETS, read_free_prompts, read_prompts
from tools.eval.rows import model_row

COLUMNS = 8
CELL = 192
GAP = 6
LABEL_LINES = 3
LINE_HEIGHT = 13
LABEL_LETTERS = 34
THUMBNAIL, THUMBNAIL_GAP, THUMBNAIL_COLUMNS = 96, 4, 30
QUALITY = 92


def pixels_of(pictures, side):
    """Pictures [n, 3, h, w] in [-1, 1] as bytes [n, side, side, 3]."""
    return ((fit_side(pictures, side).clamp(-1, 1) + 1) * 127.5).round().byte().permute(0, 2, 3, 1).numpy()


def lay_out(pictures, captions):
    """The labelled sheet of pictures [n, 3, h, w] in [-1, 1]."""
    height = CELL + LABEL_LINES * LINE_HEIGHT + GAP
    rows = -(-len(captions) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * (CELL + GAP) + GAP, rows * height + GAP), "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(11)
    for i, (picture, caption) in enumerate(zip(pixels_of(pictures, CELL), captions)):
        x, y = GAP + i % COLUMNS * (CELL + GAP), GAP + i // COLUMNS * height
        sheet.paste(Image.fromarray(picture), (x, y))
        lines = textwrap.wrap(caption, LABEL_LETTERS)[:LABEL_LINES]
        pen.text((x, y + CELL + 1), "\n".join(lines), fill="black", font=font, spacing=0)
    return sheet


def lay_out_small(pixels):
    """A sheet of thumbnails [n, side, side, 3] without labels, for very many."""
    step = THUMBNAIL + THUMBNAIL_GAP
    rows = -(-len(pixels) // THUMBNAIL_COLUMNS)
    sheet = Image.new("RGB", (THUMBNAIL_COLUMNS * step + THUMBNAIL_GAP, rows * step + THUMBNAIL_GAP), "white")
    for i, picture in enumerate(pixels):
        place = i % THUMBNAIL_COLUMNS * step + THUMBNAIL_GAP, i // THUMBNAIL_COLUMNS * step + THUMBNAIL_GAP
        sheet.paste(Image.fromarray(picture), place)
    return sheet


def thumbnails(generate, captions, seeds):
    """Small pictures of many captions, of which few are held at their whole size."""
    parts = [slice(k, k + BATCH) for k in range(0, len(captions), BATCH)]
    return [picture for part in parts for picture in pixels_of(generate(captions[part], seeds[part]).float().cpu(), THUMBNAIL)]


def file_name(prompt_set):
    """What the sheet of a set is called."""
    return prompt_set.replace(" ", "-")


def captions_by_sheet(prompts, count):
    """{name of a sheet: its captions}: the first of each style, from all sets of things that it was taught in turn."""
    later = [name for name in LATER_SETS if not name.endswith(NOT_SHOWN)]
    sheets, in_styles = {}, (*SINGLE_SETS, *later)
    for style in STYLES:
        of_sets = [[p.text for p in prompts if p.set == name and p.scene.style == style] for name in in_styles]
        captions = [texts[i] for i in range(count) for texts in of_sets if i < len(texts)]
        if captions:
            sheets[style] = captions[:count]
    for name in sorted({prompt.set for prompt in prompts} - {*in_styles, *LATER_SETS}):
        sheets[file_name(name)] = [p.text for p in prompts if p.set == name][:count]
    return sheets


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", choices=PRESETS, default="cpu")
    parser.add_argument("--prompts", type=Path, help="default: prompts/PRESET.jsonl beside this file")
    parser.add_argument("--source", default="plantain:", help="torch:FOLDER or plantain:MODEL, as in evaluate")
    parser.add_argument("--program", type=Path, default=Path("target/release/plantain"))
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--set", help="only one sheet, with prompts of this set")
    which.add_argument("--texts", metavar="NAME=FILE", help="only one sheet of this name, with the prompts in the lines of a file")
    parser.add_argument("--thumbnails", action="store_true", help="small pictures, without their prompts")
    parser.add_argument("--seed", type=int, help="of all pictures (default: 1, 2, 3...)")
    parser.add_argument("--count", type=int, default=24, help="pictures on a sheet")
    parser.add_argument("--out", type=Path, default=Path("samples"))
    args = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    generate = model_row(f"sheet={args.source}", args.program, device).generate
    prompts = read_prompts(args.prompts or FOLDER / f"{args.preset}.jsonl", PRESETS[args.preset].things())
    if args.texts:
        name, _, file = args.texts.partition("=")
        sheets = {name: read_free_prompts(file)}
    elif args.set:
        sheets = {file_name(args.set): [prompt.text for prompt in prompts if prompt.set == args.set][: args.count]}
    else:
        sheets = captions_by_sheet(prompts, args.count) | {"free": read_free_prompts()}
    args.out.mkdir(parents=True, exist_ok=True)
    for name, captions in sheets.items():
        seeds = [FIRST_SEED + i if args.seed is None else args.seed for i in range(len(captions))]
        if args.thumbnails:
            sheet = lay_out_small(thumbnails(generate, captions, seeds))
        else:
            sheet = lay_out(generate(captions, seeds).float().cpu(), captions)
        sheet.save(args.out / f"{name}.webp", quality=QUALITY, method=6)


if __name__ == "__main__":
    main()
