"""Ctrl-C and a polite kill end the program, also where Python loses the exception they become.

Python runs a signal handler between two steps of whatever Python code is on top. That may be code that C calls and whose exceptions
go nowhere: a finalizer, or a callback by which LLVM hands over what it compiled. Python then writes "Exception ignored" and goes on as
if nobody had asked it to end.

Sources: Python documentation, library/sys.html (sys.unraisablehook), library/signal.html (handlers and exceptions).
"""

from __future__ import annotations

import signal
import sys
from _thread import interrupt_main
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Timer
from types import FrameType

TERMINATED = 143
AGAIN_AFTER_S = 0.1
"""From the loss of an exception until it is raised anew: out of the callback by then, or past a clean-up if the loss broke something."""

_NUMBERS = {KeyboardInterrupt: signal.SIGINT, SystemExit: signal.SIGTERM}
_lost: list[tuple[BaseException, Timer]] = []


def end_when_asked() -> None:
    """Let SIGTERM unwind like Ctrl-C does, so that it leaves no half-written folder either, and let neither get lost."""
    signal.signal(signal.SIGTERM, _unwind)
    sys.unraisablehook = _once_more


@contextmanager
def lost_ones_found() -> Iterator[None]:
    """Raise the request to end in place of an error that it has become, or that its loss may have caused."""
    try:
        yield
    except Exception as error:
        request = _behind(error)
        if request is None and _lost:
            request, timer = _lost[-1]
            timer.cancel()
        if request is None:
            raise
        raise request from None


def _behind(error: BaseException) -> BaseException | None:
    """Return the request to end that an error was raised from; None where there is none.

    Python makes a RuntimeError of whatever comes out of a ``__set_name__``, for one, while a module is being imported.
    """
    link = error.__cause__ or error.__context__
    while link is not None:
        if isinstance(link, (KeyboardInterrupt, SystemExit)):
            return link
        link = link.__cause__ or link.__context__
    return None


def _unwind(number: int, frame: FrameType | None) -> None:
    raise SystemExit(TERMINATED)


def _once_more(unraisable: sys.UnraisableHookArgs) -> None:
    """Send a signal again whose exception was lost; tell what else was lost, as Python does."""
    request = unraisable.exc_value
    number = _NUMBERS.get(unraisable.exc_type)
    if request is None or number is None:
        sys.__unraisablehook__(unraisable)
        return
    timer = Timer(AGAIN_AFTER_S, interrupt_main, (number,))
    timer.daemon = True
    timer.start()
    _lost.append((request, timer))
