"""The data plane: requests through stations, arrays in and arrays out.

This room knows no word of ECS. A `Plane` is a router in front of *slots*; a slot is a station of limited
processor sharing. Importing the room does not import Numba: that happens when the first compiled plane is made.
"""

from fargsim.kernel.arrivals import RateClock, accumulate, spread_counts
from fargsim.kernel.histogram import (
    BUCKETS,
    bucket_edges_us,
    bucket_of,
    bucket_values_us,
    count_above,
    mean_from_histogram,
    merge,
    quantile_from_histogram,
    quantiles_from_histogram,
)
from fargsim.kernel.hosts import Hosts
from fargsim.kernel.layout import (
    UNLIMITED,
    Counters,
    Outcome,
    SlotTable,
    SlotUse,
)
from fargsim.kernel.pending import Pending
from fargsim.kernel.plane import DemandsNeeded, Plane

__all__ = [
    "BUCKETS",
    "UNLIMITED",
    "Counters",
    "DemandsNeeded",
    "Hosts",
    "Outcome",
    "Pending",
    "Plane",
    "RateClock",
    "SlotTable",
    "SlotUse",
    "accumulate",
    "bucket_edges_us",
    "bucket_of",
    "bucket_values_us",
    "count_above",
    "mean_from_histogram",
    "merge",
    "quantile_from_histogram",
    "quantiles_from_histogram",
    "spread_counts",
]
