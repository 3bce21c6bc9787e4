"""FaceScrub (Ng and Winkler 2014): faces of actors, fetched from the addresses that its lists name; or drawn faces."""

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

# The six people of each year of the Toronto course that hand-out 001 is adapted from.
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
    """Read the lists, fetch the photographs, cut the faces, and split them person by person.

    A photograph is kept only if the SHA-256 of what its host sends is that of the list. What failed is not asked for
    again by itself, so that the data set stays the same from run to run.

    Args:
        folder: of all datasets; this one takes `<folder>/facescrub/` with the lists, `images/` and `faces/`, or
            `<folder>/embedded/` when drawn.
        num_classes: people that the net tells apart; another number with enough images is an error that says so.
        people: who: a course (`csc321_2016`, `csc411_2017`, `csc411_2018`), `all` in the lists, the first so many of
            them by name, or a list of names.
        train_per_person: images of each person for training; the rest is cut in two halves, validation and test.
        rest_per_person: images that a person must have beyond those.
        split_seed: of the draw.
        near: share of steps of brightness in which near copies may differ, which stay on one side; 0: exact copies.
        retry: ask once more for what failed before.
        workers: connections at a time.
        embedded: draw faces instead.
        drawn_per_person: of the drawn people, lines in the lists.
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
            raise LabsError(f"datamodule.source.near={near}: expected a share from 0 to below 1, such as 0.2.")
        needed = train_per_person + rest_per_person
        if embedded and not needed + 8 <= drawn_per_person <= 1000:
            raise LabsError(
                f"datamodule.source.drawn_per_person={drawn_per_person}: expected {needed + 8} to 1000, as "
                f"{needed} images of a person are needed and a few are lost as on the web."
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
            LabsError: the lists are not there or cannot be meant, or there are not `num_classes` people with enough
                images.
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
        if read.unreadable:  # cut by us: somebody has damaged them
            name = kept[read.unreadable[0][0]].crop
            raise LabsError(f"{folder / 'faces' / name}: {read.unreadable[0][1]}. Delete it and run again.")
        classes = sorted(enough)
        labels = np.array([classes.index(face.person) for face in kept], dtype=np.int64)
        exact, groups = groups_of(read.contents, read.hashes, self.near)
        splits = three_ways(labels, groups, self.train_per_person, self.split_seed)
        notes = [f"{person} is left out, with {count} of {self.least} images needed" for person, count in few.items()]
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
        """Return where each photograph is, or why it is not there."""
        wanted = {face.photograph: Wanted(face.url, face.photograph, face.sha256) for face in faces}
        try:
            outcomes = fetch_many(
                wanted.values(), folder, accept=fault_of, workers=self.workers, retry=self.retry and not self.embedded
            )
        except LabsError as error:
            raise LabsError(f"{error}\n{INSTEAD}") from error
        return {outcome.wanted.name: outcome.path or outcome.why for outcome in outcomes}

    def _check_people(self, enough: Sequence[str], few: dict[str, int], reasons: Sequence[str]) -> None:
        """Refuse another number of people than the net was built for."""
        if len(enough) == self.num_classes:
            return
        names = ", ".join(f"{person} ({count})" for person, count in few.items())
        lost = f" {len(few)} are left out, with fewer than {self.least} images: {names}." if few else ""
        if len(enough) < 2:
            common = max(set(reasons), key=list(reasons).count, default="")
            raise LabsError(
                f"{self.name}: {len(enough)} of {len(enough) + len(few)} people have enough images.{lost} Most often: "
                f"{common or 'there are no more lines'}. To ask once more for what failed, type "
                "datamodule.source.retry=true; for fewer images, type datamodule.source.train_per_person=30.\n"
                f"{INSTEAD}"
            )
        raise LabsError(
            f"{self.name}: there are {len(enough)} people with enough images, and the net was built for "
            f"{self.num_classes}.{lost} Type datamodule.num_classes={len(enough)}."
        )

    def _drawn(self) -> Path:
        """Return the folder of the drawn faces, which are written once."""
        people = self.num_classes + 1  # and one with too few images
        folder = self.root / "embedded" / f"faces_{people}x{self.drawn_per_person}_v{FACES_VERSION}"
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{folder}.lock"):
            if not folder.exists():
                write_facescrub(folder, people=people, per_person=self.drawn_per_person)
        return folder


def chosen(faces: Sequence[Face], people: str | int | Sequence[str]) -> list[Face]:
    """Return the faces of the people that are asked for.

    Raises:
        LabsError: The lists do not name somebody, or the word is no course.
    """
    known = sorted({face.person for face in faces})
    key = f"datamodule.source.people={people if isinstance(people, (str, int)) else list(people)}"
    if isinstance(people, int):
        if not 2 <= people <= len(known):
            raise LabsError(f"{key}: the lists name {len(known)} people; type 2 to {len(known)}, or {ALL}.")
        asked = known[:people]
    elif isinstance(people, str):
        if people not in (ALL, *COURSES):
            raise LabsError(f"{key}: expected {', '.join((*COURSES, ALL))}, a number, or names such as [{known[0]}].")
        asked = known if people == ALL else list(COURSES[people])
    else:
        asked = list(people)
        if len(set(asked)) < 2:
            raise LabsError(f"{key}: expected two names or more.")
    by_name = {name.casefold(): name for name in known}
    missing = [name for name in asked if name.casefold() not in by_name]
    if missing:
        more = ", ..." if len(known) > 8 else ""
        raise LabsError(
            f"{key}: the lists do not name {', '.join(missing)}. They name {len(known)} people: "
            f"{', '.join(known[:8])}{more}. Put the other list there, too, or type other names."
        )
    names = {by_name[name.casefold()] for name in asked}
    return [face for face in faces if face.person in names]


def three_ways(labels: np.ndarray, groups: np.ndarray, train: int, seed: int) -> np.ndarray:
    """Draw the split of each image: of each person `train` for training (0), then validation (1) and test (2) in turn.

    Copies stay on one side: of a group that no longer fits into the training images, all go to the rest.

    Examples:
        >>> np.bincount(three_ways(np.zeros(90, int), np.arange(90), 70, seed=0)).tolist()
        [70, 10, 10]
    """
    splits = np.empty(len(labels), dtype=np.int64)
    taken: dict[int, int] = {}  # group: split; a group may have images of several people
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
    """Return who has enough images, and how many the others have."""
    counts = dict.fromkeys(sorted({face.person for face in faces}), 0)
    for face in there:
        counts[face.person] += 1
    return [name for name, count in counts.items() if count >= least], {n: c for n, c in counts.items() if c < least}
