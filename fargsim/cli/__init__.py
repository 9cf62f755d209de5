"""The command line: load, call one function, render, set the exit status.

Every command imports what it needs when it runs, so that ``fargsim --version`` waits for nothing.
"""

from fargsim.cli.app import app, main

__all__ = ["app", "main"]
