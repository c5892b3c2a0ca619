"""Finds the training captions nearest to a prompt. Drawn by the compositor, they are what mere look-up would give."""
import math
import random
import re
from collections import Counter
from dataclasses import replace

import numpy as np

from tools.data.captions import typical
from tools.data.scenes import MIXES, Planner

# Kinds of scenes that no prompt asks for are not looked up.
KINDS = ("single", "pair", "count")


def words_of(text):
    return re.findall(r"[a-z0-9'-]+", text.lower())


class CaptionIndex:
    """Cosine of word counts, rare words weighing more."""

    def __init__(self, captions):
        counts = [Counter(words_of(caption)) for caption in captions]
        frequency = Counter(word for count in counts for word in count)
        self.weight = {word: math.log(1 + len(captions) / n) for word, n in frequency.items()}
        postings = {word: ([], []) for word in frequency}
        norms = np.zeros(len(captions))
        for i, count in enumerate(counts):
            for word, n in count.items():
                value = n * self.weight[word]
                postings[word][0].append(i)
                postings[word][1].append(value)
                norms[i] += value * value
        self.postings = {word: (np.array(rows), np.array(values)) for word, (rows, values) in postings.items()}
        self.norms = np.sqrt(norms)

    def nearest(self, text, count):
        """Positions of the nearest captions, best first; ties go to the earlier one."""
        scores = np.zeros(len(self.norms))
        for word, n in Counter(words_of(text)).items():
            if word in self.postings:
                rows, values = self.postings[word]
                scores[rows] += n * self.weight[word] * values
        return np.argsort(-(scores / self.norms), kind="stable")[:count].tolist()


class TrainingScenes:
    """A sample of what training draws, looked up by caption. Held-out combinations cannot be among it."""

    def __init__(self, things, available, preset):
        mix = MIXES[preset.trained.mix]
        kinds = {kind: weight for kind, weight in mix.kinds.items() if kind in KINDS}
        planner = Planner(things, preset.trained.styles, available, replace(mix, kinds=kinds))
        rng = random.Random("training scenes")
        self.scenes = [planner.draw(rng) for _ in range(preset.training_captions)]
        self.index = CaptionIndex([typical(scene) for scene in self.scenes])

    def nearest(self, text, count):
        """The scenes whose captions are nearest to a text."""
        return [self.scenes[i] for i in self.index.nearest(text, count)]
