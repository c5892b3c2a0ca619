"""Builds the pack of drawings from the published npm packages: parts.bin, parts.json and weights/LICENSES.md.

Each part is one drawing of one thing, trimmed, scaled into a square and stored as WebP. Needs node and npm.
"""
import argparse
import io
import json
import struct
import subprocess
import tarfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from tools.data.notices import licence_document
from tools.data.vocabulary import load_things

SIDE = 288
MARGIN = 4
RENDER_SIDE = 2 * SIDE
ALPHA_QUALITY = 70
RENDERER = "@resvg/resvg-js@2.6.2"
RENDER_SCRIPT = Path(__file__).with_name("render.cjs")


@dataclass(frozen=True)
class Source:
    """One published set of drawings and the style it gives."""

    style: str
    package: str
    version: str
    set_name: str
    licence: str
    author: str
    origin: str
    webp_quality: int


SOURCES = (
    Source("3d", "@lobehub/fluent-emoji-3d", "1.1.0", "Fluent Emoji 3D", "MIT", "Microsoft Corporation",
           "https://github.com/microsoft/fluentui-emoji", 66),
    Source("flat", "@lobehub/fluent-emoji-flat", "1.1.0", "Fluent Emoji Flat", "MIT", "Microsoft Corporation",
           "https://github.com/microsoft/fluentui-emoji", 58),
    Source("cartoon", "@iconify/json", "2.2.535", "Noto Emoji (`noto`)", "Apache-2.0", "Google Inc",
           "https://github.com/googlefonts/noto-emoji", 58),
)


def run(*command, cwd):
    """Runs a program and returns what it prints."""
    return subprocess.run(command, cwd=cwd, check=True, capture_output=True, text=True).stdout


def package_archive(source, folder):
    """The package as the registry serves it, downloaded once."""
    name = f"{source.package.lstrip('@').replace('/', '-')}-{source.version}.tgz"
    if not (folder / name).exists():
        run("npm", "pack", "--silent", f"{source.package}@{source.version}", cwd=folder)
    return folder / name


def extract_fluent(archive, extension, things, folder):
    """Files of the wanted things; the package names them by code point, some with the emoji selector fe0f."""
    files = {}
    with tarfile.open(archive) as tar:
        members = {Path(member.name).stem: member for member in tar if member.name.endswith(extension)}
        for thing in things:
            member = members.get(thing.code) or members[thing.code + "-fe0f"]
            files[thing.code] = folder / f"{thing.code}{extension}"
            files[thing.code].write_bytes(tar.extractfile(member).read())
    return files


def extract_noto(archive, things, folder):
    """SVG files of the wanted things from the icon collection."""
    with tarfile.open(archive) as tar:
        collection = json.load(tar.extractfile("package/json/noto.json"))
    files = {}
    for thing in things:
        icon = collection["icons"][collection["chars"][thing.code]]
        width = icon.get("width", collection["width"])
        height = icon.get("height", collection["height"])
        files[thing.code] = folder / f"{thing.code}.svg"
        files[thing.code].write_text(
            '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
            f'viewBox="0 0 {width} {height}" width="{width}" height="{height}">{icon["body"]}</svg>'
        )
    return files


def read_raster(path):
    """Premultiplied RGBA of a picture file."""
    rgba = np.asarray(Image.open(path).convert("RGBA")).astype(np.float32)
    colour = rgba[..., :3] * rgba[..., 3:] / 255
    return np.concatenate([colour, rgba[..., 3:]], -1).round().astype(np.uint8)


def render_all(files, npm_folder, folder):
    """Premultiplied RGBA of each SVG file, by code point."""
    jobs = [dict(svg=str(path), out=str(path.with_suffix(".rgba")), size=RENDER_SIDE) for path in files.values()]
    listing = folder / "jobs.json"
    listing.write_text(json.dumps(jobs))
    run("node", str(RENDER_SCRIPT), str(npm_folder.resolve() / "node_modules"), str(listing), cwd=npm_folder)
    pictures = {}
    for code, path in files.items():
        raw = path.with_suffix(".rgba").read_bytes()
        width, height = struct.unpack("<II", raw[:8])
        pictures[code] = np.frombuffer(raw[8:], np.uint8).reshape(height, width, 4)
    return pictures


def fit(premultiplied):
    """Trimmed to its content, scaled into the square, straight alpha; with the content's share of the square."""
    ys, xs = np.where(premultiplied[..., 3] > 8)
    content = premultiplied[ys.min() : ys.max() + 1, xs.min() : xs.max() + 1]
    height, width = content.shape[:2]
    scale = (SIDE - 2 * MARGIN) / max(height, width)
    width, height = max(1, round(width * scale)), max(1, round(height * scale))
    planes = [
        np.asarray(Image.fromarray(content[..., c]).resize((width, height), Image.LANCZOS, reducing_gap=3))
        for c in range(4)
    ]
    square = np.zeros((SIDE, SIDE, 4), np.uint8)
    y, x = (SIDE - height) // 2, (SIDE - width) // 2
    alpha = planes[3].astype(np.float32)
    for c in range(3):
        straight = np.clip(planes[c] * (255 / np.maximum(alpha, 1)), 0, 255).round()
        square[y : y + height, x : x + width, c] = straight
    square[y : y + height, x : x + width, 3] = planes[3]
    return Image.fromarray(square), round(width / SIDE, 3), round(height / SIDE, 3)


def load_pictures(source, things, npm_folder):
    """Premultiplied pictures of all things in one style, by code point."""
    folder = npm_folder.resolve() / source.style
    folder.mkdir(exist_ok=True)
    archive = package_archive(source, npm_folder)
    if source.style == "3d":
        files = extract_fluent(archive, ".webp", things, folder)
        return {code: read_raster(path) for code, path in files.items()}
    if source.style == "flat":
        files = extract_fluent(archive, ".svg", things, folder)
    else:
        files = extract_noto(archive, things, folder)
    return render_all(files, npm_folder, folder)


def write_pack(things, npm_folder, target):
    """parts.bin and parts.json; returns the number of parts per style."""
    rows, offset = [], 0
    with open(target / "parts.bin", "wb") as file:
        for source in SOURCES:
            pictures = load_pictures(source, things, npm_folder)
            for thing in things:
                picture, width, height = fit(pictures[thing.code])
                buffer = io.BytesIO()
                picture.save(buffer, "WEBP", quality=source.webp_quality, alpha_quality=ALPHA_QUALITY, method=6)
                size = file.write(buffer.getvalue())
                rows.append(dict(concept=thing.code, noun=thing.name, style=source.style, source=source.set_name,
                                 licence=source.licence, w=width, h=height, off=offset, len=size))
                offset += size
    (target / "parts.json").write_text(json.dumps(dict(size=SIDE, parts=rows), separators=(",", ":")))
    return Counter(row["style"] for row in rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=Path(".plantain-train"))
    parser.add_argument("--licences", type=Path, default=Path("weights/LICENSES.md"))
    args = parser.parse_args()
    npm_folder, target = args.work / "npm", args.work / "pack"
    for folder in (npm_folder, target, args.licences.parent):
        folder.mkdir(parents=True, exist_ok=True)
    run("npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", ".", RENDERER, cwd=npm_folder)
    counts = write_pack(load_things(), npm_folder, target)
    args.licences.write_text(licence_document(SOURCES, counts))
    print(dict(counts), (target / "parts.bin").stat().st_size, "bytes")


if __name__ == "__main__":
    main()
