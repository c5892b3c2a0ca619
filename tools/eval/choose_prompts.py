"""Chooses the fixed evaluation prompts: triples never trained, one per thing at most, in hash order, not by looks."""
import argparse
from pathlib import Path

from tools.data.captions import typical
from tools.data.vocabulary import load_things, order_key, triples

COUNT = 72


def choose(things, count):
    """One held-out triple for each of `count` things; both the things and the triples come in hash order."""
    first = {}
    for triple in sorted(triples(things, held_out=True), key=lambda triple: order_key(*triple)):
        first.setdefault(triple[0].code, triple)
    return list(first.values())[:count]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("prompts.txt"))
    args = parser.parse_args()
    prompts = [typical(*triple) for triple in choose(load_things(), COUNT)]
    args.out.write_text("\n".join(prompts) + "\n")


if __name__ == "__main__":
    main()
