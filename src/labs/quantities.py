"""Times and counts in words."""


def duration(seconds: float) -> str:
    """Write a time for a person.

    Examples:
        >>> duration(42), duration(600), duration(9000)
        ('42 s', '10 min', '2 h 30 min')
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"


def quantity(count: int, noun: str) -> str:
    """Write a count with its noun, which is in the plural unless the count is 1.

    Examples:
        >>> quantity(1, "class"), quantity(0, "class"), quantity(14070, "iteration")
        ('1 class', '0 classes', '14,070 iterations')
    """
    plural = noun + ("es" if noun.endswith("s") else "s")
    return f"{count:,} {noun if count == 1 else plural}"
