"""Which of a target group's good answers are redirects or client errors.

The plane of requests knows answers and failures; the codes of the answers change nothing that it decides, so they are told apart
afterwards: the n-th good answer of a revision in a target group has the code that the n-th number of its stream says.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from fargsim.sim.kit import Kit

if TYPE_CHECKING:
    from fargsim.sim.state import Revision

DRAWN_AT_ONCE = 1 << 16


class Codes(NamedTuple):
    """Good answers of a target group so far that are not 2xx."""

    redirects: int = 0
    client_errors: int = 0


@dataclass(slots=True)
class _OfRevision:
    revision: Revision
    closed: int = 0
    """Good answers of its targets that are gone."""
    told: int = 0
    """Good answers whose codes are known."""
    redirects: int = 0
    client_errors: int = 0


class AnswerCodes:
    """Draws the codes of good answers, revision by revision, as far as they have come.

    Parameters
    ----------
    kit, group
        The region's equipment, and the target group's name.
    """

    def __init__(self, kit: Kit, group: str) -> None:
        self._kit = kit
        self._group = group
        self._revisions: dict[str, _OfRevision] = {}

    def needed(self, revision: Revision) -> bool:
        """Whether a revision answers anything but 2xx and 5xx."""
        request = revision.behaviour.request
        return request is not None and (request.redirect_rate > 0 or request.client_error_rate > 0)

    def close(self, revision: Revision, served: int) -> None:
        """Take note of the good answers of a target that is gone."""
        if self.needed(revision):
            self._of(revision).closed += served

    def so_far(self, live: Iterable[tuple[Revision, int]]) -> Codes:
        """Return the codes of all good answers so far.

        Parameters
        ----------
        live
            The revision and the good answers of every target that is there and whose revision needs it (`needed`).
        """
        served: dict[str, int] = {}
        for revision, count in live:
            self._of(revision)
            served[revision.name] = served.get(revision.name, 0) + count
        found = self._revisions.values()
        for of in found:
            self._tell(of, of.closed + served.get(of.revision.name, 0))
        return Codes(sum(of.redirects for of in found), sum(of.client_errors for of in found))

    def _of(self, revision: Revision) -> _OfRevision:
        return self._revisions.setdefault(revision.name, _OfRevision(revision))

    def _tell(self, of: _OfRevision, served: int) -> None:
        request = of.revision.behaviour.request
        assert request is not None
        stream = self._kit.streams[f"answers/{self._group}/{of.revision.name}"]
        while of.told < served:
            number = stream.random(min(DRAWN_AT_ONCE, served - of.told))
            redirects = int(np.count_nonzero(number < request.redirect_rate))
            others = int(np.count_nonzero(number < request.redirect_rate + request.client_error_rate))
            of.redirects += redirects
            of.client_errors += others - redirects
            of.told += number.size
