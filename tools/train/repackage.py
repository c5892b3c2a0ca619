"""Writes the model of a package once more as a folder in diffusers layout, together with its trained encoder.

All that the package holds is written as it is. `plantain convert` makes a package of the folder that has the same
tensors as before and those of the encoder.
"""
import shutil
from pathlib import Path

import torch
from diffusers import AutoencoderTiny
from safetensors.torch import save_file

from tools.train.common import common_arguments
from tools.train.export import COMPONENTS, forget_origin, replace_folder, write_json
from tools.train.unpack import build_autoencoder, build_text_encoder, build_tokenizer, build_unet, component, read_package

WEIGHTS = "diffusion_pytorch_model.safetensors"
DEFAULTS = ("steps", "guidance", "width", "height")


def model_card(manifest):
    """What `model.json` says about the model of a package."""
    facts = {name: manifest[name] for name in ("name", "description", "license")}
    defaults = {name: manifest["defaults"][name] for name in DEFAULTS}
    return facts | {"notices": "LICENSES.md", "sampler": manifest["sampler"]["kind"]} | defaults


def save_half(weights, path):
    save_file({name: value.half().contiguous() for name, value in weights.items()}, path, metadata={"format": "pt"})


def write_refiner(config, weights, folder):
    folder.mkdir()
    write_json(folder / "config.json", {"_class_name": "LatentRefiner", **config})
    save_half(weights, folder / WEIGHTS)


def write_vae(trained, packed, folder):
    """The autoencoder with the trained encoder; its decoder must be the one in the package."""
    model = AutoencoderTiny.from_pretrained(trained, torch_dtype=torch.float32)
    mine, theirs = model.decoder.state_dict(), packed.decoder.state_dict()
    if mine.keys() != theirs.keys() or any(not torch.equal(mine[name], theirs[name]) for name in mine):
        raise ValueError(f"{trained} was trained for another decoder than that of the package")
    model.half().save_pretrained(folder)
    forget_origin(folder / "config.json")


def write_networks(manifest, stored, weights, folder):
    """The text encoder with its tokenizer, and the UNet."""
    parts = manifest["components"]
    tokenizer = build_tokenizer(stored, manifest["tokenizer"]["max_length"], folder / "tokenizer")
    text_encoder = build_text_encoder(parts["text_encoder"], component(weights, "text_encoder."), tokenizer)
    text_encoder.half().save_pretrained(folder / "text_encoder")
    build_unet(parts["unet"], component(weights, "unet.")).half().save_pretrained(folder / "unet")
    for part in ("text_encoder", "unet"):
        forget_origin(folder / part / "config.json")


def write_model(package, trained, notices, folder):
    """All parts of the model into an empty folder."""
    manifest, stored, weights = read_package(package)
    parts = manifest["components"]
    write_networks(manifest, stored, weights, folder)
    write_vae(trained, build_autoencoder(parts["vae"], component(weights, "vae.")), folder / "vae")
    if "refiner" in parts:
        write_refiner(parts["refiner"], component(weights, "refiner."), folder / "refiner")
    (folder / "scheduler").mkdir()
    write_json(folder / "scheduler" / "scheduler_config.json", manifest["sampler"]["schedule"])
    shutil.copy(notices, folder / "LICENSES.md")
    write_json(folder / "model_index.json", {"_class_name": "LatentDiffusionPipeline", **COMPONENTS})
    write_json(folder / "model.json", model_card(manifest))


def main():
    parser = common_arguments(__doc__)
    parser.add_argument("--package", type=Path, default=Path("weights/plantain-2-lite.safetensors"))
    parser.add_argument("--notices", type=Path, default=Path("weights/LICENSES.md"))
    parser.add_argument("--out", type=Path, help="folder to write (default: WORK/export)")
    args = parser.parse_args()
    target = args.out or args.work / "export"
    building = target.with_name(target.name + ".new")
    shutil.rmtree(building, ignore_errors=True)
    building.mkdir(parents=True)
    write_model(args.package, args.work / "encoder" / "vae", args.notices, building)
    for file in building.rglob("*.safetensors"):
        file.chmod(0o644)
    replace_folder(building, target)
    size = sum(file.stat().st_size for file in target.rglob("*.safetensors"))
    print(f"{target}: {size / 1e6:.1f} MB of weights")


if __name__ == "__main__":
    main()
