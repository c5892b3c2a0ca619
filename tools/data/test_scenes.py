"""Checks the plans of training pictures and the held-out combinations.  python -m unittest tools.data.test_scenes"""
import random
import unittest
from dataclasses import replace
from itertools import combinations

from tools.data import splits
from tools.data.scenes import KEEP_COLOURS, LANDSCAPES, MIXES, PATTERNED, Planner, distinct, may_be_mirrored
from tools.data.vocabulary import COLOURS, STYLES, Thing, load_things

THINGS = load_things()
AVAILABLE = {(thing.code, style) for thing in THINGS for style in (("ui",) if thing.group == "interface" else STYLES)}
AVAILABLE |= {("mountains", "photo"), ("beach", "photo")}
# What the hash holds out of one thing: a change here would mix training and test pictures.
HELD_OUT_STYLES = ["sticker"]
HELD_OUT_COLOURS = ["orange", "magenta"]
HELD_OUT_TRIPLES = {
    "3d": ["purple"], "flat": ["navy", "purple", "white"], "gradient": ["red", "cyan", "gold", "magenta"],
    "cartoon": ["orange", "blue", "white", "brown"], "minimal": [], "soft": ["pink", "black", "lime"],
    "sticker": ["magenta"], "glyph": ["yellow"], "ui": ["yellow", "purple"], "flatui": [],
}


def scenes(count, mix="full", split="seen", aspect=(1, 1), seed=0, **changes):
    """Random scenes of all things."""
    planner = Planner(THINGS, list(STYLES), AVAILABLE, replace(MIXES[mix], **changes), split)
    rng = random.Random(seed)
    return [planner.draw(rng, aspect) for _ in range(count)]


