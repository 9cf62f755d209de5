"""A request to end that arrives inside a callback of C, where Python loses the exception it becomes."""

from __future__ import annotations

import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from fargsim.study.many import interrupts_held

PROGRAM = """
import ctypes, signal, sys, time
import typer
from fargsim.cli.interrupts import end_when_asked
from fargsim.cli.status import faults_shown

app = typer.Typer()

@ctypes.CFUNCTYPE(None)
def callback():
    signal.raise_signal(int(sys.argv[1]))

@ctypes.CFUNCTYPE(None)
def broken():
    1 / 0

class Field:
    def __set_name__(self, owner, name):
        signal.raise_signal(int(sys.argv[1]))
        on_for_long()

def on_for_long():
    ends = time.monotonic() + 60
    while time.monotonic() < ends:
        time.sleep(0.01)

@app.command()
def main(number: int) -> None:
    with faults_shown("my.yaml"):
        try:
            {body}
        finally:
            print("cleaned up")

end_when_asked()
app()
"""
ENDS = [(signal.SIGINT, 130, "interrupted: nothing was written\n"), (signal.SIGTERM, 143, "")]


def ended(tmp_path: Path, body: str, number: int) -> tuple[int, str, str]:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM.replace("{body}", body), encoding="utf-8")
    words = [sys.executable, program, str(int(number))]
    done = subprocess.run(words, capture_output=True, text=True, timeout=50, check=False)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="SIGTERM ends a process of Windows at once")
@pytest.mark.parametrize(("number", "status", "words"), ENDS)
@pytest.mark.parametrize(
    "body",
    [
        pytest.param("callback(); on_for_long()", id="lost-once"),
        pytest.param("[(callback(), time.sleep(0.05)) for _ in range(5)]; on_for_long()", id="lost-again-and-again"),
        pytest.param("callback(); raise RuntimeError('no compiled object yet')", id="its-loss-broke-something"),
        pytest.param("type('Named', (), {'field': Field()})", id="it-became-another-error"),
    ],
)
def test_a_lost_request_to_end_ends_it_all_the_same(
    tmp_path: Path, body: str, number: int, status: int, words: str
) -> None:
    assert ended(tmp_path, body, number) == (status, "cleaned up\n", words)


def test_what_else_is_lost_in_a_callback_is_told_and_ends_nothing(tmp_path: Path) -> None:
    status, out, err = ended(tmp_path, "broken()", signal.SIGINT)
    assert (status, out) == (0, "cleaned up\n")
    assert "Exception ignored" in err
    assert "ZeroDivisionError" in err


def test_an_error_that_nobody_asked_for_stays_an_error(tmp_path: Path) -> None:
    status, _, err = ended(tmp_path, "raise RuntimeError('a fault of its own')", signal.SIGINT)
    assert status == 1
    assert "a fault of its own" in err


HELD = """
import os, signal, sys, threading, time
from fargsim.cli.interrupts import end_when_asked
from fargsim.study.many import interrupts_held

end_when_asked()
threading.Thread(target=time.sleep, args=(5,), daemon=True).start()  # who may be given the signal in place of the main thread
try:
    with interrupts_held():
        os.kill(os.getpid(), int(sys.argv[1]))
        time.sleep(0.3)
        print("started")
finally:
    print("cleaned up")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize(("number", "raised"), [(signal.SIGINT, "KeyboardInterrupt"), (signal.SIGTERM, None)])
def test_a_request_to_end_waits_until_processes_are_started_whichever_thread_is_given_it(
    tmp_path: Path, number: int, raised: str | None
) -> None:
    program = tmp_path / "program.py"
    program.write_text(HELD, encoding="utf-8")
    words = [sys.executable, program, str(int(number))]
    done = subprocess.run(words, capture_output=True, text=True, timeout=50, check=False)
    assert done.stdout == "started\ncleaned up\n"
    assert done.returncode == (143 if raised is None else -signal.SIGINT)
    assert raised is None or done.stderr.rstrip().endswith(raised)


def test_interrupts_are_held_for_the_main_thread_only_and_handlers_are_as_before() -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with interrupts_held():
        assert signal.getsignal(signal.SIGINT) is not before[0]
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(_handler_inside).result() is before[0]


def _handler_inside() -> object:
    with interrupts_held():
        return signal.getsignal(signal.SIGINT)
