"""Writes the trained model as one folder in diffusers layout, f16, that plantain loads."""
import json
import shutil
from pathlib import Path

import torch
from diffusers import AutoencoderTiny, FlowMatchEulerDiscreteScheduler

from tools.data.vocabulary import COLOURS, load_things
from tools.train.common import Checkpoint, common_arguments
from tools.train.model import GUIDANCE, STEPS, Generator

NAME = "plantain-2-lite"
COMPONENTS = {
    "unet": ["diffusers", "UNet2DConditionModel"],
    "text_encoder": ["transformers", "CLIPTextModel"],
    "tokenizer": ["transformers", "CLIPTokenizer"],
    "vae": ["diffusers", "AutoencoderTiny"],
    "scheduler": ["diffusers", "FlowMatchEulerDiscreteScheduler"],
}


def averaged_generator(work):
    """The generator with its averaged weights, and the number of steps it was trained."""
    saved = Checkpoint(work / "text_unet.pt").load()
    generator = Generator.untrained(work / "tokenizer", torch.device("cpu"))
    with torch.no_grad():
        for parameter, average in zip(generator.parameters(), saved["ema"]):
            parameter.copy_(average)
    generator.requires_grad_(False)
    return generator, saved["step"]


def description():
    """What the model is for, in one sentence."""
    return (
        f"Draws one of {len(load_things())} everyday things as a 3d render, flat illustration or cartoon, "
        f"centred on a plain background in one of {len(COLOURS)} colours."
    )


def write_json(path, content):
    path.write_text(json.dumps(content, indent=2) + "\n")


def forget_origin(path):
    """Removes the path on this machine that diffusers notes in the config."""
    config = json.loads(path.read_text())
    config.pop("_name_or_path", None)
    write_json(path, config)


def write_model(work, folder, notices):
    """All parts of the model into an empty folder."""
    generator, steps_trained = averaged_generator(work)
    generator.unet.to(memory_format=torch.contiguous_format).half().save_pretrained(folder / "unet")
    generator.text_encoder.half().save_pretrained(folder / "text_encoder")
    AutoencoderTiny.from_pretrained(work / "vae").half().save_pretrained(folder / "vae")
    forget_origin(folder / "vae" / "config.json")
    shutil.copytree(work / "tokenizer", folder / "tokenizer")
    FlowMatchEulerDiscreteScheduler(num_train_timesteps=1000, shift=1.0).save_pretrained(folder / "scheduler")
    if (work / "refiner").exists():
        shutil.copytree(work / "refiner", folder / "refiner")
    shutil.copy(notices, folder / "LICENSES.md")
    write_json(folder / "model_index.json", {"_class_name": "LatentDiffusionPipeline", **COMPONENTS})
    write_json(folder / "model.json", {
        "name": NAME,
        "description": description(),
        "license": "MIT AND Apache-2.0",
        "notices": "LICENSES.md",
        "sampler": "flow-euler",
        "steps": STEPS,
        "guidance": GUIDANCE,
        "width": 128,
        "height": 128,
        "trained_steps": steps_trained,
    })


def replace_folder(new, target):
    """Puts the finished folder in place of the old one, which is never seen half written."""
    old = target.with_name(target.name + ".old")
    shutil.rmtree(old, ignore_errors=True)
    if target.exists():
        target.rename(old)
    new.rename(target)
    shutil.rmtree(old, ignore_errors=True)


def main():
    parser = common_arguments(__doc__)
    parser.add_argument("--out", type=Path, help="folder to write (default: WORK/export)")
    parser.add_argument("--notices", type=Path, default=Path("weights/LICENSES.md"))
    args = parser.parse_args()
    target = args.out or args.work / "export"
    building = target.with_name(target.name + ".new")
    shutil.rmtree(building, ignore_errors=True)
    building.mkdir(parents=True)
    write_model(args.work, building, args.notices)
    for file in building.rglob("*.safetensors"):
        file.chmod(0o644)
    replace_folder(building, target)
    size = sum(f.stat().st_size for f in target.rglob("*.safetensors"))
    print(f"{target}: {size / 1e6:.1f} MB of weights")


if __name__ == "__main__":
    main()
