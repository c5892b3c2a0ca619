"""Checks that captions are good English and true of their scenes.  python -m unittest tools.data.test_captions"""
import random
import re
import unittest
from dataclasses import replace

from tools.data.captions import FORMS, LEADS, fill, loosely, typical, write
from tools.data.scenes import MIXES, Backdrop, Figure, Planner, Scene
from tools.data.vocabulary import COLOURS, STYLES, Thing
from tools.data.words import COLOUR_SYNONYMS, Words, with_article

NAMES = ("apple", "banjo", "cat", "drum", "egg", "fox", "goat", "hat", "igloo", "jar", "kite", "lamp", "mug", "nut")
THINGS = [Thing(name, (name, f"nice {name}"), "objects", name + "s") for name in NAMES]
AVAILABLE = {(name, style) for name in NAMES for style in STYLES} | {("sea", "photo"), ("mountains", "photo")}
DOG, SCISSORS = Thing("d", ("dog",), "animals", "dogs"), Thing("s", ("scissors",), "objects", "pairs of scissors", "")
TEAL = Backdrop("plain", ("teal",))
NUMBERS = {"one": 1, "single": 1, "two": 2, "three": 3, "four": 4}


def samples(count, seed=0, **changes):
    """Random scenes with a caption each."""
    planner = Planner(THINGS, list(STYLES), AVAILABLE, replace(MIXES["full"], **changes))
    rng = random.Random(seed)
    drawn = [planner.draw(rng) for _ in range(count)]
    return [(scene, write(scene, rng)) for scene in drawn]


def says(text, colour):
    """Whether a text names a colour, in whichever way."""
    return any(re.search(rf"\b{word}\b", text) for word in (colour, *COLOUR_SYNONYMS.get(colour, ())))


def scene_of(*things, kind="single", **more):
    figures = tuple(Figure(thing, "3d", 0.5, 0.5, 0.8) for thing in things)
    return Scene(kind, "3d", figures, TEAL, **more)


def all_texts(scene):
    """Every text that can be written for a scene with the usual words, and many with others."""
    rng = random.Random(0)
    return {fill(scene, form, Words(rng)).text for _, form in FORMS[scene.kind] for _ in range(30)}


class Grammar(unittest.TestCase):
    def test_articles_go_by_sound(self):
        for words in ("a dog", "an apple", "a unicorn", "an hourglass", "an x-ray", "a ufo", "a ui icon", "a 3d icon"):
            self.assertEqual(with_article(words.split(" ", 1)[1]), words)
        self.assertEqual(with_article("scissors", ""), "scissors")
        self.assertEqual(with_article("milky way", "the"), "the milky way")

    def test_typical_captions(self):
        dog, cat = Figure(DOG, "3d", 0.3, 0.5, 0.4), Figure(THINGS[2], "3d", 0.7, 0.5, 0.4, colour="blue")
        self.assertEqual(typical(scene_of(DOG)), "a dog, 3d render, on a teal background")
        self.assertEqual(typical(Scene("pair", "flat", (dog, cat), Backdrop("field"), "left of")),
                         "a dog to the left of a blue cat, flat illustration, in a grassy field")
        self.assertEqual(typical(scene_of(DOG, DOG, DOG, kind="count")), "three dogs, 3d render, on a teal background")
        self.assertEqual(typical(scene_of(SCISSORS)), "scissors, 3d render, on a teal background")
        self.assertEqual(typical(scene_of(SCISSORS, kind="count")),
                         "one pair of scissors, 3d render, on a teal background")
        self.assertEqual(typical(scene_of(DOG, DOG, kind="pattern")),
                         "a seamless pattern of dogs, 3d render, on a teal background")
        self.assertEqual(typical(scene_of(DOG, kind="tile", tile="red")),
                         "a red app icon tile with a dog, 3d render, on a teal background")
        self.assertEqual(typical(scene_of(DOG, kind="banner", copy_space="left")),
                         "a banner with a dog on the right and copy space on the left, 3d render, on a teal background")

    def test_no_untidy_text(self):
        for scene, caption in samples(5000):
            self.assertNotRegex(caption.text, r"  | ,|,,|\{|None|\ba a|\ba an|^,|,$")
            self.assertNotRegex(caption.text, r"\ba [aeiou](?!i icon)")
            self.assertNotRegex(caption.text, r"\ban [^aeiou]")
            self.assertEqual(caption.text, caption.text.strip())


