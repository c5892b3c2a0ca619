"""Measures one row: how often each stated fact is right in each set, and how its pictures compare with real ones."""
import time
from collections import defaultdict

import torch

from tools.eval.distances import (
    edge_sharpness, frechet_distance, kernel_distance, mean_pairwise_distance, mean_pairwise_perceptual,
    nearest_distances, speckle,
)
from tools.eval.features import BATCH, SIDE
from tools.eval.references import paint_in_batches
from tools.eval.regions import square_crops, subject_boxes
from tools.eval.rows import draw_all, replaced

FIRST_SEED = 1
DIVERSITY_PROMPTS = 12
DIVERSITY_SEEDS = 4
PERCEPTUAL_PROMPTS = 48
REDRAWN = 2

QUALITIES = {
    "fid": "Fréchet distance of the features to those of real pictures",
    "kid": "kernel distance of the features to those of real pictures, times 1000",
    "kid spread": "its standard deviation over subsets",
    "perceptual": "perceptual distance of the cut-out thing to the closer of two real drawings of the prompt",
    "training": "median feature distance to the nearest of the nearest training captions' pictures",
    "diversity": "mean feature distance between pictures of one prompt",
    "perceptual diversity": "mean perceptual distance between pictures of one prompt",
    "sharpness": "mean gradient of the strongest 5 % of edges",
    "speckle": "pixels per thousand that stick out in flat regions",
    "seconds": "for drawing a picture, on this machine",
}


def accuracies(bench, pictures):
    """{set: {fact: (right, asked)}}."""
    table = defaultdict(lambda: defaultdict(lambda: [0, 0]))
    for k in range(0, len(pictures), BATCH):
        prompts = bench.prompts[k : k + BATCH]
        for prompt, facts in zip(prompts, bench.judge.facts(prompts, pictures[k : k + BATCH])):
            for fact, right in facts.items():
                table[prompt.set][fact][0] += right
                table[prompt.set][fact][1] += 1
    return {name: {fact: tuple(count) for fact, count in facts.items()} for name, facts in table.items()}


def crops(pictures):
    """What stands out in each picture, cut out."""
    return square_crops(pictures, subject_boxes(pictures), SIDE)


def closeness(bench, pictures):
    """Mean perceptual distance of single things to the closer of some real drawings of their prompts."""
    rows = bench.singles[:: max(1, len(bench.singles) // PERCEPTUAL_PROMPTS)]
    cut = crops(pictures[rows])
    distances = []
    for k in range(REDRAWN):
        scenes = [replaced(bench.prompts[i].scene, f"real {i} {k}") for i in rows]
        real = torch.cat([crops(p) for p in paint_in_batches(bench.painter, scenes, bench.side)])
        distances.append(bench.extractor.perceptual_distance(cut, real))
    return torch.stack(distances).amin(0).mean().item()


def diversity(bench, row):
    """How much pictures of the same prompt differ from seed to seed."""
    rows = bench.singles[:: max(1, len(bench.singles) // DIVERSITY_PROMPTS)][:DIVERSITY_PROMPTS]
    prompts = [bench.prompts[i] for i in rows for _ in range(DIVERSITY_SEEDS)]
    pictures = draw_all(row, prompts, [1000 + FIRST_SEED + k for k in range(len(prompts))])
    groups = pictures.split(DIVERSITY_SEEDS)
    features = bench.extractor.pooled(pictures)[1].split(DIVERSITY_SEEDS)
    return (sum(map(mean_pairwise_distance, features)) / len(groups),
            sum(mean_pairwise_perceptual(bench.extractor, group) for group in groups) / len(groups))


def measure(bench, row):
    """All numbers of a row: accuracies by set, and qualities."""
    started = time.monotonic()
    pictures = draw_all(row, bench.prompts, [FIRST_SEED + i for i in range(len(bench.prompts))])
    seconds = (time.monotonic() - started) / len(pictures)
    singles = pictures[bench.singles]
    features = bench.extractor.pooled(singles)[1]
    kid, kid_spread = kernel_distance(features, bench.real_features)
    feature_diversity, perceptual_diversity = diversity(bench, row)
    qualities = {
        "fid": frechet_distance(features, bench.real_features),
        "kid": 1000 * kid,
        "kid spread": 1000 * kid_spread,
        "perceptual": closeness(bench, pictures),
        "training": nearest_distances(features, bench.training_features).median().item(),
        "diversity": feature_diversity,
        "perceptual diversity": perceptual_diversity,
        "sharpness": edge_sharpness(singles, bench.side).mean().item(),
        "speckle": 1000 * speckle(singles, bench.side).mean().item(),
        "seconds": seconds,
    }
    return dict(row=row.name, accuracies=accuracies(bench, pictures), qualities=qualities)
