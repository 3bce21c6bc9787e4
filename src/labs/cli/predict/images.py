"""Which image files `image=` names: files, folders, patterns, and embedded photographs."""

import difflib
import glob
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from labs import LabsError
from labs.datamodules.embedded.photographs import PHOTOGRAPHS
from labs.datamodules.image_files import counted, images_below, suffixes


class Named(NamedTuple):
    """Images in the order in which they were named, each once."""

    files: list[str]
    several: bool  # a folder or a pattern was among them


def named_images(typed: Sequence[str]) -> Named:
    """Find the images that words name. What is there counts as one name, whatever letters it has; else commas divide.

    Raises:
        LabsError: a word names nothing, or a folder has no images.
    """
    files: list[str] = []
    several = False
    for word in typed:
        for name in _names(word):
            found, is_one = _found(name)
            files += found
            several |= not is_one
    return Named(list(dict.fromkeys(files)), several)


def _names(word: str) -> list[str]:
    """Divide a word at commas, unless the longer name is there.

    Raises:
        LabsError: a name between commas is empty.
    """
    names, rest = [], word.split(",")
    while rest:
        whole = (end for end in range(len(rest), 1, -1) if _is_there(",".join(rest[:end])))
        end = next(whole, 1)
        names.append(",".join(rest[:end]))
        rest = rest[end:]
    if "" in names:
        raise LabsError(f"image={word}: expected names of files between the commas.")
    return names


def _is_there(name: str) -> bool:
    try:
        return Path(name).expanduser().exists() or bool(_matches(name))
    except (OSError, RuntimeError, ValueError):  # a name that no system has
        return False


def _matches(name: str) -> list[str]:
    """Return the images that a pattern stands for, or the files if none is one; none of a name that is no pattern."""
    if not glob.has_magic(name):
        return []
    found = sorted(glob.glob(str(Path(name).expanduser()), recursive=True))  # noqa: PTH207  may begin at the root
    files = [file for file in found if not Path(file).is_dir()]
    return [file for file in files if Path(file).suffix.lower() in suffixes()] or files


def _found(name: str) -> tuple[list[str], bool]:
    """Return the images of a name, and whether it names just one."""
    try:
        path = Path(name).expanduser()
        if name in PHOTOGRAPHS or path.is_file() or (path.is_symlink() and not path.is_dir()):
            return [name], True
        if path.is_dir():
            images, others = images_below(path)
            if images:
                return [str(image) for image in images], False
            what = f" ({counted(others)})" if others else ""
            raise LabsError(f"image={name}: no images in this folder{what}; type another, or an image file.")
        if matches := _matches(name):
            return matches, False
    except (OSError, RuntimeError, ValueError) as error:
        raise LabsError(f"image={name!r}: cannot be opened ({error}); type a file that you may read.") from error
    if "://" in name:
        raise LabsError(f"image={name}: an address; download the image and type the path of the file.")
    if glob.has_magic(name):
        raise LabsError(f"image={name}: no file has such a name; a pattern is quoted: 'image=birds/*.jpg'.")
    close = difflib.get_close_matches(name, PHOTOGRAPHS, n=1)
    hint = f" (did you mean {close[0]}?)" if close else ""
    raise LabsError(f"image={name}: there is no such file, folder or embedded photograph{hint}.")
