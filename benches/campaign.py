#!/usr/bin/env python3
"""What `plantain batch` costs beside drawing: a campaign of many rows against `plantain generate` with as many pictures.

    python benches/campaign.py target/release/plantain --rows 1000

Both draw the same number of pictures of the built-in model at its own size, one prompt for `generate`, one for each row
of the campaign. Both run at the same time, each stopped while the other has its turn, so that both meet the same machine.
Prints seconds, their ratio, and the memory of the campaign's process over time.
"""
import argparse
import csv
import tempfile
from pathlib import Path

from turns import in_turns

THINGS = ["dog", "cat", "fox", "owl", "car", "bus", "rocket", "house", "apple", "pear"]
COLOURS = ["red", "orange", "yellow", "green", "teal", "blue", "navy", "purple", "pink", "white"]
CAMPAIGN = """name = "bench"
output = "{{ number }}.png"
prompt = "a {{ thing }}, {{ style }}, on a {{ colour }} background"
rows = "rows.csv"
[[format]]
name = "own"
size = "512x512"
"""


def write_campaign(folder, rows):
    """A campaign whose prompts all differ as long as things, styles and colours last."""
    (folder / "campaign.toml").write_text(CAMPAIGN)
    with open(folder / "rows.csv", "w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["number", "thing", "style", "colour"])
        for i in range(rows):
            style = ("3d render", "cartoon", "flat illustration")[i // 100 % 3]
            # Beyond 300 the number makes the prompt another one.
            thing = THINGS[i % 10] if i < 300 else f"{THINGS[i % 10]} {i}"
            table.writerow([i, thing, style, COLOURS[i // 10 % 10]])


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("program")
    parser.add_argument("--rows", type=int, default=1000)
    parser.add_argument("--turns", type=int, default=1, help="how often all of it is done")
    parser.add_argument("--slice", type=float, default=0.5, help="seconds that one runs while the other waits")
    args = parser.parse_args()
    for _ in range(args.turns):
        with tempfile.TemporaryDirectory() as folder:
            folder = Path(folder)
            write_campaign(folder, args.rows)
            generate = [args.program, "generate", "a fox, cartoon, on a teal background", "-n", str(args.rows), "--seed", "1",
                        "--quiet", "--output", str(folder / "bare.png")]
            campaign = [args.program, "batch", str(folder / "campaign.toml"), "--out", str(folder / "out"), "--quiet"]
            (bare, batch), (_, memory) = in_turns([generate, campaign], args.slice)
        quarters = [memory[len(memory) * i // 4] for i in range(4)] + memory[-1:]
        print(f"{args.rows} pictures: generate {bare:.1f} s, batch {batch:.1f} s, throughput {bare / batch:.3f} of generate's; "
              f"memory in MiB at the start, each quarter and the end: {', '.join(f'{value:.0f}' for value in quarters)}",
              flush=True)


if __name__ == "__main__":
    main()
