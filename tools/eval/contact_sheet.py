"""Draws sheets of pictures with their prompts, good or bad: the first prompts of each style and set, and the free ones.

    python -m tools.eval.contact_sheet --preset full --source plantain: --out samples
"""
import argparse
import textwrap
from pathlib import Path

import torch
from PIL import Image, ImageDraw, ImageFont

from tools.data.vocabulary import STYLES
from tools.eval.features import fit_side
from tools.eval.measure import FIRST_SEED
from tools.eval.prompt_files import FOLDER, PRESETS, SINGLE_SETS, read_free_prompts, read_prompts
from tools.eval.rows import model_row

COLUMNS = 8
CELL = 192
GAP = 6
LABEL_LINES = 3
LINE_HEIGHT = 13
LABEL_LETTERS = 34
QUALITY = 92


def lay_out(pictures, captions):
    """The labelled sheet of pictures [n, 3, h, w] in [-1, 1]."""
    height = CELL + LABEL_LINES * LINE_HEIGHT + GAP
    rows = -(-len(captions) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * (CELL + GAP) + GAP, rows * height + GAP), "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(11)
    pixels = ((fit_side(pictures, CELL).clamp(-1, 1) + 1) * 127.5).round().byte().permute(0, 2, 3, 1).numpy()
    for i, (picture, caption) in enumerate(zip(pixels, captions)):
        x, y = GAP + i % COLUMNS * (CELL + GAP), GAP + i // COLUMNS * height
        sheet.paste(Image.fromarray(picture), (x, y))
        lines = textwrap.wrap(caption, LABEL_LETTERS)[:LABEL_LINES]
        pen.text((x, y + CELL + 1), "\n".join(lines), fill="black", font=font, spacing=0)
    return sheet


def captions_by_sheet(prompts, count):
    """{name of a sheet: its captions}: the first of each style, from all sets of single things in turn."""
    sheets = {}
    for style in STYLES:
        of_sets = [[p.text for p in prompts if p.set == name and p.scene.style == style] for name in SINGLE_SETS]
        captions = [texts[i] for i in range(count) for texts in of_sets if i < len(texts)]
        if captions:
            sheets[style] = captions[:count]
    for name in sorted({prompt.set for prompt in prompts} - set(SINGLE_SETS)):
        sheets[name.replace(" ", "-")] = [p.text for p in prompts if p.set == name][:count]
    return sheets


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", choices=PRESETS, default="cpu")
    parser.add_argument("--prompts", type=Path, help="default: prompts/PRESET.jsonl beside this file")
    parser.add_argument("--source", default="plantain:", help="torch:FOLDER or plantain:MODEL, as in evaluate")
    parser.add_argument("--program", type=Path, default=Path("target/release/plantain"))
    parser.add_argument("--set", help="only one sheet, with prompts of this set")
    parser.add_argument("--count", type=int, default=24, help="pictures on a sheet")
    parser.add_argument("--out", type=Path, default=Path("samples"))
    args = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    generate = model_row(f"sheet={args.source}", args.program, device).generate
    prompts = read_prompts(args.prompts or FOLDER / f"{args.preset}.jsonl", PRESETS[args.preset].things())
    if args.set:
        sheets = {args.set: [prompt.text for prompt in prompts if prompt.set == args.set][: args.count]}
    else:
        sheets = captions_by_sheet(prompts, args.count) | {"free": read_free_prompts()}
    args.out.mkdir(parents=True, exist_ok=True)
    for name, captions in sheets.items():
        pictures = generate(captions, [FIRST_SEED + i for i in range(len(captions))])
        lay_out(pictures.float().cpu(), captions).save(args.out / f"{name}.webp", quality=QUALITY, method=6)


if __name__ == "__main__":
    main()
