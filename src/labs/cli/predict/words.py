"""The words of `predict.py`: what is asked of which net about which images. Nothing heavy is imported here."""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from labs import LabsError
from labs.runs.newest import folders_named, holds_runs, what_to_type

EXPORTS = ("onnx", "torch_export")
KNOWN = (
    *("run", "net", "weights", "image", "top", "explain", "export", "out", "picture", "trust", "csv", "json"),
    "paths.weights",
)
WRITTEN = ("csv", "json")  # to standard output, or to a file whose name ends like the word
SWITCHES = ("trust", "picture", *WRITTEN)  # need no value after `--`
STDOUT = "-"
USAGE = (
    "type python predict.py <run> <image> ..., or net=squeezenet <image>; `python predict.py --help` lists all words"
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
    csv: str | None = None  # a file, or `-`: standard output
    json: str | None = None

    @property
    def is_alone(self) -> bool:
        """Say whether standard output is for another program."""
        return STDOUT in (self.csv, self.json)


def read_words(arguments: Sequence[str]) -> Asked:
    """Read the words of a command.

    Raises:
        LabsError: a word is unknown, typed twice, or without a value, or something is missing.
    """
    pairs, bare = _divided(list(arguments))
    names = [name for name, _ in pairs]
    if twice := next((name for name in names if name != "image" and names.count(name) > 1), None):
        raise LabsError(f"{twice}= is typed twice; only image= may be.")
    if empty := next((name for name, value in pairs if not value), None):
        raise LabsError(f"{empty}=: a value is missing; {USAGE}.")
    typed = dict(pairs)
    if bare and not {"run", "net"} & set(names):
        typed["run"] = _the_run(bare)
        bare.remove(typed["run"])
    images = [value for name, value in pairs if name == "image"] + bare
    _check(typed, images)
    is_alone = STDOUT in (typed.get("csv"), typed.get("json"))
    return Asked(
        run=typed.get("run"),
        net=typed.get("net"),
        weights=typed.get("weights", "imagenet"),
        images=images,
        top=int(typed.get("top", "5")),
        explain=typed.get("explain"),
        export=typed.get("export"),
        out=typed.get("out"),
        picture=typed.get("picture", "false" if is_alone and "out" not in typed else "true") == "true",
        trust=typed.get("trust") == "true",
        weights_folder=typed.get("paths.weights"),
        csv=typed.get("csv"),
        json=typed.get("json"),
    )


def _divided(words: list[str]) -> tuple[list[tuple[str, str]], list[str]]:
    """Divide words into settings, written in any of three ways, and bare words."""
    pairs: list[tuple[str, str]] = []
    bare: list[str] = []
    while words:
        word = words.pop(0)
        name, equals, value = word.removeprefix("--").partition("=")
        is_flag = word.startswith("--")
        if is_flag and name == "no-picture" and not equals:
            pairs.append(("picture", "false"))
        elif is_flag and name in KNOWN and not equals:
            pairs += _after_flag(name, words)
        elif name in KNOWN and equals:
            pairs.append((name, value))
        elif is_flag or _is_no_file(word, equals):
            close = difflib.get_close_matches(name, KNOWN, n=1)
            hint = f" (did you mean {close[0]}=?)" if close else ""
            raise LabsError(f"{word if is_flag else name}: there is no such word{hint}; {USAGE}.")
        else:
            bare.append(word)
    return pairs, bare


def _after_flag(name: str, words: list[str]) -> list[tuple[str, str]]:
    """Take the values of a flag from the words behind it."""
    if name == "image":
        values = []
        while words and not words[0].startswith("--") and words[0].partition("=")[0] not in KNOWN:
            values.append(words.pop(0))
        return [(name, value) for value in values or [""]]
    if name in SWITCHES:
        is_value = words and (words[0].endswith(f".{name}") or words[0] in (STDOUT, "true", "false"))
        return [(name, words.pop(0) if is_value else STDOUT if name in WRITTEN else "true")]
    return [(name, words.pop(0) if words and not words[0].startswith("--") else "")]


def _is_no_file(word: str, equals: str) -> bool:
    """Say whether a word must be a setting of an unknown name: a file may have `=` in its name, too."""
    return bool(equals) and not Path(word).expanduser().exists()


def _the_run(bare: Sequence[str]) -> str:
    """Return the bare word that is a run or a folder of runs; the others are images.

    Raises:
        LabsError: none is, or several are.
    """
    runs = [word for word in bare if _names_runs(word)]
    if len(runs) == 1:
        return runs[0]
    if runs:
        raise LabsError(
            f"{' and '.join(runs[:2])} are both runs; type one of them, or a folder of runs for the newest in it."
        )
    which = f"{bare[0]} is none" if len(bare) == 1 else f"none of {', '.join(bare[:3])} is one"
    net = "Without a run, type net=squeezenet for the classes of ImageNet."
    raise LabsError(f"no run is named: {which}; {what_to_type()}. {net}")


def _names_runs(word: str) -> bool:
    return any(holds_runs(folder) for folder in folders_named(word, "run"))


def _check(typed: dict[str, str], images: list[str]) -> None:
    """Refuse words that do not go together, and values that are none."""
    if ("run" in typed) == ("net" in typed):
        both = "run= and net= are two nets; type one of them" if "run" in typed else "no run and no net is named"
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
    for name in WRITTEN:
        if (value := typed.get(name, STDOUT)) != STDOUT and not value.endswith(f".{name}"):
            raise LabsError(f"{name}={value}: expected a file whose name ends in .{name}, or --{name} alone.")
    if typed.get("csv") == typed.get("json") == STDOUT:
        raise LabsError("--csv and --json cannot both go to standard output; name a file, such as csv=answers.csv.")
    if typed.get("export", EXPORTS[0]) not in EXPORTS:
        raise LabsError(f"export={typed['export']}: expected {' or '.join(EXPORTS)}.")
    if "explain" in typed and not images:
        raise LabsError(f"explain={typed['explain']}: there is no image to explain; type image=<file>, too.")
