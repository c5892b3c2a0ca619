"""Checks how drawings are found, trimmed and stored.  python -m unittest tools.data.test_pack"""
import io
import json
import tempfile
import unittest
from pathlib import Path

import numpy as np
from PIL import Image

from tools.data.build_pack import Compression
from tools.data.notices import licence_document
from tools.data.pack_format import MARGIN, PackWriter, encode, fit, part_row
from tools.data.photos import notice_of, read_notices
from tools.data.sources import SOURCES, icon_code, icon_svg, plain_code
from tools.data.vocabulary import Thing

SIDE = 96
DOG = Thing("1f436", ("dog", "puppy"), "animals", "dogs")

COPYRIGHT = """\
Files: images/*
Copyright: A. Maker
License: CC-BY-SA-4.0

Files: images/land/*
Copyright: Various
License: public-domain
 Taken from example.com, a collection of photographs.

Files: images/land/*-other*
 images/land/beach2*
Copyright: Other
License: CC-BY-SA-3.0

Files: images/land/snow1*
Copyright: Various
License: CC-BY-4.0
"""


def drawing(top, left, height, width, colour=(200, 100, 50), alpha=255):
    """A premultiplied picture of 200 x 200 with one rectangle."""
    picture = np.zeros((200, 200, 4), np.uint8)
    premultiplied = [round(value * alpha / 255) for value in colour]
    picture[top : top + height, left : left + width] = [*premultiplied, alpha]
    return picture


class Fitting(unittest.TestCase):
    def test_content_fills_the_square_up_to_the_margin(self):
        alpha = np.asarray(fit(drawing(10, 120, 50, 50), SIDE).picture)[..., 3]
        ys, xs = np.where(alpha)
        for positions in (ys, xs):
            self.assertEqual((positions.min(), positions.max()), (MARGIN, SIDE - MARGIN - 1))

    def test_shape_is_kept_and_centred(self):
        part = fit(drawing(3, 5, 40, 160), SIDE)
        self.assertEqual(part.width, round((SIDE - 2 * MARGIN) / SIDE, 3))
        self.assertEqual(part.height, round((SIDE - 2 * MARGIN) / 4 / SIDE, 3))
        rows = np.where(np.asarray(part.picture)[..., 3].any(1))[0]
        self.assertEqual(rows.min() + rows.max(), SIDE - 1)

    def test_colours_are_straight_again(self):
        middle = np.asarray(fit(drawing(20, 20, 100, 100, alpha=128), SIDE).picture)[SIDE // 2, SIDE // 2]
        np.testing.assert_allclose(middle, [200, 100, 50, 128], atol=2)

    def test_faint_traces_do_not_count_as_content(self):
        picture = drawing(60, 60, 80, 80)
        picture[0, 0] = 5
        self.assertEqual(fit(picture, SIDE).width, fit(drawing(60, 60, 80, 80), SIDE).width)

    def test_blank_is_no_part(self):
        self.assertIsNone(fit(drawing(0, 0, 0, 0), SIDE))
        self.assertIsNone(fit(drawing(50, 50, 2, 2), SIDE))


class Packing(unittest.TestCase):
    def write(self, folder):
        part = fit(drawing(10, 10, 90, 60), SIDE)
        with PackWriter(folder, SIDE) as pack:
            for source in SOURCES[:2]:
                pack.add(part_row(DOG, source, part), encode(part.picture, 70))
        return json.loads((folder / "parts.json").read_text()), (folder / "parts.bin").read_bytes()

    def test_rows_point_at_their_pictures(self):
        with tempfile.TemporaryDirectory() as folder:
            index, data = self.write(Path(folder))
        self.assertEqual(index["size"], SIDE)
        self.assertEqual(sum(row["len"] for row in index["parts"]), len(data))
        for row in index["parts"]:
            picture = Image.open(io.BytesIO(data[row["off"] : row["off"] + row["len"]]))
            self.assertEqual((picture.format, picture.mode, picture.size), ("WEBP", "RGBA", (SIDE, SIDE)))

    def test_row_names_thing_style_and_origin(self):
        with tempfile.TemporaryDirectory() as folder:
            row = self.write(Path(folder))[0]["parts"][1]
        del row["off"], row["len"], row["w"], row["h"]
        self.assertEqual(row, dict(concept="1f436", noun="dog", syn=["puppy"], group="animals", style="flat",
                                   source="Fluent Emoji Flat", licence="MIT"))

    def test_quality_keeps_the_pack_under_the_limit(self):
        noise = np.random.default_rng(0).integers(0, 255, (SIDE, SIDE, 4), np.uint8)
        compression = Compression({}, [], SIDE, None)
        compression.add([Image.fromarray(noise)], 60, 10)
        limit = compression.estimate(3)
        shift = compression.best_shift(limit)
        self.assertLess(shift, 4)
        self.assertLess(compression.estimate(shift), limit)

    def test_licence_document_names_what_was_used(self):
        with tempfile.TemporaryDirectory() as folder:
            text = licence_document(self.write(Path(folder))[0]["parts"])
        self.assertIn("@lobehub/fluent-emoji-flat", text)
        self.assertIn("## MIT", text)
        self.assertNotIn("Twemoji", text)


class Naming(unittest.TestCase):
    def test_codes_without_the_selector(self):
        self.assertEqual(plain_code("2764-FE0F-200d-1f525"), "2764-200d-1f525")

    def test_interface_codes_without_size(self):
        for name in ("add-circle-32", "add-circle", "ui:add circle"):
            self.assertEqual(icon_code(name), "ui:add circle")

    def test_renamed_icons_are_followed(self):
        icons, aliases = dict(new=dict(body="<path/>", width=20)), dict(old=dict(parent="new"))
        collection = dict(icons=icons, aliases=aliases, height=8)
        self.assertIn(b'viewBox="0 0 20 8"', icon_svg(collection, "old"))
        self.assertIsNone(icon_svg(collection, "other"))


class PhotoLicences(unittest.TestCase):
    def notice(self, name):
        return notice_of(f"images/land/{name}.jpg", read_notices(COPYRIGHT))

    def test_public_domain_and_attribution_are_taken(self):
        self.assertEqual(self.notice("beach0").origin, "example.com")
        self.assertEqual(self.notice("snow1").licence, "CC-BY-4.0")

    def test_share_alike_is_left_out_even_where_a_later_paragraph_is_milder(self):
        for name in ("beach2", "beach7-other", "snow1-other"):
            self.assertIsNone(self.notice(name), name)


if __name__ == "__main__":
    unittest.main()
