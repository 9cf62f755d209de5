"""The cluster query language: which container instances an expression selects.

Source: Amazon ECS Developer Guide, cluster-query-language.html; Amazon ECS API Reference, API_PlacementConstraint.html (2,000
characters at most). How ``and`` and ``or`` bind without parentheses is not published: ``and`` binds tighter here, and a warning says so.
``!=``, ``!in``, ``!~`` and ``!exists`` select exactly the instances that ``==``, ``in``, ``=~`` and ``exists`` do not, so an instance
without the attribute is among them, and ``task:group != g`` selects instances that run no task of ``g``; this too is an assumption.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fargsim.policy import query_values as values
from fargsim.policy.query_nodes import And, Comparison, Node, Not, Or
from fargsim.policy.views import AttributeColumn, FleetView, Mask

if TYPE_CHECKING:
    from lark import Lark, Token, Tree

LENGTH_MAX = 2000
NESTING_MAX = 50

_ORDER = ("==", "!=", ">", ">=", "<", "<=")
_TEXT = ("==", "!=", "in", "!in", "=~", "!~")
LEGAL_OPERATORS: dict[str, tuple[str, ...]] = {
    "agentConnected": _TEXT,
    "agentVersion": _ORDER,
    "attribute": (*_TEXT, "exists", "!exists"),
    "ec2InstanceId": _TEXT,
    "registeredAt": _ORDER,
    "runningTasksCount": _ORDER,
    "task:group": (*_TEXT, "exists", "!exists"),
}
"""Operators by subject, in their short spelling."""

_LONG = {
    "equals": "==",
    "not_equals": "!=",
    "greater_than": ">",
    "greater_than_equal": ">=",
    "less_than": "<",
    "less_than_equal": "<=",
    "not_in": "!in",
    "not_exists": "!exists",
    "matches": "=~",
    "not_matches": "!~",
}
_SUBJECTS = "agentConnected, agentVersion, attribute:NAME, ec2InstanceId, registeredAt, runningTasksCount, task:group"
_EXPECTED = {
    **dict.fromkeys(("AGENT_CONNECTED", "AGENT_VERSION", "ATTRIBUTE", "INSTANCE_ID"), f"a subject ({_SUBJECTS})"),
    **dict.fromkeys(("REGISTERED_AT", "RUNNING_TASKS", "TASK_GROUP"), f"a subject ({_SUBJECTS})"),
    **dict.fromkeys(("EQ", "NE", "GE", "GT", "LE", "LT", "IN", "NOT_IN", "MATCHES", "NOT_MATCHES"), "an operator"),
    **dict.fromkeys(("EXISTS", "NOT_EXISTS"), "an operator"),
    **dict.fromkeys(("QUOTED", "WORD"), "a value"),
    "PATTERN": "a pattern",
    "AND": "'and'",
    "OR": "'or'",
    "NOT": "'not ('",
    "LPAR": "'('",
    "RPAR": "')'",
    "LSQB": "'['",
    "RSQB": "']'",
    "COMMA": "','",
    "$END": "the end",
}


class QueryError(ValueError):
    """An expression that is not of the language.

    Attributes
    ----------
    column
        Where the fault is, counted from 1; one behind the last character where something is missing.
    expected
        What could have stood there.
    """

    def __init__(self, message: str, column: int, expected: tuple[str, ...] = ()) -> None:
        super().__init__(f"column {column}: {message}")
        self.column = column
        self.expected = expected


_Select = Callable[[FleetView], Mask]


@dataclass(frozen=True, slots=True, eq=False)
class Query:
    """A compiled expression.

    Attributes
    ----------
    text
        As written.
    root
        The parsed expression; ``str(root)`` is an expression that parses to the same.
    static
        Whether the selection depends only on attributes, ids, versions, dates and agents, not on tasks.
    warnings
        What a reader should know, such as ``and`` beside ``or`` without parentheses.
    """

    text: str
    root: Node
    static: bool
    warnings: tuple[str, ...]
    _select: _Select = field(repr=False)

    def mask(self, fleet: FleetView) -> Mask:
        """Return which instances the expression selects, shape (instances,)."""
        if not self.static:
            return self._select(fleet)
        known = fleet.derived.get(self)
        if known is None or len(known) != fleet.size:
            known = fleet.keep(self, self._select(fleet))
        return known


@lru_cache(maxsize=1)
def _parser() -> Lark:
    from lark import Lark  # a slow import, and most scenarios have no expression

    grammar = files("fargsim.policy").joinpath("cluster_query.lark").read_text(encoding="utf-8")
    return Lark(grammar, parser="lalr", lexer="contextual", propagate_positions=True, maybe_placeholders=False)


def parse(text: str) -> Query:
    """Compile an expression of the cluster query language.

    Raises
    ------
    QueryError
        With the column of the fault and what was expected there.

    Examples
    --------
    >>> str(parse("attribute:ecs.instance-type =~ g2.* && attribute:ecs.availability-zone not_equals us-east-1d").root)
    'attribute:ecs.instance-type =~ g2.* and attribute:ecs.availability-zone != us-east-1d'
    >>> parse("attribute:stack == prod or agentVersion")
    Traceback (most recent call last):
    fargsim.policy.cluster_query.QueryError: column 40: the expression ends where an operator was expected
    """
    from lark.exceptions import UnexpectedCharacters, UnexpectedInput, UnexpectedToken

    if len(text) > LENGTH_MAX:
        raise QueryError(f"the expression has {len(text)} characters, more than {LENGTH_MAX}", LENGTH_MAX + 1)
    _check_nesting(text)
    try:
        tree = _parser().parse(text)
    except UnexpectedInput as fault:
        names: set[str] = set()
        if isinstance(fault, UnexpectedToken):
            names = set(fault.accepts or fault.expected)
        elif isinstance(fault, UnexpectedCharacters):
            names = set(fault.allowed or ())
        if "PATTERN" in names:
            names.discard("QUOTED")
        expected = tuple(dict.fromkeys(words for name, words in _EXPECTED.items() if name in names))
        wanted = " or ".join(expected) + (" was expected" if expected else "an expression was expected")
        at = fault.pos_in_stream if fault.pos_in_stream is not None else -1
        if at < 0 or (isinstance(fault, UnexpectedToken) and fault.token.type == "$END"):
            column = len(text.rstrip()) + 1
            raise QueryError(f"the expression ends where {wanted}", column, expected) from None
        raise QueryError(f"found '{_word_at(text, at)}' where {wanted}", at + 1, expected) from None
    warnings: list[str] = []
    root = _build(tree, warnings)
    return Query(text, root, _static(root), tuple(warnings), _compile(root))


def _check_nesting(text: str) -> None:
    depth = 0
    for found in re.finditer(r"'[^']*'|\"[^\"]*\"|[()]", text):
        depth += {"(": 1, ")": -1}.get(found.group(), 0)
        if depth > NESTING_MAX:
            raise QueryError(f"more than {NESTING_MAX} parentheses are open", found.start() + 1)


def _word_at(text: str, at: int) -> str:
    found = re.match(r"[\w.:-]+|\S", text[at:])
    return found.group() if found else text[at : at + 1]


def _build(tree: Tree[Token], warnings: list[str]) -> Node:
    """Turn lark's tree into nodes, checking operators and literals of every comparison."""
    from lark import Tree as LarkTree

    parts = [child for child in tree.children if isinstance(child, LarkTree)]
    if tree.data in ("start", "grouped"):
        return _build(parts[0], warnings)
    if tree.data == "negation":
        return Not(_build(parts[0], warnings))
    if tree.data in ("either", "both"):
        if len(parts) == 1:
            return _build(parts[0], warnings)
        if tree.data == "either" and any(p.data == "both" and len(_trees(p)) > 1 for p in parts):
            column = next(c.start_pos or 0 for c in tree.children if not isinstance(c, LarkTree)) + 1
            warnings.append(
                f"column {column}: 'and' and 'or' stand together without parentheses; 'and' is taken to bind tighter"
            )
        made = tuple(_build(p, warnings) for p in parts)
        return Or(made) if tree.data == "either" else And(made)
    return _comparison(tree)


