"""Checks how a finished model gets more words, and is shown more often what it draws badly."""
import tempfile
import unittest
from collections import Counter

import torch
from transformers import CLIPTextConfig, CLIPTextModel

from tools.train.dataset import FACTS, NOT_STATED
from tools.train.networks import vocabulary_config
from tools.train.presets import PRESETS
from tools.train.run import stages_of
from tools.train.text_encoder import with_more_words
from tools.train.tokenizer import grow, more_merges, save, train
from tools.train.widen import LEAST, MOST, examples, favour_badly_drawn

KNOWN = ["a fox on a teal background", "a dog on a red background", "a fox, cartoon"] * 20
NEW = ["a violin on a zebra", "a zebra on a teal violin"] * 20


def tokenizers(folder, length):
    """One for the known captions, and the same with more words."""
    known = save(*train(KNOWN, 560), f"{folder}/known", length)
    return known, save(*grow(known, NEW, len(known) + 6), f"{folder}/grown", length + 4)


def small_text_encoder(tokenizer):
    """One whose heads are not of the width that presets give them."""
    torch.manual_seed(0)
    return CLIPTextModel(CLIPTextConfig(
        hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=8, hidden_act="gelu",
        projection_dim=64, **vocabulary_config(tokenizer)))


class Vocabulary(unittest.TestCase):
    def test_the_most_frequent_pair_is_merged_first(self):
        words = Counter({("a", "b", "c</w>"): 3, ("b", "c</w>"): 2, ("x", "y</w>"): 4})
        self.assertEqual(more_merges(words, 2), [("b", "c</w>"), ("x", "y</w>")])

    def test_merging_ends_where_all_words_are_whole(self):
        self.assertEqual(more_merges(Counter({("a", "b</w>"): 1}), 5), [("a", "b</w>")])

    def test_a_grown_vocabulary_cuts_known_words_as_before_and_new_ones_less(self):
        with tempfile.TemporaryDirectory() as folder:
            known, grown = tokenizers(folder, 24)
            for caption in set(KNOWN):
                self.assertEqual(grown.tokenize(caption), known.tokenize(caption))
            self.assertLess(len(grown.tokenize("violin")), len(known.tokenize("violin")))
            self.assertEqual(len(grown), len(known) + 6)


class Encoder(unittest.TestCase):
    def test_a_text_encoder_with_more_words_reads_known_captions_as_before(self):
        with tempfile.TemporaryDirectory() as folder:
            known, grown = tokenizers(folder, 24)
            encoder = small_text_encoder(known).eval()
            more = with_more_words(encoder, known, grown).eval()
            captions = sorted(set(KNOWN))
            before, after = (
                each(torch.tensor(tokenizer(captions, padding="max_length")["input_ids"]))
                for each, tokenizer in ((encoder, known), (more, grown)))
        torch.testing.assert_close(after.pooler_output, before.pooler_output)
        torch.testing.assert_close(after.last_hidden_state[:, :24], before.last_hidden_state)

    def test_a_new_token_begins_between_the_two_that_it_joins(self):
        with tempfile.TemporaryDirectory() as folder:
            known, grown = tokenizers(folder, 24)
            encoder = small_text_encoder(known)
            rows = with_more_words(encoder, known, grown).get_input_embeddings().weight
            first, second = (grow(known, NEW, len(known) + 1))[1][-1]
            ids = grown.convert_tokens_to_ids([first, second, first + second])
        torch.testing.assert_close(rows[ids[2]], (rows[ids[0]] + rows[ids[1]]) / 2)


class DrawsZeros:
    """A generator whose latents are zero whatever is asked for."""

    def read(self, tokens):
        return tokens

    def velocity(self, noise, times, text):
        return noise


class Pictures:
    """One bucket of pictures, and how often they are to come up."""

    def __init__(self, bucket):
        self.buckets, self.device = [bucket], torch.device("cpu")

    def weigh(self, weights):
        self.weights = weights


class Wide(unittest.TestCase):
    def test_drawings_that_are_further_off_come_up_more_often(self):
        # Two pictures of the first drawing and one of each other, of a model that draws nothing but zeros.
        facts = torch.full((4, 1, len(FACTS)), NOT_STATED)
        facts[:, 0, FACTS.index("thing")] = torch.tensor([4, 4, 5, 7])
        latents = torch.tensor([0.0, 0.0, 0.0, 1.0]).view(4, 1, 1, 1).expand(4, 2, 4, 4)
        data = Pictures(dict(facts=facts, latents=latents, tokens=torch.zeros(4, 1, 5)))
        favour_badly_drawn(DrawsZeros(), data)
        torch.testing.assert_close(data.weights, [torch.tensor([LEAST / 2, LEAST / 2, LEAST, MOST])])

    def test_drawings_are_judged_by_captions_that_leave_nothing_open(self):
        # The first drawing has two pictures, of which one has a complete caption; the second has one picture, and none.
        facts = torch.full((3, 2, len(FACTS)), NOT_STATED)
        facts[:, 0, :2] = torch.tensor([[4, 1], [4, 1], [7, 1]])
        facts[1, 1, :3] = torch.tensor([4, 1, 2])
        tokens = torch.arange(6).view(3, 2, 1)
        latents = torch.arange(3).view(3, 1, 1, 1)
        for _ in range(9):
            chosen, pictures = examples(dict(facts=facts, latents=latents, tokens=tokens))
            self.assertEqual(chosen.flatten().tolist(), [3, 4])
            self.assertEqual(pictures.flatten().tolist(), [1, 2])

    def test_goes_on_with_everything_that_the_model_before_knows(self):
        preset = PRESETS["wide"]
        codes = {thing.code for thing in preset.things()}
        self.assertLess(set(preset.known), codes)
        self.assertEqual(len(codes), len(preset.codes.read_text().splitlines()))

    def test_training_a_package_on_adds_nothing_to_it(self):
        preset = PRESETS["further"]
        stages = [stage.module for stage in stages_of(preset)]
        self.assertEqual((stages[0], stages[-1]), ("unpack", "refiner"))
        self.assertFalse({"tokenizer", "narrow", "decoder"} & set(stages))

    def test_every_stage_that_takes_its_time_is_given_some(self):
        for preset in PRESETS.values():
            timed = {stage.module for stage in stages_of(preset) if stage.timed} - {"prune", "pairs"}
            self.assertEqual(timed - set(preset.minutes), set(), preset.name)


if __name__ == "__main__":
    unittest.main()
