"""Writes the licence document that goes with the weights."""
from pathlib import Path

TEXTS = Path(__file__).with_name("licence_texts")

INTRODUCTION = """\
# Licences of what the weights were trained on

The weights of `plantain-2-lite` were trained from nothing on pictures composed from the drawings below, one drawing on
a plain background each. No other pictures, captions or pretrained weights were used. The captions are our own.
A model this small reproduces the drawings closely; treat its pictures as derived from them and keep these notices
with the weights and with collections of its pictures."""


def source_table(sources, counts):
    """Every source with its version, licence, author and how many drawings were taken."""
    lines = [
        "| style | set | npm package, version | author | licence | drawings used |",
        "|---|---|---|---|---|---|",
    ]
    for s in sources:
        lines.append(
            f"| {s.style} | [{s.set_name}]({s.origin}) | `{s.package}` {s.version} | {s.author} | {s.licence} "
            f"| {counts[s.style]} |"
        )
    return "\n".join(lines)


def licence_document(sources, counts):
    """The complete document, with the licence texts."""
    changes = (
        "Changes made: the drawings were rendered, trimmed, scaled, compressed, placed on plain backgrounds and, "
        "at times, mirrored."
    )
    parts = [INTRODUCTION, source_table(sources, counts), changes]
    for licence in sorted({s.licence for s in sources}):
        text = (TEXTS / f"{licence}.txt").read_text().strip("\n")
        parts.append(f"## {licence}\n\n```text\n{text}\n```")
    return "\n\n".join(parts) + "\n"
