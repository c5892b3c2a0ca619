"""Writes a finished stage as one folder in diffusers layout, f16, that plantain loads.

`plantain convert --dtype int8` then makes the package of it.
"""
import json
import shutil
from dataclasses import asdict
from pathlib import Path

import torch
from diffusers import AutoencoderTiny, FlowMatchEulerDiscreteScheduler

from tools.data.sources import SOURCES
from tools.data.splits import LATER_STYLES, held_out_style
from tools.data.vocabulary import ALSO_CALLED, STYLES
from tools.train.common import common_arguments, pack_folder
from tools.train.networks import Generator, autoencoder_of
from tools.train.presets import PRESETS

NAME = "plantain-2-lite"
# The preset that made `weights/autoencoder`.
AUTOENCODER = "gpu"
STAGES = ("teacher", "student", "few_step", "quantize")
COMPONENTS = {
    "unet": ["diffusers", "UNet2DConditionModel"],
    "text_encoder": ["transformers", "CLIPTextModel"],
    "tokenizer": ["transformers", "CLIPTokenizer"],
    "vae": ["diffusers", "AutoencoderTiny"],
    "scheduler": ["diffusers", "FlowMatchEulerDiscreteScheduler"],
}


def description(preset):
    """What the model is for, in one sentence."""
    things = len(preset.things())
    styles = ", ".join(STYLES[style][0] for style in preset.styles)
    content = "one centred thing on a plain background" if preset.mix in ("plain", "single") else "things, pairs, counts and scenes"
    return f"Knows {things} things in the styles {styles}: {content}."


def licence(preset):
    """Of all drawings that any part of the model was trained on: the autoencoder may be one that saw more."""
    styles = {*preset.styles, *(PRESETS[AUTOENCODER].styles if preset.goes_on_from else ())}
    return " AND ".join(sorted({source.licence for source in SOURCES if source.style in styles}))


def styles_of_things(preset, pack, untaught):
    """For each thing of plain pictures, which of the preset's styles it was taught in; if `untaught`, those kept from training too."""
    if preset.mix != "plain":
        return []
    drawn = {(row["concept"], row["style"]) for row in json.loads((pack / "parts.json").read_text())["parts"]}
    kept = LATER_STYLES if "later style" in preset.held_out and not untaught else ()

    def is_taught(thing, style):
        return (thing.code, style) in drawn and not (style in kept and held_out_style(thing, style))

    styles = [[number for number, style in enumerate(preset.styles) if is_taught(thing, style)] for thing in preset.things()]
    if not all(styles):
        raise SystemExit(f"{pack} lacks drawings of things that {preset.name} knows")
    return styles


def write_json(path, content):
    path.write_text(json.dumps(content, indent=2) + "\n")


def forget_origin(path):
    """Removes the path on this machine that diffusers notes in the config."""
    config = json.loads(path.read_text())
    config.pop("_name_or_path", None)
    write_json(path, config)


def write_model(work, stage, preset, pack, folder, notices, with_refiner, untaught):
    """All parts of the model into an empty folder."""
    generator = Generator.saved(work / stage, torch.device("cpu")).requires_grad_(False)
    sampling = json.loads((work / stage / "sampling.json").read_text())
    generator.unet.to(memory_format=torch.contiguous_format).half().save_pretrained(folder / "unet")
    generator.text_encoder.half().save_pretrained(folder / "text_encoder")
    generator.tokenizer.save_pretrained(folder / "tokenizer")
    AutoencoderTiny.from_pretrained(autoencoder_of(work)).half().save_pretrained(folder / "vae")
    for part in ("unet", "text_encoder", "vae"):
        forget_origin(folder / part / "config.json")
    scheduler = folder / "scheduler" / "scheduler_config.json"
    FlowMatchEulerDiscreteScheduler(1000, **asdict(generator.schedule)).save_pretrained(scheduler.parent)
    # By itself the scheduler would stand at the lowest noise for its last step, which would change nothing.
    write_json(scheduler, {**json.loads(scheduler.read_text()), "flow_spacing": "even"})
    if with_refiner:
        shutil.copytree(work / "refiner", folder / "refiner")
    side = preset.side * (2 if with_refiner and preset.doubled else 1)
    shutil.copy(notices, folder / "LICENSES.md")
    write_json(folder / "model_index.json", {"_class_name": "LatentDiffusionPipeline", **COMPONENTS})
    write_json(folder / "model.json", {
        "name": NAME,
        "description": description(preset),
        "subjects": [list(thing.names) for thing in preset.things()],
        "styles": [STYLES[style] + ALSO_CALLED.get(style, []) for style in preset.styles] if preset.mix == "plain" else [],
        "subject_styles": styles_of_things(preset, pack, untaught),
        "license": licence(preset),
        "notices": "LICENSES.md",
        "sampler": "flow-euler",
        "steps": sampling["steps"],
        "guidance": sampling["guidance"],
        "width": side,
        "height": side,
        "plain_ground": preset.mix == "plain",
        "trained_steps": sampling["trained_steps"],
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
    parser.add_argument("--stage", choices=STAGES, default="quantize", help="which stage's network to write")
    parser.add_argument("--out", type=Path, help="folder to write (default: WORK/export)")
    parser.add_argument("--notices", type=Path, default=Path("weights/LICENSES.md"))
    parser.add_argument("--no-refiner", action="store_true")
    parser.add_argument("--untaught", action="store_true", help="let things be asked for in styles that they were kept out of, to measure how they are drawn")
    args = parser.parse_args()
    target = args.out or args.work / "export"
    building = target.with_name(target.name + ".new")
    shutil.rmtree(building, ignore_errors=True)
    building.mkdir(parents=True)
    with_refiner = not args.no_refiner and (args.work / "refiner").exists()
    write_model(args.work, args.stage, PRESETS[args.preset], pack_folder(args), building, args.notices, with_refiner, args.untaught)
    for file in building.rglob("*.safetensors"):
        file.chmod(0o644)
    replace_folder(building, target)
    size = sum(f.stat().st_size for f in target.rglob("*.safetensors"))
    print(f"{target}: {size / 1e6:.1f} MB of weights")


if __name__ == "__main__":
    main()
