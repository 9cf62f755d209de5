"""What the plane's border lets in."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fargsim.kernel.layout import NOTHING, Floats, Ints

LAST_INSTANT_US = 2**50  # beyond it a double no longer holds a quarter of a microsecond


def check_rate(cores: float, speed: float) -> None:
    """Refuse cores and a speed that nothing can be served with."""
    if not (0.0 < cores < float("inf") and 0.0 < speed < float("inf")):
        raise ValueError(f"cores and speed must be positive and finite, not {cores} and {speed}")


def demand(name: str, values: npt.ArrayLike, n: int) -> npt.NDArray[np.float64]:
    """Return durations as the plane wants them, or refuse them."""
    array = np.require(values, np.float64, ["C", "A", "W"])
    if array.shape != (n,):
        raise ValueError(f"{name} has shape {array.shape}, not ({n},)")
    if not bool(np.all((array >= 0.0) & (array < np.inf))):
        raise ValueError(f"{name} must be finite and not negative")
    return array


def work(
    n: int, cpu_us: npt.ArrayLike, wait_us: npt.ArrayLike | None, fails: npt.ArrayLike | None
) -> tuple[Floats, Floats, npt.NDArray[np.uint8]]:
    """Return what `n` requests cost, as the plane wants it."""
    cpu = demand("cpu_us", cpu_us, n)
    wait = NOTHING.wait_us if wait_us is None else demand("wait_us", wait_us, n)
    flags = NOTHING.fails if fails is None else np.require(fails, np.uint8, ["C", "A", "W"])
    if flags.shape not in ((0,), (n,)):
        raise ValueError(f"{n} requests, fails of shape {flags.shape}")
    return cpu, wait, flags


def first_requests(instants_us: npt.ArrayLike) -> Ints:
    """Return the instants of the first requests of a closed loop's users."""
    instants = np.asarray(instants_us)
    if instants.dtype.kind not in "iu" or instants.ndim != 1 or instants.size == 0:
        raise ValueError("the users' first requests are instants in whole microseconds, one for each user")
    if instants.min() < 0 or instants.max() > LAST_INSTANT_US:
        raise ValueError(f"the users' first requests must be in 0 to {LAST_INSTANT_US} us")
    return np.array(instants, np.int64)
