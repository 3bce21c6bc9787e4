"""Products and quotients that `conf/` computes, known wherever a recipe is composed or a recorded one is read."""

from typing import Any

from omegaconf import DictConfig, OmegaConf

# Names of the resolvers that compute a number from numbers; older runs recorded the last two.
ARITHMETIC = ("multiply", "divide_rounding_up", "labs_times", "labs_epochs")


def register_arithmetic() -> None:
    """Make `${multiply:...}` and `${divide_rounding_up:...}` known, under the names that older runs recorded, too."""
    for name, compute in zip(ARITHMETIC, (_multiply, _divide_rounding_up) * 2, strict=True):
        OmegaConf.register_new_resolver(name, compute, replace=True)


def without_resolvers(cfg: DictConfig) -> dict[str, Any]:
    """Return a recipe in which whatever calls a resolver is replaced by its value: any version of labs can read it.

    References such as `${trainer.max_epochs}` stay.
    """

    def walk(node: Any, name: str) -> Any:
        if isinstance(node, dict):
            return {key: walk(value, f"{name}.{key}" if name else str(key)) for key, value in node.items()}
        if isinstance(node, list):
            return [walk(value, f"{name}[{index}]") for index, value in enumerate(node)]
        if isinstance(node, str) and "${" in node and ":" in node:
            value = OmegaConf.select(cfg, name)
            return OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value
        return node

    found: dict[str, Any] = walk(OmegaConf.to_container(cfg, resolve=False), "")
    return found


def _multiply(number: Any, factor: Any) -> Any:
    """Return a product, rounded to 12 digits; what is no number is refused later, under the name of the setting."""
    if isinstance(number, int) and isinstance(factor, int):
        return number * factor
    numbers = all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in (number, factor))
    return float(f"{number * factor:.12g}") if numbers else number


def _divide_rounding_up(number: Any, divisor: Any) -> int:
    """Return a quotient of at least 1; what is not a whole number is refused later, under the name of the setting."""
    numbers = isinstance(number, int) and isinstance(divisor, int)
    return max(-(-number // max(divisor, 1)), 1) if numbers else 1
