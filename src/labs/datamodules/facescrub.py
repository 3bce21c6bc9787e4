"""FaceScrub (Ng and Winkler 2014): faces of actors, downloaded from the addresses in its lists; or drawn faces."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from filelock import FileLock

from labs import LabsError
from labs.datamodules.duplicates import NEAR, groups_of, sets_of
from labs.datamodules.embedded.faces import FACES_VERSION, write_facescrub
from labs.datamodules.face_crops import cut_faces
from labs.datamodules.facescrub_lists import INSTEAD, Face, read_lists
from labs.datamodules.findings import Findings
from labs.datamodules.folder_listing import Listed, Skipped
from labs.datamodules.folder_pixels import read_files
from labs.datamodules.image_files import fault_of
from labs.datamodules.sources import LabeledImages
from labs.storage.fetch_many import Wanted, fetch_many

# The six people of each year of the Toronto course from which hand-out 001 is adapted.
COURSES = {
    "csc321_2016": (
        *("Gerard Butler", "Daniel Radcliffe", "Michael Vartan"),
        *("Lorraine Bracco", "Peri Gilpin", "Angie Harmon"),
    ),
    "csc411_2017": (
        *("Fran Drescher", "America Ferrera", "Kristin Chenoweth"),
        *("Alec Baldwin", "Bill Hader", "Steve Carell"),
    ),
    "csc411_2018": (
        *("Lorraine Bracco", "Peri Gilpin", "Angie Harmon"),
        *("Alec Baldwin", "Bill Hader", "Steve Carell"),
    ),
}
ALL = "all"


class FaceScrub:
    """Read the lists, download the photographs, crop the faces, and split them for each person.

    A photograph is kept only if its SHA-256 is the one in the list. Failed downloads are repeated only with `retry`, so
    that the dataset stays the same from run to run.

    Args:
        folder: folder of all datasets; this one uses `<folder>/facescrub/` with the lists, `images/` and `faces/`, or
            `<folder>/embedded/` if drawn.
        num_classes: number of people that the net distinguishes; as many must have enough images.
        people: whom to use: a course (`csc321_2016`, `csc411_2017`, `csc411_2018`), `all`, a number (the first ones in
            alphabetical order), or a list of names.
        train_per_person: training images per person; half of the others are for validation, half for testing.
        rest_per_person: minimum number of those other images per person.
        split_seed: random seed of the split.
        near: maximum fraction of brightness steps that differ between near copies, which stay in the same split; 0
            finds exact copies only.
        retry: whether to retry failed downloads of earlier runs.
        workers: simultaneous connections.
        embedded: use drawn faces instead.
        drawn_per_person: lines per drawn person in the lists.
    """

    def __init__(
        self,
        *,
        folder: str,
        num_classes: int,
        people: str | int | list[str] = "csc411_2018",
        train_per_person: int = 70,
        rest_per_person: int = 10,
        split_seed: int = 0,
        near: float = NEAR,
        retry: bool = False,
        workers: int = 16,
        embedded: bool = False,
        drawn_per_person: int = 125,
    ) -> None:
        for name, value, least in (
            ("train_per_person", train_per_person, 1),
            ("rest_per_person", rest_per_person, 2),
            ("workers", workers, 1),
        ):
            if value < least:
                raise LabsError(f"datamodule.source.{name}={value}: expected {least} or more.")
        if not 0 <= near < 1:
            raise LabsError(f"datamodule.source.near={near}: expected a fraction from 0 to below 1, such as 0.2.")
        needed = train_per_person + rest_per_person
        if embedded and not needed + 8 <= drawn_per_person <= 1000:
            raise LabsError(
                f"datamodule.source.drawn_per_person={drawn_per_person}: expected {needed + 8} to 1000, because "
                f"{needed} images per person are needed and a few are lost, as on the web."
            )
        self.root, self.num_classes, self.people = Path(folder), num_classes, people
        self.train_per_person, self.least = train_per_person, needed
        self.split_seed, self.near, self.retry, self.workers = split_seed, near, retry, workers
        self.embedded, self.drawn_per_person = embedded, drawn_per_person
        self.name = "drawn faces" if embedded else "FaceScrub"
        self.cache = self.root / "cache"

    def load(self, size: int) -> LabeledImages:
        """Return the faces at `size` pixels, with their three splits.

        Raises:
            LabsError: the lists are missing or not valid, or the number of people with enough images is not
                `num_classes`.
        """
        folder = self._drawn() if self.embedded else self.root / "facescrub"
        faces = chosen(read_lists(folder), self.people)
        photographs = self._fetch(faces, folder / "images")
        why_not = cut_faces(faces, photographs, folder / "faces")
        there = [face for face, why in zip(faces, why_not, strict=True) if not why]
        enough, few = _with_enough(faces, there, self.least)
        self._check_people(enough, few, [why for why in why_not if why])
        kept = [face for face in there if face.person in enough]
        listed = [Listed(folder / "faces" / face.crop, face.crop, face.person, None) for face in kept]
        read = read_files(listed, size, self.cache / "pixels")
        if read.unreadable:  # cropped by us and damaged later
            name = kept[read.unreadable[0][0]].crop
            raise LabsError(f"{folder / 'faces' / name}: {read.unreadable[0][1]}. Delete it and run again.")
        classes = sorted(enough)
        labels = np.array([classes.index(face.person) for face in kept], dtype=np.int64)
        exact, groups = groups_of(read.contents, read.hashes, self.near)
        splits = three_ways(labels, groups, self.train_per_person, self.split_seed)
        notes = [f"{person} is left out: has {count} of {self.least} required images" for person, count in few.items()]
        return LabeledImages(
            pixels=read.pixels,
            labels=labels,
            names=[face.crop for face in kept],
            classes=classes,
            is_test=splits == 2,
            groups=groups,
            is_val=splits == 1,
            findings=Findings(
                place=str(folder),
                skipped=[Skipped(f"{face.place} ({face.person})", why) for face, why in zip(faces, why_not) if why],
                converted=read.converted,
                copies=sets_of(exact),
                near_copies=[rows for rows in sets_of(groups) if len(set(exact[rows])) > 1],
                notes=notes,
            ),
        )

    def _fetch(self, faces: Sequence[Face], folder: Path) -> dict[str, Path | str]:
        """Return the path of each photograph, or why it is missing."""
        wanted = {face.photograph: Wanted(face.url, face.photograph, face.sha256) for face in faces}
        try:
            outcomes = fetch_many(
                wanted.values(), folder, accept=fault_of, workers=self.workers, retry=self.retry and not self.embedded
            )
        except LabsError as error:
            raise LabsError(f"{error}\n{INSTEAD}") from error
        return {outcome.wanted.name: outcome.path or outcome.why for outcome in outcomes}

    def _check_people(self, enough: Sequence[str], few: dict[str, int], reasons: Sequence[str]) -> None:
        """Raise an error unless the number of people is the one that the net was built for."""
        if len(enough) == self.num_classes:
            return
        names = ", ".join(f"{person} ({count})" for person, count in few.items())
        lost = f" {len(few)} are left out because they have fewer than {self.least} images: {names}." if few else ""
        if len(enough) < 2:
            common = max(set(reasons), key=list(reasons).count, default="")
            raise LabsError(
                f"{self.name}: only {len(enough)} of {len(enough) + len(few)} people have enough images.{lost} Most "
                f"common reason: {common or 'there are no more lines'}. To retry failed downloads, type "
                "datamodule.source.retry=true. To use fewer images, type datamodule.source.train_per_person=30.\n"
                f"{INSTEAD}"
            )
        raise LabsError(
            f"{self.name}: {len(enough)} people have enough images, but the net was built for "
            f"{self.num_classes}.{lost} Type datamodule.num_classes={len(enough)}."
        )

    def _drawn(self) -> Path:
        """Return the folder of the drawn faces; draw them on the first call."""
        people = self.num_classes + 1  # one more, who has too few images
        folder = self.root / "embedded" / f"faces_{people}x{self.drawn_per_person}_v{FACES_VERSION}"
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{folder}.lock"):
            if not folder.exists():
                write_facescrub(folder, people=people, per_person=self.drawn_per_person)
        return folder


def chosen(faces: Sequence[Face], people: str | int | Sequence[str]) -> list[Face]:
    """Return the faces of the requested people.

    Raises:
        LabsError: The lists lack a person, or the course is unknown.
    """
    known = sorted({face.person for face in faces})
    key = f"datamodule.source.people={people if isinstance(people, (str, int)) else list(people)}"
    if isinstance(people, int):
        if not 2 <= people <= len(known):
            raise LabsError(f"{key}: the lists have {len(known)} people; type 2 to {len(known)}, or {ALL}.")
        asked = known[:people]
    elif isinstance(people, str):
        if people not in (ALL, *COURSES):
            raise LabsError(f"{key}: expected {', '.join((*COURSES, ALL))}, a number, or names such as [{known[0]}].")
        asked = known if people == ALL else list(COURSES[people])
    else:
        asked = list(people)
        if len(set(asked)) < 2:
            raise LabsError(f"{key}: expected at least two names.")
    by_name = {name.casefold(): name for name in known}
    missing = [name for name in asked if name.casefold() not in by_name]
    if missing:
        more = ", ..." if len(known) > 8 else ""
        raise LabsError(
            f"{key}: the lists do not contain {', '.join(missing)}. They contain {len(known)} people: "
            f"{', '.join(known[:8])}{more}. Add the other list, too, or type other names."
        )
    names = {by_name[name.casefold()] for name in asked}
    return [face for face in faces if face.person in names]


def three_ways(labels: np.ndarray, groups: np.ndarray, train: int, seed: int) -> np.ndarray:
    """Draw the split of each image: `train` images per person for training (0), the rest alternate between 1 and 2.

    Split 1 is for validation and 2 for testing. Copies stay together: a group that no longer fits into the training
    images goes to the rest as a whole.

    Examples:
        >>> np.bincount(three_ways(np.zeros(90, int), np.arange(90), 70, seed=0)).tolist()
        [70, 10, 10]
    """
    splits = np.empty(len(labels), dtype=np.int64)
    taken: dict[int, int] = {}  # split of each group; a group may have images of several people
    draw = np.random.default_rng(seed)
    for label in np.unique(labels):
        counts = [0, 0, 0]
        members = draw.permutation(np.flatnonzero(labels == label))
        sizes = {int(group): int((groups[members] == group).sum()) for group in dict.fromkeys(groups[members].tolist())}
        for group, size in sizes.items():
            if group not in taken:
                rest = 1 if counts[1] <= counts[2] else 2
                taken[group] = 0 if counts[0] + size <= train else rest
            counts[taken[group]] += size
        rows = labels == label
        splits[rows] = [taken[int(group)] for group in groups[rows]]
    return splits


def _with_enough(faces: Sequence[Face], there: Sequence[Face], least: int) -> tuple[list[str], dict[str, int]]:
    """Return the people with enough images, and the number of images of each of the others."""
    counts = dict.fromkeys(sorted({face.person for face in faces}), 0)
    for face in there:
        counts[face.person] += 1
    return [name for name, count in counts.items() if count >= least], {n: c for n, c in counts.items() if c < least}
