#!/usr/bin/env python3
"""Writes tests/fixtures/weights: tiny random models as diffusers and transformers save them, and token ids.

    python tests/reference/packages.py

Needs torch, diffusers and transformers. Weights are random; what the fixtures pin down is names, shapes and file layouts.
"""
import json
import os
import shutil
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
from diffusers import (AutoencoderKL, AutoencoderTiny, DDIMScheduler, EulerDiscreteScheduler, FlowMatchEulerDiscreteScheduler,
                       LCMScheduler, UNet2DConditionModel)
from safetensors.torch import load_file, save_file
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

OUT = Path(__file__).parents[1] / "fixtures" / "weights"
PROMPTS = [
    "a red circle",
    "A  Photo\tof TWO cats, sitting!",
    "it's 12 o'clock -- don't panic...",
    "café, naïve, Ångström",
    "cafe\u0301 (decomposed accent)",
    "un châton 🐈 and a 🏳️‍🌈 flag",
    "3.14 x 10^8 = ?",
    "日本の橋",
    "",
    "<|endoftext|> in the middle <|startoftext|>",
    "!! wow!",
]
# Merges that make a few words of the prompts single tokens or pairs of tokens.
MERGES = ["c a", "ca t", "cat s</w>", "r e", "re d</w>", "c i", "ci r", "cir c", "circ l", "circl e</w>", "t h", "i n",
          "in g</w>", "o f</w>", "a n", "an d</w>", "p h", "ph o", "t o</w>", "pho to</w>"]


