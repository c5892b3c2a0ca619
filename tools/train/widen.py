"""Teaches a finished model more things, with a text encoder that has read of all of them before.

What the denoiser knows stays. Only the layers that take text speak of the old text encoder's states: they begin as the
old ones seen through the best linear maps between what both encoders make of the same captions. Then the whole denoiser
learns on, most of the time from the things that are new to it; the text encoder stays as it is.
"""
import random
from functools import partial

import torch
from transformers import CLIPTokenizer

from tools.data.captions import write
from tools.data.compose import Parts
from tools.train.common import common_arguments, pack_folder, set_up
from tools.train.dataset import FACTS, fact_classes, planner_for
from tools.train.networks import Generator, build_text_encoder, build_unet
from tools.train.presets import PRESETS
from tools.train.teacher import draw_times
from tools.train.transfer import learn_on, linear_map

READ = 8_000
# Text states hardly differ in some directions; see `linear_map`.
RIDGE = 1e-3
# How much more often a drawing comes up whose thing is new.
FAVOUR = 2.0
# What is new is what to draw, which noisy times decide; how drawings look in detail is known.
TIME_SHIFT = 0.6
UNIFORM_TIME_SHARE = 0.2
TEXT_LAYERS = ("attn2.to_k.weight", "attn2.to_v.weight")
POOLED_LAYER = "class_embedding.linear_1"


def captions_of(preset, parts, seed):
    """Captions of what the model to go on from knows."""
    planner, rng, known = planner_for(preset, parts), random.Random(seed), set(preset.known)
    captions = []
    while len(captions) < READ:
        scene = planner.draw(rng)
        if scene.figures[0].thing.code in known:
            captions.append(write(scene, rng).text)
    return captions


def word_ends(generator, ids):
    """Which tokens end a word [n, length]."""
    names = generator.tokenizer.convert_ids_to_tokens(range(len(generator.tokenizer)))
    return torch.tensor([name.endswith("</w>") for name in names], device=ids.device)[ids]


@torch.no_grad()
def read_alike(generators, captions):
    """What several generators make of the captions that all of them read to the end.

    For each of them the state at the end of every word [words, width], and the pooled states [n, width]. Tokenizers
    cut words differently, but agree on where one ends.
    """
    ids = [generator.token_ids(captions) for generator in generators]
    ends = [word_ends(*each) for each in zip(generators, ids)]
    counts = torch.stack([each.sum(1) for each in ends])
    whole = (counts == counts[0]).all(0)
    texts = [generator.read(each[whole]) for generator, each in zip(generators, ids)]
    return [states[each[whole]] for (states, _), each in zip(texts, ends)], [pooled for _, pooled in texts]


@torch.no_grad()
def for_other_text(unet, states, pooled, ridge=RIDGE):
    """The denoiser with its text layers seen through the maps; `states` and `pooled` are pairs (new, old)."""
    config = {**unet.config, "cross_attention_dim": states[0].shape[1],
              "projection_class_embeddings_input_dim": pooled[0].shape[1]}
    moved = build_unet({name: value for name, value in config.items() if not name.startswith("_")})
    to_old, _ = linear_map(*states, ridge)
    pooled_to_old, offset = linear_map(*pooled, ridge)
    weights = unet.state_dict()
    for name in weights:
        if name.endswith(TEXT_LAYERS):
            weights[name] = weights[name] @ to_old
    weight = weights[f"{POOLED_LAYER}.weight"]
    weights[f"{POOLED_LAYER}.bias"] = weights[f"{POOLED_LAYER}.bias"] + weight @ offset
    weights[f"{POOLED_LAYER}.weight"] = weight @ pooled_to_old
    moved.load_state_dict(weights)
    return moved


def text_encoder_of(preset, work):
    """The new vocabulary and the text encoder that `text_encoder` has trained for it, without a denoiser."""
    tokenizer = CLIPTokenizer.from_pretrained(work / "tokenizer")
    encoder = build_text_encoder(tokenizer, preset)
    trained = torch.load(work / "text_encoder_trained.pt", map_location="cpu", weights_only=True)
    prefix = "text_encoder."
    encoder.load_state_dict({name.removeprefix(prefix): v for name, v in trained.items() if name.startswith(prefix)})
    return tokenizer, encoder


def widened(args, preset, device):
    """The generator to train: the known denoiser behind the new text encoder."""
    first = Generator.saved(args.work / "first", device)
    tokenizer, encoder = text_encoder_of(preset, args.work)
    reader = Generator(tokenizer, encoder, first.unet, device)
    captions = captions_of(preset, Parts(pack_folder(args), preset.things(), list(preset.styles)), args.seed)
    states, pooled = read_alike((reader, first), captions)
    return Generator(tokenizer, encoder, for_other_text(first.unet, states, pooled), device)


def favour(facts, known):
    """How often each picture is to come up [n], by what its captions state [n, captions, facts]."""
    classes = fact_classes()["thing"]
    known = torch.tensor([classes[code] for code in known], device=facts.device)
    things = facts[..., FACTS.index("thing")].amax(1)
    return torch.where(torch.isin(things, known), 1.0, FAVOUR)


def main(words=None):
    args = common_arguments(__doc__).parse_args(words)
    preset, device = PRESETS[args.preset], set_up(args.seed)
    times = partial(draw_times, shift=TIME_SHIFT, uniform_share=UNIFORM_TIME_SHARE)
    learn_on(args, preset, device, widened(args, preset, device), "widen", times, decay_share=0.5,
             weigh=partial(favour, known=preset.known))


if __name__ == "__main__":
    main()
