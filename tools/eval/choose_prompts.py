"""Chooses the fixed evaluation prompts in hash order, never by looks.

    python -m tools.eval.choose_prompts --work DIR --preset cpu

The pack in the work folder tells which drawings exist. What was chosen is written to prompts/PRESET.jsonl.
"""
import argparse
import random
import zlib
from collections import Counter
from dataclasses import replace
from pathlib import Path

from tools.data.captions import typical
from tools.data.compose import Parts
from tools.data.scenes import LANDSCAPES, MIXES, Planner
from tools.data.splits import LATER_STYLES
from tools.eval.prompt_files import (
    FOLDER, LATER_SETS, NOT_SHOWN, PRESETS, RECOLOURED_SETS, SHOWN, SYNONYMS, Prompt, write_prompts,
)

PLAIN = ("plain",)
DRAWN_FOR_EACH = 25

# The kind of scene, the split and the backdrops of each set.
RECIPES = {
    "seen": ("single", "seen", PLAIN),
    "style": ("single", "style", PLAIN),
    "colour": ("single", "colour", PLAIN),
    "triple": ("single", "triple", PLAIN),
    "pair": ("pair", "pair", PLAIN),
    "seen pair": ("pair", "seen", PLAIN),
    "count": ("count", "seen", PLAIN),
    "recolour": ("single", "seen", PLAIN),
    "own colour": ("single", "own colour", PLAIN),
    SYNONYMS: ("single", "seen", PLAIN),
    **{f"{style} {SHOWN}": ("single", "seen", PLAIN) for style in LATER_STYLES},
    **{f"{style} {NOT_SHOWN}": ("single", "later style", PLAIN) for style in LATER_STYLES},
    "scene": ("single", "seen", LANDSCAPES),
}


def fits(name, scene):
    """Whether a scene came out as its set wants it, which some things and random numbers prevent."""
    recoloured = all(figure.colour for figure in scene.figures)
    if name == "count" and len(scene.figures) == 1:
        return False
    if name == SYNONYMS and not scene.figures[0].thing.names[1:]:
        return False
    return recoloured == (name in RECOLOURED_SETS) and scene.backdrop.kind in RECIPES[name][2]


def styles_of(name, preset):
    """The styles that a set asks for. Where later ones have sets of their own, the others stay what they were."""
    styles = preset.trained.styles
    if name in LATER_SETS:
        return [LATER_SETS[name]]
    if not set(LATER_SETS) & set(preset.sets):
        return styles
    return [style for style in styles if style not in LATER_STYLES]


def scenes_of(name, things, available, preset, count, seed):
    """Random scenes of a set; the same for the same seed."""
    kind, split, backdrops = RECIPES[name]
    mix = replace(MIXES[preset.trained.mix], kinds={kind: 1}, backdrops=dict.fromkeys(backdrops, 1),
                  recolour=float(name in RECOLOURED_SETS))
    planner = Planner(things, styles_of(name, preset), available, mix, split, preset.trained.held_out,
                      preset.trained.colours)
    rng = random.Random(f"{seed} {name}")
    scenes = []
    while len(scenes) < count:
        scene = planner.draw(rng)
        if fits(name, scene):
            scenes.append(scene)
    return scenes


def text_of(name, scene):
    """What a prompt of a set says: for synonyms with a fixed one of the thing's further names."""
    if name != SYNONYMS:
        return typical(scene)
    figure = scene.figures[0]
    others = figure.thing.names[1:]
    other = others[zlib.crc32(figure.thing.code.encode()) % len(others)]
    return typical(replace(scene, figures=(replace(figure, thing=replace(figure.thing, names=(other,))),)))


def choose(name, things, available, preset):
    """The prompts of a set: random scenes in the order of their captions' hashes, each thing once before any again.

    The same things in the same style are never asked for twice.
    """
    drawn = scenes_of(name, things, available, preset, preset.per_set * DRAWN_FOR_EACH, "prompts")
    prompts = [Prompt(name, text_of(name, scene), scene) for scene in drawn]
    different = {}
    for prompt in sorted(prompts, key=lambda prompt: zlib.crc32(prompt.text.encode())):
        different.setdefault((*(thing.code for thing in prompt.things), prompt.scene.style), prompt)
    times, ranked = Counter(), []
    for prompt in different.values():
        ranked.append((times[prompt.things[0].code], prompt))
        times[prompt.things[0].code] += 1
    return [prompt for _, prompt in sorted(ranked, key=lambda pair: pair[0])][: preset.per_set]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=Path(".plantain-train"))
    parser.add_argument("--pack", type=Path, help="folder of parts.bin and parts.json (default: WORK/pack)")
    parser.add_argument("--preset", choices=PRESETS, required=True)
    parser.add_argument("--out", type=Path, help="default: prompts/PRESET.jsonl beside this file")
    args = parser.parse_args()
    preset = PRESETS[args.preset]
    things = preset.things()
    available = Parts(args.pack or args.work / "pack", things, preset.trained.styles).available
    prompts = [prompt for name in preset.sets for prompt in choose(name, things, available, preset)]
    write_prompts(prompts, args.out or FOLDER / f"{args.preset}.jsonl")
    print(len(prompts), "prompts")


if __name__ == "__main__":
    main()