class Splits(unittest.TestCase):
    def test_are_the_same_for_ever(self):
        thing = next(thing for thing in THINGS if thing.code == "1f380")
        self.assertEqual([s for s in STYLES if splits.held_out_style(thing, s)], HELD_OUT_STYLES)
        self.assertEqual([c for c in COLOURS if splits.held_out_colour(thing, c)], HELD_OUT_COLOURS)
        triples = {s: [c for c in COLOURS if splits.held_out_triple(thing, s, c)] for s in STYLES}
        self.assertEqual(triples, HELD_OUT_TRIPLES)

    def test_pairs_are_free_of_order(self):
        for a, b in combinations(THINGS[:60], 2):
            self.assertEqual(splits.held_out_pair(a, b), splits.held_out_pair(b, a))

    def test_hold_out_about_the_intended_shares(self):
        styles = [splits.held_out_style(t, s) for t in THINGS for s in STYLES if s not in splits.NEVER_HELD_OUT]
        colours = [splits.held_out_colour(t, c) for t in THINGS for c in COLOURS]
        pairs = [splits.held_out_pair(a, b) for a, b in combinations(THINGS[:300], 2)]
        for held_out, share in ((styles, 0.1), (colours, 0.08), (pairs, 0.05)):
            self.assertAlmostEqual(sum(held_out) / len(held_out), share, delta=0.01)

    def test_training_never_shows_a_held_out_combination(self):
        for scene in scenes(20000):
            things = [figure.thing for figure in scene.figures]
            for figure in scene.figures:
                self.assertFalse(splits.held_out_style(figure.thing, figure.style))
                for colour in (*scene.backdrop.colours, scene.tile, scene.button, figure.colour):
                    self.assertFalse(colour and splits.held_out_colour(figure.thing, colour))
            for pair in combinations(things, 2):
                self.assertFalse(pair[0] != pair[1] and splits.held_out_pair(*pair))

    def test_other_splits_show_exactly_their_kind(self):
        for split, kind in (("style", "single"), ("colour", "single"), ("pair", "pair")):
            for mix in MIXES:
                for scene in scenes(200, mix, split):
                    found = splits.held_out_kinds(scene) & set(splits.STANDARD_KINDS)
                    self.assertEqual((scene.kind, found), (kind, {split}))

    def test_a_planner_may_leave_out_triples_alone(self):
        for split, wanted in (("seen", set()), ("triple", {"triple"})):
            planner = Planner(THINGS, list(STYLES), AVAILABLE, MIXES["single"], split, ("triple",))
            drawn = [planner.draw(random.Random(seed)) for seed in range(300)]
            self.assertTrue(all(splits.held_out_kinds(scene) & {"triple"} == wanted for scene in drawn))
            self.assertIn("style", {kind for scene in drawn for kind in splits.held_out_kinds(scene)})

    def test_things_are_kept_out_of_later_styles_alone(self):
        styles, kinds = ["3d", *splits.LATER_STYLES], ("triple", "own colour", "later style")
        seen = Planner(THINGS, styles, AVAILABLE, MIXES["plain"], "seen", kinds)
        for recoloured in (False, True):
            drawn = seen.each_drawing(random.Random(0), 1, recoloured)
            self.assertEqual({scene.style for scene in drawn}, set(styles))
            held_out = {scene.style for scene in drawn if splits.held_out_style(scene.figures[0].thing, scene.style)}
            self.assertEqual(held_out, {"3d"})
        unseen = Planner(THINGS, styles, AVAILABLE, MIXES["plain"], "later style", kinds)
        drawn = unseen.each_drawing(random.Random(0), 1)
        self.assertGreater(len(drawn), 100)
        for scene in drawn:
            self.assertIn(scene.style, splits.LATER_STYLES)
            self.assertTrue(splits.held_out_style(scene.figures[0].thing, scene.style))

    def test_each_drawing_comes_up_alike_on_grounds_that_differ(self):
        planner = Planner(THINGS[:40], ["3d", "flat"], AVAILABLE, MIXES["plain"], "seen", ("triple",))
        drawn = planner.each_drawing(random.Random(0), 3)
        grounds = {}
        for scene in drawn:
            grounds.setdefault((scene.figures[0].thing, scene.style), set()).add(scene.backdrop.colours)
        self.assertEqual([len(colours) for colours in grounds.values()], [3] * 80)
        self.assertFalse(any(splits.held_out_kinds(scene) & {"triple"} for scene in drawn))
        self.assertEqual({(figure.x, figure.y, figure.size) for scene in drawn for figure in scene.figures}, {(0.5, 0.5, 0.83)})

    def test_drawings_get_colours_of_their_own_but_where_they_keep_theirs(self):
        kinds = ("triple", "own colour")
        planner = Planner(THINGS, ["3d", "ui"], AVAILABLE, MIXES["plain"], "seen", kinds)
        as_they_are = planner.each_drawing(random.Random(0), 2)
        self.assertFalse(any(figure.colour for scene in as_they_are for figure in scene.figures))
        recoloured = planner.each_drawing(random.Random(0), 2, recoloured=True)
        figures = [figure for scene in recoloured for figure in scene.figures]
        self.assertEqual({figure.colour for figure in figures}, set(COLOURS))
        groups = {figure.thing.group for figure in figures}
        self.assertEqual(groups, {thing.group for thing in THINGS} - set(KEEP_COLOURS))
        for scene in recoloured:
            self.assertTrue(distinct(scene.figures[0].colour, scene.backdrop.colours))
            self.assertFalse(splits.held_out_kinds(scene) & set(kinds))
        glyphs = Planner(THINGS, ["glyph"], AVAILABLE, MIXES["plain"], "seen", kinds)
        recoloured = glyphs.each_drawing(random.Random(0), 1, recoloured=True)
        self.assertLess(set(KEEP_COLOURS), {scene.figures[0].thing.group for scene in recoloured})
        held_out = Planner(THINGS, ["3d"], AVAILABLE, MIXES["plain"], "own colour", kinds)
        for scene in held_out.each_drawing(random.Random(0), 1, recoloured=True):
            self.assertTrue(splits.held_out_colour(scene.figures[0].thing, scene.figures[0].colour))

    def test_what_has_a_single_colour_is_seen_on_its_ground(self):
        planner = Planner(THINGS[:200], ["glyph"], AVAILABLE, MIXES["plain"], "seen", ("triple",))
        grounds = {scene.backdrop.colours for scene in planner.each_drawing(random.Random(0), 3)}
        grounds |= {planner.draw(random.Random(seed)).backdrop.colours for seed in range(300)}
        self.assertFalse(grounds & {("black",), ("navy",), ("brown",)})
        self.assertIn(("white",), grounds)
        recoloured = planner.each_drawing(random.Random(0), 3, recoloured=True)
        self.assertIn(("navy",), {scene.backdrop.colours for scene in recoloured})

    def test_a_split_without_scenes_is_an_error(self):
        alone = Thing("1f436", ("dog",), "animals", "dogs")
        planner = Planner([alone], ["3d"], {("1f436", "3d")}, MIXES["full"], "pair")
        self.assertRaises(ValueError, planner.draw, random.Random(0))


