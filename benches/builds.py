#!/usr/bin/env python3
"""How much faster one build draws than another: both draw the same pictures of the built-in model, in turns.

    python benches/builds.py OLD_PLANTAIN target/release/plantain --count 40 --rounds 3 -- --device flex --precision f32

What follows `--` goes to both. Prints the seconds of each, loading included, and their ratio.
"""
import argparse
import sys
import tempfile
from pathlib import Path

from turns import in_turns


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("old")
    parser.add_argument("new")
    parser.add_argument("--count", type=int, default=40, help="pictures of a round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--slice", type=float, default=0.5, help="seconds that one runs while the other waits")
    words = sys.argv[1:]
    end = words.index("--") if "--" in words else len(words)
    args, options = parser.parse_args(words[:end]), words[end + 1:]
    for _ in range(args.rounds):
        with tempfile.TemporaryDirectory() as folder:
            commands = [[program, "generate", "a fox, cartoon, on a teal background", "-n", str(args.count), "--seed", "1",
                         "--quiet", "--output", str(Path(folder) / f"{name}.png"), *options]
                        for name, program in (("old", args.old), ("new", args.new))]
            (old, new), _ = in_turns(commands, args.slice)
        print(f"{args.count} pictures: old {old:.2f} s, new {new:.2f} s, new / old {new / old:.3f}", flush=True)


if __name__ == "__main__":
    main()
