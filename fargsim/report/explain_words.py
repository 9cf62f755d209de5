"""Recorded steps of placement decisions as sentences.

A row of `placement_steps` says what one rule said of one candidate. Here the rows of a rule become one sentence, rules that told nobody
apart share one, and attempts that ended alike are counted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from fargsim.policy.views import GROUP_ATTRIBUTE

SHOWN = 6
"""Candidates that are named in one line; the others are counted."""

OPTIONS = {"spot": "Fargate Spot", "on_demand": "Fargate"}

CHECKS = {
    "status": ("is ACTIVE", "are ACTIVE"),
    "agent": ("has its agent connected", "have their agents connected"),
    "cpu": ("has the {needed} that it needs", "have the {needed} that it needs"),
    "memory": ("has the {needed} that it needs", "have the {needed} that it needs"),
    "gpu": ("has the {needed} that it needs", "have the {needed} that it needs"),
    "eni": ("has the {needed} that it needs", "have the {needed} that it needs"),
    "ports": ("has host port {needed} free", "have host port {needed} free"),
    "subnets": ("lies in a zone of its subnets ({needed})", "lie in a zone of its subnets ({needed})"),
    "attributes": ("has what it asks for ({needed})", "have what it asks for ({needed})"),
    "distinctInstance": (
        "holds no other task of the group (distinctInstance)",
        "hold no other task of the group (distinctInstance)",
    ),
    "memberOf": ("meets the constraint {step}", "meet the constraint {step}"),
}
"""What is said of one candidate, and of several, that a check lets through; `it` is the task."""
FIGURES = ("cpu", "memory", "gpu", "eni", "memberOf")
"""Checks whose figures are worth a sentence even where they let everybody through."""

STOPS = {
    "health": "Tasks that do not count as healthy go first; it was {found}",
    "scale-in protection": "Tasks that are protected from scale-in stay; it was not protected",
    "standing": "Tasks that are not healthy yet go first; it was {found}",
    "capacity provider": "The capacity provider with the largest surplus gives one: {found}",
    "fullest zone": "The zone with the most tasks gives one: {found}",
    "zone rebalancing": "Its zone has too many and gives one, {needed}: it was {found}",
    "by lot": "A lot was drawn among those that were equal, and it fell on this one",
    "the newest": "Of equals the newest goes",
    "random": "A lot was drawn, and it fell on this one",
}
"""Why a task could be chosen when somebody had to go."""
SPARED = {
    "health": "not all that do not count as healthy had to go at once",
    "scale-in protection": "this one was protected from scale-in",
    "capacity provider": "the capacity provider that gave one was not its own ({found})",
    "fullest zone": "the zone that gave one was not its own ({found})",
    "by lot": "the lot among those that were equal fell on another",
    "the newest": "of equals the newest goes",
    "random": "the lot fell on another",
}
"""Why a task was not chosen in a turn before its own."""


@dataclass(frozen=True, slots=True)
class _Step:
    """One rule and the candidates it looked at."""

    name: str
    of: str
    rows: pd.DataFrame

    @property
    def let(self) -> pd.DataFrame:
        return self.rows[self.rows["passed"]]

    @property
    def out(self) -> pd.DataFrame:
        return self.rows[~self.rows["passed"]]

    @property
    def needed(self) -> str:
        return _plain(self.rows["needed"].iloc[0])

    @property
    def kind(self) -> str:
        return self.name.partition("(")[0]

    @property
    def told_apart(self) -> bool:
        return bool(len(self.out))

    @property
    def check(self) -> bool:
        return self.kind in CHECKS


def told_decisions(decisions: Sequence[pd.DataFrame], clock: Callable[[Any], str]) -> list[str]:
    """Tell the decisions about one task, in order: each begins with an empty line.

    Attempts of a waiting task between the first and the one that found a place are only counted.
    """
    lines: list[str] = []
    idle: list[pd.DataFrame] = []
    before: Any = None
    for rows in decisions:
        if rows["kind"].iloc[0] == "wait" and not _placed(rows):
            idle.append(rows)
            continue
        lines += _told_idle(idle, clock)
        idle = []
        at, of = rows["at"].iloc[0], rows["candidate_type"].iloc[0]
        steps = [_Step(str(name), of, told) for name, told in rows.groupby("step", sort=False)]
        if of == "instance":
            number = len(steps[0].rows)
            again = "again " if rows["kind"].iloc[0] == "wait" else ""
            what = "one container instance was" if number == 1 else f"{number} container instances were"
            lines += ["", f"At {clock(at)} {what} looked at {again}".rstrip() + ":"]
        elif at != before:
            lines += ["", f"At {clock(at)}:"]
        before = at if of != "instance" else None
        lines += [f"  {line}" for line in _sentences(steps)]
    return lines + _told_idle(idle, clock)


def told_stop(rows: pd.DataFrame, task_id: str) -> Iterator[str]:
    """Tell what each rule of one choice of whom to stop said of a task, until one spares it: then another was chosen."""
    for name, told in rows.groupby("step", sort=False):
        mine = told[told["candidate"] == task_id]
        if not len(mine):
            continue
        one = mine.iloc[0]
        if not one["passed"]:
            spared = SPARED.get(str(name), "{step} spared this one ({found})")
            yield f"  Another went first: {spared.format(step=name, found=_plain(one['found']))}."
            return
        kind = str(name).partition("(")[0]
        words = STOPS.get(str(name))
        if words is None and kind == "spread":
            words = "{step} takes from where the most are: {found}"
        elif words is None and kind == "binpack":
            words = "{step} takes from where the most would be left: {found}"
        words = words or "{step}: {found}"
        said = words.format(step=name, found=_plain(one["found"]), needed=_plain(one["needed"]))
        others = told[told["candidate"] != task_id]
        kept, out = others[others["passed"]], others[~others["passed"]]
        if len(out):
            spared = ", ".join(_short(t, f) for t, f in _first(out))
            said += f"; it spares {spared}{more(len(out))}"
        if len(kept):
            said += f"; {len(kept)} more {'is' if len(kept) == 1 else 'are'} left to choose from"
        yield f"  {said}."


def more(number: int) -> str:
    """Say how many are not named."""
    return f" and {number - SHOWN} more" if number > SHOWN else ""


def _placed(rows: pd.DataFrame) -> bool:
    last = rows[rows["step"] == rows["step"].iloc[-1]]
    return bool(last["passed"].any())


def _told_idle(idle: Sequence[pd.DataFrame], clock: Callable[[Any], str]) -> list[str]:
    """Say in one line how often a task was tried without finding a place."""
    if not idle:
        return []
    first, last = (clock(rows["at"].iloc[0]) for rows in (idle[0], idle[-1]))
    when = f"once, at {first}" if len(idle) == 1 else f"{len(idle)} times from {first} to {last}"
    newest = idle[-1].iloc[-1]
    if newest["step"] == "waiting line":
        why = f"an equal task in front of it, {str(newest['candidate'])[:8]}, had found no place"
    else:
        why = "no instance was left"
        if isinstance(newest["reason"], str):
            why += f": {newest['reason']}"
    return ["", f"It was tried again {when}, and stayed in PROVISIONING; the last time {why}."]


def _sentences(steps: Sequence[_Step]) -> Iterator[str]:
    """Tell the steps of one decision; checks that let everybody through share a sentence."""
    silent: list[_Step] = []
    rules: list[_Step] = []
    for step in steps:
        if step.check and not step.told_apart and (step.kind not in FIGURES or len(step.rows) > SHOWN):
            silent.append(step)
            continue
        if silent:
            yield _all(silent)
            silent = []
        if step.of == "instance" and not step.check and step.name not in ("daemon", "StartTask"):
            rules.append(step)
            continue
        yield from _told(step)
    if silent:
        yield _all(silent)
    yield from _told_rules(rules)


def _told(step: _Step) -> Iterator[str]:
    """Tell a step that is not of a strategy."""
    if step.check:
        yield from _told_check(step)
    elif step.of == "task":
        one = step.rows.iloc[0]
        yield f"It was not tried: {one['found']} (task {str(one['candidate'])[:8]})."
    elif step.name == "daemon":
        yield f"A daemon service wants one task on every instance; {_named(step.rows)} had none."
    elif step.name == "StartTask":
        yield f"The caller of StartTask chose {_named(step.rows)}; strategies and constraints are not asked."
    elif step.of == "account":
        yield from _told_account(step)
    elif step.of == "capacity provider":
        yield f"It is the turn of {_named(step.let)} by base and weight; not of {_named(step.out)}."
    elif step.of == "zone" and step.name == "random":
        yield f"A lot among {len(step.rows)} zones fell on {_named(step.let)}."
    elif step.of == "zone":
        rest = f"; not to {_named(step.out)}" if step.told_apart else ""
        yield f"It goes to the zone with the fewest tasks, the first of equals: {_named(step.let)}{rest}."
    elif step.of == "cluster":
        yield "The cluster has no active container instance."
    else:
        yield f"{step.name}: {_named(step.let)}; not {_named(step.out)}."


def _all(steps: Sequence[_Step]) -> str:
    """Tell checks that let everybody through in one sentence."""
    rows = steps[0].rows
    one = len(rows) == 1
    said = [CHECKS[s.kind][0 if one else 1].format(needed=s.needed, step=s.name) for s in steps]
    who = str(rows["candidate"].iloc[0]) if one else "Both" if len(rows) == 2 else f"All {len(rows)}"
    return f"{who} {_and(said)}."


def _told_check(step: _Step) -> Iterator[str]:
    let, out = step.let, step.out
    one, many = (words.format(needed=step.needed, step=step.name) for words in CHECKS[step.kind])
    if not len(let):
        yield f"None is left that {one}: {_named(out)}. So it found no place: {out['reason'].iloc[0] or 'refused'}"
    elif not len(out):
        who = "Both" if len(let) == 2 else f"All {len(let)}"
        yield f"{_named(let)} {one}." if len(let) == 1 else f"{who} {many}: {_named(let)}."
    else:
        who = f"{len(let)} of {len(step.rows)}"
        yield f"{who} {one if len(let) == 1 else many}: {_named(let)}; not {_named(out)}."


def _told_account(step: _Step) -> Iterator[str]:
    row = step.rows.iloc[0]
    option = OPTIONS.get(str(row["candidate"]), str(row["candidate"]))
    if step.name == "launch rate":
        left = f"{row['found']} of {option}"
        yield f"The launch rate allows it: {left}." if row["passed"] else f"The launch rate is used up: {left}."
    else:
        fits = "fit" if row["passed"] else "do not fit"
        yield f"Its {step.needed} {fits} the account's quota of {option}: {row['found']}."


def _told_rules(rules: Sequence[_Step]) -> Iterator[str]:
    """Tell the rules of a strategy, until one candidate is left."""
    at = next((n for n, step in enumerate(rules) if len(step.rows) == 1), len(rules))
    for step in rules[:at]:
        if step.name == "random":
            yield f"A lot among {len(step.rows)} fell on {_named(step.let)}."
        elif step.name == "registration order":
            yield f"What is equal goes by registration: {_names(step.let)} came first, before {_names(step.out)}."
        elif not step.told_apart:
            who = "both" if len(step.let) == 2 else f"all {len(step.let)}"
            yield f"By {step.name} {who} are equal: {_named(step.let)}."
        else:
            verb = "takes the one" if len(step.let) == 1 else "leaves those"
            yield f"{step.name} {verb} {_those(step)}: {_named(step.let)}; not {_named(step.out)}."
    if at < len(rules):
        rest = _and([step.name for step in rules[at:] if step.name != "registration order"])
        if at == 0:
            yield f"Only {rules[0].rows['candidate'].iloc[0]} is left: the strategy has nothing to choose ({rest})."
        elif rest:
            yield f"Only {rules[at].rows['candidate'].iloc[0]} is left: nothing remains to choose for {rest}."


def _those(step: _Step) -> str:
    if step.kind == "binpack":
        return "with the least left"
    return "where the fewest tasks of the group are" if step.kind == "spread" else step.needed


def _named(rows: pd.DataFrame) -> str:
    """Name candidates with what they have; beyond a handful only count them."""
    return ", ".join(_with(c, f) for c, f in _first(rows)) + more(len(rows))


def _names(rows: pd.DataFrame) -> str:
    return ", ".join(str(c) for c, _ in _first(rows)) + more(len(rows))


def _first(rows: pd.DataFrame) -> list[tuple[str, Any]]:
    return list(zip(rows["candidate"].head(SHOWN), rows["found"].head(SHOWN), strict=True))


def _with(candidate: str, found: Any) -> str:
    said = _plain(found)
    return f"{candidate} ({said})" if said and said not in ("ACTIVE", "connected", "all of them") else str(candidate)


def _short(task: str, found: Any) -> str:
    said = _plain(found)
    return f"{task[:8]} ({said})" if said else task[:8]


def _plain(text: Any) -> str:
    return text.replace(f"{GROUP_ATTRIBUTE} = ", "Auto Scaling group ") if isinstance(text, str) else ""


def _and(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}" if parts else ""
