"""Writes the licence document that goes with the weights."""
from collections import Counter
from pathlib import Path

from tools.data.photos import PACKAGE, SET_NAME, STYLE, VERSION
from tools.data.sources import SOURCES

TEXTS = Path(__file__).with_name("licence_texts")

INTRODUCTION = """\
# Licences of what the weights were trained on

The weights were trained on pictures composed from the drawings below, and photos if any are listed; no other pictures were used. The
captions are our own. A model this small reproduces the drawings closely; treat its pictures as derived from them and
keep these notices with the weights and with collections of its pictures. Nothing under a share-alike licence or the GPL
and no logos or brand art were taken."""

CHANGES = """\
Changes made: the drawings were rendered, trimmed, scaled and compressed, and for the training pictures placed on
backgrounds, combined, mirrored and at times recoloured. Photos were cut, scaled and compressed and serve as
backgrounds. The authors neither made nor endorse these changes, the weights or their pictures."""

# The wording the authors ask for or that their licences want kept.
CREDITS = {
    "CC-BY-4.0": """\
- Twemoji: graphics copyright Twitter, Inc and other contributors, <https://github.com/jdecked/twemoji>, licensed under
  [CC-BY 4.0](https://creativecommons.org/licenses/by/4.0/). Changed as said above.
- Emoji artwork is provided by [Emojitwo](https://github.com/EmojiTwo/emojitwo), originally released as
  [Emojione 2.2](https://www.emojione.com) by [Ranks.com](http://www.ranks.com) with contributions from the Emojitwo
  community, and is licensed under [CC-BY 4.0](https://creativecommons.org/licenses/by/4.0/legalcode). Changed as said
  above.""",
    "MIT": """\
- Fluent Emoji and Fluent UI System Color Icons: by Microsoft Corporation. Changed as said above.
- Flat Color Icons: by Icons8, who offer them under MIT or a licence of their own; taken under MIT. Changed as said
  above.""",
    "Apache-2.0": """\
- Noto Emoji, both versions: by Google Inc, <https://github.com/googlefonts/noto-emoji>. Changed as said above.""",
}


def table(head, rows):
    """A Markdown table."""
    return "\n".join("| " + " | ".join(map(str, row)) + " |" for row in [head, ["---"] * len(head), *rows])


def drawing_table(rows):
    """Every set of drawings with its package, version, author, licence and how many drawings were taken."""
    counts = Counter(row["style"] for row in rows)
    head = ["style", "set", "npm package, version", "author", "licence", "drawings used"]
    return table(head, [
        [s.style, f"[{s.set_name}]({s.origin})", f"`{s.package}` {s.version}", s.author, s.licence, counts[s.style]]
        for s in SOURCES
        if counts[s.style]
    ])


def photo_section(rows):
    """Where the photos came from; empty without photos."""
    photos = [row for row in rows if row["style"] == STYLE]
    counts = Counter((row["source"].removeprefix(SET_NAME + ", "), row["licence"]) for row in photos)
    if not counts:
        return ""
    text = (
        f"Landscape photos come from the Debian package `{PACKAGE}` {VERSION} (from the game "
        "[Endless Sky](https://github.com/endless-sky/endless-sky)). Its copyright file gives a licence for each\n"
        "photo; only public-domain and CC-BY ones were taken, two squares of each. It says that they come from:"
    )
    head = ["taken from", "licence", "squares used"]
    return text + "\n\n" + table(head, [[*key, n] for key, n in counts.most_common()])


def licence_section(licence):
    """The credits and the text of one licence."""
    text = (TEXTS / f"{licence}.txt").read_text().strip("\n")
    credits = CREDITS.get(licence)
    return "\n\n".join(filter(None, [f"## {licence}", credits, f"```text\n{text}\n```"]))


def licence_document(rows):
    """The complete document, with the licence texts, for the rows of a pack."""
    used = {row["style"] for row in rows}
    licences = sorted({s.licence for s in SOURCES if s.style in used})
    parts = [INTRODUCTION, drawing_table(rows), photo_section(rows), CHANGES, *map(licence_section, licences)]
    return "\n\n".join(filter(None, parts)) + "\n"
