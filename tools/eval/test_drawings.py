"""Checks how pictures of known drawings are judged and what is asked of redrawn ones."""
import tempfile
import unittest
from pathlib import Path
from types import SimpleNamespace

from tools.data.compose import Painter, Parts
from tools.data.scenes import Backdrop, Figure, Scene
from tools.data.test_compose import GREEN, RED, SPLIT, THINGS, write_pack
from tools.eval.drawings import SIZE, Drawings, Judge, Wish, grounds, read_wishes, wishes
from tools.train.presets import PRESETS

PRESET = SimpleNamespace(styles=("3d",), colours=("red", "white", "navy"), things=lambda: THINGS)


def scene(thing, colour):
    return Scene("single", "3d", (Figure(thing, "3d", 0.5, 0.5, SIZE),), Backdrop("plain", (colour,)))


class Judging(unittest.TestCase):
    def setUp(self):
        with tempfile.TemporaryDirectory() as folder:
            write_pack(Path(folder))
            self.painter = Painter(Parts(folder, THINGS, ["3d"]))

    def test_knows_the_drawing_and_the_ground_of_a_picture(self):
        drawings = Drawings(self.painter, PRESET)
        for thing, colour in ((GREEN, "navy"), (SPLIT, "white")):
            pictures = self.painter.paint([scene(thing, colour)], 64)
            self.assertEqual(drawings.closest(pictures[0], colour), (thing, "3d"))
            self.assertEqual(PRESET.colours[grounds(pictures, PRESET)[0]], colour)

    def test_compares_with_the_drawings_that_there_are(self):
        preset = SimpleNamespace(styles=("3d", "flat"), colours=PRESET.colours, things=PRESET.things)
        self.assertEqual(Drawings(self.painter, preset).all, [(thing, "3d") for thing in THINGS])

    def test_counts_what_is_shown_and_what_is_not(self):
        asked = [Wish(GREEN, "3d", "navy"), Wish(SPLIT, "3d", "white")]
        pictures = self.painter.paint([scene(wish.thing, wish.colour) for wish in asked], 64)
        judge = Judge(self.painter, PRESET)
        right = judge(pictures, asked)
        self.assertEqual((right["thing"], right["thing_and_style"], right["ground"]), (2, 2, 2))
        self.assertGreater(right["drawing"], 25)
        wrong = judge(pictures.flip(0), asked)
        self.assertEqual((wrong["thing"], wrong["ground"]), (0, 0))
        self.assertLess(wrong["drawing"], 15)


class Wishes(unittest.TestCase):
    def test_change_one_thing_each(self):
        drawn = [(thing, style) for thing in (RED, GREEN) for style in ("3d", "flat")]
        asked = wishes(scene(RED, "white"), PRESET, drawn)
        self.assertEqual(asked["same"], Wish(RED, "3d", "white"))
        for fact in ("colour", "style", "thing"):
            differing = [name for name in ("thing", "style", "colour")
                         if getattr(asked[fact], name) != getattr(asked["same"], name)]
            self.assertEqual(differing, [fact])

    def test_ask_for_drawings_that_there_are(self):
        drawn = [(RED, "3d"), (RED, "flat"), (GREEN, "flat"), (SPLIT, "3d")]
        asked = wishes(scene(RED, "white"), PRESET, drawn)
        self.assertEqual((asked["style"].style, asked["thing"].thing), ("flat", SPLIT))

    def test_are_read_from_the_fixed_prompts(self):
        asked = read_wishes(PRESETS["warm"])
        self.assertEqual(len({wish.thing.code for wish in asked}), 72)

    def test_are_put_in_the_words_of_a_caption(self):
        self.assertEqual(Wish(GREEN, "flat", "orange").caption, "a g, flat illustration, on an orange background")


if __name__ == "__main__":
    unittest.main()
