"""Where data, runs and weights lie when nobody types it: in the project, or where the environment says.

A class that shares a disk sets `LABS_DATA`, `LABS_OUTPUTS` and `LABS_WEIGHTS` once. What is typed wins over them.
"""

import os
import sys
from pathlib import Path

from labs import LabsError
from labs.storage.files import typed_path

FOLDERS = {"data": "data", "outputs": "outputs", "weights": None}  # in the project; None: the library's own cache


def project_folder() -> Path:
    """Return the folder that holds `conf/`: the one of the program that runs, or this checkout."""
    beside = Path(sys.argv[0]).resolve().parent
    return beside if (beside / "conf" / "train.yaml").is_file() else Path(__file__).resolve().parents[3]


def default_folder(name: str) -> str | None:
    """Return the default of `paths.<name>`: relative where the working directory is the project's, as it is shown."""
    typed = os.environ.get(f"LABS_{name.upper()}", "").strip()
    if typed:
        return _in_environment(name, typed)
    own, project = FOLDERS[name], project_folder()
    return own if own is None or project == Path.cwd() else str(project / own)


def found_folder(typed: str | Path, key: str) -> Path:
    """Return the folder of runs that was typed; one that is not here may lie in the outputs of the project.

    Args:
        typed: such as `outputs/cub_full`, `cub_full`, or a path.
        key: error messages name it.
    """
    path = typed_path(typed, key)
    if path.exists() or path.is_absolute():
        return path
    outputs = Path(default_folder("outputs") or "outputs")
    inside = outputs.joinpath(*(path.parts[1:] if path.parts[:1] == ("outputs",) else path.parts))
    return inside if inside.exists() else path


def _in_environment(name: str, typed: str) -> str:
    try:
        return str(Path(typed).expanduser())
    except RuntimeError as error:
        raise LabsError(f"LABS_{name.upper()}={typed}: {error}; set it to another folder.") from error
