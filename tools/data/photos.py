"""Landscape photos for backdrops, from the data package of the game Endless Sky in Debian.

The package mixes licences, file by file. Only photos that its copyright file calls public domain or CC-BY are taken.
"""
import fnmatch
import io
import re
import subprocess
import tarfile
from dataclasses import dataclass

from PIL import Image

PACKAGE, VERSION = "endless-sky-data", "0.9.8-1.2"
COPYRIGHT = f"./usr/share/doc/{PACKAGE}/copyright"
FOLDER = "./usr/share/games/endless-sky/images/land/"
LISTED_AS = "images/land/"
PERMITTED = ("public-domain", "CC-BY-")
SHARE_ALIKE = "CC-BY-SA"
# Listed as public domain, but the site's own terms did not let its photos be passed on by themselves.
REFUSED_ORIGINS = ("morgue-file.com",)
# What the file names say is seen, and our word for it; photos named after their maker or with machines in them are left
# out, and so is lava, where most show other rocks.
LABELS = {
    "badlands": "badlands", "beach": "beach", "canyon": "canyon", "city": "city", "desert": "desert", "dune": "desert",
    "fields": "fields", "fog": "fog", "forest": "forest", "hills": "hills", "mountain": "mountains", "sea": "sea",
    "sky": "sky", "snow": "snow", "valley": "valley", "water": "lake",
}
STYLE = "photo"
SET_NAME = "Endless Sky landscapes"
BASE_QUALITY = 66


@dataclass(frozen=True)
class Notice:
    """One paragraph of the copyright file: which files, under which licence, and where they were taken from."""

    patterns: tuple
    licence: str
    origin: str

    def covers(self, path):
        """Whether the paragraph speaks of this file."""
        return any(fnmatch.fnmatchcase(path, pattern) for pattern in self.patterns)

    @property
    def permitted(self):
        """Whether the licence lets us take the file without asking for share-alike."""
        free = self.licence.startswith(PERMITTED) and not self.licence.startswith(SHARE_ALIKE)
        return free and self.origin not in REFUSED_ORIGINS


@dataclass(frozen=True)
class Photo:
    """One square cut out of a landscape photo."""

    name: str
    label: str
    notice: Notice
    picture: Image.Image


def read_notices(text):
    """The paragraphs of a machine-readable Debian copyright file that list files of the land folder."""
    notices = []
    for paragraph in re.split(r"\n\s*\n", text):
        fields = dict(re.findall(r"^([A-Z][\w-]*):[ \t]*(.*(?:\n[ \t].*)*)", paragraph, re.M))
        patterns = tuple(p for p in fields.get("Files", "").split() if p.startswith(LISTED_AS))
        if patterns:
            licence, _, words = fields["License"].partition("\n")
            notices.append(Notice(patterns, licence.strip(), origin_of(words, fields["Copyright"].strip())))
    return notices


def origin_of(words, holder):
    """Where the photos of a paragraph came from: a web site that its licence field names, else the holder."""
    site = re.search(r"Taken from (\S+\.com)", words)
    return site.group(1) if site else holder


def notice_of(path, notices):
    """The paragraph that holds for a file (the last that covers it); None unless all that cover it are permitted."""
    covering = [notice for notice in notices if notice.covers(path)]
    return covering[-1] if covering and all(notice.permitted for notice in covering) else None


def download(folder):
    """The Debian package, downloaded once."""
    found = list(folder.glob(f"{PACKAGE}_{VERSION}_*.deb"))
    if not found:
        subprocess.run(["apt-get", "download", f"{PACKAGE}={VERSION}"], cwd=folder, check=True, capture_output=True)
        found = list(folder.glob(f"{PACKAGE}_{VERSION}_*.deb"))
    return found[0]


def cut_squares(name, label, notice, picture, side):
    """The left and the right square of a wide photo, scaled to the side."""
    height = picture.height
    for part, x in (("left", 0), ("right", picture.width - height)):
        square = picture.crop((x, 0, x + height, height)).resize((side, side), Image.LANCZOS)
        yield Photo(f"{name}-{part}", label, notice, square)


def read_photos(folder, side):
    """All permitted landscape photos, cut into squares, in order of their names."""
    unpacked = subprocess.run(["dpkg-deb", "--fsys-tarfile", download(folder)], check=True, capture_output=True).stdout
    with tarfile.open(fileobj=io.BytesIO(unpacked)) as tar:
        notices = read_notices(tar.extractfile(COPYRIGHT).read().decode())
        for member in sorted(tar.getnames()):
            name = member.removeprefix(FOLDER).removesuffix(".jpg")
            label = LABELS.get(re.match(r"[a-z]*", name).group())
            notice = notice_of(LISTED_AS + name + ".jpg", notices)
            if member.startswith(FOLDER) and label and notice:
                picture = Image.open(tar.extractfile(member)).convert("RGB")
                yield from cut_squares(name, label, notice, picture, side)


def photo_row(photo):
    """What parts.json says about a photo."""
    return dict(concept=f"photo:{photo.name}", noun=photo.label, syn=[], group=STYLE, style=STYLE,
                source=f"{SET_NAME}, {photo.notice.origin}", licence=photo.notice.licence, w=1, h=1)
