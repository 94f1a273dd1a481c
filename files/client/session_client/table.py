"""Tables of text for the terminal: columns aligned, no wider than they need to be."""

from collections.abc import Sequence


def text_table(headings: Sequence[tuple[str, str]], rows: Sequence[Sequence[str]], left: int) -> list[str]:
    """Return the lines of a table with headings of two lines; the first so many columns align left."""
    lines = [[heading[part] for heading in headings] for part in (0, 1)]
    lines += [list(row) for row in rows]
    widths = [max(len(cells[column]) for cells in lines) for column in range(len(headings))]
    return [
        "  ".join(
            cell.ljust(width) if column < left else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ).rstrip()
        for cells in lines
    ]