def _trees(tree: Tree[Token]) -> list[Tree[Token]]:
    from lark import Tree as LarkTree

    return [c for c in tree.children if isinstance(c, LarkTree)]


def _comparison(tree: Tree[Token]) -> Comparison:
    tokens = [token for part in _trees(tree) for token in part.children]
    subject, operator, *arguments = [t for t in tokens if not hasattr(t, "data")]
    spelt = _LONG.get(str(operator), str(operator))
    legal = LEGAL_OPERATORS[_kind(str(subject))]
    if spelt not in legal:
        raise QueryError(
            f"{_kind(str(subject))} does not take '{operator}': legal operators are {' '.join(legal)}",
            (operator.start_pos or 0) + 1,
            legal,
        )
    texts = tuple(str(a)[1:-1] if a.type == "QUOTED" else str(a) for a in arguments)
    for argument, text in zip(arguments, texts, strict=True):
        try:
            _check(_kind(str(subject)), spelt, text)
        except ValueError as fault:
            raise QueryError(str(fault), (argument.start_pos or 0) + 1) from None
    return Comparison(str(subject), spelt, texts)


def _kind(subject: str) -> str:
    return "attribute" if subject.startswith("attribute:") else subject


def _check(kind: str, operator: str, text: str) -> None:
    if operator in ("=~", "!~"):
        values.java_pattern(text)
    elif kind == "agentConnected":
        values.truth(text)
    elif kind == "agentVersion":
        values.version(text)
    elif kind == "registeredAt":
        values.instant_s(text)
    elif kind == "runningTasksCount":
        values.count(text)


