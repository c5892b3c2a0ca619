"""Writes tests/fixtures/single_files: checkpoints in one file each, as the programs that people convert with write them.

    python tests/reference/single_files.py --writer convert_diffusers_to_original_stable_diffusion.py

The writer is diffusers' script of that name, which its packages lack: take it from the folder `scripts` of its repository.
Beside the files lie a tokenizer that all share and, in `expected/`, what diffusers computes in float32 from the same weights.
Before a file is written, diffusers' own readers of such files must bring back the tensors it was made of, where they can.

    sd1.safetensors      the layout of CompVis' latent diffusion; the only file with an autoencoder
    sd2.safetensors      the same with OpenCLIP's text encoder, which has one layer more than is used
    tiny.safetensors     a pruned UNet as the script numbers its blocks, with gaps and a few of diffusers' own names
    pruned.ckpt          a pruned UNet numbered as latent diffusion's code would; a pickle as Lightning's trainer leaves it
    micro-legacy.ckpt    a pickle as PyTorch wrote it before version 1.6
    micro-*.gguf         as stable-diffusion.cpp writes them, from float32 or (those of integers) from float16

Written with diffusers 0.42.1, transformers 5.23.0, gguf 0.19.0 and torch 2.15.0.
"""

import argparse
import importlib.util
import shutil
from pathlib import Path

import torch
from diffusers.loaders import single_file_utils
from safetensors.torch import save_file

import gguf_files
import pickles
import small_models
from packages import tokenizer_files

OUT = Path(__file__).parents[1] / "fixtures" / "single_files"
UNET = "model.diffusion_model."
VAE = "first_stage_model."
CLIP = "cond_stage_model.transformer."
OPEN_CLIP = "cond_stage_model.model."


