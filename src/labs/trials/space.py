"""The settings that a search varies: `{optimizer.lr: log(1e-4, 1), net.dropout: uniform(0, 0.5)}`."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from labs import LabsError

DIGITS = 3  # significant digits of a sampled number: more would only make names longer
_FORMS = "uniform(0, 0.5), log(1e-4, 1), int(1, 8), log_int(16, 512), choice(a, b) or [a, b]"


def read_space(space: Mapping[str, Any]) -> dict[str, BaseDistribution]:
    """Parse a search space: the settings to vary and their ranges.

    Args:
        space: for each setting, such as `optimizer.lr`, a range as text or a list of values.

    Raises:
        LabsError: the space is empty, or a range is not valid.

    Examples:
        >>> read_space({"optimizer.lr": "log(1e-4, 1)", "freeze": ["none", "layer1"]})
        {'optimizer.lr': FloatDistribution(high=1.0, log=True, low=0.0001, step=None), \
'freeze': CategoricalDistribution(choices=('none', 'layer1'))}
    """
    if not space:
        raise LabsError(
            "search.space={}: nothing to vary. Type, for example, 'search.space={optimizer.lr: log(1e-4, 1)}', or "
            "choose a search from conf/search/."
        )
    return {str(name): _distribution(f"search.space.{name}", values) for name, values in space.items()}


def as_typed(value: float | str) -> str:
    """Return a value as it is typed on the command line.

    Examples:
        >>> as_typed(0.012345), as_typed(8), as_typed("none")
        ('0.0123', '8', 'none')
    """
    return f"{value:.{DIGITS}g}" if isinstance(value, float) else str(value)


def _distribution(name: str, values: Any) -> BaseDistribution:
    if isinstance(values, (list, tuple)):
        return _choice(name, [_word(value) for value in values])
    found = re.fullmatch(r"\s*(\w+)\((.*)\)\s*", str(values), re.DOTALL)
    if not found or found[1] not in _READ:
        raise LabsError(f"{name}={values}: expected {_FORMS}.")
    return _READ[found[1]](name, [part.strip() for part in found[2].split(",")])


def _word(value: Any) -> str:
    """Return a list value as it was typed; YAML has already parsed `true` and `null`."""
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _choice(name: str, values: list[str]) -> BaseDistribution:
    if len(set(values)) < 2 or "" in values:
        raise LabsError(f"{name}={values}: expected at least two different values, such as [0.1, 0.01].")
    return CategoricalDistribution(list(dict.fromkeys(values)))


def _range(number: Callable[[str], Any], kind: Callable[..., BaseDistribution], *, log: bool) -> Callable[..., Any]:
    def read(name: str, parts: list[str]) -> BaseDistribution:
        try:
            low, high = (number(part) for part in parts)
        except ValueError as error:
            raise LabsError(f"{name}=({', '.join(parts)}): expected two numbers, as in {_FORMS}.") from error
        if not low < high or (log and low <= 0):
            above = ", both above 0," if log else ""
            raise LabsError(f"{name}=({', '.join(parts)}): expected a lower and a higher number{above} as in {_FORMS}.")
        return kind(low, high, log=log)

    return read


_READ: dict[str, Callable[[str, list[str]], BaseDistribution]] = {
    "uniform": _range(float, FloatDistribution, log=False),
    "log": _range(float, FloatDistribution, log=True),
    "int": _range(int, IntDistribution, log=False),
    "log_int": _range(int, IntDistribution, log=True),
    "choice": _choice,
}
