"""Classify each image, and show the answers: on the terminal, in a picture, as CSV or as JSON."""

import sys
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from torch import Tensor

from labs import LabsError
from labs.cli.predict.images import Named
from labs.cli.predict.tables import Answer, Rows, as_csv, as_json
from labs.cli.predict.words import STDOUT, WRITTEN, Asked
from labs.datamodules.image_files import UnreadableImageError, counted
from labs.quantities import quantity
from labs.runs.trained_net import TrainedNet
from labs.storage.files import new_file, printable, typed_path, write_text

IN_A_SUMMARY = 20  # rows
IN_A_PICTURE = 12  # images
SOME_UNREAD = 1  # exit code


def answer(asked: Asked, named: Named, net: TrainedNet) -> int:
    """Classify all images, draw, write, and export; return the exit code.

    Raises:
        LabsError: no image can be read, or a file cannot be written.
    """
    folder = _folder(asked.out)
    files = {word: _new(word, typed) for word in WRITTEN if (typed := getattr(asked, word)) not in (None, STDOUT)}
    console = Console(markup=False, highlight=False, emoji=False, quiet=asked.is_alone)
    written: dict[str, Any] = {}
    try:
        answers = _answers(asked, named, net, folder, console, written)
        if asked.export:
            from labs.runs.export import export_net  # only who asks for it waits for the import

            written["exported"] = str(export_net(net, asked.export, folder))
            console.print(f"exported  {printable(written['exported'])}", soft_wrap=True)
        for word in WRITTEN:
            if getattr(asked, word) is not None:
                text = as_csv(answers, net, asked.top) if word == "csv" else as_json(answers, net, asked.run, written)
                if word in files:
                    write_text(files[word], text)
                    console.print(f"written  {printable(str(files[word]))}", soft_wrap=True)
                else:
                    print(text, end="")
    except OSError as error:
        where = printable(str(error.filename or folder))
        raise LabsError(f"{where}: {error.strerror}; type another folder: out=<folder>, or picture=false.") from error
    return SOME_UNREAD if any(one.error for one in answers) else 0


def _answers(
    asked: Asked, named: Named, net: TrainedNet, folder: Path, console: Console, written: dict[str, Any]
) -> list[Answer]:
    """Classify each image, print the answer at once, and draw; note in `written` what was drawn."""
    answers: list[Answer] = []
    images: list[Tensor] = []  # of the picture
    rows = Rows(named.files, net.classes, console) if len(named.files) > 1 else None
    for file in named.files:
        found, image = _ask(net, file, asked.top)
        answers.append(found)
        if image is None:
            if rows:
                print(f"not read  {printable(file)}: {found.error}", file=sys.stderr)
            continue
        if rows:
            rows.add(found)
        else:
            console.print(_heading(found, net.labels), soft_wrap=True)
            console.print(_table(found))
        if asked.explain:
            written.setdefault("maps", []).append(str(_explained(net, image, found, asked.explain, folder)))
            console.print(f"drawn  {printable(written['maps'][-1])}", soft_wrap=True)
        images += [image] * (len(images) < IN_A_PICTURE)
    if answers and not images:
        first = f"image={printable(answers[0].file)}: {answers[0].error}"
        raise LabsError(f"{first}." if len(answers) == 1 else f"none of {len(answers)} images can be read ({first}).")
    answered = [one for one in answers if not one.error]
    if named.several:
        console.print(_counts(answers))
    if rows:
        console.print(_notes(answers, net.labels), soft_wrap=True)
    if asked.picture and images:
        written["picture"] = str(_drawn(net, answered[: len(images)], images, folder))
        which = f" ({len(images)} of {len(answered)} images)" if len(images) < len(answered) else ""
        console.print(f"drawn  {printable(written['picture'])}{which}", soft_wrap=True)
    return answers


