"""Writes tests/fixtures/tiling: latents decoded, and pictures encoded, in overlapping tiles as diffusers does it.

    python tests/reference/tiling.py

The autoencoders are those of tests/fixtures/networks/sd1 (`kl`) and distilled (`tiny`). Sizes do not divide into tiles; the
metadata holds the parameters. `whole.*` is the same without tiles: normalisation and attention see a tile only, so the two
differ. AutoencoderTiny has neither: only what its convolutions see at the borders of tiles is different.

Written with diffusers 0.42.1 and torch 2.15.0.
"""

import json
from pathlib import Path

import torch
from diffusers import AutoencoderKL, AutoencoderTiny
from safetensors.torch import save_file

FIXTURES = Path(__file__).parents[1] / "fixtures"
OUT = FIXTURES / "tiling"
OVERLAP = 0.25
# Class, folder of the model, pixels per latent pixel, side of a latent tile, sizes of latents.
CASES = {
    "kl": (AutoencoderKL, "sd1", 2, 8, [(13, 18), (8, 20), (21, 5)]),
    "tiny": (AutoencoderTiny, "distilled", 4, 8, [(13, 15), (8, 11)]),
}


def encode(vae, image):
    output = vae.encode(image)
    return output.latent_dist.mean if hasattr(output, "latent_dist") else output.latents


def run(vae, tensors, prefix):
    decoded = {f"{prefix}decoder.{i}.out.image": vae.decode(latent).sample for i, (latent, _) in enumerate(tensors)}
    return decoded | {f"{prefix}encoder.{i}.out.latent": encode(vae, image) for i, (_, image) in enumerate(tensors)}


@torch.no_grad()
def write(name, cls, model, factor, side, sizes, generator):
    vae = cls.from_pretrained(FIXTURES / "networks" / model / "vae", torch_dtype=torch.float32).eval()
    inputs = []
    for height, width in sizes:
        image = 2 * torch.rand(1, 3, factor * height, factor * width, generator=generator) - 1
        inputs.append((torch.randn(1, 4, height, width, generator=generator), image))
    tensors = {f"decoder.{i}.in.latent": latent for i, (latent, _) in enumerate(inputs)}
    tensors |= {f"encoder.{i}.in.image": image for i, (_, image) in enumerate(inputs)}
    tensors |= run(vae, inputs, "whole.")
    vae.enable_tiling()
    # AutoencoderTiny takes it to be 8 whatever its blocks are.
    vae.spatial_scale_factor = factor
    vae.tile_latent_min_size, vae.tile_sample_min_size, vae.tile_overlap_factor = side, side * factor, OVERLAP
    tensors |= run(vae, inputs, "")
    parameters = {"model": model, "tile_latent_min_size": side, "tile_sample_min_size": side * factor,
                  "tile_overlap_factor": OVERLAP}
    tensors = {key: tensor.contiguous() for key, tensor in tensors.items()}
    save_file(tensors, OUT / f"{name}.safetensors", metadata={"tiling": json.dumps(parameters)})


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    generator = torch.Generator().manual_seed(13)
    for name, case in CASES.items():
        write(name, *case, generator)


if __name__ == "__main__":
    main()
