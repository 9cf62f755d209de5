"""Files to documents: bytes, text, then YAML or JSON."""

from __future__ import annotations

import codecs
import difflib
from pathlib import Path as FilePath

from fargsim.load.issue import Mark, ScenarioError, fault
from fargsim.load.json_reader import read_json
from fargsim.load.node import LIMITS, Limits, Node
from fargsim.load.yaml_reader import read_yaml


def read_document(path: FilePath, limits: Limits = LIMITS) -> Node:
    """Read a YAML or JSON file; a name that ends in ``.json`` is JSON, everything else YAML (which JSON nearly is a part of).

    Raises
    ------
    ScenarioError
        With the place of the fault.
    """
    text = read_text(path, limits.file_bytes)
    if path.suffix.lower() == ".json":
        return read_json(text, str(path), limits)
    return read_yaml(text, str(path), limits)


def read_text(path: FilePath, most_bytes: int) -> str:
    """Read a text file in UTF-8.

    Raises
    ------
    ScenarioError
        When the file is not there, is no regular file, is larger than `most_bytes`, or holds what is no text: with the line and column
        of the first byte at fault.
    """
    raw = read_bytes(path, most_bytes)
    if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise fault(Mark(str(path), 1, 1), (), "the file is not UTF-8 but UTF-16: save it as UTF-8")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        # a byte order mark at the start is not part of what is decoded
        at = error.start + (len(codecs.BOM_UTF8) if raw.startswith(codecs.BOM_UTF8) else 0)
        raise _bad_byte(path, raw, at, f"the byte 0x{raw[at]:02X} is not UTF-8") from None
    at = raw.find(b"\0")
    if at >= 0:
        raise _bad_byte(path, raw, at, "a NUL character is not allowed")
    return text


def _bad_byte(path: FilePath, raw: bytes, at: int, message: str) -> ScenarioError:
    line = raw.count(b"\n", 0, at) + 1
    before = raw[raw.rfind(b"\n", 0, at) + 1 : at].decode("utf-8", "replace").lstrip("\ufeff")
    return fault(Mark(str(path), line, len(before) + 1), (), message)


def read_bytes(path: FilePath, most_bytes: int) -> bytes:
    """Read a regular file of at most so many bytes.

    Raises
    ------
    ScenarioError
        When it cannot be read.
    """
    try:
        if not path.is_file():
            raise fault(Mark(str(path), 1, 1), (), missing(path))
        with path.open("rb") as stream:
            # the size on disk may be a lie (a device, a file that grows), so the reading is bounded too
            raw = stream.read(most_bytes + 1)
    except (OSError, ValueError) as error:
        if isinstance(error, ScenarioError):
            raise
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise fault(Mark(str(path), 1, 1), (), f"cannot be read: {reason}") from None
    if len(raw) > most_bytes:
        raise fault(Mark(str(path), 1, 1), (), f"the file is larger than {most_bytes:,} bytes, the most that is read")
    return raw


def missing(path: FilePath) -> str:
    """Say that there is no such file, with names that look like it."""
    if path.exists():
        return "is not a regular file"
    try:
        names = sorted(p.name for p in path.parent.iterdir())[:10_000]
    except OSError:
        names = []
    close = difflib.get_close_matches(path.name, names, n=3)
    return "there is no such file" + (f": did you mean {' or '.join(close)}?" if close else "")


def within(folder: FilePath, name: str, *, allow_outside: bool) -> FilePath:
    """Return the path of a file that a document names, relative to the document's folder.

    Raises
    ------
    ValueError
        When it lies outside the folder, links followed, and that is not allowed.
    """
    if not name or "\0" in name:
        raise ValueError("must be the name of a file")
    path = folder / name
    if not allow_outside:
        try:
            inside = path.resolve().is_relative_to(folder.resolve())
        except (OSError, RuntimeError):
            inside = False
        if not inside:
            raise ValueError(
                f"'{name}' lies outside the scenario's folder: files a scenario names must be inside it (--allow-outside allows others)"
            )
    return path
