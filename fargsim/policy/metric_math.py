"""Metric math: arithmetic over metrics of one period, as alarms and scaling policies use it.

The part of the language that scaling needs (backlog per task and its like): numbers, Ids, ``+ - * / ^``, comparisons, ``AND``, ``OR``
and the functions ``ABS AVG CEIL FILL FLOOR IF MAX MIN SUM``. A result is missing where one of its operands is, unless FILL gives it a
value, and where it would be a division by zero.

Source: Amazon CloudWatch User Guide, using-metric-math.html.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

Value = float | None

_TOKEN = re.compile(r"\s*(?:(\d+\.?\d*(?:[eE][+-]?\d+)?|\.\d+)|([A-Za-z_]\w*)|(<=|>=|==|!=|&&|\|\||[-+*/^(),<>\[\]]))")
FUNCTIONS = ("ABS", "AVG", "CEIL", "FILL", "FLOOR", "IF", "MAX", "MIN", "SUM")
_DEEPEST = 30


class MathError(ValueError):
    """An expression that cannot be read."""


@dataclass(frozen=True, slots=True)
class Expression:
    """An expression that has been read.

    Parameters
    ----------
    names
        The Ids it uses.
    """

    text: str
    names: frozenset[str]
    _compute: Callable[[Mapping[str, Value]], Value]

    def value(self, values: Mapping[str, Value]) -> Value:
        """Return the result for the values of one period; None where it is missing."""
        found = self._compute(values)
        return None if found is None or not math.isfinite(found) else found


def parse(text: str, legal: Collection[str] | None = None) -> Expression:
    """Read an expression.

    Parameters
    ----------
    legal
        The Ids it may use; None for any.

    Raises
    ------
    MathError
        Where it cannot be read, with the column; where an Id or a function does not exist, with those that do.

    Examples
    --------
    >>> backlog = parse("m1 / m2", ["m1", "m2"])
    >>> backlog.value({"m1": 300.0, "m2": 4.0}), backlog.value({"m1": 300.0, "m2": 0.0}), backlog.value({"m1": 1.0, "m2": None})
    (75.0, None, None)
    >>> parse("m1 / IF(FILL(m2, 0) > 0, m2, 1)").value({"m1": 8.0, "m2": None})
    8.0
    """
    reader = _Reader(text, legal)
    compute = reader.either()
    if reader.kind != "end":
        raise reader.error(f"'{reader.token}' is not expected here")
    return Expression(text, frozenset(reader.names), compute)


Compute = Callable[[Mapping[str, Value]], Value]


class _Reader:
    """Reads by recursive descent, one method per precedence."""

    def __init__(self, text: str, legal: Collection[str] | None) -> None:
        self._text, self._legal = text, legal
        self._at = self._next = 0
        self._depth = 0
        self.names: set[str] = set()
        self.kind, self.token = "", ""
        self.advance()

    def error(self, message: str) -> MathError:
        return MathError(f"column {self._at + 1}: {message}")

    def advance(self) -> None:
        rest = self._text[self._next :]
        self._at = self._next + len(rest) - len(rest.lstrip())
        if not rest.strip():
            self.kind, self.token = "end", "the end"
            return
        found = _TOKEN.match(self._text, self._next)
        if found is None:
            raise self.error(f"'{self._text[self._at]}' does not belong into an expression")
        self._next = found.end()
        number, name, sign = found.groups()
        self.kind = "number" if number else "name" if name else "sign"
        self.token = number or name or sign

    def take(self, *signs: str) -> str | None:
        if self.kind in ("sign", "name") and self.token.upper() in signs:
            taken = self.token.upper()
            self.advance()
            return taken
        return None

    def need(self, sign: str) -> None:
        if self.take(sign) is None:
            raise self.error(f"'{sign}' is missing before {self.token}")

    def either(self) -> Compute:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise self.error(f"more than {_DEEPEST} brackets inside each other")
        left = self._chain(self._both, {"OR": _or, "||": _or})
        self._depth -= 1
        return left

    def _both(self) -> Compute:
        return self._chain(self._compared, {"AND": _and, "&&": _and})

    def _compared(self) -> Compute:
        return self._chain(
            self._sum,
            {
                "<": lambda a, b: float(a < b),
                "<=": lambda a, b: float(a <= b),
                ">": lambda a, b: float(a > b),
                ">=": lambda a, b: float(a >= b),
                "==": lambda a, b: float(a == b),
                "!=": lambda a, b: float(a != b),
            },
        )

    def _sum(self) -> Compute:
        return self._chain(self._product, {"+": lambda a, b: a + b, "-": lambda a, b: a - b})

    def _product(self) -> Compute:
        return self._chain(self._negated, {"*": lambda a, b: a * b, "/": _divide})

    def _chain(self, below: Callable[[], Compute], signs: Mapping[str, Callable[[float, float], Value]]) -> Compute:
        first = below()
        rest: list[tuple[Callable[[float, float], Value], Compute]] = []
        while (sign := self.take(*signs)) is not None:
            rest.append((signs[sign], below()))
        return _fold(first, rest) if rest else first

    def _negated(self) -> Compute:
        negative = False
        while (sign := self.take("-", "+")) is not None:
            negative ^= sign == "-"
        inner = self._power()
        return _apply(lambda a, _: -a, inner, _constant(0.0)) if negative else inner

    def _power(self) -> Compute:
        base = self._atom()
        if self.take("^") is None:
            return base
        self._depth += 1
        if self._depth > _DEEPEST:
            raise self.error(f"more than {_DEEPEST} powers of powers")
        raised = _apply(_raise, base, self._negated())
        self._depth -= 1
        return raised

    def _atom(self) -> Compute:
        if self.take("(") is not None:
            inner = self.either()
            self.need(")")
            return inner
        if self.kind == "number":
            value = float(self.token)
            self.advance()
            return _constant(value)
        if self.kind != "name":
            raise self.error(f"a number, an Id or a function is missing before {self.token}")
        name = self.token
        at = self.error("").args[0]
        self.advance()
        if self.take("(") is not None:
            if name.upper() not in FUNCTIONS:
                raise MathError(f"{at}'{name}' is no function here: use {', '.join(FUNCTIONS)}")
            return _call(name.upper(), self._arguments(), at)
        if self._legal is not None and name not in self._legal:
            raise MathError(f"{at}'{name}' is no Id: there is {', '.join(sorted(self._legal)) or 'none'}")
        self.names.add(name)
        return lambda values: values.get(name)

    def _arguments(self) -> list[Compute]:
        """Read arguments up to the closing bracket; a list in square brackets stands for its elements."""
        listed = self.take("[") is not None
        found = [self.either()]
        while self.take(",") is not None:
            found.append(self.either())
        if listed:
            self.need("]")
        self.need(")")
        return found


def _constant(value: float) -> Compute:
    return lambda _: value


def _apply(act: Callable[[float, float], Value], left: Compute, right: Compute) -> Compute:
    def compute(values: Mapping[str, Value]) -> Value:
        a, b = left(values), right(values)
        return None if a is None or b is None else act(a, b)

    return compute


def _fold(first: Compute, rest: list[tuple[Callable[[float, float], Value], Compute]]) -> Compute:
    """Return a chain of operators of one precedence, from the left; a loop, as a chain may be long."""

    def compute(values: Mapping[str, Value]) -> Value:
        left = first(values)
        for act, operand in rest:
            right = operand(values)
            left = None if left is None or right is None else act(left, right)
        return left

    return compute


def _divide(a: float, b: float) -> Value:
    return None if b == 0 else a / b


def _raise(a: float, b: float) -> Value:
    try:
        return math.pow(a, b)
    except (ValueError, OverflowError):
        return None


def _and(a: float, b: float) -> float:
    return float(a != 0 and b != 0)


def _or(a: float, b: float) -> float:
    return float(a != 0 or b != 0)


def _call(name: str, arguments: list[Compute], at: str) -> Compute:
    needed = {"ABS": 1, "CEIL": 1, "FLOOR": 1, "FILL": 2, "IF": 3}.get(name)
    if needed is not None and len(arguments) != needed and not (name == "IF" and len(arguments) == 2):
        raise MathError(f"{at}{name} takes {needed} arguments, not {len(arguments)}")
    if name == "FILL":
        inner, instead = arguments
        return lambda values: instead(values) if (found := inner(values)) is None else found
    if name == "IF":
        condition, then, *otherwise = arguments
        return lambda values: _choose(values, condition, then, otherwise)
    one: dict[str, Callable[[float], float]] = {"ABS": abs, "CEIL": math.ceil, "FLOOR": math.floor}
    if name in one:
        act, [inner] = one[name], arguments
        return lambda values: None if (found := inner(values)) is None else float(act(found))
    many: dict[str, Callable[[list[float]], float]] = {
        "SUM": math.fsum,
        "MIN": min,
        "MAX": max,
        "AVG": lambda found: math.fsum(found) / len(found),
    }
    return lambda values: _over(values, arguments, many[name])


def _choose(values: Mapping[str, Value], condition: Compute, then: Compute, otherwise: list[Compute]) -> Value:
    holds = condition(values)
    if holds is None:
        return None
    if holds:
        return then(values)
    return otherwise[0](values) if otherwise else None


def _over(values: Mapping[str, Value], arguments: list[Compute], act: Callable[[list[float]], float]) -> Value:
    """Apply a function to the operands that have data; None where none has."""
    found = [x for compute in arguments if (x := compute(values)) is not None]
    return act(found) if found else None
