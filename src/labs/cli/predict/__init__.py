"""What `predict.py` does: read its words, find the images, answer, draw, export.

Mistakes are found before torch is imported, which takes seconds.
"""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from labs import LabsError
from labs.cli.predict.words import STDOUT, Asked, read_words
from labs.runs.directory import shown_path

if TYPE_CHECKING:
    from labs.runs.trained_net import TrainedNet

IN_CONF = {"squeezenet": "squeezenet1_1"}  # by the name of the option, that of the net, where it is another


def predict(arguments: Sequence[str]) -> int:
    """Classify the images that were typed; return the exit code: 1 if some of them could not be read.

    Raises:
        LabsError: a word is wrong, no net can be had, or no image can be read.
    """
    try:
        asked = read_words(arguments)
        if asked.run:
            from labs.runs.newest import chosen_run

            chosen = chosen_run(asked.run)
            asked.run = shown_path(chosen.directory)
            if chosen.why:
                print(f"run  {asked.run}  ({chosen.why})", file=sys.stderr)
        from labs.cli.predict.images import named_images

        named = named_images(asked.images)
        if asked.explain:
            from labs.drawing.explained import map_named

            map_named(asked.explain, "explain")
        if asked.export == "onnx":
            from labs.runs.export import check_packages

            check_packages()
        net = _net(asked)
        from labs.cli.predict.answer import answer

        return answer(asked, named, net)
    except Exception as error:
        if "--json" in arguments or f"json={STDOUT}" in arguments:
            from labs.storage.files import to_json

            whose = "" if isinstance(error, LabsError) else f"{type(error).__name__}: "
            print(to_json({"error": whose + " ".join(str(error).split())}), end="")
        raise


def _net(asked: Asked) -> "TrainedNet":
    """Load the net of a run, or one with ImageNet's classes."""
    if asked.run:
        from labs.runs.load import load_run_directory

        return load_run_directory(asked.run, trust=asked.trust)
    from labs.runs.trained_net import trained_net

    assert asked.net
    try:
        return trained_net(name=_name_of(asked.net), weights=asked.weights, weights_folder=asked.weights_folder)
    except LabsError as error:
        raise LabsError(str(error).replace("net.name=", "net=")) from error


def _name_of(typed: str) -> str:
    """Return the name of a net as `trained_net` knows it; a name that stands in conf/net is known, too."""
    from labs.nets.layer_features import TIMM
    from labs.nets.torchvision_nets import is_known

    typed = IN_CONF.get(typed, typed)
    if is_known(typed) or typed.startswith(TIMM):
        return typed
    import timm  # seconds, which only a name that is none of the others waits for

    return f"{TIMM}{typed}" if timm.is_model(typed.partition(".")[0]) else typed
