"""Builds the pack of drawings from the published packages: parts.bin, parts.json and the notices of their licences.

Each part is one drawing of one thing in one style, trimmed, scaled into a square and stored as WebP; photos for
backdrops follow. The WebP quality is the highest at which the pack stays under its size limit. Needs node and npm, and
for the photos a Debian system.
"""
import argparse
import random
import tomllib
from collections import Counter
from pathlib import Path

from tools.data.notices import licence_document
from tools.data.pack_format import PackWriter, encode, fit, part_row
from tools.data.photos import BASE_QUALITY as PHOTO_QUALITY
from tools.data.photos import photo_row, read_photos
from tools.data.rasters import install_renderer, rasterise
from tools.data.sources import SOURCES, find_drawings
from tools.data.vocabulary import load_things, read_thing

INTERFACE = "interface"
FEWEST_STYLES = 3  # of the emoji sets, for a thing worth having
SAMPLE = 24  # one drawing in so many is compressed on trial to choose the quality
SAMPLING_MARGIN = 0.95
QUALITY_SHIFTS = range(-30, 29)  # added to the base quality of every source
LOWEST_SHIFT = -50  # there every source is near the lowest quality
MIB = 1 << 20


def read_wanted(path):
    """The things to draw: those of one table file, or all things that the tables list."""
    if path is None:
        return load_things()
    return [read_thing(row, path.stem) for row in tomllib.loads(path.read_text())["thing"]]


def report_rare(things, drawings):
    """Names the things that too few styles draw."""
    for thing in things:
        enough = 1 if thing.group == INTERFACE else min(FEWEST_STYLES, len(drawings))
        styles = [source.style for source, found in drawings.items() if thing.code in found]
        if len(styles) < enough:
            print(f"rare: {thing.code} ({thing.name}, {thing.group}) only in: {' '.join(styles) or 'nothing'}")


def fitted_parts(source, drawings, side, npm_folder):
    """The drawings of a source, ready to be compressed, as (code, part); blank ones are named and skipped."""
    for code, pixels in rasterise(source, drawings, side, npm_folder):
        part = fit(pixels, side)
        if part is None:
            print(f"blank: {code} in {source.style}", flush=True)
        else:
            yield code, part


class Compression:
    """Chooses how much to compress, from a sample of every source."""

    def __init__(self, drawings, photos, side, npm_folder):
        self.samples = []  # (pictures, base quality, how many pictures each of them stands for)
        for source, found in drawings.items():
            chosen = dict(random.Random(0).sample(sorted(found.items()), -(-len(found) // SAMPLE)))
            pictures = [part.picture for _, part in fitted_parts(source, chosen, side, npm_folder)]
            self.add(pictures, source.base_quality, len(found))
        self.add([photo.picture for photo in photos[::SAMPLE]], PHOTO_QUALITY, len(photos))

    def add(self, pictures, quality, total):
        """Takes a sample of `total` pictures in."""
        if pictures:
            self.samples.append((pictures, quality, total / len(pictures)))

    def estimate(self, shift):
        """About how many bytes the pack takes at this quality."""
        return sum(
            weight * len(encode(picture, quality + shift))
            for pictures, quality, weight in self.samples
            for picture in pictures
        )

    def best_shift(self, limit):
        """The highest quality, by halving, at which the pack probably stays under the limit."""
        low, high = 0, len(QUALITY_SHIFTS) - 1
        while low < high:
            middle = (low + high + 1) // 2
            if self.estimate(QUALITY_SHIFTS[middle]) <= SAMPLING_MARGIN * limit:
                low = middle
            else:
                high = middle - 1
        return QUALITY_SHIFTS[low]


def write_pack(things, drawings, photos, shift, args):
    """Writes parts.bin and parts.json; returns the rows."""
    by_code = {thing.code: thing for thing in things}
    with PackWriter(args.work / "pack", args.side) as pack:
        for source, found in drawings.items():
            for code, part in fitted_parts(source, found, args.side, args.work / "npm"):
                pack.add(part_row(by_code[code], source, part), encode(part.picture, source.base_quality + shift))
            print(f"{source.style}: {len(pack.rows)} parts so far, {pack.size / MIB:.1f} MiB", flush=True)
        for photo in photos:
            pack.add(photo_row(photo), encode(photo.picture, PHOTO_QUALITY + shift))
    return pack.rows


def build(args):
    """Builds the pack and returns its rows."""
    npm_folder = args.work / "npm"
    install_renderer(npm_folder)
    things = read_wanted(args.things_file)
    drawings = {s: find_drawings(s, things, npm_folder) for s in SOURCES if s.style in args.styles}
    report_rare(things, drawings)
    photos = [] if args.no_photos else list(read_photos(args.work / "deb", args.side))
    limit = args.limit_mib * MIB
    shift = Compression(drawings, photos, args.side, npm_folder).best_shift(limit)
    print(f"WebP quality: base {shift:+d}", flush=True)
    rows = write_pack(things, drawings, photos, shift, args)
    while sum(row["len"] for row in rows) > limit:
        if shift < LOWEST_SHIFT:
            raise SystemExit("the pack does not fit; raise --limit-mib or lower --side")
        shift -= 2
        print(f"too large; again with base {shift:+d}", flush=True)
        rows = write_pack(things, drawings, photos, shift, args)
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=Path(".plantain-train"))
    parser.add_argument("--side", type=int, default=288, help="pixels of a part's square")
    parser.add_argument("--styles", nargs="+", default=[s.style for s in SOURCES], choices=[s.style for s in SOURCES])
    parser.add_argument("--things-file", type=Path, help="one table of things instead of all")
    parser.add_argument("--limit-mib", type=float, default=56)
    parser.add_argument("--no-photos", action="store_true")
    parser.add_argument("--licences", type=Path, help="where to write what the drawings' licences ask for (default: WORK/LICENSES.md)")
    args = parser.parse_args()
    args.licences = args.licences or args.work / "LICENSES.md"
    for folder in (args.work / "npm", args.work / "deb", args.work / "pack", args.licences.parent):
        folder.mkdir(parents=True, exist_ok=True)
    rows = build(args)
    args.licences.write_text(licence_document(rows))
    print(dict(Counter(row["style"] for row in rows)), sum(row["len"] for row in rows), "bytes")


if __name__ == "__main__":
    main()
