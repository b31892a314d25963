"""The nearest right name for one that is not known."""

from __future__ import annotations

from collections.abc import Iterable


def _plain(name: str) -> str:
    return name.lower().replace("_", "").replace("-", "").replace(" ", "")


def _distance(a: str, b: str, limit: int) -> int:
    """Edits (insert, delete, replace, swap neighbours) from one to the other; limit + 1 when there are more."""
    if abs(len(a) - len(b)) > limit:
        return limit + 1
    before: list[int] = []
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        older, before, row = before, row, [i]
        for j, y in enumerate(b, 1):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (x != y))
            if i > 1 and j > 1 and x == b[j - 2] and a[i - 2] == y:
                cost = min(cost, older[j - 2] + 1)
            row.append(cost)
    return row[-1]


def nearest(name: str, names: Iterable[str]) -> str | None:
    """The one of the names that was probably meant, or None.

    Letters' case, ``_`` and ``-`` don't count; one edit is forgiven in a short name, two or three in a longer one, and a
    name that is the beginning of the other where it is most of it (``working_directory`` for ``working_dir``).
    """
    plain = _plain(name)
    if not plain:
        return None
    best: tuple[int, str] | None = None
    for candidate in names:
        other = _plain(candidate)
        shorter, longer = sorted((plain, other), key=len)
        if plain == other:
            return candidate
        # names of three letters are all near each other: only swapped neighbours count
        limit = 0 if len(shorter) < 3 else 1 if len(shorter) < 6 else 2 if len(shorter) < 10 else 3
        distance = _distance(plain, other, limit)
        if len(longer) == 3 and sorted(plain) != sorted(other):
            distance = limit + 1
        if (
            distance > limit
            and len(shorter) >= 5
            and longer.startswith(shorter)
            and len(shorter) >= 0.6 * len(longer)
        ):
            distance = limit
        if distance <= limit and (best is None or distance < best[0]):
            best = (distance, candidate)
    return best[1] if best else None
