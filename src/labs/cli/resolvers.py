"""What `conf/` computes: the name of a cell's folder, the number of classes in a folder of images, products."""

import hashlib
from collections.abc import Sequence

from omegaconf import OmegaConf

from labs.runs.computed import register_arithmetic
from labs.runs.places import default_folder
from labs.runs.recipe import THE_CALL, is_part
from labs.runs.requeue import directory_of_job
from labs.storage.files import cut, portable

LONGEST = 160  # bytes of the name of a cell's folder


def register_resolvers() -> None:
    """Make `${labs_cell:...}` and the other resolvers of `conf/` known to OmegaConf."""
    register_arithmetic()
    OmegaConf.register_new_resolver("labs_cell", cell_name, replace=True)
    OmegaConf.register_new_resolver("labs_folder", default_folder, replace=True)
    OmegaConf.register_new_resolver("labs_run_dir", directory_of_job, replace=True)
    OmegaConf.register_new_resolver("classes_in", classes_in, replace=True, use_cache=True)


def classes_in(path: str | None, *columns: str) -> int:
    """Count the classes of a folder or a table of images; 0 without a path, which is refused later.

    Args:
        path: as it is typed.
        columns: of a table: the names of its columns for path, class and split, and what is done with other columns.
    """
    from labs.datamodules.folder_listing import list_images

    return len(list_images(path, columns[:3], columns[3]).classes) if path else 0


def cell_name(overrides: Sequence[str]) -> str:
    """Name a cell's folder by its overrides, with a digest of them where a file system would refuse that name.

    Examples:
        >>> cell_name(["seed=1", "grid=cub_table4", "experiment=cub_full"])
        'experiment=cub_full,seed=1'
        >>> cell_name(["datamodule.content=ph/1.png"]), cell_name(["datamodule.content=ph_1.png"])
        ('datamodule.content=ph_1.png...8d945cfb', 'datamodule.content=ph_1.png')
    """
    named = sorted(override for override in overrides if is_part(override.partition("=")[0], (*THE_CALL, "paths")))
    typed = ",".join(named)
    name = portable(typed)
    if name == typed == cut(name, LONGEST):
        return name
    digest = hashlib.sha256(typed.encode("utf-8", "surrogateescape")).hexdigest()
    return f"{cut(name, LONGEST - 20)}...{digest[:8]}"
