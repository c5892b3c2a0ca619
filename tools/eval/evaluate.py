"""Measures models beside real pictures and a look-up, on the fixed prompts with fixed seeds.

    python -m tools.eval.evaluate --work DIR --preset cpu --report OUT.md --json OUT.json \\
        --rows ceiling retrieval mine=torch:DIR/student shipped=plantain: unrefined=plantain:,--no-refine
"""
import argparse
import json
from collections import Counter
from pathlib import Path

import torch

from tools.eval.bench import Bench
from tools.eval.measure import measure
from tools.eval.prompt_files import FOLDER, PRESETS, read_prompts
from tools.eval.report import report
from tools.eval.rows import Ceiling, Retrieval, model_row

PROGRAM = Path("target/release/plantain")


def make_row(description, bench, program, device):
    """A row from what stands on the command line."""
    if description == "ceiling":
        return Ceiling(bench.painter, bench.side)
    if description == "retrieval":
        return Retrieval(bench.painter, bench.side, bench.training_scenes)
    return model_row(description, program, device)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path(".plantain-train"), help="folder of the pack and the cache")
    parser.add_argument("--pack", type=Path, help="folder of parts.bin and parts.json (default: WORK/pack)")
    parser.add_argument("--preset", choices=PRESETS, default="cpu")
    parser.add_argument("--prompts", type=Path, help="default: prompts/PRESET.jsonl beside this file")
    parser.add_argument("--count", type=int, help="only the first so many prompts of each set")
    parser.add_argument("--rows", nargs="+", default=["ceiling", "retrieval"], metavar="ROW")
    parser.add_argument("--program", type=Path, default=PROGRAM, help="the built program, for plantain rows")
    parser.add_argument("--report", type=Path, required=True)
    parser.add_argument("--json", type=Path, required=True)
    args = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    preset = PRESETS[args.preset]
    prompts = read_prompts(args.prompts or FOLDER / f"{args.preset}.jsonl", preset.things(), args.count)
    bench = Bench(preset, prompts, args.pack or args.work / "pack", args.work / "evaluation-cache", device)
    results = []
    for description in args.rows:
        results.append(measure(bench, make_row(description, bench, args.program, device)))
        print(json.dumps(results[-1]), flush=True)
    counts = Counter(prompt.set for prompt in prompts)
    args.json.write_text(json.dumps(dict(preset=args.preset, prompts=counts, rows=results), indent=1) + "\n")
    args.report.write_text(report(results, args.preset, [name for name in preset.sets if counts[name]], counts))


if __name__ == "__main__":
    main()
