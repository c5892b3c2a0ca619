"""The pack: parts.bin holds WebP pictures one after another, parts.json a row each with its place and its origin."""
import io
import json
from dataclasses import dataclass

import numpy as np
from PIL import Image

MARGIN = 4
VISIBLE = 8  # alpha from which a pixel counts as part of the drawing
SMALLEST_SHARE = 0.005  # of the rendered square; a drawing that covers less came out blank
ALPHA_QUALITY = 70
HIGHEST_QUALITY = 90


@dataclass(frozen=True)
class Fitted:
    """A drawing trimmed and centred in the square, with straight alpha, and its share of the square's sides."""

    picture: Image.Image
    width: float
    height: float


def trim(premultiplied):
    """The part of a picture that holds its drawing; None when there is next to nothing."""
    visible = premultiplied[..., 3] > VISIBLE
    if visible.sum() < SMALLEST_SHARE * visible.size:
        return None
    ys, xs = np.where(visible)
    return premultiplied[ys.min() : ys.max() + 1, xs.min() : xs.max() + 1]


def fit(premultiplied, side):
    """Trims a drawing and scales it into the square; None when it is blank."""
    content = trim(premultiplied)
    if content is None:
        return None
    height, width = content.shape[:2]
    scale = (side - 2 * MARGIN) / max(height, width)
    width, height = max(1, round(width * scale)), max(1, round(height * scale))
    planes = [
        np.asarray(Image.fromarray(content[..., c]).resize((width, height), Image.LANCZOS, reducing_gap=3))
        for c in range(4)
    ]
    square = np.zeros((side, side, 4), np.uint8)
    y, x = (side - height) // 2, (side - width) // 2
    straighten = 255 / np.maximum(planes[3].astype(np.float32), 1)
    for c in range(3):
        square[y : y + height, x : x + width, c] = np.clip(planes[c] * straighten, 0, 255).round()
    square[y : y + height, x : x + width, 3] = planes[3]
    return Fitted(Image.fromarray(square), round(width / side, 3), round(height / side, 3))


def encode(picture, quality):
    """The picture as WebP; `quality` beyond the highest useful one is cut."""
    buffer = io.BytesIO()
    quality = min(HIGHEST_QUALITY, max(1, quality))
    picture.save(buffer, "WEBP", quality=quality, alpha_quality=ALPHA_QUALITY, method=6)
    return buffer.getvalue()


def part_row(thing, source, fitted):
    """What parts.json says about a drawing of a thing."""
    noun, *synonyms = thing.names
    return dict(concept=thing.code, noun=noun, syn=synonyms, group=thing.group, style=source.style,
                source=source.set_name, licence=source.licence, w=fitted.width, h=fitted.height)


class PackWriter:
    """Writes parts.bin as the parts come and parts.json at the end; an earlier pack stays whole until then."""

    def __init__(self, folder, side):
        self.folder, self.side = folder, side
        self.unfinished = folder / "parts.bin.unfinished"
        self.rows, self.size = [], 0

    def __enter__(self):
        self.file = open(self.unfinished, "wb")
        return self

    def add(self, row, data):
        """Appends one encoded picture."""
        self.file.write(data)
        self.rows.append(dict(row, off=self.size, len=len(data)))
        self.size += len(data)

    def __exit__(self, failure, *_):
        self.file.close()
        if failure is None:
            self.unfinished.replace(self.folder / "parts.bin")
            index = dict(size=self.side, parts=self.rows)
            (self.folder / "parts.json").write_text(json.dumps(index, separators=(",", ":")))
