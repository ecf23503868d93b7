"""Tables for the terminal."""

from collections.abc import Sequence
from typing import Final

#: Characters of a value that are shown: ours are shorter.
_LONGEST: Final = 200


def lines_of(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows as aligned columns of printable text."""
    cells = [["".join(one if one.isprintable() else "?" for one in cell)[:_LONGEST] for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]
