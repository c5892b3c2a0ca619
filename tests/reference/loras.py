"""Writes tests/fixtures/loras: adapters for the model tests/fixtures/weights/turbo in the spellings that are about.

    python tests/reference/loras.py

`expected/<name>.safetensors` holds what the networks answer after diffusers' `load_lora_weights` and `fuse_lora` at each
scale, in float32; `expected/inputs.safetensors` what they are asked, and their answers without adapter. Each fused weight is
also compared with `weight + scale * alpha / rank * up @ down`, or what DoRA makes of it.

    peft                 as diffusers 0.35 and later save what peft trained: alpha stands in the metadata
    diffusers            as its training scripts save it; alpha is the rank
    diffusers-2023       the older names, of attention processors; alpha is the rank
    kohya                as sd-scripts' networks/lora.py names it, alpha beside each
    locon                the same with convolutions, of other ranks and alphas, and `lora_te1_` as diffusers writes it
    partly               a few of kohya's with others that the model has no place for
    dora                 with peft's magnitude vectors; in the UNet only, as diffusers loses those of the text encoder

The rest are to be refused, and nothing is expected of them: `foreign` has no module of the model, `dora-kohya` is LyCORIS'
DoRA, `tucker`, `loha` and `lokr` are LyCORIS' other products.

Written with diffusers 0.42.1, peft 0.21.2, transformers 5.23.0 and torch 2.15.0.
"""

import copy
import shutil
from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers import DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from diffusers.utils import convert_state_dict_to_diffusers, convert_state_dict_to_kohya
from peft import LoraConfig
from safetensors.torch import save_file
from torch import nn
from transformers import CLIPTextModel

import few_values

FIXTURES = Path(__file__).parents[1] / "fixtures"
BASE = FIXTURES / "weights/turbo"
OUT = FIXTURES / "loras"
SCALES = (1.0, 0.6)
ATTENTION = ("to_q", "to_k", "to_v", "to_out.0")
TEXT_ATTENTION = ("q_proj", "k_proj", "v_proj", "out_proj")


@dataclass
class Adapter:
    """Of one module: the factors of what is added to its weight."""

    down: torch.Tensor
    up: torch.Tensor
    alpha: float
    magnitude: torch.Tensor | None = None

    def apply(self, weight, scale):
        factor = scale * self.alpha / len(self.down)
        weight = weight + (factor * self.up.flatten(1) @ self.down.flatten(1)).view_as(weight)
        if self.magnitude is None:
            return weight
        # DoRA (arXiv:2402.09353): the rows keep their direction only.
        norms = weight.flatten(1).norm(dim=1)
        return weight * (self.magnitude / norms).view(-1, *[1] * (weight.dim() - 1))


def load_base():
    return {
        "unet": UNet2DConditionModel.from_pretrained(BASE / "unet", torch_dtype=torch.float32).eval(),
        "text_encoder": CLIPTextModel.from_pretrained(BASE / "text_encoder", dtype=torch.float32).eval(),
    }


def modules(parts, endings, kind=nn.Module):
    """The modules of each part whose names end so, as `(part, name)`."""
    return [
        (part, name)
        for part, network in parts.items()
        for name, module in network.named_modules()
        if isinstance(module, kind) and hasattr(module, "weight") and name.endswith(tuple(endings))
    ]


def adapters(parts, chosen, rank, alpha, generator):
    made = {}
    for part, name in chosen:
        shape = parts[part].get_submodule(name).weight.shape
        down = few_values.weights((rank, *shape[1:]), generator)
        up = few_values.weights((shape[0], rank, *[1] * (len(shape) - 2)), generator) / 2
        made[part, name] = Adapter(down, up, alpha)
    return made


def peft_names(made, text_prefix=""):
    """By part, without the part's name."""
    tensors = {"unet": {}, "text_encoder": {}}
    for (part, name), adapter in made.items():
        name = text_prefix + name if part == "text_encoder" else name
        tensors[part][f"{name}.lora_A.weight"] = adapter.down
        tensors[part][f"{name}.lora_B.weight"] = adapter.up
        if adapter.magnitude is not None:
            tensors[part][f"{name}.lora_magnitude_vector"] = adapter.magnitude
    return tensors


def with_parts(tensors):
    return {f"{part}.{name}": tensor for part, named in tensors.items() for name, tensor in named.items()}


def kohya_name(part, name):
    if part == "text_encoder":
        return "lora_te_text_model_" + name.replace(".", "_")
    return "lora_unet_" + name.replace(".", "_")


