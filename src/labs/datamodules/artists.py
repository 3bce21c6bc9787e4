"""451 paintings of 11 artists, collected by Zoya Bylinskii for MIT's course 6.867, or drawn by the project."""

import re
import unicodedata
import warnings
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from labs import LabsError
from labs.datamodules.embedded.painters import PAINTERS_VERSION, write_artists
from labs.datamodules.image_files import image_files
from labs.datamodules.pixels import decode_images
from labs.datamodules.sources import LabeledImages, print_found
from labs.quantities import quantity
from labs.storage.files import typed_path, written_once

# The hand-out's Table 1.
PAINTINGS = {
    "Canaletto": 20,
    "Claude Monet": 54,
    "George Romney": 63,
    "J. M. W. Turner": 70,
    "John Robert Cozens": 40,
    "Paul Cezanne": 40,
    "Paul Gauguin": 37,
    "Paul Sandby": 36,
    "Peter Paul Rubens": 28,
    "Rembrandt": 40,
    "Richard Wilson": 23,
}
KEY = "datamodule.source.path"
PLACES = (".", "artists", "art_data/artists")  # where the artists' folders may be inside `path`
INSTEAD = "Without the paintings, add data=embedded to the same command: it uses drawn ones, and the results say so."


class Artists:
    """Read paintings from one folder per artist; nothing is downloaded, because only the course hands out the files.

    Labels follow the sorted folder names. The artists and their numbers of paintings are compared with the hand-out's
    table; a folder with another name is used, too, with a warning. The dataset has some truncated files: their readable
    part is used, with a warning that names them.

    Args:
        folder: folder of all datasets.
        path: folder that contains the artists' folders, or `art_data`; None: `<folder>/art_data/artists`.
        embedded: use drawn paintings in eleven styles instead, in the same layout and numbers.
        check_counts: raise an error if an artist's number of paintings differs from the table.
        skip_unreadable: skip files that cannot be read at all.
    """

    def __init__(
        self,
        *,
        folder: str,
        path: str | None = None,
        embedded: bool = False,
        check_counts: bool = True,
        skip_unreadable: bool = False,
    ) -> None:
        path = path or None  # an empty value counts as none
        if embedded and path is not None:
            raise LabsError(f"{KEY}={path}: data=embedded uses its own paintings; remove data=embedded or the path.")
        self.folder, self.path, self.embedded = Path(folder), path, embedded
        self.check_counts, self.skip_unreadable = check_counts, skip_unreadable
        self.name = "drawn paintings" if embedded else "artists"
        self.cache = self.folder / "cache"

    def load(self, size: int) -> LabeledImages:
        """Return the paintings at `size` pixels, without a test set: `datamodule.fold` selects it.

        Raises:
            LabsError: the folder, artists or paintings are missing, or an image cannot be decoded.
        """
        root = self._embedded() if self.embedded else self._given()
        artists = sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith((".", "__")))
        files: list[Path] = []
        labels: list[int] = []
        found: dict[str, int] = {}
        passed_over = 0
        for label, artist in enumerate(artists):
            images, strays = image_files(artist)
            files += images
            labels += [label] * len(images)
            found[artist.name] = len(images)
            passed_over += sum(strays.values())
        check_table(root, found, check_counts=self.check_counts)
        pixels, kept, converted = decode_images(
            files, size, self.cache / "pixels", skip_unreadable=self.skip_unreadable, read_truncated=True
        )
        print_found(self.name, len(kept), len(artists), {"files": passed_over}, converted)
        return LabeledImages(
            pixels=pixels,
            labels=np.array(labels, dtype=np.int64)[kept],
            names=[f"{files[row].parent.name}/{files[row].name}" for row in kept],
            classes=list(found),
            is_test=np.zeros(len(kept), dtype=bool),
        )

    def _given(self) -> Path:
        root = self.folder / "art_data" / "artists" if self.path is None else typed_path(self.path, KEY)
        if not root.is_dir():
            raise LabsError(
                f"{root}: the folder of paintings is missing. It cannot be downloaded; the course hands it out "
                f"(art_data/artists, with a folder for each of 11 artists). Put it there, or type {KEY}=<folder>. "
                f"{INSTEAD}"
            )
        for place in PLACES:
            folders = [path for path in (root / place).glob("*") if path.is_dir()]
            if any(known(path.name) for path in folders) or len(folders) == len(PAINTINGS):
                return root / place
        raise LabsError(
            f"{root}: found no folders of artists, such as {', '.join(list(PAINTINGS)[:3])}; type "
            f"{KEY}=<folder that contains them>. {INSTEAD}"
        )

    def _embedded(self) -> Path:
        root = self.folder / "embedded" / f"art_data_v{PAINTERS_VERSION}" / "artists"
        return written_once(root, write_artists)


def known(name: str) -> str | None:
    """Return the artist in the table whose name the folder has, in any spelling.

    Examples:
        >>> known("JMW_Turner"), known("Cézanne"), known("paul-gauguin"), known("Paul Klee")
        ('J. M. W. Turner', 'Paul Cezanne', 'Paul Gauguin', None)
    """
    letters = _letters(name)
    spelled = {artist: (_letters(artist), _letters(artist.split()[-1])) for artist in PAINTINGS}
    return next((artist for artist, ways in spelled.items() if letters in ways), None)


def check_table(root: Path, found: Mapping[str, int], *, check_counts: bool) -> None:
    """Compare folders of paintings with the hand-out's table.

    Args:
        root: folder that contains the artists' folders.
        found: number of images in each folder.
        check_counts: raise an error if an artist's number of paintings differs from the table.

    Raises:
        LabsError: the artists or, with `check_counts`, their numbers of paintings differ from the table.
    """
    artists = {folder: known(folder) for folder in found}
    empty = [folder for folder, number in found.items() if number == 0]
    if empty:
        raise LabsError(f"{root / empty[0]}: the artist's folder has no images; put the paintings back.")
    if len(found) != len(PAINTINGS) or len({*artists.values()} - {None}) < len([*filter(None, artists.values())]):
        missing = ", ".join(artist for artist in PAINTINGS if artist not in artists.values()) or "none"
        raise LabsError(
            f"{root}: found {quantity(len(found), 'folder')} ({', '.join(found)}), "
            f"expected one for each of the {len(PAINTINGS)} artists; missing: {missing}."
        )
    strange = [folder for folder, artist in artists.items() if artist is None]
    if strange:
        warnings.warn(f"{', '.join(strange)}: not in the hand-out's table of artists, but used", stacklevel=3)
    other = [
        f"{folder} {found[folder]} instead of {PAINTINGS[artist]}"
        for folder, artist in artists.items()
        if artist is not None and found[folder] != PAINTINGS[artist]
    ]
    if other and check_counts:
        raise LabsError(
            f"{root}: the numbers of paintings differ from the hand-out's table: {'; '.join(other)}. Restore the "
            "original files, or type datamodule.source.check_counts=false to use the folder as it is."
        )


def _letters(name: str) -> str:
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z]", "", plain.lower())