class Scenes(unittest.TestCase):
    def test_single_mix_is_one_thing_on_plain_or_gradient(self):
        drawn = scenes(2000, "single")
        self.assertTrue(all(s.kind == "single" and len(s.figures) == 1 and not s.figures[0].colour for s in drawn))
        plain = sum(s.backdrop.kind == "plain" for s in drawn) / len(drawn)
        self.assertAlmostEqual(plain, 0.85, delta=0.03)

    def test_full_mix_has_every_kind_and_backdrop(self):
        drawn = scenes(5000)
        self.assertEqual({s.kind for s in drawn}, set(MIXES["full"].kinds))
        self.assertEqual({s.backdrop.kind for s in drawn}, {"plain", "gradient", "photo", *PATTERNED, *LANDSCAPES})
        self.assertEqual({len(s.figures) for s in drawn if s.kind == "count"}, {1, 2, 3, 4})

    def test_the_same_generator_gives_the_same_scenes(self):
        self.assertEqual(scenes(50, seed=3), scenes(50, seed=3))

    def test_relations_agree_with_places(self):
        for aspect in ((1, 1), (16, 9), (9, 16)):
            for scene in scenes(1500, kinds={"pair": 1}, aspect=aspect):
                first, second = scene.figures
                self.assertNotEqual(first.thing, second.thing)
                {
                    "left of": lambda: self.assertLess(first.x + 0.2, second.x),
                    "right of": lambda: self.assertGreater(first.x - 0.2, second.x),
                    "above": lambda: self.assertLess(first.y + 0.2, second.y),
                    "below": lambda: self.assertGreater(first.y - 0.2, second.y),
                    "next to": lambda: self.assertGreater(abs(first.x - second.x), 0.2),
                    "in front of": lambda: self.assertGreater(second.size, first.size),
                }[scene.relation]()

    def test_frames_stay_in_the_picture_and_apart(self):
        for aspect in ((1, 1), (3, 2), (2, 3), (16, 9), (9, 16)):
            wide, tall = max(1, aspect[0] / aspect[1]), max(1, aspect[1] / aspect[0])
            kinds = {"single": 1, "pair": 1, "count": 2, "banner": 1, "tile": 1}
            for scene in scenes(1500, aspect=aspect, kinds=kinds):
                for figure in scene.figures:
                    across, down = figure.size / 2 / wide, figure.size / 2 / tall
                    self.assertTrue(-0.02 < figure.x - across and figure.x + across < 1.02, scene)
                    self.assertTrue(-0.03 < figure.y - down and figure.y + down < 1.02, scene)
                if scene.kind == "count":
                    for a, b in combinations(scene.figures, 2):
                        apart = max(abs(a.x - b.x) * wide, abs(a.y - b.y) * tall)
                        self.assertGreater(apart, 0.88 * a.size)

    def test_things_that_cannot_be_counted_are_not(self):
        for scene in scenes(2000, kinds={"count": 1, "pattern": 1}):
            self.assertTrue(all(figure.thing.plural for figure in scene.figures))

    def test_copy_space_is_opposite_the_thing(self):
        for scene in scenes(500, kinds={"banner": 1}):
            figure = scene.figures[0]
            distance = {"left": figure.x, "right": 1 - figure.x, "top": figure.y, "bottom": 1 - figure.y}
            self.assertGreater(distance[scene.copy_space], 0.7)

    def test_colours_differ_at_a_glance(self):
        for scene in scenes(3000):
            around = scene.backdrop.colours
            for a, b in combinations(around, 2):
                self.assertTrue(distinct(a, (b,)))
            own = [c for c in (scene.tile, scene.button, *(figure.colour for figure in scene.figures)) if c]
            self.assertTrue(all(distinct(colour, around) for colour in own))

    def test_sided_things_are_not_mirrored(self):
        fist = Thing("1f91b", ("left-facing fist",), "people", "left-facing fists")
        self.assertFalse(may_be_mirrored(fist))
        self.assertTrue(all(may_be_mirrored(f.thing) for s in scenes(2000) for f in s.figures if f.flip))

    def test_things_named_after_a_colour_keep_it(self):
        planner = Planner(THINGS, list(STYLES), AVAILABLE, MIXES["full"])
        apple = next(thing for thing in THINGS if thing.name == "green apple")
        cat = next(thing for thing in THINGS if thing.name == "cat")
        rng = random.Random(0)
        self.assertEqual({planner.own_colour(rng, apple, "3d", (), 1) for _ in range(200)}, {None})
        self.assertNotIn("black", {planner.own_colour(rng, cat, "3d", (), 1) for _ in range(500)})

    def test_interface_icons_stay_out_of_landscapes(self):
        for scene in scenes(3000):
            if scene.backdrop.kind in (*LANDSCAPES, "photo"):
                self.assertNotEqual(scene.figures[0].thing.group, "interface")


if __name__ == "__main__":
    unittest.main()
