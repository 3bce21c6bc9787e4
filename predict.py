"""Ask a trained run about images.

    python predict.py run=outputs/cub_layer1_frozen/<time> image=bird.jpg

Prints the five most probable classes of each image. Several images: image=a.jpg,b.jpg. How many classes: top=3.
explain=saliency also draws the pixels on which the first answer depends: a new file <image>-saliency.png in the working
directory, or in out=<folder>. Other maps: guided, integrated_gradients, smoothgrad, grad_cam.
A run directory of somebody else runs no code here; trust=true also builds what conf/ does not name.
"""

import sys
from itertools import chain, count
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from labs.runs.load import TrainedRun


def main(arguments: list[str]) -> None:
    """Print the most probable classes of each image, and draw a map of it if asked."""
    from labs import LabsError

    settings = dict(argument.partition("=")[::2] for argument in arguments)
    unknown = set(settings) - {"run", "image", "top", "trust", "explain", "out"}
    if unknown or not {"run", "image"} <= set(settings):
        raise LabsError(
            "expected run=<directory> image=<file> [top=5] [explain=saliency] [out=<folder>] [trust=true], found "
            f"{' '.join(arguments) or 'nothing'}."
        )
    if twice := {name for name in settings if [a.partition("=")[0] for a in arguments].count(name) > 1}:
        raise LabsError(f"{twice.pop()}= is typed twice; several images are image=a.jpg,b.jpg.")
    if "" in (settings["run"], *files_of(settings["image"])):
        raise LabsError(f"run={settings['run']} image={settings['image']}: expected names of a folder and of files.")
    if not settings.get("top", "5").isdecimal() or int(settings.get("top", "5")) < 1:
        raise LabsError(f"top={settings['top']}: expected a whole number from 1.")
    if settings.get("trust", "true") not in ("true", "false"):
        raise LabsError(f"trust={settings['trust']}: expected true or false.")
    if "out" in settings and "explain" not in settings:
        raise LabsError(f"out={settings['out']}: there is nothing to write; type explain=saliency, too.")
    if "explain" in settings:
        from labs.drawing.explained import map_named  # only who asks for a map waits for the import

        map_named(settings["explain"], "explain")

    from rich.console import Console
    from rich.table import Table

    from labs.runs.load import load_run

    run = load_run(Path(settings["run"]).expanduser(), trust=settings.get("trust") == "true")
    for file in files_of(settings["image"]):
        image, converted = run.read(Path(file).expanduser())
        probabilities = run.predict(image)[0]
        said = [", ".join(run.labels), f"converted: {', '.join(converted)}" if converted else ""]
        notes = f"  ({'; '.join(filter(None, said))})" if any(said) else ""
        table = Table("class", "confidence")
        for index in probabilities.argsort(descending=True)[: int(settings.get("top", "5"))]:
            table.add_row(run.classes[index], f"{probabilities[index]:.1%}")
        Console().print(f"{file}{notes}", style="italic", highlight=False, markup=False, soft_wrap=True)
        Console(markup=False).print(table)
        if "explain" in settings:
            drawn = explain(run, image, Path(file).stem, settings["explain"], settings.get("out", "."))
            Console().print(f"drawn  {drawn}", highlight=False, markup=False, soft_wrap=True)


def explain(run: "TrainedRun", image: "Tensor", name: str, word: str, out: str) -> Path:
    """Draw which pixels the first answer depends on; return the new file."""
    import torch

    from labs import LabsError
    from labs.drawing.explained import explained_sheet, map_named
    from labs.inspection.maps import MAPS, maps_of

    confidence, answer = run.predict(image).max(dim=1)
    method = map_named(word, "explain")
    maps = maps_of(run.module, image, answer, method=method)
    mean, std = (torch.tensor(values)[:, None, None] for values in (run.mean, run.std))
    folder = Path(out).expanduser()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LabsError(f"out={out}: no folder can be there ({error.strerror}); type another.") from error
    names = (folder / f"{name}-{word}{number}.png" for number in chain([""], (f"-{place}" for place in count(2))))
    path = next(path for path in names if not path.exists())  # nothing of the user's is replaced
    title = f"{run.classes[int(answer)]}, {float(confidence):.0%}: {MAPS[method]}"
    explained_sheet((image * std + mean).clamp(0, 1), maps, [name], path, title, run.labels)
    return path


def files_of(typed: str) -> list[str]:
    """Return the files that a list with commas names; one that exists may have commas in its own name."""
    files, rest = [], typed.split(",")
    while rest:
        whole = (end for end in range(len(rest), 1, -1) if Path(",".join(rest[:end])).expanduser().is_file())
        end = next(whole, 1)
        files.append(",".join(rest[:end]))
        rest = rest[end:]
    return files


if __name__ == "__main__":
    from labs.cli.terminal import print_everywhere

    print_everywhere()
    if {"-h", "--help"} & set(sys.argv[1:]):
        print(__doc__)
    else:
        from labs.cli import report_mistakes

        with report_mistakes():
            main(sys.argv[1:])
