"""Compares things that the program cuts out with the opacity of their drawings, for each ground to draw them on and for that which it chooses.

    python -m tools.eval.cut_outs --preset wide --work .plantain-train/wide [--every 3]

Draws fixed prompts of triples trained and not, and of things in colours, on every ground with `plantain generate --transparent`. Prints, for
each ground, how much of a picture's opacity is wrong, in how many pictures it is a lot, and how many are refused, which counts as if
nothing were left.
"""
import subprocess
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from tools.data.compose import Painter, Parts
from tools.data.vocabulary import COLOURS
from tools.data.words import with_article
from tools.eval.evaluate import PROGRAM
from tools.eval.measure import FIRST_SEED
from tools.eval.prompt_files import FOLDER, PRESETS, RECOLOURED_SETS, read_prompts
from tools.train.common import common_arguments, pack_folder

SETS = "seen", "triple", *RECOLOURED_SETS
# What the program says of a thing that is too much like its ground.
REFUSAL = "cannot become transparent"
# A part of the picture, more than which is a lot.
A_LOT = 0.05


def on_ground(prompt, colour):
    """The same prompt with another ground, or with none."""
    thing_and_style = prompt.text.rsplit(", on ", 1)[0]
    if colour is None:
        return replace(prompt, text=thing_and_style)
    backdrop = replace(prompt.scene.backdrop, colours=(colour,))
    return replace(prompt, text=f"{thing_and_style}, on {with_article(colour)} background",
                   scene=replace(prompt.scene, backdrop=backdrop))


def opacity(painter, prompt, side):
    """How opaque the drawing that a prompt asks for is [side, side]: by how much less a light ground differs from a dark one behind it."""
    light, dark = (painter.paint([on_ground(prompt, colour).scene], side)[0].sum(0) for colour in ("white", "black"))
    apart = sum(COLOURS["white"]) - sum(COLOURS["black"])
    return (1 - (light - dark) * 127.5 / apart).clamp(0, 1)


def cut_out(program, prompt, folder):
    """The opacity of what the program makes of a prompt [side, side], or `None` where it refuses to cut it out."""
    file = folder / "picture.png"
    arguments = ["--quiet", "--transparent", "--seed", str(FIRST_SEED), "-o", str(file), "--", prompt.text]
    ended = subprocess.run([str(program), "generate", *arguments], stderr=subprocess.PIPE, text=True)
    if ended.returncode and REFUSAL in " ".join(ended.stderr.replace("│", "").split()):
        return None
    ended.check_returncode()
    return torch.from_numpy(np.array(Image.open(file))[..., 3] / 255)


def main():
    parser = common_arguments(__doc__)
    parser.add_argument("--every", type=int, default=3, help="take one prompt in so many")
    parser.add_argument("--grounds", nargs="*", choices=COLOURS, help="default: all that were taught")
    parser.add_argument("--list", action="store_true", help="name the prompts that are a lot off")
    parser.add_argument("--program", type=Path, default=PROGRAM, help="the built program")
    args = parser.parse_args()
    preset = PRESETS[args.preset]
    prompts = [p for p in read_prompts(FOLDER / f"{args.preset}.jsonl", preset.things()) if p.set in SETS][:: args.every]
    painter = Painter(Parts(pack_folder(args), preset.things(), list(preset.trained.styles)))
    wanted = [opacity(painter, prompt, 2 * preset.trained.side) for prompt in prompts]
    nothing = torch.zeros_like(wanted[0])
    print(f"| ground | opacity off by, of {len(prompts)} | more than {A_LOT} | refused |\n" + "|---" * 4 + "|")
    with tempfile.TemporaryDirectory() as folder:
        for colour in [*(preset.trained.colours if args.grounds is None else args.grounds), None]:
            cut = [cut_out(args.program, on_ground(prompt, colour), Path(folder)) for prompt in prompts]
            errors = torch.stack([((nothing if found is None else found) - aim).abs().mean() for found, aim in zip(cut, wanted)])
            print(f"| {colour or 'left to the program'} | {errors.mean():.4f} | {(errors > A_LOT).sum()} | {sum(found is None for found in cut)} |", flush=True)
            if args.list:
                bad = sorted(((error.item(), prompt.text) for error, prompt in zip(errors, prompts) if error > A_LOT), reverse=True)
                print("\n".join(f"{error:.3f} {text}" for error, text in bad), flush=True)


if __name__ == "__main__":
    main()
