"""Ask a trained run about images.

    python predict.py run=outputs/cub_layer1_frozen/<time> image=bird.jpg

Prints the five most probable classes of each image. Several images: image=a.jpg,b.jpg. How many classes: top=3.
A run directory of somebody else runs no code here; trust=true also builds what conf/ does not name.
"""

import sys
from pathlib import Path


def main(arguments: list[str]) -> None:
    """Print the most probable classes of each image."""
    from labs import LabsError

    settings = dict(argument.partition("=")[::2] for argument in arguments)
    unknown = set(settings) - {"run", "image", "top", "trust"}
    if unknown or not {"run", "image"} <= set(settings):
        raise LabsError(
            f"expected run=<directory> image=<file> [top=5] [trust=true], found {' '.join(arguments) or 'nothing'}."
        )
    if twice := {name for name in settings if [a.partition("=")[0] for a in arguments].count(name) > 1}:
        raise LabsError(f"{twice.pop()}= is typed twice; several images are image=a.jpg,b.jpg.")
    if "" in (settings["run"], *files_of(settings["image"])):
        raise LabsError(f"run={settings['run']} image={settings['image']}: expected names of a folder and of files.")
    if not settings.get("top", "5").isdecimal() or int(settings.get("top", "5")) < 1:
        raise LabsError(f"top={settings['top']}: expected a whole number from 1.")
    if settings.get("trust", "true") not in ("true", "false"):
        raise LabsError(f"trust={settings['trust']}: expected true or false.")

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
