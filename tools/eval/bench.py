"""All that measuring needs and that does not depend on the row: references, real pictures and training pictures."""
import zlib
from functools import cached_property

import torch

from tools.data.compose import Painter, Parts
from tools.eval.choose_prompts import scenes_of
from tools.eval.features import Extractor
from tools.eval.judge import Judge
from tools.eval.prompt_files import SINGLE_SETS
from tools.eval.references import References, cached, paint_in_batches
from tools.eval.retrieval import TrainingScenes

TRAINING_NEAREST = 4


class Bench:
    """Made once for all rows. Features of real pictures are kept in the cache folder, which has to be deleted when the
    compositor changes."""

    def __init__(self, preset, prompts, pack, cache, device):
        self.preset, self.prompts, self.cache = preset, prompts, cache
        self.side = preset.trained.side
        self.things = preset.things()
        parts = Parts(pack, self.things, preset.trained.styles)
        self.available = parts.available
        self.painter, self.extractor = Painter(parts, device), Extractor(device)
        self.identity = zlib.crc32((pack / "parts.json").read_bytes())
        self.references = References(self.things, self.painter, self.extractor, cache, self.identity)
        self.judge = Judge(self.references, self.painter)
        self.singles = [i for i, prompt in enumerate(prompts) if prompt.set in SINGLE_SETS]

    @cached_property
    def training_scenes(self):
        return TrainingScenes(self.things, self.available, self.preset.trained)

    def features_of(self, scenes):
        """Mean features of real pictures of the scenes."""
        batches = paint_in_batches(self.painter, scenes, self.side)
        return torch.cat([self.extractor.pooled(pictures)[1] for pictures in batches])

    @cached_property
    def real_features(self):
        """Features of real pictures from the same sets as the single prompts, but of other scenes."""
        def make():
            sets = [name for name in self.preset.sets if name in SINGLE_SETS]
            share = self.preset.real // len(sets)
            return self.features_of([
                scene for name in sets
                for scene in scenes_of(name, self.things, self.available, self.preset, share, "real")
            ])

        return cached(self.cache, "real", make, self.identity, self.preset)

    @cached_property
    def training_features(self):
        """Features of real pictures of the training captions nearest to the single prompts."""
        texts = [self.prompts[i].text for i in self.singles]

        def make():
            return self.features_of(
                [scene for text in texts for scene in self.training_scenes.nearest(text, TRAINING_NEAREST)]
            )

        return cached(self.cache, "training", make, self.identity, self.preset, texts)
