"""Draws every evaluation prompt once, good or bad, and puts the pictures on one labelled sheet.

With --plantain the pictures come from the built program; with --diffusers from a model folder through PyTorch.
"""
import argparse
import json
import subprocess
import tempfile
import textwrap
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

COLUMNS = 12
LABEL_HEIGHT = 34
GAP = 6
FIRST_SEED = 1


def read_prompts(path):
    return [line.strip() for line in path.read_text().splitlines() if line.strip()]


def draw_with_plantain(program, model, prompts, folder):
    """One run of the program per prompt."""
    pictures = []
    for i, prompt in enumerate(prompts):
        file = folder / f"{i:03d}.png"
        command = [program, "generate", prompt, "-o", str(file), "--seed", str(FIRST_SEED + i)]
        if model:
            command += ["--model", str(model)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        pictures.append(Image.open(file).convert("RGB"))
    return pictures


def draw_with_pytorch(model, prompts, refine):
    """The same through the training code; the noise differs from the program's."""
    import torch

    from tools.train.model import Codec, Generator, noise_for, step_times
    from tools.train.refiner import load_refiner

    device = torch.device("cpu")
    generator, codec = Generator.exported(model, device), Codec(model / "vae", device)
    noise = torch.cat([noise_for(1, FIRST_SEED + i, device) for i in range(len(prompts))])
    settings = json.loads((model / "model.json").read_text())
    latents = generator.sample(prompts, noise, step_times(settings["steps"]), settings["guidance"])
    if refine and (model / "refiner").exists():
        refiner, sigma = load_refiner(model / "refiner")
        with torch.no_grad():
            latents = refiner(latents, torch.full((len(latents),), sigma))
    pixels = ((codec.decode(latents) + 1) * 127.5).round().byte().permute(0, 2, 3, 1).numpy()
    return [Image.fromarray(picture) for picture in pixels]


def lay_out(pictures, prompts):
    """The labelled sheet."""
    side = pictures[0].width
    cell = side + GAP
    rows = -(-len(pictures) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * cell + GAP, rows * (side + LABEL_HEIGHT) + GAP), "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(10)
    for i, (picture, prompt) in enumerate(zip(pictures, prompts)):
        x, y = GAP + i % COLUMNS * cell, GAP + i // COLUMNS * (side + LABEL_HEIGHT)
        sheet.paste(picture, (x, y))
        pen.text((x, y + side + 1), "\n".join(textwrap.wrap(prompt, 25)[:3]), fill="black", font=font, spacing=0)
    return sheet


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--plantain", help="the built program")
    source.add_argument("--diffusers", type=Path, help="a model folder")
    parser.add_argument("--model", type=Path, help="model folder to hand to the program")
    parser.add_argument("--prompts", type=Path, default=Path(__file__).with_name("prompts.txt"))
    parser.add_argument("--out", type=Path, default=Path("samples/held-out.png"))
    parser.add_argument("--no-refiner", action="store_true", help="only with --diffusers")
    args = parser.parse_args()
    prompts = read_prompts(args.prompts)
    if args.plantain:
        with tempfile.TemporaryDirectory() as folder:
            pictures = draw_with_plantain(args.plantain, args.model, prompts, Path(folder))
    else:
        pictures = draw_with_pytorch(args.diffusers, prompts, not args.no_refiner)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    lay_out(pictures, prompts).save(args.out, optimize=True)


if __name__ == "__main__":
    main()
