"""Measures what refining wins, in pictures of the size that the program gives.

    python -m tools.eval.refined --preset wide --work .plantain-train/wide --pack .plantain-train/pack [before=DIR ...]

Draws the prompts of triples that were never trained, by WORK/quantize alone and with the refiner in WORK/refiner and further ones,
from the same noises, and lays them beside the drawings; so that the autoencoder's share can be told, also the drawings encoded and decoded.
"""
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F

from tools.data.compose import Painter, Parts
from tools.eval.distances import edge_sharpness, speckle, stray_speckle
from tools.eval.features import Extractor
from tools.eval.measure import crops
from tools.eval.prompt_files import FOLDER, PRESETS, read_prompts
from tools.eval.references import paint_in_batches
from tools.train.autoencoder import psnr
from tools.train.common import autocast, common_arguments, pack_folder, set_up
from tools.train.networks import Codec, Generator, autoencoder_of
from tools.train.parallel import in_parts
from tools.train.refiner import load_refiner, sampled

SET = "triple"
BATCH = 8


class Aims:
    """The drawings that were asked for, and what pictures are compared with them by."""

    def __init__(self, pictures, extractor):
        self.pictures, self.extractor, self.side = pictures, extractor, pictures.shape[-1]
        self.crops = crops(pictures)

    def line(self, name, shown, off=""):
        """A row of the table; `off` is the mean square of what latents are off by."""
        apart = shown - self.pictures
        agreement, apart = psnr(apart.square().mean((1, 2, 3))).mean(), apart.abs().mean()
        distance = self.extractor.perceptual_distance(crops(shown), self.crops).mean()
        edges = edge_sharpness(shown, self.side).mean()
        parts = list(zip(shown.split(BATCH), self.pictures.split(BATCH), strict=True))
        specks = 1000 * torch.cat([speckle(few, self.side) for few, _ in parts]).mean()
        stray = 1000 * torch.cat([stray_speckle(*pair, self.side) for pair in parts]).mean()
        return (f"| {name} | {agreement:.2f} dB | {apart:.4f} | {distance:.3f} | {edges:.4f} | {specks:.4f} | {stray:.4f} "
                f"| {off} |")


def with_plain_corners(pictures):
    """The pictures as the program gives them, whose corners are as the pixels next to them on the diagonal."""
    pictures = pictures.clone()
    for y, from_y in (0, 1), (-1, -2):
        for x, from_x in (0, 1), (-1, -2):
            pictures[..., y, x] = pictures[..., from_y, from_x]
    return pictures


@torch.no_grad()
def refined_by(refiner, latents, states, pooled):
    """Refined latents. Gradients are switched off in each thread anew."""
    with autocast(latents.device):
        return refiner(latents, (states, pooled)).float()


@torch.no_grad()
def main():
    parser = common_arguments(__doc__)
    parser.add_argument("others", nargs="*", metavar="NAME=DIR", help="further refiners")
    args = parser.parse_args()
    preset, device = PRESETS[args.preset], set_up(args.seed)
    prompts = [p for p in read_prompts(FOLDER / f"{args.preset}.jsonl", preset.things()) if p.set == SET]
    painter = Painter(Parts(pack_folder(args), preset.things(), list(preset.trained.styles)), device)
    codec, student = Codec(autoencoder_of(args.work), device), Generator.saved(args.work / "quantize", device)
    side = preset.trained.side * (2 if preset.trained.doubled else 1)
    aims = Aims(torch.cat(list(paint_in_batches(painter, [p.scene for p in prompts], side))), Extractor(device))
    wanted = torch.cat([codec.encode(few.to(device)).cpu() for few in aims.pictures.split(BATCH)])
    tokens = student.token_ids([p.text for p in prompts]).to(device)
    noise = torch.randn(len(prompts), student.unet.config.in_channels, preset.trained.latent_side, preset.trained.latent_side)
    made = sampled(student, tokens, noise.to(device))
    print("| | agreement | off by, of 2 | perceptual distance | edges | specks in 1,000 | stray ones | latents off by |\n" + "|---" * 8 + "|")
    print(aims.line("the drawings", aims.pictures))
    print(aims.line("encoded and decoded", with_plain_corners(codec.decode(wanted).cpu())))
    plain = with_plain_corners(codec.decode(made).cpu())
    plain = F.interpolate(plain, (side, side), mode="bicubic", align_corners=False).clamp(-1, 1)
    print(aims.line("not refined", plain), flush=True)
    with autocast(device):
        text = student.text_encoder(tokens)
    folders = dict(refined=args.work / "refiner") | {name: Path(place) for name, place in (o.split("=") for o in args.others)}
    for name, folder in folders.items():
        refiner = load_refiner(folder).to(device)
        refine = partial(refined_by, refiner)
        refined = in_parts(refine, BATCH, device, made.to(device), text.last_hidden_state, text.pooler_output).cpu()
        print(aims.line(name, with_plain_corners(codec.decode(refined).cpu()), f"{F.mse_loss(refined, wanted):.4f}"), flush=True)


if __name__ == "__main__":
    main()
