#!/usr/bin/env python3
"""What `plantain batch` costs beside drawing: a campaign of many rows against `plantain generate` with as many pictures.

    python benches/campaign.py target/release/plantain --rows 1000

Both draw the same number of pictures of the built-in model at its own size, one prompt for `generate`, one for each row
of the campaign. Both run at the same time, each stopped while the other has its turn, so that both meet the same machine.
Prints seconds, their ratio, and the memory of the campaign's process over time.
"""
import argparse
import csv
import os
import select
import signal
import subprocess
import tempfile
import time
from pathlib import Path

THINGS = ["dog", "cat", "fox", "owl", "car", "bus", "rocket", "house", "apple", "pear"]
COLOURS = ["red", "orange", "yellow", "green", "teal", "blue", "navy", "purple", "pink", "white"]
CAMPAIGN = """name = "bench"
output = "{{ number }}.png"
prompt = "a {{ thing }}, {{ style }}, on a {{ colour }} background"
rows = "rows.csv"
[[format]]
name = "own"
size = "128x128"
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


def resident_mib(pid):
    """Memory of a process, or none once it has ended."""
    try:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
    except OSError:
        pass
    return None


def in_turns(commands, slice_seconds):
    """Seconds that each command ran, and its memory once a turn. One is stopped while the other runs.

    A machine shared with others may be a fifth slower in one minute than in the next.
    """
    processes = [subprocess.Popen(command) for command in commands]
    handles = [os.pidfd_open(process.pid) for process in processes]
    for process in processes:
        process.send_signal(signal.SIGSTOP)
    seconds, memory, running = [0.0] * len(commands), [[] for _ in commands], list(range(len(commands)))
    try:
        while running:
            for k in list(running):
                began = time.monotonic()
                processes[k].send_signal(signal.SIGCONT)
                ended, _, _ = select.select([handles[k]], [], [], slice_seconds)
                if ended:
                    running.remove(k)
                else:
                    processes[k].send_signal(signal.SIGSTOP)
                    memory[k].append(resident_mib(processes[k].pid))
                seconds[k] += time.monotonic() - began
        for process in processes:
            if process.wait() != 0:
                raise SystemExit(f"{process.args} ended with {process.returncode}")
    finally:
        for process in processes:
            process.kill()
        for handle in handles:
            os.close(handle)
    return seconds, memory


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
