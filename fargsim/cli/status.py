"""Exit statuses, and the one place where an exception becomes one."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from fargsim.cli.interrupts import lost_ones_found

FAILED = 1
"""It ran, but a stated check failed."""
AT_FAULT = 2
"""The input is at fault; nothing was written."""
INTERRUPTED = 130
"""Ctrl-C; nothing was written."""


def say(line: str) -> None:
    """Write a line for the person at the terminal; standard output is left to the answer."""
    print(line, file=sys.stderr, flush=True)


def refuse(line: str) -> typer.Exit:
    """Say what is at fault and return the exit to raise."""
    say(line)
    return typer.Exit(AT_FAULT)


@contextmanager
def faults_shown(file: str) -> Iterator[None]:
    """Turn what a user can mend into lines on standard error and an exit status; anything else is a bug and keeps its traceback.

    Parameters
    ----------
    file
        What the user named: begins the lines of faults that have no place of their own.
    """
    try:
        with lost_ones_found():
            yield
    except KeyboardInterrupt:
        say("interrupted: nothing was written")
        raise typer.Exit(INTERRUPTED) from None
    except (typer.Exit, typer.Abort):
        raise
    except OSError as error:
        raise refuse(_os_words(file, error)) from None
    except Exception as error:
        lines = _lines(file, error)
        if not lines:
            raise
        for line in lines:
            say(line)
        raise typer.Exit(AT_FAULT) from None


def _os_words(file: str, error: OSError) -> str:
    if error.strerror is None:
        return str(error)
    return f"{error.filename or file}: {error.strerror}"


def _lines(file: str, error: Exception) -> list[str]:
    """Return the lines for an error that the user can mend; none for a bug."""
    from fargsim.load.issue import ScenarioError

    if isinstance(error, ScenarioError):
        return [str(issue) for issue in error.issues]
    # a module that was never imported cannot have raised: looking avoids loading the engine to report a misspelt key
    known = {
        "fargsim.sim.errors": "AwsError",
        "fargsim.catalog.store": "CatalogError",
        "fargsim.study.output": "DamagedFolder",
    }
    for module, name in known.items():
        if module in sys.modules and isinstance(error, getattr(sys.modules[module], name)):
            verb = f"{error.verb}: " if getattr(error, "verb", "") else ""
            code = f"{error.code}: " if name == "AwsError" else ""
            return [f"{file}: {verb}{code}{error}"]
    return []
