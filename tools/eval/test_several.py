"""Checks what pictures of several things are asked for and how they are judged."""
import tempfile
import unittest
from pathlib import Path
from types import SimpleNamespace

import torch

from tools.data.compose import Painter, Parts
from tools.data.scenes import Backdrop, Figure, Scene
from tools.data.splits import LATER_STYLES
from tools.data.test_compose import THINGS, write_pack
from tools.eval.drawings import SIZE, Drawings
from tools.eval.several import GROUPS, PAIRS, counts, prompts

PRESET = SimpleNamespace(styles=("3d",), colours=("red", "white", "navy"), things=lambda: THINGS)


class Several(unittest.TestCase):
    def setUp(self):
        with tempfile.TemporaryDirectory() as folder:
            write_pack(Path(folder))
            self.painter = Painter(Parts(folder, THINGS, ["3d"]))

    def test_asks_for_things_in_the_order_that_the_words_tell(self):
        pairs, groups = prompts(PRESET, self.painter.parts.available)
        self.assertEqual((len(pairs), len(groups)), (PAIRS, GROUPS))
        for caption, asked in pairs:
            first, second = (wish.thing.name for _, wish in asked)
            turned = "right of" in caption or "below" in caption
            self.assertEqual(caption.index(first) > caption.index(second), turned, caption)
        for caption, asked in groups:
            self.assertEqual(caption.split()[0], ("two", "three", "four")[len(asked) - 2])

    def test_asks_for_no_glyphs_on_grounds_that_hide_them(self):
        glyphs = SimpleNamespace(styles=("glyph",), colours=("white", "navy"), things=lambda: THINGS)
        pairs, groups = prompts(glyphs, {(thing.code, "glyph") for thing in THINGS})
        self.assertTrue(all(wish.colour == "white" for _, asked in pairs + groups for _, wish in asked))

    def test_later_styles_change_nothing(self):
        more = SimpleNamespace(**{**vars(PRESET), "styles": (*PRESET.styles, *LATER_STYLES)})
        available = self.painter.parts.available
        later = {(thing.code, style) for thing in THINGS for style in LATER_STYLES}
        self.assertEqual(prompts(more, available | later), prompts(PRESET, available))

    def test_counts_things_where_they_are_to_be(self):
        (_, asked), *_ = prompts(PRESET, self.painter.parts.available)[0]
        drawings = Drawings(self.painter, PRESET)
        halves = [self.painter.paint([Scene("single", "3d", (Figure(wish.thing, "3d", 0.5, 0.5, SIZE),),
                                            Backdrop("plain", (wish.colour,)))], 64)[0] for _, wish in asked]
        picture = torch.zeros(3, 128, 128)
        picture[:, 32:96] = torch.cat(halves, -1)
        self.assertEqual(counts([picture], [asked], drawings), dict(pictures=1, all_right=1, things=2, things_right=2))
        self.assertEqual(counts([picture.flip(-1)], [asked], drawings)["all_right"], 0)


if __name__ == "__main__":
    unittest.main()
