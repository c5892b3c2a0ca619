"""Measures a model folder on the held-out prompts, without and with the refiner.

Three measures: the distance to what many steps make of the same noise; the distance to the closest drawing of what was
asked; and how often the closest of all drawings on that background is the right thing, or the right thing and style.
Distances are taken on the picture or its latent. The eye remains the judge; these numbers only compare models.
"""
import argparse
import random
from pathlib import Path

import torch
import torch.nn.functional as F

from tools.data.compose import Parts, compose
from tools.data.vocabulary import STYLES, load_things, triples
from tools.data.captions import typical
from tools.eval.contact_sheet import FIRST_SEED, read_prompts
from tools.train.autoencoder import psnr
from tools.train.model import GUIDANCE, STEPS, Codec, Generator, noise_for, step_times
from tools.train.refiner import load_refiner

MANY_STEPS = 48
VARIANTS = 3
COMPARED_SIDE = 32


def asked_triples(prompts, things):
    """The triple behind each prompt."""
    known = {typical(*triple): triple for triple in triples(things, held_out=True)}
    return [known[prompt] for prompt in prompts]


def small(pictures):
    """Pictures shrunk for comparing, so that a shift by a pixel does not matter."""
    return F.interpolate(pictures, size=COMPARED_SIDE, mode="area")


class Drawings:
    """All drawings on every background, a few placements each, shrunk."""

    def __init__(self, parts, things, colours):
        rng = random.Random(0)
        self.keys = [(thing.code, style) for thing in things for style in STYLES]
        self.pictures = {}
        for colour in sorted(colours):
            wanted = [(thing, style, colour) for thing in things for style in STYLES] * VARIANTS
            drawn = [small(compose(parts, wanted[k : k + 64], rng)) for k in range(0, len(wanted), 64)]
            self.pictures[colour] = torch.cat(drawn).view(VARIANTS, len(self.keys), -1)

    def distances(self, picture, colour):
        """Mean squared difference of one shrunk picture to every drawing, best placement."""
        return (self.pictures[colour] - picture.flatten()).pow(2).mean(-1).amin(0)


def compare(pictures, asked, drawings):
    """Mean PSNR to the right drawing, and how often the closest drawing is the right thing, and also style."""
    values, right_thing, right_both = [], 0, 0
    for picture, (thing, style, colour) in zip(small(pictures), asked):
        distances = drawings.distances(picture, colour)
        values.append(psnr(distances[drawings.keys.index((thing.code, style))]).item())
        nearest = drawings.keys[distances.argmin().item()]
        right_thing += nearest[0] == thing.code
        right_both += nearest == (thing.code, style)
    return sum(values) / len(values), right_thing, right_both


def report(name, latents, reference, codec, asked, drawings):
    """One line of the table."""
    pictures, wanted = codec.decode(latents), codec.decode(reference)
    error = F.mse_loss(latents, reference).item()
    agreement = psnr((pictures - wanted).pow(2).mean((1, 2, 3))).mean().item()
    closeness, thing, both = compare(pictures, asked, drawings)
    print(f"| {name} | {error:.4f} | {agreement:.2f} | {closeness:.2f} | {thing} | {both} |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=Path(".plantain-train"), help="for the pack of drawings")
    parser.add_argument("--diffusers", type=Path, help="model folder (default: WORK/export)")
    parser.add_argument("--prompts", type=Path, default=Path(__file__).with_name("prompts.txt"))
    parser.add_argument("--guidance", type=float, default=GUIDANCE)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--sigmas", type=float, nargs="*", default=[], help="refiner levels to try beside its own")
    args = parser.parse_args()
    folder = args.diffusers or args.work / "export"
    device = torch.device("cpu")
    things = load_things()
    prompts = read_prompts(args.prompts)
    asked = asked_triples(prompts, things)
    generator, codec = Generator.exported(folder, device), Codec(folder / "vae", device)
    drawings = Drawings(Parts(args.work / "pack", things), things, {colour for _, _, colour in asked})
    noise = torch.cat([noise_for(1, FIRST_SEED + i, device) for i in range(len(prompts))])
    reference = generator.sample(prompts, noise, step_times(MANY_STEPS), args.guidance)
    latents = generator.sample(prompts, noise, step_times(args.steps), args.guidance)
    print(f"{len(prompts)} held-out prompts, guidance {args.guidance}")
    print("| sampled | latent mse to many steps | psnr to many steps | psnr to drawing | thing | thing and style |")
    print("|---|---|---|---|---|---|")
    report(f"{MANY_STEPS} steps", reference, reference, codec, asked, drawings)
    report(f"{args.steps} steps", latents, reference, codec, asked, drawings)
    if not (folder / "refiner").exists():
        return
    refiner, own = load_refiner(folder / "refiner")
    for sigma in sorted({own, *args.sigmas}):
        with torch.no_grad():
            refined = refiner(latents, torch.full((len(latents),), sigma))
        report(f"{args.steps} steps, refiner at {sigma}", refined, reference, codec, asked, drawings)


if __name__ == "__main__":
    main()
