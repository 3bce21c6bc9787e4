"""The words of `predict.py`: what is asked of which net about which images. Nothing heavy is imported here."""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass, field

from labs import LabsError

EXPORTS = ("onnx", "torch_export")
KNOWN = ("run", "net", "weights", "image", "top", "explain", "export", "out", "picture", "trust", "paths.weights")
USAGE = (
    "expected run=<directory> or net=<name>, and image=<file, folder or pattern>, as often as there are images, or "
    "export=onnx; `python predict.py --help` lists all words"
)


@dataclass
class Asked:
    """What was typed, checked."""

    run: str | None = None
    net: str | None = None
    weights: str = "imagenet"
    images: list[str] = field(default_factory=list)
    top: int = 5
    explain: str | None = None
    export: str | None = None
    out: str | None = None
    picture: bool = True
    trust: bool = False
    weights_folder: str | None = None
    json: bool = False


def read_words(arguments: Sequence[str]) -> Asked:
    """Read the words of a command.

    Raises:
        LabsError: a word is unknown, typed twice, or without a value, or something is missing.
    """
    pairs = [argument.partition("=")[::2] for argument in arguments if argument != "--json"]
    unknown = [name for name, _ in pairs if name not in KNOWN]
    if unknown:
        close = difflib.get_close_matches(unknown[0], KNOWN, n=1)
        hint = f" (did you mean {close[0]}=?)" if close else ""
        raise LabsError(f"{unknown[0]}: there is no such word{hint}; {USAGE}.")
    typed = dict(pairs)
    names = [name for name, _ in pairs]
    if twice := next((name for name in typed if name != "image" and names.count(name) > 1), None):
        raise LabsError(f"{twice}= is typed twice; only image= may be.")
    if empty := next((name for name, value in pairs if not value), None):
        raise LabsError(f"{empty}=: expected a value; {USAGE}.")
    images = [value for name, value in pairs if name == "image"]
    _check(typed, images)
    return Asked(
        run=typed.get("run"),
        net=typed.get("net"),
        weights=typed.get("weights", "imagenet"),
        images=images,
        top=int(typed.get("top", "5")),
        explain=typed.get("explain"),
        export=typed.get("export"),
        out=typed.get("out"),
        picture=typed.get("picture", "true" if "--json" not in arguments or "out" in typed else "false") == "true",
        trust=typed.get("trust") == "true",
        weights_folder=typed.get("paths.weights"),
        json="--json" in arguments,
    )


def _check(typed: dict[str, str], images: list[str]) -> None:
    """Refuse words that do not go together, and values that are none."""
    if ("run" in typed) == ("net" in typed):
        both = "run= and net= are two nets; type one of them" if "run" in typed else "no net is named"
        raise LabsError(f"{both}; {USAGE}.")
    if "weights" in typed and "run" in typed:
        raise LabsError("weights= goes with net=; a run has weights of its own.")
    if not images and "export" not in typed:
        raise LabsError(f"no image is named; {USAGE}.")
    if not typed.get("top", "5").isdecimal() or not typed.get("top", "5").isascii() or int(typed.get("top", "5")) < 1:
        raise LabsError(f"top={typed['top']}: expected a whole number from 1.")
    for name in ("trust", "picture"):
        if typed.get(name, "true") not in ("true", "false"):
            raise LabsError(f"{name}={typed[name]}: expected true or false.")
    if typed.get("export", EXPORTS[0]) not in EXPORTS:
        raise LabsError(f"export={typed['export']}: expected {' or '.join(EXPORTS)}.")
    if "explain" in typed and not images:
        raise LabsError(f"explain={typed['explain']}: there is no image to explain; type image=<file>, too.")
