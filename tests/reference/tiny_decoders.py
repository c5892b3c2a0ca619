"""Writes tests/fixtures/tiny_decoders: TAESD, thinner than published, in the files that people have.

    python tests/reference/tiny_decoders.py --taesd taesd.py

`--taesd` is the file of that name in madebyollin/taesd, whose networks are built with 8 channels instead of 64.

    taesd_decoder.safetensors, taesd_encoder.safetensors   its own names, float16
    taesd_decoder.pth, taesd_encoder.pth                   the same pickled, float32 as published
    diffusers/                                             the same as an AutoencoderTiny
    expected.safetensors

TAESD's pictures are from 0 to 1, diffusers' from -1 to 1. Its latents are the diffusion model's: no scaling factor is
applied. Neither clamps pictures; both squash latents before decoding.

Written with diffusers 0.42.1 and torch 2.15.0.
"""

import argparse
import importlib.util
import shutil
from pathlib import Path

import torch
from diffusers import AutoencoderTiny
from safetensors.torch import save_file

import few_values

OUT = Path(__file__).parents[1] / "fixtures/tiny_decoders"
PUBLISHED, CHANNELS = 64, 8


def load_taesd(path):
    spec = importlib.util.spec_from_file_location("taesd", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    convolution = module.conv
    width = lambda channels: CHANNELS if channels == PUBLISHED else channels
    module.conv = lambda n_in, n_out, **options: convolution(width(n_in), width(n_out), **options)
    return module


def to_diffusers(decoder, encoder):
    """diffusers' decoder squashes latents before its layers, TAESD's in the first of them."""
    model = AutoencoderTiny(
        encoder_block_out_channels=(CHANNELS,) * 4,
        decoder_block_out_channels=(CHANNELS,) * 4,
        scaling_factor=1.0,
    )
    tensors = {f"encoder.layers.{name}": tensor for name, tensor in encoder.state_dict().items()}
    for name, tensor in decoder.state_dict().items():
        index, rest = name.split(".", 1)
        tensors[f"decoder.layers.{int(index) - 1}.{rest}"] = tensor
    model.load_state_dict(tensors)
    return model.eval()


def expected(decoder, encoder, model, generator):
    latent = 2 * torch.randn(1, 4, 6, 7, generator=generator)
    image = torch.rand(1, 3, 24, 40, generator=generator)
    tensors = {
        "decoder.in.latent": latent,
        "decoder.out.image": model.decode(latent).sample,
        "taesd.decoder.out.image": decoder(latent),
        "encoder.in.image": 2 * image - 1,
        "encoder.out.latent": model.encode(2 * image - 1).latents,
        "taesd.encoder.in.image": image,
        "taesd.encoder.out.latent": encoder(image),
    }
    same = torch.allclose(2 * tensors["taesd.decoder.out.image"] - 1, tensors["decoder.out.image"], atol=1e-5)
    if not same or not torch.allclose(tensors["taesd.encoder.out.latent"], tensors["encoder.out.latent"], atol=1e-5):
        raise SystemExit("TAESD and diffusers differ")
    return tensors


@torch.no_grad()
def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--taesd", type=Path, required=True)
    options = parser.parse_args()
    taesd = load_taesd(options.taesd)
    generator = torch.Generator().manual_seed(64)
    networks = {"decoder": taesd.Decoder(), "encoder": taesd.Encoder()}
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir(parents=True)
    for part, network in networks.items():
        few_values.fill(network, generator)
        tensors = network.state_dict()
        torch.save(tensors, OUT / f"taesd_{part}.pth")
        half = {name: tensor.half() for name, tensor in tensors.items()}
        save_file(half, OUT / f"taesd_{part}.safetensors")
    model = to_diffusers(**networks)
    save_file(expected(**networks, model=model, generator=generator), OUT / "expected.safetensors")
    model.half().save_pretrained(OUT / "diffusers")


if __name__ == "__main__":
    main()
