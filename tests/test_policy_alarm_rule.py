"""Rules of composite alarms: what they say, and what cannot be read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fargsim.policy.alarm_rule import RuleError, parse_rule
from fargsim.policy.alarms import AlarmState

STATES: dict[str, AlarmState] = {"a": "ALARM", "b": "OK", "c d": "INSUFFICIENT_DATA"}
EVERY: tuple[AlarmState, ...] = ("OK", "ALARM", "INSUFFICIENT_DATA")


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ('ALARM("a")', True), ("ALARM(b)", False), ("OK(b)", True), ('INSUFFICIENT_DATA("c d")', True), ("INSUFFICIENT_DATA(gone)", True),
        ("OK(gone)", False), ("NOT OK(b)", False), ("NOT NOT OK(b)", True), ("ALARM(a) AND OK(b)", True), ("ALARM(a) AND ALARM(b)", False),
        ("ALARM(a) OR ALARM(b)", True), ("NOT (ALARM(a) AND ALARM(b))", True), ("TRUE", True), ("FALSE", False),
        ("alarm(a) and not false", True),
        ('ALARM("arn:aws:cloudwatch:us-east-1:123456789012:alarm:a")', True),
        ('AT_LEAST(1, ALARM, (a, b, "c d"))', True), ('AT_LEAST(2, ALARM, (a, b, "c d"))', False),
        ('AT_LEAST(2, NOT ALARM, (a, b, "c d"))', True), ('AT_LEAST(3, NOT ALARM, (a, b, "c d"))', False),
        ("AT_LEAST(50%, OK, (a, b))", True), ('AT_LEAST(50%, OK, (a, b, "c d"))', False), ('AT_LEAST(33%, OK, (a, b, "c d"))', True),
    ],
)  # fmt: skip
def test_what_a_rule_says(rule: str, expected: bool) -> None:
    assert parse_rule(rule).state(STATES) == ("ALARM" if expected else "OK")


@given(states=st.fixed_dictionaries({name: st.sampled_from(EVERY) for name in "xyz"}))
def test_and_binds_tighter_than_or(states: dict[str, AlarmState]) -> None:
    x, y, z = (states[name] == "ALARM" for name in "xyz")
    for text, expected in (
        ("ALARM(x) OR ALARM(y) AND ALARM(z)", x or (y and z)),
        ("(ALARM(x) OR ALARM(y)) AND ALARM(z)", (x or y) and z),
        ("NOT ALARM(x) AND ALARM(y)", not x and y),
        ("AT_LEAST(2, ALARM, (x, y, z))", x + y + z >= 2),
        ("AT_LEAST(60%, NOT ALARM, (x, y, z))", 3 - x - y - z >= 2),
    ):
        assert parse_rule(text).state(states) == ("ALARM" if expected else "OK"), text


def test_names_stand_once_in_their_order() -> None:
    assert parse_rule('OK(b) AND ALARM("a") AND NOT ALARM(b)').names == ("b", "a")


def test_what_stands_in_a_name_is_no_part_of_the_rule() -> None:
    names = [f"{n} {'NOT (' * 60}" for n in range(4)]
    assert parse_rule(" OR ".join(f'NOT OK("{name}")' for name in names)).names == tuple(names)


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("", "cannot be read at column 1: write ALARM"),
        ("ALARM(a", "cannot be read at column 7"),
        ("ALARM(a) ALARM(b)", "cannot be read at column 10"),
        ("busy(a)", "cannot be read at column 1"),
        ("ALARM()", "cannot be read at column 7"),
        ("AT_LEAST(3, OK, (a, b))", r"AT_LEAST\(3, ...\) is more than there are: at most 2"),
        ("AT_LEAST(101%, OK, (a, b))", r"AT_LEAST\(101%, ...\) is more than there are: at most 100 %"),
        (" OR ".join(f"OK(a{n})" for n in range(101)), "looks at 101 alarms: at most 100"),
        ("(" * 60 + "TRUE" + ")" * 60, "more than 50 brackets inside each other"),
        ("NOT " * 2000 + "TRUE", "more than 200 times NOT"),
    ],
)
def test_what_cannot_be_read(rule: str, message: str) -> None:
    with pytest.raises(RuleError, match=message):
        parse_rule(rule)
