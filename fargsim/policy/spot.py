"""How often EC2 takes Spot instances back.

Source: Spot Instance Advisor (https://aws.amazon.com/ec2/spot/instance-advisor/): the share of capacity reclaimed in the trailing month, in
bands. A share is read as a constant hazard; which figure stands for a band is an assumption.
"""

from __future__ import annotations

import math

BANDS = ("<5%", "5-10%", "10-15%", "15-20%", ">20%")
MONTH_H = 730.0
INTERRUPTED = "Server.SpotInstanceTermination: Spot instance interruption"
"""What EC2 gives as the reason for which a Spot instance that it has taken back was terminated."""
_MIDDLE_PERCENT = (2.5, 7.5, 12.5, 17.5)


def band_rank(band: str | None) -> int:
    """Return the rank of an interruption band, from 0 for the lowest; a type without one stands behind all.

    >>> band_rank("<5%"), band_rank(">20%"), band_rank(None)
    (0, 4, 5)
    """
    return len(BANDS) if band is None else BANDS.index(band)


def hazard_per_hour(band: str | None, top_percent: float = 25.0, unknown_percent: float = 12.5) -> float:
    """Return the hourly hazard of an interruption: -ln(1 - share) / 730, with the middle of the band as the share.

    Parameters
    ----------
    top_percent
        Share that stands for the open band ``>20%``.
    unknown_percent
        Share that stands for a type that has no band.

    Examples
    --------
    >>> round(hazard_per_hour("<5%") * 24 * 365, 3), round(hazard_per_hour(">20%"), 6)
    (0.304, 0.000394)
    """
    shares: dict[str | None, float] = {
        **dict(zip(BANDS, _MIDDLE_PERCENT, strict=False)),
        BANDS[-1]: top_percent,
        None: unknown_percent,
    }
    return -math.log1p(-shares[band] / 100) / MONTH_H
