"""Writes weights/clip-merges.txt, the merges of CLIP's tokenizer, from the vocabulary that PyPI's open-clip-torch carries.

    pip download --no-deps open-clip-torch==3.3.0 && python -m tools.data.clip_merges open_clip_torch-3.3.0-*.whl
"""
import gzip
import hashlib
import sys
import zipfile
from pathlib import Path

SOURCE = "open_clip/bpe_simple_vocab_16e6.txt.gz"
SHA256 = "924691ac288e54409236115652ad4aa250f48203de50a9e4722a6ecd48d6804a"
TARGET = Path(__file__).parents[2] / "weights" / "clip-merges.txt"
# 49,408 tokens: 256 bytes within words, 256 at the ends of words, start and end of the text; the others are merges.
MERGES = 49408 - 2 * 256 - 2


def main():
    compressed = zipfile.ZipFile(sys.argv[1]).read(SOURCE)
    if hashlib.sha256(compressed).hexdigest() != SHA256:
        raise SystemExit(f"{sys.argv[1]}: {SOURCE} is not the vocabulary of CLIP")
    lines = gzip.decompress(compressed).decode().split("\n")[1:MERGES + 1]
    TARGET.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
