"""Any table of results as columns of plain values: CSV, TSV, Parquet, XLSX, or a table in memory."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from fairsqueeze.errors import DataError, unknown_name

FORMATS = (".csv", ".tsv", ".parquet", ".xlsx")


@dataclass(frozen=True)
class About:
    """What a table says of a column beside its values: bounds, shape (n,), and the ideal, chance, axis, method."""

    low: np.ndarray | None = None
    high: np.ndarray | None = None
    ideal: float | None = None
    chance: float | None = None
    axis: str | None = None
    method: str | None = None


@dataclass(frozen=True)
class ResultTable:
    """Columns of equal length by name; None where a cell is empty. `name` is where it came from, for messages."""

    name: str
    columns: Mapping[str, Sequence[Any]]
    about: Mapping[str, About] = field(default_factory=dict)
    references: Mapping[str, float] = field(default_factory=dict)
    """By column, what a model that answers at random gets, measured on a reference row that was taken out."""

    @property
    def n(self) -> int:
        return len(next(iter(self.columns.values()), ()))

    def column(self, name: str, option: str) -> str:
        """The one column called `name`, or the only one that ends in it; UnknownName with near matches otherwise."""
        if name in self.columns:
            return name
        found = [c for c in self.columns if c.lower() == name.lower()] or [
            c for c in self.columns if c.endswith(f".{name}")
        ]
        if len(found) == 1:
            return found[0]
        raise unknown_name(f"column of {self.name}", name, self.columns, f"Give {option} one of its columns.")

    def is_numeric(self, name: str) -> bool:
        """Whether every cell that is not empty is a number (or all of them are percentages), and there is one."""
        known = [v for v in self.columns[name] if v is not None]
        return bool(known) and (all(_number(v) is not None for v in known) or self.in_percent(name))

    def in_percent(self, name: str) -> bool:
        """Whether every cell that is not empty is a number with a trailing %, and there is one."""
        known = [v for v in self.columns[name] if v is not None]
        return bool(known) and all(_percentage(v) is not None for v in known)

    def why_not_numeric(self, name: str) -> str | None:
        """`row 3: '47.3%' …` of the first cell that keeps a column from being read; None if read or without digits.

        A percentage among plain numbers could mean .473 or 47.3, so such a column isn't read.
        """
        known = [(row, v) for row, v in enumerate(self.columns[name], start=1) if v is not None]
        if self.is_numeric(name) or not any(_DIGITS.match(str(v)) for _, v in known):
            return None
        texts = [(row, v) for row, v in known if _number(v) is None and _percentage(v) is None]
        if texts:
            return f"row {texts[0][0]}: {texts[0][1]!r} is no number"
        row, value = next((row, v) for row, v in known if _percentage(v) is not None)
        return f"row {row}: {value!r} has a % and other rows have none"

    def numbers(self, name: str, option: str) -> np.ndarray:
        """The column as float64, NaN where empty; DataError naming the first cell that is not a finite number.

        Where all cells are percentages, 47.3% is 47.3.
        """
        found, read = np.full(self.n, math.nan), _percentage if self.in_percent(name) else _number
        for row, value in enumerate(self.columns[name]):
            number = None if value is None else read(value)
            if value is not None and (number is None or math.isinf(number)):
                raise DataError(
                    f"{self.name}: column {name!r}, row {row + 1}: {value!r} is not a finite number.",
                    f"Leave undefined cells empty, or give {option} another column.",
                )
            found[row] = math.nan if number is None else number
        return found


def read_table(source: Any) -> ResultTable:
    """The table at the path `source`, or `source` itself: a mapping of columns, a pyarrow Table, a data frame."""
    if not isinstance(source, (str, Path)):
        return _checked("table", _columns_in_memory(source))
    path = Path(source)
    if not path.exists():
        raise DataError(f"There is no file or folder {path}.", "Give a table of results or the folder of a study.")
    reader = {".csv": _read_csv, ".tsv": _read_csv, ".parquet": _read_parquet, ".xlsx": _read_xlsx}.get(
        path.suffix.lower()
    )
    if reader is None:
        raise DataError(f"{path}: {path.suffix or 'no suffix'} is not a known table.", f"Give {', '.join(FORMATS)}.")
    return _checked(str(path), reader(path))


def _checked(name: str, columns: Mapping[str, Sequence[Any]]) -> ResultTable:
    lengths = {len(c) for c in columns.values()}
    if not columns or lengths == {0}:
        raise DataError(f"{name} has no rows.", "Give a table with a header and one row per checkpoint.")
    if len(lengths) > 1:
        raise DataError(f"{name}: its columns have different lengths: {sorted(lengths)}.", "Give one cell per row.")
    return ResultTable(name, {c: [_plain(v) for v in values] for c, values in columns.items()})


def _columns_in_memory(source: Any) -> dict[str, list[Any]]:
    if isinstance(source, Mapping):
        return {str(k): list(v) for k, v in source.items()}
    if hasattr(source, "to_pydict"):
        return source.to_pydict()
    if hasattr(source, "columns") and hasattr(source, "to_dict"):
        return {str(k): list(source[k]) for k in source.columns}
    raise DataError(
        f"A {type(source).__name__} is not a table of results.",
        "Give a path, a mapping of column names to values, a pyarrow Table or a pandas data frame.",
    )


def _read_csv(path: Path) -> dict[str, list[Any]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            first = file.readline()
            delimiter = max("\t;,", key=first.count)
            file.seek(0)
            rows = list(csv.reader(file, delimiter=delimiter, strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} can't be read as CSV: {error}.", "Save it as UTF-8, with quotes in pairs.") from None
    rows = [r for r in rows if any(cell.strip() for cell in r)]
    if not rows:
        raise DataError(f"{path} is empty.", "Give a table with a header and one row per checkpoint.")
    return _from_rows(path, rows)


def _read_parquet(path: Path) -> dict[str, list[Any]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.read_table(path).to_pydict()
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path} can't be read as Parquet: {error}.", "Write it again, or give a CSV file.") from None


def _read_xlsx(path: Path) -> dict[str, list[Any]]:
    try:
        import openpyxl
        from openpyxl.utils.exceptions import InvalidFileException
    except ImportError:
        raise DataError(
            f"{path}: XLSX needs openpyxl.", "Run: pip install 'fairsqueeze[excel]', or save it as CSV."
        ) from None
    from zipfile import BadZipFile

    try:
        book = openpyxl.load_workbook(path, read_only=True, data_only=True)
    except (InvalidFileException, BadZipFile, KeyError, OSError) as error:
        raise DataError(f"{path} can't be read as XLSX: {error}.", "Save it again, or as CSV.") from None
    rows = [list(r) for r in book.worksheets[0].iter_rows(values_only=True)]
    rows = [r for r in rows if any(v is not None for v in r)]
    if not rows:
        raise DataError(f"{path}: its first sheet is empty.", "Put the table on the first sheet.")
    return _from_rows(path, rows)


def _from_rows(path: Path, rows: Sequence[Sequence[Any]]) -> dict[str, list[Any]]:
    names = [str(c).strip() if c not in (None, "") else f"column {i + 1}" for i, c in enumerate(rows[0])]
    twice = sorted({n for n in names if names.count(n) > 1})
    if twice:
        raise DataError(f"{path}: two columns are called {twice[0]!r}.", "Rename one of them.")
    for number, row in enumerate(rows[1:], start=1):
        if len(row) != len(names):
            raise DataError(
                f"{path}: row {number} has {len(row)} cells, the header {len(names)}.", "Give one cell per column."
            )
    return {name: [row[i] for row in rows[1:]] for i, name in enumerate(names)}


_EMPTY = {"", "na", "n/a", "nan", "none", "null", "#n/a", "-", "–"}


def _plain(value: Any) -> Any:
    """A cell as None, a number or a text."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, str):
        text = value.strip()
        return None if text.lower() in _EMPTY else text
    if isinstance(value, np.generic):
        return _plain(value.item())
    return value


_DIGITS = re.compile(r"[-+−]?[.,]?\d")
_PERCENTAGE = re.compile(r"([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*%")


def _percentage(value: Any) -> float | None:
    """47.3 of the text "47.3%" or "47.3 %"; None of everything else."""
    found = _PERCENTAGE.fullmatch(value) if isinstance(value, str) else None
    return float(found[1]) if found else None


def _number(value: Any) -> float | None:
    if isinstance(value, (bool, int, float)):
        return float(value)
    try:
        return float(str(value))
    except ValueError:
        return None
