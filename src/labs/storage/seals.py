"""Facts in JSON files that show when they were changed."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from labs.storage.files import read_text

SEAL = "seal"


def sealed(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return facts with a checksum of their JSON text under `seal`.

    It shows damage and careless edits. Whoever wants to deceive can compute it, too.

    Examples:
        >>> facts = sealed({"mean": [0.5]})
        >>> unbroken(facts), unbroken({**facts, "mean": [0.9]}), unbroken({"mean": [0.5]})
        (True, False, False)
    """
    plain = json.loads(json.dumps({name: value for name, value in facts.items() if name != SEAL}))
    text = json.dumps(plain, sort_keys=True)
    return {**plain, SEAL: hashlib.blake2b(text.encode(), digest_size=16).hexdigest()}


def unbroken(facts: Mapping[str, Any]) -> bool:
    """Return whether facts are as they were sealed."""
    return facts.get(SEAL) == sealed(facts)[SEAL]


def read_facts(file: Path) -> dict[str, Any]:
    """Read facts.

    Raises:
        OSError: The file is missing or not a regular file.
        ValueError: It does not hold JSON with a dictionary.
    """
    try:
        facts = json.loads(read_text(file))
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    if not isinstance(facts, dict):
        raise ValueError("it is not a dictionary")  # noqa: TRY004
    return facts
