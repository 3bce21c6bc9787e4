"""Which words of a grid's command are for the whole grid, and which for its cells alone.

Hydra composes the recipe of the whole grid before it composes the cells, and that recipe has the settings of the quick
start. So it is given the words that say what the grid is and how it runs; all others are checked against each cell.
"""

import sys

from labs import LabsError
from labs.cli.bare_words import parser
from labs.cli.options import config_folder
from labs.cli.short_forms import named_layers, with_long_names
from labs.runs.recipe import THE_CALL, is_part

_typed: list[str] = []  # the arguments of the command that runs


def of_the_grid(arguments: list[str]) -> list[str]:
    """Return the arguments without the words that only cells understand, which are kept for `of_the_cells`.

    Flags come first, wherever they were typed. A command that is no grid, or shows a recipe instead of running it,
    keeps all its words, with long names in place of short forms; those of cells are replaced cell by cell.

    Raises:
        LabsError: the recipe of several cells is asked for, or the experiment has no setting of a short form.
    """
    options = parser().parse_intermixed_args(arguments)
    if options.multirun and (options.cfg or options.info):
        raise LabsError(
            "-m with --cfg or --info: every cell of a grid has a recipe of its own; type the words of one cell and no "
            "-m, such as experiment=<name> --cfg job."
        )
    flags = [argument for argument in arguments if argument not in options.overrides]
    is_grid = options.multirun or any(
        word.startswith(("grid=", "search=", "hydra.mode=")) for word in options.overrides
    )
    runs = is_grid and not (options.cfg or options.info or options.help)
    if not runs:
        _typed[:] = []
        return [*flags, *with_long_names(options.overrides)]
    words = [long for word in options.overrides for long in named_layers(word, is_swept=True)]
    _typed[:] = [*flags, *words]
    return [*flags, *filter(_is_of_the_grid, words)]


def of_the_cells(words: list[str]) -> list[str]:
    """Return every word that was typed for the cells, and let the command be what was typed again.

    Args:
        words: those that Hydra knows of.
    """
    if not _typed:
        return words
    sys.argv[1:] = _typed
    return list(parser().parse_args(_typed).overrides)


def _is_of_the_grid(word: str) -> bool:
    name = word.partition("=")[0].lstrip("+~").partition("@")[0]
    group = "=" not in word or (config_folder() / name).is_dir()  # a word without a value is refused by Hydra
    return (group and not word.startswith("~")) or not is_part(name, (*THE_CALL, "paths"))