def load_writer(path):
    spec = importlib.util.spec_from_file_location("writer", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def prefixed(prefix, tensors):
    return {prefix + name: tensor for name, tensor in tensors.items()}


def text_tensors(encoder):
    """With the name of the inner model in front, as transformers had it until version 5.6, and files have it."""
    return prefixed("text_model.", encoder.state_dict())


def numbered(config):
    """Latent diffusion's names of the blocks of a UNet: every block that passes its output on has a number, without gaps."""
    layers = config.layers_per_block
    pairs = []
    for level in range(len(config.down_block_types)):
        first = 1 + level * (layers + 1)
        for layer in range(layers):
            pairs.append((f"input_blocks.{first + layer}.0.", f"down_blocks.{level}.resnets.{layer}."))
            pairs.append((f"input_blocks.{first + layer}.1.", f"down_blocks.{level}.attentions.{layer}."))
        pairs.append((f"input_blocks.{first + layers}.0.op.", f"down_blocks.{level}.downsamplers.0.conv."))
    for level, kind in enumerate(config.up_block_types):
        first = level * (layers + 1)
        for layer in range(layers + 1):
            pairs.append((f"output_blocks.{first + layer}.0.", f"up_blocks.{level}.resnets.{layer}."))
            pairs.append((f"output_blocks.{first + layer}.1.", f"up_blocks.{level}.attentions.{layer}."))
        place = 2 if kind.startswith("CrossAttn") else 1
        pairs.append((f"output_blocks.{first + layers}.{place}.", f"up_blocks.{level}.upsamplers.0."))
    return pairs


def with_clip(writer, parts):
    """A checkpoint as the script makes it of SD 1.x."""
    checkpoint = prefixed(UNET, writer.convert_unet_state_dict(parts["unet"].state_dict()))
    if "vae" in parts:
        checkpoint |= prefixed(VAE, writer.convert_vae_state_dict(parts["vae"].state_dict()))
    checkpoint |= prefixed(CLIP, writer.convert_text_enc_state_dict(text_tensors(parts["text_encoder"])))
    positions = parts["text_encoder"].config.max_position_embeddings
    checkpoint[f"{CLIP}text_model.embeddings.position_ids"] = torch.arange(positions)[None]
    return checkpoint


def with_open_clip(writer, parts, generator):
    """A checkpoint as the script makes it of SD 2.x, with what OpenCLIP has and Stable Diffusion does not use."""
    checkpoint = prefixed(UNET, writer.convert_unet_state_dict(parts["unet"].state_dict()))
    encoder = parts["text_encoder"]
    longer = type(encoder)(type(encoder.config)(**{**encoder.config.to_dict(), "num_hidden_layers": 4}))
    small_models.fill(longer, generator).load_state_dict(encoder.state_dict(), strict=False)
    text = writer.convert_text_enc_state_dict_v20(prefixed("transformer.", text_tensors(longer)))
    width = encoder.config.hidden_size
    text["text_projection"] = small_models.pick(torch.tensor([-0.25, 0.25]), (width, width), generator)
    text["logit_scale"] = torch.tensor(4.6)
    return checkpoint | prefixed(OPEN_CLIP, text)


def same(name, restored, module, optional=()):
    """Fails unless the tensors that a reader brought back are the module's own."""
    restored = {key.removeprefix("text_model."): tensor for key, tensor in restored.items() if key not in optional}
    own = module.state_dict()
    if restored.keys() != own.keys() or any(not torch.equal(restored[key], own[key]) for key in own):
        raise SystemExit(f"{name}: diffusers does not read back what was written")


def check(name, checkpoint, parts):
    """Reads the checkpoint with diffusers, which finds blocks by their numbers and so needs these without gaps."""
    same(name, single_file_utils.convert_ldm_unet_checkpoint(checkpoint, parts["unet"].config), parts["unet"])
    if "vae" in parts:
        same(name, single_file_utils.convert_ldm_vae_checkpoint(checkpoint, parts["vae"].config), parts["vae"])
    if f"{OPEN_CLIP}ln_final.weight" in checkpoint:
        check_open_clip(name, checkpoint, parts["text_encoder"])
    else:
        text = single_file_utils.convert_ldm_clip_checkpoint(checkpoint)
        same(name, text, parts["text_encoder"], optional=["text_model.embeddings.position_ids"])


def check_open_clip(name, checkpoint, encoder):
    """diffusers knows the last layer by the number it has in the real text encoder, and the projection by its place there."""
    text = single_file_utils.convert_open_clip_checkpoint(encoder, checkpoint)
    last = [key for key in text if f"layers.{encoder.config.num_hidden_layers}." in key]
    same(name, text, encoder, optional=[*last, "text_projection.weight"])


def half(checkpoint):
    return {name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in checkpoint.items()}


def write_expected(out, file, name, parts, tokens):
    tensors = small_models.reference(name, parts, tokens, seed=7)
    save_file(tensors, out / "expected" / f"{file}.safetensors", metadata=small_models.facts(name))


def write_safetensors(out, writer, tokens, vocabulary):
    for seed, name in enumerate(("sd1", "sd2", "tiny")):
        generator = torch.Generator().manual_seed(seed)
        parts = small_models.build(name, vocabulary, generator)
        if name == "sd2":
            checkpoint = with_open_clip(writer, parts, generator)
        else:
            checkpoint = with_clip(writer, parts)
        if name != "tiny":
            check(name, checkpoint, parts)
        checkpoint = {key: tensor.contiguous() for key, tensor in half(checkpoint).items()}
        save_file(checkpoint, out / f"{name}.safetensors", metadata={"format": "pt"})
        write_expected(out, name, name, parts, tokens)


def restored(name, file, vocabulary):
    """The parts of a model with the weights that diffusers reads from the tensors of a GGUF file."""
    tensors = gguf_files.read(file)
    parts = small_models.build(name, vocabulary, torch.Generator())
    unet = single_file_utils.convert_ldm_unet_checkpoint(tensors, parts["unet"].config)
    parts["unet"].load_state_dict(unet)
    text = single_file_utils.convert_ldm_clip_checkpoint(tensors)
    parts["text_encoder"].load_state_dict({key.removeprefix("text_model."): text[key] for key in text})
    return parts


def write_others(out, writer, tokens, vocabulary):
    """Models that are numbered as latent diffusion's code would, in other files than safetensors."""
    for seed, name in enumerate(("pruned", "micro"), start=10):
        parts = small_models.build(name, vocabulary, torch.Generator().manual_seed(seed))
        writer.unet_conversion_map_layer = numbered(parts["unet"].config)
        checkpoint = with_clip(writer, parts)
        check(name, checkpoint, parts)
        if name == "pruned":
            pickles.write_lightning(out / "pruned.ckpt", half(checkpoint))
            write_expected(out, "pruned", name, parts, tokens)
            continue
        pickles.write_legacy(out / "micro-legacy.ckpt", half(checkpoint))
        write_expected(out, "micro-legacy", name, parts, tokens)
        for kind in gguf_files.KINDS:
            file = out / f"micro-{kind}.gguf"
            gguf_files.write(file, checkpoint if kind == "f16" else half(checkpoint), kind)
            write_expected(out, f"micro-{kind}", name, restored(name, file, vocabulary), tokens)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--writer", type=Path, required=True, help="diffusers' script, as above")
    options = parser.parse_args()
    writer = load_writer(options.writer)
    shutil.rmtree(OUT, ignore_errors=True)
    (OUT / "expected").mkdir(parents=True)
    vocabulary = tokenizer_files(OUT / "tokenizer", "<|endoftext|>")
    tokens = small_models.tokenizer(OUT / "tokenizer")
    write_safetensors(OUT, writer, tokens, vocabulary)
    write_others(OUT, writer, tokens, vocabulary)


if __name__ == "__main__":
    main()
