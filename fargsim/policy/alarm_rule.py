"""Composite alarms: a rule over the states of other alarms.

Source: Amazon CloudWatch API Reference, API_PutCompositeAlarm.html.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING, cast

from fargsim.policy.alarms import AlarmState

if TYPE_CHECKING:
    from lark import Lark, Token, Tree

ALARMS_MAX = 100
"""How many alarms a rule may look at."""
NESTING_MAX = 50

States = Mapping[str, AlarmState]
Holds = Callable[[States], bool]


class RuleError(ValueError):
    """A rule that cannot be read."""


@dataclass(frozen=True, slots=True)
class AlarmRule:
    """A rule that has been read.

    Parameters
    ----------
    names
        The alarms it looks at, in the order in which they stand.
    """

    names: tuple[str, ...]
    _holds: Holds

    def state(self, states: States) -> AlarmState:
        """Return ``ALARM`` where the rule holds, ``OK`` otherwise; an alarm that is gone has insufficient data."""
        return "ALARM" if self._holds(states) else "OK"


def parse_rule(text: str) -> AlarmRule:
    """Read a rule.

    Raises
    ------
    RuleError
        Where it cannot be read, and what would be legal there.

    Examples
    --------
    >>> rule = parse_rule('ALARM("busy") AND NOT (OK(slow) OR ALARM("arn:aws:cloudwatch:us-east-1:1:alarm:deploying"))')
    >>> rule.names
    ('busy', 'slow', 'deploying')
    >>> rule.state({"busy": "ALARM", "slow": "INSUFFICIENT_DATA"}), rule.state({"busy": "ALARM", "slow": "OK"})
    ('ALARM', 'OK')
    """
    from lark.exceptions import UnexpectedEOF, UnexpectedInput

    bare = re.sub(r'"(\\.|[^"\\])*"', '""', text)  # what stands in a name is no bracket and no NOT
    if _depth(bare) > NESTING_MAX:
        raise RuleError(f"more than {NESTING_MAX} brackets inside each other")
    if len(re.findall(r"\bNOT\b", bare, re.IGNORECASE)) > 2 * ALARMS_MAX:
        raise RuleError(f"more than {2 * ALARMS_MAX} times NOT")
    try:
        tree = _parser().parse(text)
    except UnexpectedInput as fault:
        where = "its end" if isinstance(fault, UnexpectedEOF) or fault.column < 1 else f"column {fault.column}"
        raise RuleError(f"cannot be read at {where}: {_LEGAL}") from None
    names: dict[str, None] = {}
    holds = _either(_branches(tree)[0], names)
    if len(names) > ALARMS_MAX:
        raise RuleError(f"looks at {len(names)} alarms: at most {ALARMS_MAX}")
    return AlarmRule(tuple(names), holds)


_LEGAL = (
    'write ALARM("name"), OK("name"), INSUFFICIENT_DATA("name"), AT_LEAST(2, ALARM, (name, name, name)), TRUE or FALSE, '
    "joined by AND, OR and NOT, with brackets"
)


def _depth(text: str) -> int:
    deepest = depth = 0
    for sign in text:
        depth += (sign == "(") - (sign == ")")
        deepest = max(deepest, depth)
    return deepest


@lru_cache(maxsize=1)
def _parser() -> Lark:
    from lark import Lark

    grammar = files("fargsim.policy").joinpath("alarm_rule.lark").read_text(encoding="utf-8")
    return Lark(grammar, parser="lalr")


def _branches(tree: Tree[Token], first: int = 0) -> list[Tree[Token]]:
    """Return the children from one on, where the grammar has nothing but trees."""
    return cast("list[Tree[Token]]", tree.children[first:])


def _either(tree: Tree[Token], names: dict[str, None]) -> Holds:
    parts = [_both(part, names) for part in _branches(tree)]
    return lambda states: any(holds(states) for holds in parts)


def _both(tree: Tree[Token], names: dict[str, None]) -> Holds:
    parts = [_unit(part, names) for part in _branches(tree)]
    return lambda states: all(holds(states) for holds in parts)


def _unit(tree: Tree[Token], names: dict[str, None]) -> Holds:
    if tree.data in ("true", "false"):
        always = tree.data == "true"
        return lambda _: always
    if tree.data == "grouped":
        return _either(_branches(tree)[0], names)
    if tree.data == "negation":
        inner = _unit(_branches(tree)[0], names)
        return lambda states: not inner(states)
    if tree.data == "stands":
        name, wanted = _name(_branches(tree, 1)[0], names), str(tree.children[0]).upper()
        return lambda states: states.get(name, "INSUFFICIENT_DATA") == wanted
    limit, negated, state = tree.children[:3]
    among = [_name(alarm, names) for alarm in _branches(tree, 3)]
    return _at_least(str(limit), negated is not None, str(state).upper(), among)


def _at_least(limit: str, negated: bool, wanted: str, among: list[str]) -> Holds:
    share = limit.endswith("%")
    figure = int(limit.rstrip("%"))
    most = 100 if share else len(among)
    if figure > most:
        raise RuleError(f"AT_LEAST({limit}, ...) is more than there are: at most {most}{' %' if share else ''}")

    def holds(states: States) -> bool:
        found = sum((states.get(name, "INSUFFICIENT_DATA") == wanted) != negated for name in among)
        return found * 100 >= figure * len(among) if share else found >= figure

    return holds


def _name(tree: Tree[Token], names: dict[str, None]) -> str:
    text = str(tree.children[0])
    if text.startswith('"'):
        text = re.sub(r"\\(.)", r"\1", text[1:-1])
    name = text.rsplit(":alarm:", 1)[-1]
    names[name] = None
    return name
