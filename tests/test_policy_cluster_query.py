"""The cluster query language: what is accepted, where the fault is, what is selected."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fargsim.policy.cluster_query import LEGAL_OPERATORS, QueryError, parse
from fargsim.policy.fleet import Fleet
from fargsim.policy.needs import TaskNeeds
from fargsim.policy.query_nodes import And, Comparison, Node, Not, Or
from fargsim.policy.query_values import instant_s, java_pattern

TASK = TaskNeeds(cpu_units=1, memory_mib=1)


def four_instances() -> Fleet:
    """Instances 0 to 3 that differ in everything a query can ask for."""
    fleet = Fleet()
    rows = [
        ("i-0a", "us-east-1a", {"ecs.instance-type": "g2.2xlarge", "stack": "prod"}, "1.14.4", "2018-02-12T23:59:59Z"),
        ("i-1b", "us-east-1b", {"ecs.instance-type": "t2.small", "stack": "test"}, "1.14.5", "2018-02-13T00:00:00Z"),
        ("i-2c", "us-east-1c", {"ecs.instance-type": "t3.small"}, "1.105", "2018-06-18T22:28:28Z"),
        (
            "i-3d",
            "us-east-1d",
            {"ecs.instance-type": "g2.8xlarge", "stack": "two words"},
            "2.0.0",
            "2019-01-01T00:00:00Z",
        ),
    ]
    for name, zone, attributes, version, registered in rows:
        fleet.register(
            name,
            cpu_units=1024,
            memory_mib=1024,
            zone=zone,
            attributes=attributes,
            agent_version=version,
            registered_at_us=instant_s(registered) * 1_000_000,
        )
    fleet.take(0, TASK, "service:production")
    fleet.take(1, TASK, "service:production")
    fleet.take(1, TASK, "database")
    fleet.set_agent_connected(3, False)
    return fleet


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        # the examples of cluster-query-language.html
        ("attribute:ecs.instance-type == t2.small", [1]),
        ("attribute:ecs.availability-zone in [us-east-1a, us-east-1b]", [0, 1]),
        ("attribute:ecs.instance-type =~ g2.* and attribute:ecs.availability-zone != us-east-1d", [0]),
        ("task:group == service:production", [0, 1]),
        ("not(task:group == database)", [0, 2, 3]),
        ("runningTasksCount == 1", [0]),
        ("agentVersion < 1.14.5", [0]),
        ("registeredAt < 2018-02-13", [0]),
        ("ec2InstanceId in ['i-0a', 'i-2c']", [0, 2]),
        # every operator in its long spelling
        ("attribute:stack equals prod", [0]),
        ("attribute:stack not_equals prod", [1, 2, 3]),
        ("runningTasksCount greater_than 0", [0, 1]),
        ("runningTasksCount greater_than_equal 2", [1]),
        ("agentVersion less_than 1.105.0", [0, 1]),
        ("agentVersion less_than_equal 1.105.0", [0, 1, 2]),
        ("attribute:stack exists", [0, 1, 3]),
        ("attribute:stack not_exists", [2]),
        ("attribute:stack not_in [prod, test]", [2, 3]),
        ("ec2InstanceId matches i-[0-1].", [0, 1]),
        ("ec2InstanceId not_matches i-[0-1].", [2, 3]),
        # and in its short one
        ("attribute:stack !exists", [2]),
        ("attribute:stack !in [prod]", [1, 2, 3]),
        ("attribute:stack !~ p.*", [1, 2, 3]),
        ("runningTasksCount >= 1", [0, 1]),
        ("agentVersion > 1.14.5", [2, 3]),
        ("agentConnected == true", [0, 1, 2]),
        ("agentConnected != true", [3]),
        ("agentConnected in [false]", [3]),
        ("agentConnected =~ t.*", [0, 1, 2]),
        ("task:group exists", [0, 1]),
        ("task:group =~ data.*", [1]),
        ("task:group != service:production", [2, 3]),
        # quoted values, patterns with parentheses only in quotes, a pattern is the whole value
        ("attribute:stack == 'two words'", [3]),
        ('attribute:ecs.instance-type =~ "(t2|t3)[.]small"', [1, 2]),
        ("attribute:ecs.instance-type =~ t2|t3", []),
        ("attribute:ecs.instance-type =~ t2|t3.small", [2]),
        # the four forms of a date
        ("registeredAt == 2018-06-18T22:28:28+00:00", [2]),
        ("registeredAt == 2018-06-18T22:28:28Z", [2]),
        ("registeredAt == 2018-06-18T22:28:28", [2]),
        ("registeredAt >= 2018-06-18", [2, 3]),
        ("registeredAt == 2018-06-19T00:28:28+02:00", [2]),
        # compounds
        ("attribute:stack == prod || attribute:stack == test && runningTasksCount == 0", [0]),
        ("(attribute:stack == prod or attribute:stack == test) and runningTasksCount > 1", [1]),
        ("!(attribute:stack exists)&&agentConnected==true", [2]),
        ("not (not (attribute:stack == prod))", [0]),
        ("attribute:nobody.has-it exists", []),
        ("attribute:nobody.has-it != x", [0, 1, 2, 3]),
    ],
)
def test_selects(text: str, rows: list[int]) -> None:
    assert np.flatnonzero(parse(text).mask(four_instances().view())).tolist() == rows


@pytest.mark.parametrize(
    ("text", "column", "message"),
    [
        ("", 1, "ends where a subject"),
        ("   ", 1, "ends where a subject"),
        ("attribute:stack", 16, "ends where an operator was expected"),
        ("attribute:stack ==", 19, "ends where a value was expected"),
        ("attribute:stack == a b", 22, "found 'b' where 'and' or 'or' or the end was expected"),
        ("instanceType == t2.small", 1, "found 'instanceType' where a subject (agentConnected"),
        ("attribute: == a", 1, "found 'attribute:'"),
        ("attribute:stack = a", 17, "found '=' where an operator"),
        ("attribute:stack like a", 17, "found 'like' where an operator"),
        ("(attribute:stack == a", 22, "ends where"),
        ("attribute:stack == a)", 21, "found ')' where"),
        ("not attribute:stack == a", 5, "found 'attribute:stack' where '(' was expected"),
        ("attribute:stack == a and", 25, "ends where a subject"),
        ("attribute:stack == a and and", 26, "found 'and' where a subject"),
        ("attribute:stack in a", 20, "found 'a' where '[' was expected"),
        ("attribute:stack in []", 21, "found ']' where a value was expected"),
        ("attribute:stack in [a b]", 23, "found 'b' where ']' or ',' was expected"),
        ("attribute:stack == 'a", 20, "found '''"),
        (
            "attribute:stack > a",
            17,
            "attribute does not take '>': legal operators are == != in !in =~ !~ exists !exists",
        ),
        ("agentVersion in [1.2]", 14, "agentVersion does not take 'in': legal operators are == != > >= < <="),
        ("runningTasksCount exists", 19, "runningTasksCount does not take 'exists'"),
        ("agentConnected > true", 16, "agentConnected does not take '>'"),
        ("agentConnected == yes", 19, "'yes' must be true or false"),
        ("agentConnected in [true, maybe]", 26, "'maybe' must be true or false"),
        ("agentVersion > latest", 16, "'latest' is not a version"),
        ("runningTasksCount > -1", 21, "'-1' is not a number of tasks"),
        ("registeredAt > yesterday", 16, "'yesterday' is not a date: the forms are 2018-06-18T22:28:28+00:00"),
        ("registeredAt > 2018-13-01", 16, "'2018-13-01' is not a date: month"),
        ("attribute:a =~ [", 16, "is not a valid pattern"),
        ("attribute:a =~ '(a*)*'", 16, "a repetition of a group that holds a repetition"),
        ("attribute:a =~ .*.*.*.*.*", 16, "the pattern has 5 repetitions"),
        ("attribute:a =~ \\p{Alpha}", 16, "of Java's patterns is not supported"),
    ],
)
def test_rejects_with_the_column_of_the_fault(text: str, column: int, message: str) -> None:
    with pytest.raises(QueryError, match=re.escape(message)) as caught:
        parse(text)
    assert caught.value.column == column


def test_every_subject_takes_its_operators_and_no_other() -> None:
    literals = {"agentVersion": "1.2", "registeredAt": "2018-06-18", "runningTasksCount": "1", "agentConnected": "true"}
    every = {operator for legal in LEGAL_OPERATORS.values() for operator in legal}
    for subject, legal in LEGAL_OPERATORS.items():
        name = "attribute:x" if subject == "attribute" else subject
        value = literals.get(subject, "x")
        for operator in every:
            argument = {"in": f"[{value}]", "!in": f"[{value}]", "exists": "", "!exists": ""}.get(operator, value)
            text = f"{name} {operator} {argument}"
            if operator in legal:
                assert parse(text).root == Comparison(name, operator, (value,) if argument else ())
            else:
                with pytest.raises(QueryError, match="does not take"):
                    parse(text)


def test_and_binds_tighter_than_or_with_a_warning_only_where_it_matters() -> None:
    mixed = parse("attribute:a == 1 or attribute:b == 2 and attribute:c == 3")
    assert str(mixed.root) == "attribute:a == 1 or (attribute:b == 2 and attribute:c == 3)"
    assert mixed.warnings == (
        "column 18: 'and' and 'or' stand together without parentheses; 'and' is taken to bind tighter",
    )
    for clear in (
        "attribute:a == 1 or (attribute:b == 2 and attribute:c == 3)",
        "attribute:a == 1 or attribute:b == 2",
    ):
        assert parse(clear).warnings == ()


def test_limits_of_length_and_nesting() -> None:
    longest = "attribute:a == " + "b" * 1985
    assert parse(longest).text == longest
    with pytest.raises(QueryError, match="2001 characters, more than 2000"):
        parse(longest + "b")
    deep = "(" * 50 + "attribute:a exists" + ")" * 50
    assert parse(deep).root == Comparison("attribute:a", "exists")
    with pytest.raises(QueryError, match="more than 50 parentheses") as caught:
        parse(f"({deep})")
    assert caught.value.column == 51


def test_a_static_selection_is_kept_until_something_it_depends_on_changes() -> None:
    fleet = four_instances()
    query = parse("attribute:stack == prod")
    assert query.static
    before = query.mask(fleet.view())
    assert query.mask(fleet.view()) is before
    fleet.take(2, TASK, "service:other")
    assert query.mask(fleet.view()) is before
    fleet.set_attributes(2, {"stack": "prod"})
    assert np.flatnonzero(query.mask(fleet.view())).tolist() == [0, 2]
    fleet.register("i-4", cpu_units=1, memory_mib=1, zone="us-east-1a", attributes={"stack": "prod"})
    assert np.flatnonzero(query.mask(fleet.view())).tolist() == [0, 2, 4]
    moving = parse("attribute:stack == prod and runningTasksCount == 0")
    assert not moving.static
    assert np.flatnonzero(moving.mask(fleet.view())).tolist() == [4]


@pytest.mark.parametrize(
    "pattern", ["(a|b)*", "(a+)+", "(?:a*){3}", "((a*))+", "(?<x>a)", "(?i)a", "[a&&b]", "[a[b]]", "\\Qa\\E", "a" * 257]
)
def test_patterns_that_could_blow_up_or_mean_something_else_are_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"support|longer|pattern"):
        java_pattern(pattern)


@pytest.mark.parametrize("pattern", ["a{2,3}b*?", "(ab)?c", "(a|b)", "x++", "[^a-c]+\\.small", "\\d\\w\\s"])
def test_patterns_that_mean_the_same_are_accepted(pattern: str) -> None:
    assert java_pattern(pattern).pattern == pattern


WORDS = st.text("abc.-:'", min_size=1, max_size=4) | st.sampled_from(["two words", "in", "and", "a(b)", "x,y", "&&"])
SUBJECTS = st.sampled_from(["attribute:stack", "attribute:rack", "task:group", "ec2InstanceId"])


@st.composite
def comparisons(draw: st.DrawFn) -> Comparison:
    kind = draw(st.sampled_from(["text", "member", "pattern", "presence", "count", "version", "date"]))
    if kind == "count":
        return Comparison(
            "runningTasksCount",
            draw(st.sampled_from(["==", "!=", ">", ">=", "<", "<="])),
            (str(draw(st.integers(0, 3))),),
        )
    if kind == "version":
        return Comparison(
            "agentVersion", draw(st.sampled_from(["==", "!=", ">", ">=", "<", "<="])), (f"1.{draw(st.integers(0, 3))}",)
        )
    if kind == "date":
        return Comparison(
            "registeredAt", draw(st.sampled_from([">", "<="])), (draw(st.sampled_from(["1970-01-01", "1970-01-02"])),)
        )
    subject = draw(SUBJECTS)
    if kind == "member":
        return Comparison(
            subject, draw(st.sampled_from(["in", "!in"])), tuple(draw(st.lists(WORDS, min_size=1, max_size=3)))
        )
    if kind == "pattern":
        return Comparison(
            subject, draw(st.sampled_from(["=~", "!~"])), (draw(st.sampled_from(["a.*", ".", "[ab]+", "(a|b)c?"])),)
        )
    if kind == "presence" and not subject.startswith("ec2"):
        return Comparison(subject, draw(st.sampled_from(["exists", "!exists"])))
    return Comparison(subject, draw(st.sampled_from(["==", "!="])), (draw(WORDS),))


def _wider(inner: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
    several = st.lists(inner, min_size=2, max_size=3).map(tuple)
    return inner.map(Not) | several.map(And) | several.map(Or)


NODES = st.recursive(comparisons(), _wider, max_leaves=6)


@given(NODES)
def test_what_is_written_parses_to_the_same(node: Node) -> None:
    again = parse(str(node))
    assert again.root == node
    assert again.warnings == ()


@st.composite
def fleets(draw: st.DrawFn) -> Fleet:
    fleet = Fleet()
    for row in range(draw(st.integers(0, 5))):
        attributes = {name: draw(WORDS) for name in ("stack", "rack") if draw(st.booleans())}
        fleet.register(
            draw(st.text("abi-", min_size=1, max_size=3)),
            cpu_units=9,
            memory_mib=9,
            zone="z",
            attributes=attributes,
            agent_version=f"1.{draw(st.integers(0, 3))}",
            registered_at_us=draw(st.sampled_from([0, 86_400_000_000, 90_000_000_000])),
        )
        for group in draw(st.lists(WORDS, max_size=3)):
            fleet.take(row, TASK, group)
    return fleet


def _selected(node: Node, row: int, fleet: Fleet) -> bool:
    """Say whether an instance is selected, looking at nothing but it."""
    if isinstance(node, Not):
        return not _selected(node.part, row, fleet)
    if isinstance(node, And):
        return all(_selected(p, row, fleet) for p in node.parts)
    if isinstance(node, Or):
        return any(_selected(p, row, fleet) for p in node.parts)
    view = fleet.view()
    number: float | tuple[int, ...]
    if node.subject in ("runningTasksCount", "agentVersion", "registeredAt"):
        argument = node.arguments[0]
        if node.subject == "runningTasksCount":
            number, bound = int(view.running_tasks[row]), int(argument)
        elif node.subject == "agentVersion":
            number, bound = float(view.agent_versions[row]), float(argument)
        else:
            number, bound = float(view.registered_at_us[row]), {"1970-01-01": 0.0, "1970-01-02": 86_400e6}[argument]
        return {
            "==": number == bound,
            "!=": number != bound,
            ">": number > bound,
            ">=": number >= bound,
            "<": number < bound,
            "<=": number <= bound,
        }[node.operator]
    if node.subject == "ec2InstanceId":
        found = [view.instance_ids[row]]
    elif node.subject == "task:group":
        found = [name for name, tasks in view.groups.items() if tasks[row]]
    else:
        column = view.attributes.get(node.subject.removeprefix("attribute:"))
        found = [] if column is None or column.codes[row] < 0 else [column.values[column.codes[row]]]
    operator = node.operator
    if operator in ("exists", "!exists"):
        return bool(found) == (operator == "exists")
    if operator in ("=~", "!~"):
        return any(re.fullmatch(node.arguments[0], text) for text in found) == (operator == "=~")
    return any(text in node.arguments for text in found) == (operator in ("==", "in"))


@given(NODES, fleets())
def test_columns_select_what_one_instance_after_the_other_would(node: Node, fleet: Fleet) -> None:
    mask = parse(str(node)).mask(fleet.view())
    assert mask.tolist() == [_selected(node, row, fleet) for row in range(len(fleet))]