class Truth(unittest.TestCase):
    def test_stated_facts_are_in_the_text_and_the_picture(self):
        for scene, caption in samples(8000):
            text, stated, figures = caption.text, caption.stated, scene.figures
            if not text:
                self.assertEqual(stated, {})
                continue
            self.assertEqual(stated["thing"], figures[0].thing.code)
            self.assertIn(figures[0].thing.name, text)
            if "second" in stated:
                self.assertEqual(stated["second"], figures[1].thing.code)
                self.assertIn(figures[1].thing.name, text)
            if "style" in stated:
                self.assertEqual(stated["style"], scene.style)
                self.assertTrue(any(phrase in text for phrase in STYLES[scene.style]))
            if "count" in stated:
                self.assertEqual(stated["count"], len(figures))
                self.assertEqual([NUMBERS[w] for w in text.split() if w in NUMBERS], [len(figures)])
            around = dict(zip(("colour", "second_colour"), scene.backdrop.colours))
            true = around | {"object_colour": figures[0].colour, "tile": scene.tile, "button": scene.button,
                             "second_object_colour": figures[-1].colour}
            for key in true.keys() & stated.keys():
                self.assertEqual(stated[key], true[key])
                self.assertTrue(says(text, stated[key]), (text, stated))

    def test_no_other_colours_are_named(self):
        for scene, caption in samples(8000):
            present = {*scene.colours, *(figure.colour for figure in scene.figures)}
            alike = {"cyan": {"blue", "sky"}, "navy": {"blue"}, "lime": {"green"}}
            present |= {other for colour in present for other in alike.get(colour, ())}
            present |= {"sky": {"blue"}, "podium": {"white"}, "field": {"green"}}.get(scene.backdrop.kind, set())
            named = {colour for colour in COLOURS if re.search(rf"\b{colour}\b", caption.text)}
            self.assertLessEqual(named, present, caption.text)

    def test_sides_agree_with_places(self):
        axes = {"left": ("x", 1), "right": ("x", -1), "at the top": ("y", 1), "above": ("y", 1), "over": ("y", 1),
                "at the bottom": ("y", -1), "below": ("y", -1), "under": ("y", -1)}
        seen = set()
        for scene, caption in samples(6000, kinds={"pair": 1}, backdrops={"plain": 1}):
            first, second = sorted(scene.figures, key=lambda figure: caption.text.find(figure.thing.name))
            # What stands first in the text says where its thing is.
            words = [word for word in axes if word in caption.text]
            if words:
                axis, sign = axes[min(words, key=caption.text.find)]
                self.assertGreater(sign * (getattr(second, axis) - getattr(first, axis)), 0.2, caption.text)
            if " in front of " in caption.text:
                self.assertLess(first.size, second.size)
            if " behind " in caption.text:
                self.assertGreater(first.size, second.size)
            seen.add(caption.stated.get("relation"))
        self.assertEqual(seen, {None, "next to", "left of", "right of", "above", "below", "in front of"})

    def test_banners_tell_the_free_side(self):
        for scene, caption in samples(1500, kinds={"banner": 1}):
            for side, (x, y) in {"left": (0.25, 0.5), "right": (0.75, 0.5), "top": (0.5, 0.25)}.items():
                if re.search(rf"(space|text|bars) (on|at) the {side}", caption.text):
                    self.assertGreater(abs(scene.figures[0].x - x) + abs(scene.figures[0].y - y), 0.2, caption.text)

    def test_no_second_in_front_of(self):
        for scene, caption in samples(3000, kinds={"pair": 1}):
            self.assertLessEqual(caption.text.count("in front of") + caption.text.count("behind"), 1)


class Loose(unittest.TestCase):
    def test_names_the_thing_and_states_no_more_than_it_says(self):
        rng = random.Random(0)
        for thing in (DOG, SCISSORS, THINGS[8]):
            scene = scene_of(thing)
            captions = [loosely(scene, rng) for _ in range(300)]
            for caption in captions:
                several = thing.plural and thing.plural in caption.text
                self.assertTrue(several or thing.name.removeprefix("nice ") in caption.text, caption.text)
                self.assertEqual("style" in caption.stated, any(word in caption.text for word in STYLES["3d"]))
                self.assertEqual("colour" in caption.stated, caption.text.endswith(("teal", "teal background", "turquoise", "turquoise background")))
                self.assertNotIn("object_colour", caption.stated)
                self.assertNotRegex(caption.text, r"\ba (igloo|old|orange)|\ban (dog|cute)|\b(a|an) (\w+ )?scissors|  ")
            self.assertGreater(len({caption.text for caption in captions}), 200)

    def test_colours_are_loose_words_only_for_what_keeps_its_own(self):
        rng, chef = random.Random(0), Thing("c", ("chef",), "people", "chefs")
        blue_dog = replace(scene_of(DOG), figures=(replace(scene_of(DOG).figures[0], colour="blue"),))

        def colours(scene):
            texts = [loosely(scene, rng).text.split(",")[0] for _ in range(300)]
            return {colour for colour in COLOURS for text in texts if re.search(rf"\b{colour} (chef|dog)", text)}

        self.assertEqual(colours(scene_of(DOG)), set())
        self.assertEqual(colours(blue_dog), {"blue"})
        self.assertTrue(all("blue" in loosely(blue_dog, rng).text for _ in range(300)))
        self.assertGreater(len(colours(scene_of(chef))), 10)

    def test_only_a_share_of_captions_is_loose(self):
        rng, scene = random.Random(0), scene_of(DOG)
        leads = tuple(lead for lead in LEADS if lead)
        count = [sum(write(scene, rng, loose).text.startswith(leads) for _ in range(500)) for loose in (0.0, 0.5)]
        self.assertEqual(count[0], 0)
        self.assertGreater(count[1], 80)


class Variety(unittest.TestCase):
    def test_shares_of_empty_and_short_captions(self):
        captions = [caption for _, caption in samples(8000, kinds={"single": 1})]
        filled = [caption for caption in captions if caption.text]
        self.assertAlmostEqual(1 - len(filled) / len(captions), 0.10, delta=0.02)
        short = [c for c in filled if "style" not in c.stated or "backdrop" not in c.stated]
        self.assertAlmostEqual(len(short) / len(filled), 0.30, delta=0.06)
        synonyms = [c for c in filled if "nice" in c.text]
        self.assertAlmostEqual(len(synonyms) / len(filled), 0.15, delta=0.02)

    def test_many_word_orders(self):
        self.assertGreater(len(all_texts(scene_of(DOG))), 40)


if __name__ == "__main__":
    unittest.main()