def kohya_names(made):
    tensors = {}
    for (part, name), adapter in made.items():
        name = kohya_name(part, name)
        tensors[f"{name}.lora_down.weight"] = adapter.down
        tensors[f"{name}.lora_up.weight"] = adapter.up
        tensors[f"{name}.alpha"] = torch.tensor(float(adapter.alpha))
    return tensors


def check_kohya_names(made):
    """diffusers' own converter makes the same names, but for a 1 after `te`."""
    theirs = convert_state_dict_to_kohya(with_parts(peft_names(made, "text_model.")))
    if {name.replace("lora_te1_", "lora_te_") for name in theirs} != kohya_names(made).keys():
        raise SystemExit("kohya's names are not diffusers'")


def processor_names(made):
    """Names of 2023: layers belonged to the processor of an attention."""
    tensors = {}
    for (part, name), adapter in made.items():
        attention, layer = name.removesuffix(".0").rsplit(".", 1)
        layer = layer.replace("_proj", "") if part == "text_encoder" else layer.removeprefix("to_")
        place = f"text_encoder.text_model.{attention}" if part == "text_encoder" else f"unet.{attention}.processor"
        tensors[f"{place}.to_{layer}_lora.down.weight"] = adapter.down
        tensors[f"{place}.to_{layer}_lora.up.weight"] = adapter.up
    return tensors


def half(tensors):
    return {name: tensor.half().contiguous() for name, tensor in tensors.items()}


def save(name, tensors, metadata=None):
    save_file(half(tensors), OUT / f"{name}.safetensors", metadata=metadata)


def save_peft(name, made, alpha, rank):
    """With the metadata of peft's configuration, which alone holds alpha; in the file it is in any order."""
    tensors = peft_names(made)
    configs = {}
    for part, endings in (("unet", ATTENTION), ("text_encoder", TEXT_ATTENTION)):
        config = LoraConfig(r=rank, lora_alpha=alpha, target_modules=sorted(endings)).to_dict()
        configs[f"{part}_lora_adapter_metadata"] = {**config, "target_modules": sorted(endings)}
    StableDiffusionPipeline.save_lora_weights(
        OUT, half(tensors["unet"]), half(tensors["text_encoder"]), weight_name=f"{name}.safetensors", **configs
    )


def ask(parts, inputs):
    states = parts["text_encoder"](inputs["text-encoder.in.input_ids"].long()).last_hidden_state
    names = ("sample", "timestep", "encoder_hidden_states")
    sample = parts["unet"](**{name: inputs[f"unet.in.{name}"] for name in names}).sample
    return {"text-encoder.out.last_hidden_state": states, "unet.out.sample": sample}


def fused(parts, file, scale):
    parts = copy.deepcopy(parts)
    pipeline = StableDiffusionPipeline(
        **parts, scheduler=DDIMScheduler(clip_sample=False, steps_offset=1), vae=None, tokenizer=None, safety_checker=None,
        feature_extractor=None, requires_safety_checker=False,
    )
    pipeline.load_lora_weights(str(file.parent), weight_name=file.name)
    pipeline.fuse_lora(lora_scale=scale)
    pipeline.unload_lora_weights()
    return parts


def check(name, base, parts, made, scale):
    for part in base:
        after = parts[part].state_dict()
        for key, weight in base[part].state_dict().items():
            adapter = made.get((part, key.removesuffix(".weight")))
            expected = adapter.apply(weight, scale) if adapter else weight
            if not torch.allclose(after[key], expected, atol=1e-6):
                raise SystemExit(f"{name}: diffusers adds something else to {part}.{key}")


@torch.no_grad()
def expect(name, parts, inputs, made):
    tensors = {}
    for scale in SCALES:
        merged = fused(parts, OUT / f"{name}.safetensors", scale)
        check(name, parts, merged, made, scale)
        tensors |= {f"{scale}.{key}": tensor for key, tensor in ask(merged, inputs).items()}
    save_file(tensors, OUT / "expected" / f"{name}.safetensors")


