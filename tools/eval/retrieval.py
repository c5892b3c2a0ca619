"""Finds the training captions nearest to a prompt. Drawn by the compositor, they are what mere look-up would give."""
import math
import random
import re
from array import array
from collections import Counter
from dataclasses import replace

import numpy as np

from tools.data.captions import typical
from tools.data.scenes import Planner
from tools.train.dataset import mix_of

# Kinds of scenes that no prompt asks for are not looked up.
KINDS = ("single", "pair", "count")


def words_of(text):
    return re.findall(r"[a-z0-9'-]+", text.lower())


class CaptionIndex:
    """Cosine of word counts, rare words weighing more."""

    def __init__(self, captions):
        postings, self.norms = {}, np.zeros(len(captions))
        for i, caption in enumerate(captions):
            for word, times in Counter(words_of(caption)).items():
                rows, counts = postings.setdefault(word, (array("l"), array("l")))
                rows.append(i)
                counts.append(times)
        self.weights = {word: math.log(1 + len(captions) / len(rows)) for word, (rows, _) in postings.items()}
        self.postings = {}
        for word, (rows, counts) in postings.items():
            values = np.array(counts) * self.weights[word]
            self.postings[word] = np.array(rows), values
            self.norms[self.postings[word][0]] += values ** 2
        self.norms = np.sqrt(self.norms)

    def nearest(self, text, count):
        """Positions of the nearest captions, best first; ties go to the earlier one."""
        scores = np.zeros(len(self.norms))
        for word, times in Counter(words_of(text)).items():
            if word in self.postings:
                rows, values = self.postings[word]
                scores[rows] += times * self.weights[word] * values
        return np.argsort(-scores / self.norms, kind="stable")[:count].tolist()


class TrainingScenes:
    """As many scenes as a training set has, looked up by caption. Held-out combinations cannot be among them."""

    def __init__(self, things, available, trained):
        mix = mix_of(trained)
        kinds = {kind: weight for kind, weight in mix.kinds.items() if kind in KINDS}
        self.planner = Planner(things, trained.styles, available, replace(mix, kinds=kinds), "seen",
                               trained.held_out, trained.colours)
        self.index = CaptionIndex([typical(self.scene(i)) for i in range(trained.pictures)])

    def scene(self, position):
        """One of the scenes; they are drawn again when needed, because all of them together take much memory."""
        return self.planner.draw(random.Random(f"training scene {position}"))

    def nearest(self, text, count):
        """The scenes whose captions are nearest to a text."""
        return [self.scene(i) for i in self.index.nearest(text, count)]
