"""Turns a package of plantain back into a folder in diffusers layout, for a training that goes on from it.

What is read goes to WORK/first, its autoencoder to WORK/first/vae, its refiner to WORK/first/refiner. If the vocabulary stays as it is, it also goes to
WORK/tokenizer, where the stages look for one. The autoencoder of a package that is only trained on also goes to WORK/vae.
"""
import json
import shutil
from pathlib import Path

import torch
from diffusers import AutoencoderTiny, UNet2DConditionModel
from safetensors import safe_open
from transformers import CLIPTextConfig, CLIPTextModel

from tools.train.common import common_arguments
from tools.train.networks import Generator
from tools.train.presets import FEWER_THINGS, LESS_TRAINING, PRESETS
from tools.train.refiner import LatentRefiner, save_refiner
from tools.train.schedule import Schedule
from tools.train.tokenizer import alphabet_of
from tools.train.tokenizer import save as save_tokenizer

# A package's names of layers, and diffusers' for the same.
UNET_NAMES = ((".to_out.", ".to_out.0."), (".ff.proj.", ".ff.net.0.proj."), (".ff.out.", ".ff.net.2."))
CONVOLUTIONS = (("conv1", "conv.0"), ("conv2", "conv.2"), ("conv3", "conv.4"))
SCALES = "_scale"


def read_package(path):
    """The manifest, the tokenizer and all weights in f32; integers are multiplied by their scales."""
    with safe_open(path, "pt") as file:
        notes = file.metadata()
        weights = {name: file.get_tensor(name).float() for name in file.keys()}
    for name in [name for name in weights if name.endswith(SCALES)]:
        scales, weight = weights.pop(name), weights[name.removesuffix(SCALES)]
        weight *= scales.view(-1, *[1] * (weight.dim() - 1))
    return json.loads(notes["plantain.manifest"]), json.loads(notes["plantain.tokenizer"]), weights


def component(weights, prefix):
    """The weights of one component under their own names."""
    return {name.removeprefix(prefix): value for name, value in weights.items() if name.startswith(prefix)}


def known(config, function):
    """The part of a configuration that a constructor takes."""
    return {name: value for name, value in config.items() if name in function.__init__.__wrapped__.__annotations__}


def unet_name(name):
    """diffusers' name of a denoiser's tensor."""
    for ours, theirs in UNET_NAMES:
        name = name.replace(ours, theirs)
    return name


def decoder_names(blocks):
    """From a package's names of the decoder's layers to AutoencoderTiny's, which are numbered in a row."""
    names, number = {"conv_in": "0"}, 2
    for stage, count in enumerate(blocks):
        for block in range(count):
            for ours, theirs in CONVOLUTIONS:
                names[f"stages.{stage}.blocks.{block}.{ours}"] = f"{number}.{theirs}"
            number += 1
        last = stage == len(blocks) - 1
        names["conv_out" if last else f"stages.{stage}.conv"] = str(number if last else number + 1)
        number += 2
    return names


def encoder_names(blocks):
    """The same for the encoder, whose levels each begin with the convolution that halves."""
    names, number = {}, 0
    for stage, count in enumerate(blocks):
        names[f"stages.{stage}.conv" if stage else "conv_in"] = str(number)
        number += 1
        for block in range(count):
            for ours, theirs in CONVOLUTIONS:
                names[f"stages.{stage}.blocks.{block}.{ours}"] = f"{number}.{theirs}"
            number += 1
    return names | {"conv_out": str(number)}


def build_unet(config, weights):
    unet = UNet2DConditionModel(**known(config, UNet2DConditionModel))
    unet.load_state_dict({unet_name(name): value for name, value in weights.items()})
    return unet


def build_refiner(config, weights):
    """The refiner of a package."""
    refiner = LatentRefiner(known(config["unet"], UNet2DConditionModel), config["scale"], config["num_blocks"])
    refiner.load_state_dict({unet_name(name): value for name, value in weights.items()})
    return refiner


def build_text_encoder(config, weights, tokenizer):
    special = dict(bos_token_id=tokenizer.bos_token_id, pad_token_id=tokenizer.pad_token_id)
    model = CLIPTextModel(CLIPTextConfig(**config, **special))
    prefix = "text_model." if any(name.startswith("text_model.") for name in model.state_dict()) else ""
    missing, unknown = model.load_state_dict({prefix + name: value for name, value in weights.items()}, strict=False)
    if unknown or [name for name in missing if "position_ids" not in name]:
        raise ValueError(f"the text encoder lacks {missing} and does not know {unknown}")
    return model


def numbered(weights, names):
    """Weights under the numbers of their layers."""
    found = {}
    for name, value in weights.items():
        layer, _, kind = name.rpartition(".")
        found[f"layers.{names[layer]}.{kind}"] = value
    return found


def build_autoencoder(config, weights):
    """The autoencoder of a package that can begin from pictures."""
    model = AutoencoderTiny(**known(config, AutoencoderTiny))
    decoder, encoder = component(weights, "vae.decoder."), component(weights, "vae_encoder.encoder.")
    model.decoder.load_state_dict(numbered(decoder, decoder_names(config["num_decoder_blocks"])))
    model.encoder.load_state_dict(numbered(encoder, encoder_names(config["num_encoder_blocks"])))
    return model


def build_tokenizer(stored, length, folder):
    """The tokenizer in CLIP's layout."""
    vocabulary, merges = stored["model"]["vocab"], stored["model"]["merges"]
    tokenizer = save_tokenizer(alphabet_of(vocabulary, merges), [tuple(merge) for merge in merges], folder, length)
    if tokenizer.get_vocab() != vocabulary:
        raise ValueError("the vocabulary is not in CLIP's order")
    return tokenizer


def main(words=None):
    parser = common_arguments(__doc__)
    parser.add_argument("--package", type=Path, help="default: WORK/first.safetensors")
    args = parser.parse_args(words)
    manifest, stored, weights = read_package(args.package or args.work / "first.safetensors")
    parts, folder = manifest["components"], args.work / "first"
    behind_in = PRESETS[args.preset].goes_on_from
    vocabulary = folder / "tokenizer" if behind_in == FEWER_THINGS else args.work / "tokenizer"
    tokenizer = build_tokenizer(stored, manifest["tokenizer"]["max_length"], vocabulary)
    text_encoder = build_text_encoder(parts["text_encoder"], component(weights, "text_encoder."), tokenizer)
    unet = build_unet(parts["unet"], component(weights, "unet."))
    build_autoencoder({**parts["vae_encoder"], **parts["vae"]}, weights).save_pretrained(folder / "vae")
    if behind_in == LESS_TRAINING:
        shutil.copytree(folder / "vae", args.work / "vae", dirs_exist_ok=True)
    # Refiners of packages before had no denoiser of their own; nothing goes on from those.
    if "unet" in (parts.get("refiner") or {}):
        save_refiner(build_refiner(parts["refiner"], component(weights, "refiner.")), folder / "refiner")
    elif behind_in == LESS_TRAINING:
        raise SystemExit("the package has no refiner that could be trained on: take one published since 490cf76")
    defaults = manifest["defaults"]
    schedule = Schedule.noted(manifest["sampler"]["schedule"])
    Generator(tokenizer, text_encoder, unet, torch.device("cpu"), schedule).save(
        folder, steps=defaults["steps"], guidance=defaults["guidance"], trained_steps=0)


if __name__ == "__main__":
    main()
