"""Select parameters by pattern, for freezing policies and learning rates."""

import difflib
from fnmatch import fnmatchcase
from itertools import accumulate

from torch import nn

from labs import LabsError
from labs.nets.torchvision_nets import head_name

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d)
BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)
WORDS = ("convs", "batch_norms", "stem", "backbone", "head")


def select(net: nn.Module, pattern: str, *, key: str) -> set[str]:
    """Return the names of the parameters that match a pattern.

    A pattern is the name of a parameter (`conv1.weight`) or of a module with all its parameters (`layer1`), optionally
    with wildcards (`layer?.*.conv2`), or one of five words: `convs` and `batch_norms` (all parameters of such layers),
    `stem` (the first convolution), `head` (the classifier's last layer) and `backbone` (all but the head).

    Args:
        net: The net.
        pattern: See above.
        key: Name of the setting, for the error message.

    Raises:
        LabsError: If no parameter matches. The message lists the available names.
    """
    names = [name for name, _ in net.named_parameters()]
    if pattern in WORDS:
        head = head_name(net) + "."
        layers = list(net.named_modules())
        convs, norms = (
            [f"{n}." for n, layer in layers if isinstance(layer, kind)] for kind in (CONVOLUTIONS, BATCH_NORMS)
        )
        chosen = {
            "convs": {n for n in names if n.rpartition(".")[0] + "." in convs},
            "batch_norms": {n for n in names if n.rpartition(".")[0] + "." in norms},
            "stem": {n for n in names if convs and n.startswith(convs[0])},
            "head": {n for n in names if n.startswith(head)},
            "backbone": {n for n in names if not n.startswith(head)},
        }[pattern]
    else:
        ways = {n: accumulate(n.split("."), "{}.{}".format) for n in names}  # a, a.b, a.b.c
        chosen = {n for n, way in ways.items() if any(fnmatchcase(part, pattern) for part in way)}
    if not chosen:
        raise LabsError(_no_match(net, pattern, key, names))
    return chosen


def _no_match(net: nn.Module, pattern: str, key: str, names: list[str]) -> str:
    modules = [name for name, _ in net.named_children()]
    close = difflib.get_close_matches(pattern, [*WORDS, *modules, *names], n=3)
    hint = f"Did you mean {' or '.join(close)}? " if close else ""
    return (
        f"{key}: '{pattern}' matches no parameter of {type(net).__name__}. {hint}"
        f"Words: {', '.join(WORDS)}. Modules: {', '.join(modules)}. "
        f"Parameters: {', '.join(names[:6])}, ... ({len(names)} in total)."
    )