def bytes_to_unicode():
    """GPT-2's printable stand-ins for the 256 bytes."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    rest = [b for b in range(256) if b not in printable]
    return [chr(b) for b in printable] + [chr(256 + i) for i in range(len(rest))]


def tokenizer_files(folder, pad):
    """vocab.json and merges.txt, and the files that say how to pad, as in repositories of before tokenizer.json."""
    folder.mkdir(parents=True, exist_ok=True)
    symbols = bytes_to_unicode()
    tokens = symbols + [s + "</w>" for s in symbols] + [m.replace(" ", "") for m in MERGES]
    tokens += ["<|startoftext|>", "<|endoftext|>"]
    (folder / "vocab.json").write_text(json.dumps({t: i for i, t in enumerate(tokens)}))
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(MERGES) + "\n")
    special = {"bos_token": {"content": "<|startoftext|>", "lstrip": False, "normalized": True},
               "eos_token": "<|endoftext|>", "unk_token": "<|endoftext|>", "pad_token": pad}
    (folder / "special_tokens_map.json").write_text(json.dumps(special, indent=1))
    config = {"tokenizer_class": "CLIPTokenizer", "model_max_length": 16, "pad_token": "<|endoftext|>", "unk_token": "<|endoftext|>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=1))
    return len(tokens)


def token_ids(folder, pad):
    """What transformers makes of the prompts."""
    tokenizer = CLIPTokenizer(vocab=json.loads((folder / "vocab.json").read_text()),
                              merges=[tuple(m.split()) for m in MERGES], pad_token=pad, model_max_length=16)
    return {"pad": tokenizer.pad_token_id,
            "prompts": [{"text": p, "ids": tokenizer(p, truncation=False)["input_ids"]} for p in PROMPTS]}


def unet(**more):
    return UNet2DConditionModel(sample_size=8, block_out_channels=(8, 16), norm_num_groups=4, layers_per_block=1,
                                attention_head_dim=2, cross_attention_dim=12,
                                down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
                                up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"), **more)


def text_encoder(vocabulary):
    return CLIPTextModel(CLIPTextConfig(vocab_size=vocabulary, hidden_size=12, intermediate_size=24, num_hidden_layers=2,
                                        num_attention_heads=2, max_position_embeddings=16, bos_token_id=vocabulary - 2,
                                        eos_token_id=vocabulary - 1))


def tiny_vae():
    return AutoencoderTiny(encoder_block_out_channels=(8, 8), decoder_block_out_channels=(8, 8), num_encoder_blocks=(1, 1),
                           num_decoder_blocks=(2, 1))


def kl_vae():
    return AutoencoderKL(block_out_channels=(8, 16), down_block_types=("DownEncoderBlock2D",) * 2,
                         up_block_types=("UpDecoderBlock2D",) * 2, layers_per_block=1, norm_num_groups=4, sample_size=16)


def index(folder, components):
    classes = {"unet": ["diffusers", "UNet2DConditionModel"], "text_encoder": ["transformers", "CLIPTextModel"],
               "tokenizer": ["transformers", "CLIPTokenizer"], "scheduler": ["diffusers", "LCMScheduler"],
               "vae": ["diffusers", "AutoencoderKL"]}
    entries = {"_class_name": "StableDiffusionPipeline", "_diffusers_version": "0.42.1"}
    entries |= {c: classes[c] for c in components} | {"safety_checker": [None, None]}
    (folder / "model_index.json").write_text(json.dumps(entries, indent=1))


def rename(file, pairs, squeeze=False):
    """Saves `file` again under the names of an older release."""
    tensors = {}
    for name, tensor in load_file(file).items():
        if squeeze and ".attentions." in name and tensor.ndim == 2:
            tensor = tensor[:, :, None, None]
        for new, old in pairs:
            name = name.replace(new, old)
        tensors[name] = tensor.contiguous()
    save_file(tensors, file, metadata={"format": "pt"})


def modern(folder):
    """All parts, half precision, tiny decoder, tokenizer built from its vocabulary."""
    vocabulary = tokenizer_files(folder / "tokenizer", "<|endoftext|>")
    text_encoder(vocabulary).half().save_pretrained(folder / "text_encoder")
    unet(time_cond_proj_dim=6).half().save_pretrained(folder / "unet", variant="fp16")
    tiny_vae().half().save_pretrained(folder / "vae")
    LCMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear").save_pretrained(folder / "scheduler")
    index(folder, ["unet", "text_encoder", "tokenizer", "scheduler", "vae"])


def sharded(folder):
    """A sharded network, the full decoder under the names of old, no text, no index."""
    unet(use_linear_projection=True).to(torch.bfloat16).save_pretrained(folder / "unet", max_shard_size="40KB")
    kl_vae().half().save_pretrained(folder / "vae")
    rename(folder / "vae" / "diffusion_pytorch_model.safetensors",
           [("to_q", "query"), ("to_k", "key"), ("to_v", "value"), ("to_out.0", "proj_attn")], squeeze=True)
    DDIMScheduler(beta_schedule="scaled_linear").save_pretrained(folder / "scheduler")


def turbo(folder):
    """Prefixed text encoder names, padding with `!`, the full decoder under new names, a model card."""
    vocabulary = tokenizer_files(folder / "tokenizer", "!")
    text_encoder(vocabulary).half().save_pretrained(folder / "text_encoder")
    file = folder / "text_encoder" / "model.safetensors"
    prefixed = {f"text_model.{n.removeprefix('text_model.')}": t for n, t in load_file(file).items()}
    prefixed["text_model.embeddings.position_ids"] = torch.arange(16)[None]
    save_file(prefixed, file, metadata={"format": "pt"})
    kl_vae().half().save_pretrained(folder / "vae")
    EulerDiscreteScheduler(timestep_spacing="trailing").save_pretrained(folder / "scheduler")
    unet().half().save_pretrained(folder / "unet")
    index(folder, ["unet", "text_encoder", "tokenizer", "scheduler", "vae"])
    card = {"name": "tiny-turbo", "license": "CC0-1.0", "description": "Random weights.", "width": 24}
    (folder / "model.json").write_text(json.dumps(card, indent=1))


def deep(folder):
    """A picture 16 times larger than the latent, flow matching: the parts of our own model."""
    vocabulary = tokenizer_files(folder / "tokenizer", "<|endoftext|>")
    text_encoder(vocabulary).half().save_pretrained(folder / "text_encoder")
    unet(in_channels=12, out_channels=12, class_embed_type="projection",
         projection_class_embeddings_input_dim=12).half().save_pretrained(folder / "unet")
    AutoencoderTiny(latent_channels=12, encoder_block_out_channels=(4,) * 5, decoder_block_out_channels=(4,) * 5,
                    num_encoder_blocks=(0, 1, 1, 1, 1), num_decoder_blocks=(3, 4, 2, 1, 0)).half().save_pretrained(folder / "vae")
    FlowMatchEulerDiscreteScheduler().save_pretrained(folder / "scheduler")
    index(folder, ["unet", "text_encoder", "tokenizer", "scheduler", "vae"])


if __name__ == "__main__":
    torch.manual_seed(7)
    for build in (modern, sharded, turbo, deep):
        shutil.rmtree(OUT / build.__name__, ignore_errors=True)
        build(OUT / build.__name__)
    ids = {"end_of_text": token_ids(OUT / "modern" / "tokenizer", "<|endoftext|>"),
           "exclamation": token_ids(OUT / "turbo" / "tokenizer", "!")}
    (OUT / "token_ids.json").write_text(json.dumps(ids, ensure_ascii=False, indent=1) + "\n")
