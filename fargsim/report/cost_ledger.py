"""Where line items are collected: as arrays of numbers and row indices until the end, so that many lines stay cheap."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from fargsim.catalog import Price
from fargsim.record.frames import STRING
from fargsim.report.cost_meter import HOUR_US

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

NAT_US = np.iinfo(np.int64).min
"""What an instant that is not there reads as, in microseconds."""


def instants_us(frame: pd.DataFrame, column: str) -> Ints:
    """Return a column of instants as microseconds since 1970; :data:`NAT_US` where there is none."""
    return pd.DatetimeIndex(frame[column]).as_unit("us").asi8.astype(np.int64)


def first_known(*candidates: Ints) -> Ints:
    """Return, row by row, the first instant that is there."""
    found = candidates[0].copy()
    for other in candidates[1:]:
        missing = found == NAT_US
        found[missing] = other[missing]
    return found


@dataclass(frozen=True, slots=True)
class HourPieces:
    """Intervals cut at the full hours of UTC.

    Parameters
    ----------
    row
        Which interval a piece belongs to.
    hour
        Hours since 1970.
    low_us, high_us
        The piece.
    last
        Whether it is the last of its interval.
    """

    row: Ints
    hour: Ints
    low_us: Ints
    high_us: Ints
    last: Bools


def split_hours(start_us: Ints, end_us: Ints) -> HourPieces:
    """Cut intervals at the full hours; an empty interval gives one empty piece in the hour it lies in.

    >>> pieces = split_hours(np.array([0]), np.array([HOUR_US + 5]))
    >>> pieces.hour.tolist(), (pieces.high_us - pieces.low_us).tolist(), pieces.last.tolist()
    ([0, 1], [3600000000, 5], [False, True])
    """
    first = start_us // HOUR_US
    count = np.maximum((end_us - 1) // HOUR_US, first) - first + 1
    row = np.repeat(np.arange(len(start_us), dtype=np.int64), count)
    offset = np.arange(len(row), dtype=np.int64) - np.repeat(np.cumsum(count) - count, count)
    hour = first[row] + offset
    low = np.maximum(start_us[row], hour * HOUR_US)
    high = np.minimum(end_us[row], (hour + 1) * HOUR_US)
    return HourPieces(row, hour, low, high, offset == count[row] - 1)


def grid_of(total: float) -> float:
    """Return the power of two of which every amount must be a multiple so that all sums up to ``total`` are exact."""
    if total <= 0:
        return 2.0**-52
    # one bit to spare, because rounding to the grid can lift the total
    return float(2.0 ** (np.frexp(total)[1] + 1 - 53))


def on_grid(values: Floats, grid: float) -> Floats:
    """Round values to multiples of a grid."""
    return np.asarray(np.rint(values / grid) * grid, dtype=np.float64)


@dataclass(frozen=True, slots=True)
class _Chunk:
    item: str
    price: Price
    hour: Ints
    quantity: Floats
    task_row: Ints
    instance_row: Ints
    owner: Ints
    kind: str | None = None


_WHOLE = 1e-12
"""By how much the shares of a line that is covered whole may miss one."""


def _some(chunk: _Chunk, quantity: Floats) -> _Chunk:
    """Return a chunk with other amounts, without the lines that come to nothing."""
    keep = quantity != 0
    return _Chunk(
        chunk.item,
        chunk.price,
        chunk.hour[keep],
        quantity[keep],
        chunk.task_row[keep],
        chunk.instance_row[keep],
        chunk.owner[keep],
        chunk.kind,
    )


COST_COLUMNS = (
    "hour_at",
    "item",
    "cluster",
    "service",
    "task_id",
    "instance_id",
    "quantity",
    "unit",
    "usd_per_unit",
    "usd",
    "price_basis",
)


class Ledger:
    """Collects line items and turns them into the table ``costs``.

    Parameters
    ----------
    tasks, instances
        The record tables; a line names a row of them by position.
    """

    def __init__(self, tasks: pd.DataFrame, instances: pd.DataFrame) -> None:
        self._tasks = tasks
        self._instances = instances
        self._chunks: list[_Chunk] = []
        self._owners: list[tuple[str | None, str | None]] = []

    def add(
        self,
        item: str,
        price: Price,
        hour: Ints,
        quantity: Floats,
        *,
        task_row: Ints | None = None,
        instance_row: Ints | None = None,
        cluster: str | None = None,
        service: str | None = None,
        kind: str | None = None,
    ) -> None:
        """Add lines of one item at one price.

        Parameters
        ----------
        hour
            Hours since 1970 in which each line is booked.
        quantity
            Amount in the price's unit; lines of zero are left out.
        task_row, instance_row
            Position of the task and the instance of each line; cluster and service then come from there.
        cluster, service
            Whose the lines are when no task or instance is named.
        kind
            What a commitment would know the usage by, for example ``ec2:m5.large``; None for what none covers.
        """
        keep = quantity != 0
        if not keep.any():
            return
        none = np.full(len(hour), -1, dtype=np.int64)
        owner = none
        if task_row is None and instance_row is None:
            self._owners.append((cluster, service))
            owner = np.full(len(hour), len(self._owners) - 1, dtype=np.int64)
        task = none if task_row is None else task_row
        instance = none if instance_row is None else instance_row
        self._chunks.append(
            _Chunk(item, price, hour[keep], quantity[keep], task[keep], instance[keep], owner[keep], kind)
        )

    def coverable(self) -> list[str]:
        """Return the kinds of usage that a commitment could cover, in alphabetical order."""
        return sorted({c.kind for c in self._chunks if c.kind is not None})

    def on_demand(self, kind: str) -> float:
        """Return the price of a kind of usage."""
        return next(c.price.value for c in self._chunks if c.kind == kind)

    def usage(self, kind: str, first_hour: int, hours: int) -> Floats:
        """Return the amount of a kind of usage in each hour."""
        total = np.zeros(hours)
        for chunk in self._chunks:
            if chunk.kind == kind:
                total += np.bincount(chunk.hour - first_hour, weights=chunk.quantity, minlength=hours)
        return total

    def cover(self, kind: str, first_hour: int, parts: Sequence[tuple[str, Price, Floats]]) -> None:
        """Charge shares of a kind of usage at other prices.

        Parameters
        ----------
        parts
            Label, price and share of each hour's usage; every line of an hour is split alike, and what the shares
            leave stays as it was.
        """
        chunks: list[_Chunk] = []
        for chunk in self._chunks:
            if chunk.kind != kind or not parts:
                chunks.append(chunk)
                continue
            at = chunk.hour - first_hour
            shares = np.array([share[at] for _, _, share in parts])
            taken = shares * chunk.quantity
            rest = chunk.quantity - taken.sum(axis=0)
            # the rounding of a line that is covered whole belongs to its last part
            whole = shares.sum(axis=0) > 1 - _WHOLE
            last = len(parts) - 1 - np.argmax(shares[::-1] > 0, axis=0)
            taken[last[whole], np.flatnonzero(whole)] += rest[whole]
            rest[whole] = 0.0
            chunks.append(_some(chunk, rest))
            for (label, price, _), amount in zip(parts, taken, strict=True):
                name = f"{chunk.item[:-1]}, {label})" if chunk.item.endswith(")") else f"{chunk.item} ({label})"
                chunks.append(replace(_some(chunk, amount), item=name, price=price, kind=None))
        self._chunks = [chunk for chunk in chunks if len(chunk.hour)]

    def table(self) -> pd.DataFrame:
        """Return the lines in order of hour, item, task and instance.

        Every ``usd`` is rounded to the last bit that the total can hold, so that sums over any grouping agree with
        the total exactly.
        """
        chunks = self._chunks
        items = sorted({c.item for c in chunks})
        sizes = [len(c.hour) for c in chunks]

        def joined(arrays: list[Ints]) -> Ints:
            return np.concatenate([np.zeros(0, dtype=np.int64), *arrays])

        hour = joined([c.hour for c in chunks])
        task = joined([c.task_row for c in chunks])
        instance = joined([c.instance_row for c in chunks])
        owner = joined([c.owner for c in chunks])
        chunk = np.repeat(np.arange(len(chunks), dtype=np.int64), sizes)
        item = np.array([items.index(c.item) for c in chunks], dtype=np.int64)[chunk]
        order = np.lexsort((chunk, owner, instance, task, item, hour))
        hour, task, instance, owner, chunk, item = (a[order] for a in (hour, task, instance, owner, chunk, item))
        quantity = np.concatenate([np.zeros(0), *(c.quantity for c in chunks)])[order]
        rate = np.array([c.price.value for c in chunks], dtype=np.float64)[chunk]
        usd = quantity * rate
        usd = on_grid(usd, grid_of(float(usd.sum())))
        table = pd.DataFrame(
            {
                "hour_at": pd.DatetimeIndex(pd.to_datetime(hour * HOUR_US, unit="us", utc=True)).as_unit("us"),
                "item": _named(items, item),
                "cluster": self._owner_column("cluster", task, instance, owner, 0),
                "service": self._owner_column("service", task, instance, owner, 1),
                "task_id": _taken(self._tasks, "task_id", task),
                "instance_id": _taken(self._instances, "instance_id", instance),
                "quantity": quantity,
                "unit": _named([c.price.unit for c in chunks], chunk),
                "usd_per_unit": rate,
                "usd": usd,
                "price_basis": _named([c.price.basis for c in chunks], chunk),
            },
            columns=list(COST_COLUMNS),
        )
        return table.astype(
            {c: STRING for c in COST_COLUMNS if c not in ("hour_at", "quantity", "usd_per_unit", "usd")}
        )

    def _owner_column(
        self, column: str, task: Ints, instance: Ints, owner: Ints, position: int
    ) -> npt.NDArray[np.object_]:
        found = _named([o[position] for o in self._owners], owner)
        if column in self._instances:
            of_instance = _taken(self._instances, column, instance)
            found = np.where(instance >= 0, of_instance, found)
        of_task = _taken(self._tasks, column, task)
        return np.where(task >= 0, of_task, found)


def _named(names: list[str] | list[str | None], code: Ints) -> npt.NDArray[np.object_]:
    """Return the names by code; None for -1."""
    return np.array([*names, None], dtype=object)[code]


def _taken(frame: pd.DataFrame, column: str, row: Ints) -> npt.NDArray[np.object_]:
    """Return a column's values by row; None for -1 and where the column has none."""
    if len(frame) == 0:
        return np.full(len(row), None, dtype=object)
    values = np.empty(len(frame) + 1, dtype=object)
    values[:-1] = frame[column].astype(object).where(frame[column].notna(), None)
    values[-1] = None
    return values[row]
