"""How unlike the drawings of the same things in two styles are, in colours at low resolution.

A thing kept from training in one style tests little where its drawing in another, which was shown, is nearly the same.

    python -m tools.eval.style_distances --pack DIR soft
"""
import argparse
from pathlib import Path

import torch

from tools.data.compose import Parts
from tools.eval.prompt_files import PRESETS
from tools.eval.templates import Templates, colour_difference

LIGHT = torch.full((3,), 0.9)
# Of 100 pictures of each of four sets, moved and resized a little, 92 to 95 were no further from their own drawing.
HARDLY_DIFFERENT = 3.0


def distances(style, others, parts):
    """{other style: how far the first drawing of each thing in `style` is from the nearest one of it in the other}."""
    positions = {key: torch.tensor(rows) for key, rows in parts.drawings.items()}
    templates = Templates(parts.pictures)
    found = {other: [] for other in others}
    for (code, drawn), rows in positions.items():
        if drawn != style:
            continue
        lab = templates.on_ground(rows[:1], LIGHT)[0]
        for other in others:
            if (code, other) in positions:
                laid = templates.on_ground(positions[code, other], LIGHT)
                found[other].append(colour_difference(lab, laid).min().item())
    return {other: torch.tensor(values) for other, values in found.items() if values}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("style")
    parser.add_argument("--pack", type=Path, default=Path(".plantain-train/pack"))
    parser.add_argument("--preset", choices=PRESETS, default="wide")
    args = parser.parse_args()
    preset = PRESETS[args.preset]
    parts = Parts(args.pack, preset.things(), preset.trained.styles)
    others = [style for style in preset.trained.styles if style != args.style]
    for other, values in distances(args.style, others, parts).items():
        share = (values < HARDLY_DIFFERENT).float().mean().item()
        print(f"{args.style} and {other}: {len(values)} things, median {values.median():.1f}, "
              f"a tenth below {values.quantile(0.1):.1f}; {share:.1%} below {HARDLY_DIFFERENT}")


if __name__ == "__main__":
    main()
