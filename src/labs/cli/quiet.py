"""Silence messages of the libraries that no user can act on."""

import logging
import threading
import warnings

_say = threading.excepthook


def quiet() -> None:
    """Keep Lightning's warnings; drop its greetings and the hints that do not apply here."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    logging.getLogger("lightning.fabric").setLevel(logging.WARNING)
    logging.getLogger("hydra.utils").setLevel(logging.CRITICAL)  # errors are explained where they are caught
    threading.excepthook = _only_what_is_not_raised_again
    for message in (
        ".*does not have many workers.*",  # images are decoded already: workers would only copy them
        ".*isinstance\\(treespec, LeafSpec\\).*",
        ".*The number of training batches .* is smaller than the logging interval.*",
        ".*could not find the monitored key.*",  # an epoch without validation; a name that nobody logs is an error
        ".*Checkpoint directory .* exists and is not empty.*",
        ".*You're resuming from a checkpoint that ended before the epoch ended.*",
        ".*Found .* module\\(s\\) in eval mode at the start of training.*",  # the freeze table says so
        ".*It is recommended to use `self.log.*sync_dist=True.*",  # what only the first process measures
    ):
        warnings.filterwarnings("ignore", message=message)


def _only_what_is_not_raised_again(hook: threading.ExceptHookArgs) -> None:
    """Print no failure of a background writer: the next call of the writer raises it."""
    if not isinstance(hook.exc_value, OSError):
        _say(hook)
