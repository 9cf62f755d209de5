"""Output folders that are complete or not there.

Everything is written into a hidden folder beside the one asked for and moved into place at the end, so a run that is
interrupted leaves nothing that could be taken for a result. The folder carries the list of its own files
(:data:`LISTING`): with ``force`` exactly those are replaced, and a file that somebody else put there stays.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LISTING = ".fargsim-files"
"""File in an output folder that lists the files fargsim wrote there, one relative path a line."""


@contextmanager
def output_folder(directory: Path, *, force: bool = False) -> Iterator[Path]:
    """Give a folder to write into, which becomes ``directory`` when the block ends without an error.

    Parameters
    ----------
    directory
        The folder to make. Its parents are made as needed.
    force
        Write into a folder that exists: the files that fargsim wrote there before are replaced, others stay.

    Yields
    ------
    pathlib.Path
        An empty folder on the same file system. Whatever it holds at the end is moved to ``directory``.

    Raises
    ------
    FileExistsError
        If ``directory`` exists and ``force`` is not set, or if it is a file. Raised before anything is done.
    """
    directory = Path(os.path.abspath(directory))
    _refuse(directory, force)
    made_parents = _make_parents(directory.parent)
    # mkdtemp makes a folder for the owner only; the folder inside it gets the permissions that the user's umask grants.
    shelter = Path(tempfile.mkdtemp(prefix=f".{directory.name}.", suffix=".partial", dir=directory.parent))
    try:
        fresh = shelter / "output"
        fresh.mkdir()
        yield fresh
        files = sorted(path.relative_to(fresh).as_posix() for path in fresh.rglob("*") if path.is_file())
        (fresh / LISTING).write_text("".join(f"{name}\n" for name in files), encoding="utf-8")
        _refuse(directory, force)
        if directory.exists():
            _replace(directory, fresh, files)
        else:
            fresh.rename(directory)
        made_parents = []
    finally:
        shutil.rmtree(shelter, ignore_errors=True)
        for parent in made_parents:
            parent.rmdir()


def _refuse(directory: Path, force: bool) -> None:
    if directory.is_dir() and not force:
        raise FileExistsError(f"the folder {directory} exists; --force writes into it, or name another one")
    if directory.exists() and not directory.is_dir():
        raise FileExistsError(f"{directory} is a file; name a folder")


def _make_parents(parent: Path) -> list[Path]:
    """Make a folder and its parents; return those that were not there, innermost first."""
    missing = []
    while not parent.exists():
        missing.append(parent)
        parent = parent.parent
    for path in reversed(missing):
        path.mkdir()
    return missing


def _replace(directory: Path, fresh: Path, files: list[str]) -> None:
    """Move new files over old ones. The listing goes first and comes last: without it a folder is not a result."""
    listing = directory / LISTING
    before = listing.read_text(encoding="utf-8").splitlines() if listing.is_file() else []
    listing.unlink(missing_ok=True)
    for name in before:
        old = directory / name
        # A listing that was tampered with must not reach outside its folder.
        if old.resolve().is_relative_to(directory.resolve()) and old.is_file():
            old.unlink()
    for name in before:
        for emptied in (directory / name).parents:
            if emptied == directory or not emptied.is_relative_to(directory):
                break
            if emptied.is_dir() and not any(emptied.iterdir()):
                emptied.rmdir()
    for name in [*files, LISTING]:
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (fresh / name).replace(directory / name)