def _static(node: Node) -> bool:
    if isinstance(node, Comparison):
        return node.subject not in ("runningTasksCount", "task:group")
    return _static(node.part) if isinstance(node, Not) else all(_static(p) for p in node.parts)


def _compile(node: Node) -> _Select:
    if isinstance(node, Comparison):
        return _compile_comparison(node)
    if isinstance(node, Not):
        inner = _compile(node.part)
        return lambda fleet: ~inner(fleet)
    parts = [_compile(p) for p in node.parts]
    join = np.logical_and if isinstance(node, And) else np.logical_or

    def select(fleet: FleetView) -> Mask:
        mask = parts[0](fleet)
        for part in parts[1:]:
            mask = join(mask, part(fleet))
        return mask

    return select


def _compile_comparison(node: Comparison) -> _Select:
    if node.operator in ("!=", "!in", "!~", "!exists"):
        positive = _compile_comparison(
            Comparison(
                node.subject, {"!=": "=="}.get(node.operator, node.operator[1:].replace("~", "=~")), node.arguments
            )
        )
        return lambda fleet: ~positive(fleet)
    kind = _kind(node.subject)
    if kind == "runningTasksCount":
        return _ordered(node, values.count, lambda fleet: fleet.running_tasks)
    if kind == "registeredAt":
        return _ordered(node, values.instant_s, lambda fleet: fleet.registered_at_us // 1_000_000)
    if kind == "agentVersion":
        return _by_text(_version_test(node), lambda fleet: fleet.agent_versions)
    test = _text_test(node)
    if kind == "ec2InstanceId":
        return _by_text(test, lambda fleet: fleet.instance_ids)
    if kind == "agentConnected":
        return lambda fleet: np.where(fleet.agent_connected, test("true"), test("false"))
    if kind == "task:group":
        return lambda fleet: _groups_mask(fleet, test)
    name = node.subject.removeprefix("attribute:")
    return lambda fleet: _attribute_mask(fleet, fleet.attributes.get(name), test)


def _ordered(node: Comparison, read: Callable[[str], int], column: Callable[[FleetView], NDArray[np.int64]]) -> _Select:
    bound = read(node.arguments[0])
    compare = {"==": np.equal, ">": np.greater, ">=": np.greater_equal, "<": np.less, "<=": np.less_equal}[
        node.operator
    ]
    return lambda fleet: np.asarray(compare(column(fleet), bound), dtype=np.bool_)


def _version_test(node: Comparison) -> Callable[[str], bool]:
    bound = values.version(node.arguments[0])
    tests: dict[str, Callable[[str], bool]] = {
        "==": lambda text: values.version(text) == bound,
        ">": lambda text: values.version(text) > bound,
        ">=": lambda text: values.version(text) >= bound,
        "<": lambda text: values.version(text) < bound,
        "<=": lambda text: values.version(text) <= bound,
    }
    return tests[node.operator]


def _text_test(node: Comparison) -> Callable[[str], bool]:
    if node.operator == "exists":
        return lambda _: True
    if node.operator == "=~":
        pattern = values.java_pattern(node.arguments[0])
        return lambda text: pattern.fullmatch(text) is not None
    wanted = frozenset(node.arguments)
    return lambda text: text in wanted


def _by_text(test: Callable[[str], bool], column: Callable[[FleetView], object]) -> _Select:
    def select(fleet: FleetView) -> Mask:
        texts: list[str] = list(column(fleet))[: fleet.size]  # type: ignore[call-overload]
        known = {text: test(text) for text in set(texts)}
        return np.fromiter((known[t] for t in texts), dtype=np.bool_, count=len(texts))

    return select


def _attribute_mask(fleet: FleetView, column: AttributeColumn | None, test: Callable[[str], bool]) -> Mask:
    if column is None:
        return np.zeros(fleet.size, dtype=np.bool_)
    table = np.array([*map(test, column.values), False], dtype=np.bool_)  # code -1, no such attribute, reads the last
    return np.asarray(table[column.codes], dtype=np.bool_)


def _groups_mask(fleet: FleetView, test: Callable[[str], bool]) -> Mask:
    mask = np.zeros(fleet.size, dtype=np.bool_)
    for name, tasks in fleet.groups.items():
        if test(name):
            mask |= tasks > 0
    return mask
