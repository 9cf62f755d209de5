"""What the plane's border lets in."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from fargsim.kernel.layout import MODES, Flags, Floats, Ints, Opening

LAST_INSTANT_US = 2**50  # beyond it a double no longer holds a quarter of a microsecond


def check_rate(cores: float, speed: float) -> None:
    """Refuse cores and a speed that nothing can be served with."""
    if not (0.0 < cores < float("inf") and 0.0 < speed < float("inf")):
        raise ValueError(f"cores and speed must be positive and finite, not {cores} and {speed}")


def check_weight(weight: float) -> None:
    """Refuse a weight that is not a share."""
    if not 0.0 < weight <= 1.0:
        raise ValueError(f"a weight must be above 0 and at most 1, not {weight}")


def mode_of(mode: str) -> int:
    """Return a mode's number."""
    if mode not in MODES:
        raise ValueError(f"mode '{mode}' is not one of {', '.join(MODES)}")
    return MODES[mode]


def check_opening(opening: Opening) -> None:
    """Refuse a slot that cannot be opened."""
    check_rate(opening.cores, opening.speed)
    check_weight(opening.weight)
    if opening.workers < 1:
        raise ValueError(f"a slot needs a worker, not {opening.workers}")
    if opening.max_concurrency < 0:
        raise ValueError(f"a slot cannot have {opening.max_concurrency} requests at once")
    if opening.queue_limit < 0:
        raise ValueError(f"a queue cannot hold {opening.queue_limit} requests")
    if opening.profile < 0:
        raise ValueError(f"profiles count from 0, not {opening.profile}")
    if not 0 <= opening.zone <= 255:
        raise ValueError(f"a zone is a number from 0 to 255, not {opening.zone}")


def _shaped(name: str, values: npt.ArrayLike, kind: type, n: int, profiles: int) -> Any:
    array: Any = np.require(values, kind, ["C", "A", "W"])
    shape = (profiles, n) if profiles else (n,)
    if array.shape != shape:
        raise ValueError(f"{name} has shape {array.shape}, not {shape}")
    return array


def per_request(name: str, values: npt.ArrayLike, n: int, profiles: int = 0) -> Flags:
    """Return small whole numbers of `n` requests (of each profile) as the plane wants them, or refuse them."""
    given = np.asarray(values)
    if given.size and (given.dtype.kind not in "biu" or given.min() < 0 or given.max() > 255):
        raise ValueError(f"{name} must be whole numbers from 0 to 255")
    flags: Flags = _shaped(name, values, np.uint8, n, profiles)
    return flags


def demand(name: str, values: npt.ArrayLike, n: int, profiles: int = 0) -> Floats:
    """Return durations of `n` requests (of each profile) as the plane wants them, or refuse them."""
    array: Floats = _shaped(name, values, np.float64, n, profiles)
    if not bool(np.all((array >= 0.0) & (array < np.inf))):
        raise ValueError(f"{name} must be finite and not negative")
    return array


def first_requests(instants_us: npt.ArrayLike) -> Ints:
    """Return the instants of the first requests of a closed loop's users."""
    instants = np.asarray(instants_us)
    if instants.dtype.kind not in "iu" or instants.ndim != 1 or instants.size == 0:
        raise ValueError("the users' first requests are instants in whole microseconds, one for each user")
    if instants.min() < 0 or instants.max() > LAST_INSTANT_US:
        raise ValueError(f"the users' first requests must be in 0 to {LAST_INSTANT_US} us")
    return np.array(instants, np.int64)
