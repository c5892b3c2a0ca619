"""Runs all stages of training in order, each from where it was stopped.

    python -m tools.train.run --preset gpu --work /tmp/train --pack DIR --leave-after 9.3

With `--leave-after` the run ends in time with every checkpoint written, and the same command goes on from there: for
machines that lend only a few minutes at once.
"""
import gc
import importlib
import subprocess
import sys
import time
from dataclasses import dataclass

import torch

from tools.train.common import common_arguments
from tools.train.presets import FEWER_THINGS, LESS_TRAINING, PRESETS, SMALLER_PICTURES


@dataclass(frozen=True)
class Stage:
    """A module to run, the file in the work folder that tells it is done, and whether it takes `--leave-after`."""

    module: str
    result: str
    timed: bool = True


DRAWING_IN_FEW_STEPS = (
    Stage("few_step", "few_step/sampling.json"),
    Stage("quantize", "quantize/sampling.json"),
    Stage("refiner", "refiner/config.json"),
)
PRUNING = (
    Stage("prune", "student_config.json", timed=False),
    Stage("student", "student/sampling.json"),
)
FROM_NOTHING = (
    Stage("tokenizer", "tokenizer/vocab.json", timed=False),
    Stage("sentences", "sentences.pt", timed=False),
    Stage("autoencoder", "vae/config.json"),
    Stage("dataset", "latents.pt", timed=False),
    Stage("text_encoder", "text_encoder_trained.pt"),
    Stage("teacher", "teacher/sampling.json"),
    *PRUNING,
    Stage("pairs", "pairs.done"),
    *DRAWING_IN_FEW_STEPS,
)
FROM_SMALLER_PICTURES = (
    Stage("unpack", "first/sampling.json", timed=False),
    Stage("dataset", "latents.pt", timed=False),
    Stage("transfer", "teacher/sampling.json"),
    *DRAWING_IN_FEW_STEPS,
)
FROM_FEWER_THINGS = (
    Stage("unpack", "first/sampling.json", timed=False),
    Stage("tokenizer", "tokenizer/vocab.json", timed=False),
    Stage("sentences", "sentences.pt", timed=False),
    Stage("dataset", "latents.pt", timed=False),
    Stage("text_encoder", "text_encoder_trained.pt"),
    Stage("widen", "teacher/sampling.json"),
    Stage("narrow", "student/sampling.json"),
    Stage("few_step", "few_step/sampling.json"),
    Stage("quantize", "quantize/sampling.json"),
    Stage("decoder", "decoder/config.json"),
    Stage("doubled", "doubled.pt", timed=False),
    Stage("refiner", "refiner/config.json"),
)
# A package that knows all things already brings its vocabulary, its decoder and a UNet with few channels.
BROUGHT = "tokenizer", "narrow", "decoder"
FROM_LESS_TRAINING = tuple(stage for stage in FROM_FEWER_THINGS if stage.module not in BROUGHT)
GOING_ON = {
    SMALLER_PICTURES: FROM_SMALLER_PICTURES, FEWER_THINGS: FROM_FEWER_THINGS, LESS_TRAINING: FROM_LESS_TRAINING}


def stages_of(preset):
    """The stages of a preset in order."""
    if preset.goes_on_from:
        return GOING_ON[preset.goes_on_from]
    return [stage for stage in FROM_NOTHING if preset.student_parameters or stage not in PRUNING]


def words_of(stage, args, minutes_left):
    """The arguments of one stage."""
    words = ["--preset", args.preset, "--work", str(args.work), "--seed", str(args.seed)]
    if args.pack:
        words += ["--pack", str(args.pack)]
    if stage.timed and minutes_left is not None:
        words += ["--leave-after", f"{minutes_left:.2f}"]
    return words


def run_stage(stage, args, minutes_left):
    """One stage in this process: what it imports would take a fresh one ten seconds, ten times over."""
    try:
        importlib.import_module(f"tools.train.{stage.module}").main(words_of(stage, args, minutes_left))
    except SystemExit as leaving:
        if leaving.code:
            raise
    gc.collect()
    torch.cuda.empty_cache()


def compile_ahead(args):
    """Fills the compiler's cache in a process beside this one."""
    words = [sys.executable, "-m", "tools.train.compile_ahead", "--preset", args.preset, "--work", str(args.work)]
    with open(args.work / "compile_ahead.log", "w") as log:
        return subprocess.Popen(words, stdout=log, stderr=subprocess.STDOUT)


def main():
    parser = common_arguments(__doc__)
    parser.add_argument("--until", help="last stage to run")
    args = parser.parse_args()
    goes_on = PRESETS[args.preset].goes_on_from
    compiling = compile_ahead(args) if torch.cuda.is_available() and not goes_on else None
    try:
        run_stages(args)
    finally:
        if compiling:
            compiling.terminate()


def run_stages(args):
    """All stages whose result is missing, up to the one asked for or the time allowed."""
    started = time.monotonic()
    for stage in stages_of(PRESETS[args.preset]):
        if not (args.work / stage.result).exists():
            left = args.leave_after - (time.monotonic() - started) / 60 if args.leave_after else None
            if left is not None and left < 0.2:
                return
            began = time.monotonic()
            run_stage(stage, args, left)
            print(f"== {stage.module}: {(time.monotonic() - began) / 60:.1f} min", flush=True)
            if not (args.work / stage.result).exists():
                return
        if stage.module == args.until:
            return


if __name__ == "__main__":
    main()