def _ask(net: TrainedNet, file: str, top: int) -> tuple[Answer, Tensor | None]:
    try:
        image, converted = net.read(file)
    except LabsError as error:
        unreadable = error.__cause__
        why = unreadable.why if isinstance(unreadable, UnreadableImageError) else str(error).partition(": ")[2]
        return Answer(file, [], [], why.rstrip(".")), None
    return Answer(file, net.top(net.predict(image)[0], top), converted), image


def _heading(found: Answer, labels: Sequence[str]) -> str:
    notes = [", ".join(labels), f"converted: {', '.join(found.converted)}" if found.converted else ""]
    return printable(found.file) + (f"  ({'; '.join(filter(None, notes))})" if any(notes) else "")


def _table(found: Answer) -> Table:
    table = Table("class", "confidence")
    for name, share in found.classes:
        table.add_row(name, f"{share:.1%}")
    return table


def _counts(answers: Sequence[Answer]) -> Table:
    """Return a table of the classes that came first, and for how many images."""
    confidence: dict[str, list[float]] = defaultdict(list)
    for one in answers:
        if one.classes:
            confidence[one.classes[0][0]].append(one.classes[0][1])
    table = Table("class", "images", "mean confidence")
    largest_first = sorted(confidence.items(), key=lambda item: -len(item[1]))
    for name, shares in largest_first[:IN_A_SUMMARY]:
        table.add_row(name, str(len(shares)), f"{sum(shares) / len(shares):.1%}")
    if len(largest_first) > IN_A_SUMMARY:
        rest = largest_first[IN_A_SUMMARY:]
        table.add_row(f"{len(rest)} other classes", str(sum(len(shares) for _, shares in rest)), "")
    return table


def _notes(answers: Sequence[Answer], labels: Sequence[str]) -> str:
    """Return one line on what else there is to know of all images."""
    converted = Counter(word for one in answers for word in one.converted)
    unread = sum(bool(one.error) for one in answers)
    notes = {
        f"{quantity(len(answers) - unread, 'image')} classified": True,
        f"{unread} could not be read": unread,
        f"converted: {counted(converted)}": converted,
        ", ".join(labels): labels,
    }
    return "; ".join(note for note, is_so in notes.items() if is_so)


def _drawn(net: TrainedNet, answers: Sequence[Answer], images: Sequence[Tensor], folder: Path) -> Path:
    """Draw images beside their answers, to a new file."""
    from labs.drawing.answer_sheets import Answered, answer_sheet  # the answers are said before matplotlib is imported

    stem = Path(answers[0].file).stem if len(answers) == 1 else "images"
    path = new_file(folder, f"{stem}-answer", ".png")
    shown = [
        Answered(image.permute(1, 2, 0).numpy(), printable(Path(one.file).name), one.classes)
        for one, image in zip(answers, images, strict=True)
    ]
    answer_sheet(shown, path, net.name, net.labels)
    return path


def _explained(net: TrainedNet, image: Tensor, found: Answer, word: str, folder: Path) -> Path:
    """Draw which pixels the first answer depends on, to a new file."""
    from labs.drawing.explained import explained_sheet, map_named
    from labs.inspection.maps import MAPS, maps_of

    name, share = found.classes[0]
    method = map_named(word, "explain")
    normalized = net.normalizer(image[None])
    maps = maps_of(net.net, normalized, net.net(normalized).argmax(1), method=method)
    path = new_file(folder, f"{Path(found.file).stem}-{word}", ".png")
    title = f"{name}, {share:.0%}: {MAPS[method]}"
    explained_sheet(image[None], maps, [printable(Path(found.file).stem)], path, title, net.labels)
    return path


def _new(word: str, typed: str) -> Path:
    """Return the path of a file that was typed, and that is not there yet."""
    path = typed_path(typed, word)
    if path.exists():
        raise LabsError(f"{word}={typed}: there is such a file already, and it stays as it is; type another name.")
    return path


def _folder(typed: str | None) -> Path:
    """Return the folder that is written to; make it if it was typed."""
    folder = typed_path(typed or ".", "out")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LabsError(f"out={typed}: no folder can be there ({error.strerror}); type another.") from error
    return folder
