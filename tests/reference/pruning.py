"""Writes tests/fixtures/pruning: what BK-SDM's students (arXiv:2305.15798) keep of their teacher.

    python tests/reference/pruning.py --bk-sdm BK-SDM

`--bk-sdm` is a checkout of Nota-NetsPresso/BK-SDM. The teacher is tests/fixtures/single_files/sd1.safetensors; of each
student there are

    <student>.json          `config`, and `teacher`: for each tensor of the student the teacher's that it starts as
    <student>.safetensors   what the student's UNet answers before any training

Which tensor is which was found by letting BK-SDM's own function copy names instead of tensors. Its copies fit the published
sizes, of SD 1.x and 2.x, too.

Written with diffusers 0.42.1 and torch 2.15.0.
"""

import argparse
import ast
import contextlib
import io
import json
from pathlib import Path

import torch
from diffusers import UNet2DConditionModel
from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint
from safetensors.torch import load_file, save_file

import small_models

FIXTURES = Path(__file__).parents[1] / "fixtures"
OUT = FIXTURES / "pruning"
STUDENTS = {"base": "bk_base", "small": "bk_small", "tiny": "bk_tiny"}
PUBLISHED_TEACHER = {
    "unet_config": {"cross_attention_dim": 768, "attention_head_dim": 8},
    "unet_config_v2": {"cross_attention_dim": 1024, "attention_head_dim": [5, 10, 20, 20], "use_linear_projection": True},
}


def load_copying(folder):
    """BK-SDM's function alone: the training script around it needs more than is needed here."""
    source = (folder / "src/kd_train_text_to_image.py").read_text()
    name = "copy_weight_from_teacher"
    function = next(node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef) and node.name == name)
    scope = {}
    exec(compile(ast.Module([function], []), name, "exec"), scope)
    return scope[name]


def config_of(folder, variant, student):
    config = json.loads((folder / "src" / variant / student / "config.json").read_text())
    return {key: value for key, value in config.items() if not key.startswith("_")}


def small_config(config, teacher):
    """The student's, with as many channels as the small teacher has."""
    levels = len(config["block_out_channels"])
    config["block_out_channels"] = list(teacher.config.block_out_channels[:levels])
    config["cross_attention_dim"] = teacher.config.cross_attention_dim
    config["norm_num_groups"] = teacher.config.norm_num_groups
    return config


class Entry:
    """Stands for a tensor in a state dict, and remembers which other was copied into it."""

    def __init__(self, name):
        self.name = name

    def copy_(self, other):
        self.source = other.name


class Names:
    """Stands for a network whose state dict has such names."""

    def __init__(self, network):
        self.entries = {name: Entry(name) for name in network.state_dict()}

    def state_dict(self):
        return self.entries


def kept(student, teacher, kind, copying):
    """The name of the teacher's tensor for each of the student's; their shapes must be the same."""
    names = Names(student)
    with contextlib.redirect_stdout(io.StringIO()):
        copying(names, Names(teacher), kind)
    origin = {name: entry.source for name, entry in names.entries.items()}
    mine, theirs = student.state_dict(), teacher.state_dict()
    if any(mine[name].shape != theirs[source].shape for name, source in origin.items()):
        raise SystemExit(f"{kind} does not fit its teacher")
    return origin


def check_published(folder, kind, copying):
    """With the channels of the published models, of which some blocks have a shortcut that small ones lack."""
    for variant, options in PUBLISHED_TEACHER.items():
        with torch.device("meta"):
            student = UNet2DConditionModel.from_config(config_of(folder, variant, kind))
            kept(student, UNet2DConditionModel(**options), kind, copying)


@torch.no_grad()
def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bk-sdm", type=Path, required=True)
    folder = parser.parse_args().bk_sdm
    copying = load_copying(folder)
    OUT.mkdir(parents=True, exist_ok=True)
    teacher = small_models.MODELS["sd1"]["unet"]()
    checkpoint = load_file(FIXTURES / "single_files/sd1.safetensors")
    weights = {name: tensor.float() for name, tensor in convert_ldm_unet_checkpoint(checkpoint, teacher.config).items()}
    generator = torch.Generator().manual_seed(58)
    inputs = {
        "unet.in.sample": torch.randn(1, 4, 16, 8, generator=generator),
        "unet.in.timestep": torch.tensor([500.0]),
        "unet.in.encoder_hidden_states": torch.randn(1, small_models.TOKENS, 32, generator=generator),
    }
    for name, kind in STUDENTS.items():
        config = small_config(config_of(folder, "unet_config", kind), teacher)
        student = UNet2DConditionModel.from_config(config).eval()
        origin = kept(student, teacher, kind, copying)
        check_published(folder, kind, copying)
        student.load_state_dict({tensor: weights[source] for tensor, source in origin.items()})
        sample = student(*inputs.values()).sample
        (OUT / f"{name}.json").write_text(json.dumps({"config": config, "teacher": origin}, indent=1) + "\n")
        save_file({**inputs, "unet.out.sample": sample}, OUT / f"{name}.safetensors")


if __name__ == "__main__":
    main()
