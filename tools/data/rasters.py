"""Turns drawings (SVG documents or picture files) into premultiplied pixels."""
import io
import json
import struct
import subprocess
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

RENDERER = "@resvg/resvg-js@2.6.2"
RENDER_SCRIPT = Path(__file__).with_name("render.cjs")
# Gradients have jagged edges when they are rendered small, so everything is rendered large and scaled down.
SMALLEST_RENDER = 420
BATCH = 100  # drawings per renderer process, which frees its memory late


def install_renderer(folder):
    """Puts the SVG renderer into the folder's node_modules."""
    command = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", ".", RENDERER]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)


def read_picture(data):
    """Premultiplied RGBA of a picture file."""
    rgba = np.asarray(Image.open(io.BytesIO(data)).convert("RGBA")).astype(np.float32)
    colour = rgba[..., :3] * rgba[..., 3:] / 255
    return np.concatenate([colour, rgba[..., 3:]], -1).round().astype(np.uint8)


def render_batch(drawings, size, npm_folder):
    """Renders (code, svg) pairs; ends early when one of them takes the whole renderer down."""
    with tempfile.NamedTemporaryFile("w", suffix=".json") as jobs:
        json.dump([dict(svg=svg.decode(), size=size) for _, svg in drawings], jobs)
        jobs.flush()
        command = ["node", str(RENDER_SCRIPT), str(npm_folder.resolve() / "node_modules"), jobs.name]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as renderer:
            for code, _ in drawings:
                header = renderer.stdout.read(8)
                if len(header) < 8:
                    return
                width, height = struct.unpack("<II", header)
                pixels = renderer.stdout.read(4 * width * height)
                yield code, np.frombuffer(pixels, np.uint8).reshape(height, width, 4)


def render_svgs(drawings, size, npm_folder):
    """Premultiplied RGBA of SVG documents, as (code, pixels); those that crash the renderer are named and skipped."""
    drawings = list(drawings.items())
    for start in range(0, len(drawings), BATCH):
        batch = drawings[start : start + BATCH]
        while batch:
            done = 0
            for done, rendered in enumerate(render_batch(batch, size, npm_folder), 1):
                yield rendered
            if done < len(batch):
                print("cannot be rendered:", batch[done][0], flush=True)
            batch = batch[done + 1 :]


def rasterise(source, drawings, side, npm_folder):
    """Premultiplied RGBA of all drawings of a source, as (code, pixels)."""
    if source.file == ".webp":
        return ((code, read_picture(data)) for code, data in drawings.items())
    return render_svgs(drawings, max(SMALLEST_RENDER, 2 * side), npm_folder)
