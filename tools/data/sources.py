"""Where the drawings come from: the published npm packages, one a style, and how each package names its pictures."""
import json
import re
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path

from tools.data.vocabulary import INKS

FLUENT = "https://github.com/microsoft/fluentui-emoji"
EMOJI_SELECTOR = "fe0f"
# Sets without code points of their own are searched by name, and those call the game what others call the insect.
MISLEADING_NAMES = {"1f997"}
# Ticket, fries, oncoming bus and classical building of EmojiOne bear its own logo or name.
WITH_LOGO = {("sticker", code) for code in ("1f3ab", "1f35f", "1f68d", "1f3db")}
# Of strokes that would take the colour of the text around an icon: a few of most sets, all of those of a single colour.
LINE_COLOUR = "#{:02x}{:02x}{:02x}".format(*INKS["glyph"])


@dataclass(frozen=True)
class Source:
    """One published set of drawings and the style it gives; `file` is a file extension or a collection of icons."""

    style: str
    package: str
    version: str
    file: str
    set_name: str
    licence: str
    author: str
    origin: str
    base_quality: int
    emoji: bool = True


ICONIFY = ("@iconify/json", "2.2.535")
SOURCES = (
    Source("3d", "@lobehub/fluent-emoji-3d", "1.1.0", ".webp", "Fluent Emoji 3D", "MIT", "Microsoft Corporation",
           FLUENT, 66),
    Source("flat", "@lobehub/fluent-emoji-flat", "1.1.0", ".svg", "Fluent Emoji Flat", "MIT",
           "Microsoft Corporation", FLUENT, 58),
    Source("gradient", "@lobehub/fluent-emoji-modern", "1.0.0", ".svg", "Fluent Emoji Color", "MIT",
           "Microsoft Corporation", FLUENT, 62),
    Source("cartoon", *ICONIFY, "noto", "Noto Emoji", "Apache-2.0", "Google Inc",
           "https://github.com/googlefonts/noto-emoji", 58),
    Source("minimal", *ICONIFY, "twemoji", "Twemoji", "CC-BY-4.0", "Twitter, Inc and other contributors",
           "https://github.com/jdecked/twemoji", 57),
    Source("soft", *ICONIFY, "noto-v1", "Noto Emoji (v1)", "Apache-2.0", "Google Inc",
           "https://github.com/googlefonts/noto-emoji", 56),
    Source("sticker", *ICONIFY, "emojione", "EmojiOne 2.3 / EmojiTwo", "CC-BY-4.0",
           "Ranks.com (EmojiOne) and the EmojiTwo community", "https://github.com/EmojiTwo/emojitwo", 56),
    Source("glyph", *ICONIFY, "fluent-emoji-high-contrast", "Fluent Emoji High Contrast", "MIT", "Microsoft Corporation",
           FLUENT, 66),
    Source("ui", *ICONIFY, "fluent-color", "Fluent UI System Color Icons", "MIT", "Microsoft Corporation",
           "https://github.com/microsoft/fluentui-system-icons", 62, emoji=False),
    Source("flatui", *ICONIFY, "flat-color-icons", "Flat Color Icons", "MIT", "Icons8",
           "https://github.com/icons8/flat-color-icons", 57, emoji=False),
)
COLLECTIONS = tuple(source.file for source in SOURCES if source.package == ICONIFY[0])


def plain_code(code):
    """A code point sequence without the selector that only asks for the coloured form."""
    return "-".join(part for part in code.lower().split("-") if part != EMOJI_SELECTOR)


def icon_code(name):
    """The code of an interface icon from its name in a package or in the tables: `add-circle-32` is `ui:add circle`."""
    return "ui:" + re.sub(r" \d+$", "", name.removeprefix("ui:").replace("-", " "))


def package_archive(source, folder):
    """The package as the registry serves it, downloaded once."""
    name = f"{source.package.lstrip('@').replace('/', '-')}-{source.version}.tgz"
    if not (folder / name).exists():
        command = ["npm", "pack", "--silent", f"{source.package}@{source.version}"]
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return folder / name


def read_fluent(source, archive):
    """All drawings of a package that holds one file a code point."""
    drawings = {}
    with tarfile.open(archive) as tar:
        for member in tar:
            if member.name.endswith(source.file) and "/assets/" in member.name:
                drawings[plain_code(Path(member.name).stem)] = tar.extractfile(member).read()
    return drawings


def unpack_collections(archive, folder):
    """Takes all icon collections out of the large archive in one pass, once."""
    missing = {f"package/json/{name}.json": folder / f"{name}.json" for name in COLLECTIONS}
    if all(path.exists() for path in missing.values()):
        return
    with tarfile.open(archive) as tar:
        for member in tar:
            if member.name in missing:
                missing[member.name].write_bytes(tar.extractfile(member).read())


def icon_svg(collection, name):
    """A complete SVG document of one icon, following renamed icons; None when the collection lacks it."""
    name = collection.get("aliases", {}).get(name, {}).get("parent", name)
    icon = collection["icons"].get(name)
    if icon is None:
        return None
    width, height = (icon.get(key, collection.get(key, 16)) for key in ("width", "height"))
    body = icon["body"].replace("currentColor", LINE_COLOUR)
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'viewBox="0 0 {width} {height}" width="{width}" height="{height}">{body}</svg>'
    ).encode()


def emoji_names(folder):
    """The icon names of each code point. Two collections list their code points; the older ones share the names."""
    names = {}
    for lister in ("noto", "twemoji"):
        for code, name in json.loads((folder / f"{lister}.json").read_text())["chars"].items():
            names.setdefault(plain_code(code), []).append(name)
    return names


def read_emoji_collection(collection, folder):
    """All drawings of an emoji collection by code point; its own list of code points comes first."""
    own = {plain_code(code): name for code, name in collection.get("chars", {}).items()}
    drawings = {}
    for code, names in emoji_names(folder).items():
        if code in MISLEADING_NAMES:
            names = []
        found = (icon_svg(collection, name) for name in [own.get(code), *names])
        drawings[code] = next((svg for svg in found if svg), None)
    return {code: svg for code, svg in drawings.items() if svg}


def read_icon_collection(collection):
    """All drawings of an interface collection by icon code, the largest one where there are several sizes."""
    icons = collection["icons"]
    small_to_large = sorted(icons, key=lambda name: icons[name].get("width", collection["width"]))
    return {icon_code(name): icon_svg(collection, name) for name in small_to_large}


def read_source(source, folder):
    """All drawings of a source by code: SVG documents, or WebP files for the rendered style."""
    archive = package_archive(source, folder)
    if source.package != ICONIFY[0]:
        return read_fluent(source, archive)
    unpack_collections(archive, folder)
    collection = json.loads((folder / f"{source.file}.json").read_text())
    return read_emoji_collection(collection, folder) if source.emoji else read_icon_collection(collection)


def find_drawings(source, things, folder):
    """The drawings of the wanted things by thing code; things that the set lacks are left out."""
    drawings = read_source(source, folder)
    normal = plain_code if source.emoji else icon_code
    found = {}
    for thing in things:
        codes = [normal(code) for code in (thing.code, *thing.also)]
        known = [code for code in codes if code in drawings and (source.style, code) not in WITH_LOGO]
        if known:
            found[thing.code] = drawings[known[0]]
    return found