def write_accepted(parts, inputs, generator):
    attention = modules(parts, ATTENTION + TEXT_ATTENTION)
    transformers = modules(
        parts, (*ATTENTION, "proj_in", "proj_out", "net.0.proj", "net.2", *TEXT_ATTENTION, "fc1", "fc2")
    )
    written = {}

    written["peft"] = made = adapters(parts, attention, 4, 2, generator)
    save_peft("peft", made, alpha=2, rank=4)

    written["diffusers"] = made = adapters(parts, attention, 2, 2, generator)
    tensors = peft_names(made, "text_model.")
    save("diffusers", with_parts({part: convert_state_dict_to_diffusers(named) for part, named in tensors.items()}))

    written["diffusers-2023"] = made = adapters(parts, attention, 2, 2, generator)
    save("diffusers-2023", processor_names(made))

    written["kohya"] = made = adapters(parts, transformers, 4, 1, generator)
    check_kohya_names(made)
    save("kohya", kohya_names(made), {"ss_network_module": "networks.lora"})

    convolutions = modules(parts, ("conv1", "conv2", "conv", "conv_shortcut", "time_emb_proj"))
    written["locon"] = made = {
        # diffusers finds no text attention among kohya's names unless its last layer is there, and gives attentions in the
        # UNet the alpha that most modules have, whatever theirs is.
        **adapters(parts, modules(parts, (*ATTENTION, "net.2", "proj_out", "out_proj", "fc1")), 4, 2, generator),
        **adapters(parts, convolutions[::2], 2, 3, generator),
        **adapters(parts, [("unet", "conv_in"), ("unet", "conv_out")], 1, 1, generator),
    }
    save("locon", {key.replace("lora_te_", "lora_te1_"): tensor for key, tensor in kohya_names(made).items()})

    written["partly"] = made = adapters(parts, modules(parts, ("attn1.to_out.0", "0.self_attn.out_proj")), 2, 1, generator)
    others = {("unet", "down_blocks.3.attentions.0.proj_in"), ("text_encoder", "encoder.layers.11.mlp.fc1")}
    strangers = {place: next(iter(made.values())) for place in sorted(others)}
    save("partly", kohya_names({**made, **strangers}))

    written["dora"] = made = adapters(parts, modules(parts, ATTENTION)[::2], 2, 2, generator)
    for (part, name), adapter in made.items():
        norms = parts[part].get_submodule(name).weight.flatten(1).norm(dim=1)
        adapter.magnitude = (1.25 * norms).half().float()
    save("dora", with_parts(peft_names(made)))

    for name, made in written.items():
        expect(name, parts, inputs, made)
    # Plantain refuses it, so nobody asks for its answers.
    (OUT / "expected" / "dora.safetensors").unlink()


def write_refused(parts, generator):
    chosen = modules(parts, ("attn1.to_q",))[:1]
    made = adapters(parts, chosen, 2, 1, generator)
    adapter, name = made[chosen[0]], kohya_name(*chosen[0])
    width = len(adapter.up)
    save("dora-kohya", {**kohya_names(made), f"{name}.dora_scale": torch.ones(width, 1)})
    convolution = modules(parts, ("resnets.0.conv1",))[0]
    factors = kohya_names(adapters(parts, [convolution], 2, 1, generator))
    prefix = kohya_name(*convolution)
    factors[f"{prefix}.lora_mid.weight"] = factors[f"{prefix}.lora_down.weight"][:, :2]
    factors[f"{prefix}.lora_down.weight"] = factors[f"{prefix}.lora_down.weight"][:, :, :1, :1]
    save("tucker", factors)
    pair = {f"hada_w{i}_a": adapter.up for i in (1, 2)} | {f"hada_w{i}_b": adapter.down for i in (1, 2)}
    alpha = {f"{name}.alpha": torch.tensor(1.0)}
    save("loha", {f"{name}.{key}": tensor.clone() for key, tensor in pair.items()} | alpha)
    save("lokr", {f"{name}.lokr_w1": torch.eye(2), f"{name}.lokr_w2": torch.ones(width // 2, width // 2), **alpha})
    strange = "lora_unet_input_blocks_4_1_transformer_blocks_0_attn1_to_q"
    save("foreign", {key.replace(name, strange): tensor for key, tensor in kohya_names(made).items()})


@torch.no_grad()
def main():
    generator = torch.Generator().manual_seed(41)
    shutil.rmtree(OUT, ignore_errors=True)
    (OUT / "expected").mkdir(parents=True)
    parts = load_base()
    vocabulary = parts["text_encoder"].config.vocab_size
    inputs = {
        "text-encoder.in.input_ids": torch.randint(0, vocabulary, (2, 16), generator=generator).float(),
        "unet.in.sample": torch.randn(2, 4, 8, 6, generator=generator),
        "unet.in.timestep": torch.tensor([981.0, 12.0]),
        "unet.in.encoder_hidden_states": torch.randn(2, 16, 12, generator=generator),
    }
    save_file({**inputs, **ask(parts, inputs)}, OUT / "expected/inputs.safetensors")
    write_accepted(parts, inputs, generator)
    write_refused(parts, generator)


if __name__ == "__main__":
    main()
