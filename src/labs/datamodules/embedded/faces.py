"""The embedded substitute for FaceScrub: photographs of invented people, with lists, SHA-256s and boxes.

The layout is that of the real data after a download: the lists (one with a header line, one without), the downloaded
photographs, and the manifest with the reasons why the others failed: dead links, replaced files, web pages.
"""

import hashlib
import io
from pathlib import Path

import numpy as np
from PIL import Image

from labs.datamodules.embedded.face_drawing import draw_face
from labs.datamodules.embedded.face_people import Person, person
from labs.datamodules.facescrub_lists import COLUMNS, Face
from labs.storage.bars import image_bar
from labs.storage.manifest import Row, Wanted, write_manifest
from labs.storage.whole_folder import whole_folder

FACES_VERSION = 1  # raised whenever the images or the layout change
LOST = ("404 Not Found", "404 Not Found", "wrong SHA-256", "no such host", "an HTML page")  # per person
_FEW = 1 / 3  # the last person has this fraction of lines, too few for training
_LISTS = ("facescrub_actors.txt", "facescrub_actresses.txt")


def write_facescrub(root: Path, *, people: int, per_person: int, seed: int = 0) -> None:
    """Draw photographs and write them to `root`; the folder is complete or missing.

    Args:
        root: the folder to create; its parent exists.
        people: number of people; the last one has too few images.
        per_person: lines per person in the lists, of which a few are dead links.
        seed: random seed of the photographs; the people are always the same.
    """
    lines: dict[str, list[str]] = {name: [] for name in _LISTS}
    lines[_LISTS[0]].append("\t".join(COLUMNS))
    rows: list[Row] = []
    with whole_folder(root) as partial:
        with image_bar() as bar:
            for index in bar.track(range(people), description="drawing faces"):
                someone = person(index)
                count = round(_FEW * per_person) if index == people - 1 else per_person
                for number in range(count):
                    line, row = _photograph(partial, someone, [seed, index, number], 1000 * (index + 1) + number)
                    lines[_LISTS[someone.woman]].append(line)
                    rows.append(row)
        for name, listed in lines.items():
            (partial / name).write_text("".join(f"{line}\n" for line in listed), encoding="utf-8")
        write_manifest(partial / "images", rows)


def _photograph(root: Path, someone: Person, key: list[int], image_id: int) -> tuple[str, Row]:
    """Draw one photograph, unless it is lost; return its line in the list, and its row in the manifest."""
    draw = np.random.default_rng(key)
    picture, box = draw_face(someone, draw)
    content = _encoded(picture, draw)
    digest = hashlib.sha256(content).hexdigest()
    url = f"https://photographs.invalid/{image_id}.jpg"
    face = Face(someone.name, str(image_id), str(image_id + 1), url, box, digest, "")
    cells = [face.person, face.image_id, face.face_id, url, ",".join(map(str, box)), digest]
    wanted = Wanted(url, face.photograph, digest)
    if key[-1] < len(LOST):
        return "\t".join(cells), Row.of(wanted, why=LOST[key[-1]])
    file = root / "images" / face.photograph
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    return "\t".join(cells), Row.of(wanted, sha256=digest, length=len(content))


def _encoded(picture: Image.Image, draw: np.random.Generator) -> bytes:
    """Return a JPEG file, sometimes in gray, like photographs from many sources."""
    content = io.BytesIO()
    gray = draw.random() < 0.04
    (picture.convert("L") if gray else picture).save(content, "JPEG", quality=int(draw.integers(80, 96)))
    return content.getvalue()
