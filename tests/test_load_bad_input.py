"""Every kind of bad input that the project promises to answer: with file, line, column, path and what is legal."""

from __future__ import annotations

import copy
import pickle
import time
import tracemalloc
from pathlib import Path

import pytest
from load_examples import EC2, SCENARIO, TASK_DEFINITION, changed, faults, line_of, place, variant_faults

from fargsim.load import LocatedIssue, ScenarioError, load, load_variants

FARGATE_1_VCPU = (
    "No Fargate configuration exists for given values: 1024 CPU units (1 vCPU) on Fargate go with memory of 2048 to 8192 MiB in steps "
    "of 1024, not 1024"
)


def test_the_example_is_sound(tmp_path: Path) -> None:
    scenario = load(place(tmp_path))
    assert scenario.services[0].desired_count == 4
    assert scenario.task_definitions[0].memory_mib == 2048


def test_a_truncated_file_is_told_at_its_last_line(tmp_path: Path) -> None:
    cut = SCENARIO[: SCENARIO.index(", subnet-b], assign")]
    lines = cut.split("\n")
    message = f"the file ends too early: the list that begins on line {len(lines)} is not closed"
    path = "services[0].networkConfiguration.awsvpcConfiguration.subnets[1]"
    assert faults(place(tmp_path, cut)) == [("scenario.yaml", len(lines), len(lines[-1]) + 1, path, message)]


def test_a_truncated_json_file_is_told_at_its_last_line(tmp_path: Path) -> None:
    text = '{\n  "family": "web",\n  "containerDefinitions": [\n    {"name": "a"\n'
    found = faults(place(tmp_path, SCENARIO, text))
    assert found == [("web.taskdef.json", 4, 17, "containerDefinitions[0]", "the file ends too early")]


def test_a_misspelt_key_is_told_once_with_the_right_one_and_all_that_are_legal(tmp_path: Path) -> None:
    text = changed("MinCapacity: 2", "MinCapcity: 2")
    [(file, line, col, path, message)] = faults(place(tmp_path, text))
    assert (file, line, col) == ("scenario.yaml", *line_of("MinCapcity", text))
    assert path == "scaling[0].MinCapcity"
    assert message == (
        "unknown key 'MinCapcity': did you mean 'MinCapacity'? legal keys are service, cluster, MinCapacity, MaxCapacity, policies, "
        "scheduled_actions, ServiceNamespace, ResourceId, ScalableDimension, SuspendedState"
    )


@pytest.mark.parametrize(
    ("cpu", "memory", "key", "message"),
    [
        ("1024", "1024", "memory", FARGATE_1_VCPU),
        (
            "256",
            "4096",
            "memory",
            "No Fargate configuration exists for given values: 256 CPU units (0.25 vCPU) on Fargate go with memory of 512, 1024 or "
            "2048 MiB, not 4096",
        ),
        (
            "300",
            "2048",
            "cpu",
            "Invalid 'cpu' setting for task: Fargate has no task size with 300 CPU units: legal are 256, 512, 1024, 2048, 4096, "
            "8192, 16384 and 32768",
        ),
    ],
)
def test_a_fargate_pair_that_does_not_exist(cpu: str, memory: str, key: str, message: str, tmp_path: Path) -> None:
    definition = copy.deepcopy(TASK_DEFINITION) | {"cpu": cpu, "memory": memory}
    definition["containerDefinitions"][0] |= {"cpu": 128, "memory": 512}
    path = place(tmp_path, SCENARIO, definition)
    line, col = line_of(
        f'"{cpu if key == "cpu" else memory}"' if cpu != memory else '"memory": "1024"',
        path.with_name("web.taskdef.json").read_text(),
    )
    if cpu == memory:
        col += len('"memory": ')
    assert faults(path) == [("web.taskdef.json", line, col, key, message)]


def test_container_memory_above_task_memory(tmp_path: Path) -> None:
    definition = copy.deepcopy(TASK_DEFINITION)
    definition["containerDefinitions"][0]["memory"] = 4096
    path = place(tmp_path, SCENARIO, definition)
    line, col = line_of("4096", path.with_name("web.taskdef.json").read_text())
    message = "container app has 4096 MiB, more than the task's memory of 2048 MiB"
    assert faults(path) == [("web.taskdef.json", line, col, "containerDefinitions[0].memory", message)]


def test_an_awsvpc_host_port_that_differs_from_its_container_port(tmp_path: Path) -> None:
    definition = copy.deepcopy(TASK_DEFINITION)
    definition["containerDefinitions"][0]["portMappings"][0]["hostPort"] = 8080
    path = place(tmp_path, SCENARIO, definition)
    line, col = line_of("8080", path.with_name("web.taskdef.json").read_text())
    message = "container app: in awsvpc mode hostPort (8080) must be left out or equal containerPort (80)"
    assert faults(path) == [
        ("web.taskdef.json", line, col, "containerDefinitions[0].portMappings[0].hostPort", message)
    ]


@pytest.mark.parametrize(
    ("old", "new", "path"),
    [
        ("- {to: web,", "- {to: wev,", "traffic[0].to"),
        ("  - service: web\n", "  - service: wev\n", "scaling[0].service"),
        (
            "{service: web, desiredCount: 6}",
            "{service: wev, desiredCount: 6}",
            "timeline[0].ecs.update_service.service",
        ),
    ],
)
def test_a_reference_to_a_service_that_is_not_there(old: str, new: str, path: str, tmp_path: Path) -> None:
    text = changed(old, new)
    assert faults(place(tmp_path, text)) == [
        ("scenario.yaml", *line_of("wev", text), path, "there is no service 'wev': did you mean web?")
    ]


def test_a_negative_rate(tmp_path: Path) -> None:
    text = changed("100 /s", "-3 /s")
    assert faults(place(tmp_path, text)) == [
        ("scenario.yaml", *line_of("-3 /s", text), "traffic[0].rate.constant", "'-3 /s' is negative")
    ]


@pytest.mark.parametrize(
    ("start", "message"),
    [
        ("2026-03-02T00:00:00[Europe/Berln]", "there is no time zone 'Europe/Berln': did you mean Europe/Berlin"),
        (
            "2026-03-02T00:00:00 Mars",
            "there is no time zone 'Mars': write an IANA name like Europe/Berlin, or an offset",
        ),
        ("2026-03-02T00:00:00", "says no time zone: write it like 2026-03-02T00:00:00Z"),
        ("2026-03-02T00:00:00+99:00", "'2026-03-02T00:00:00+99:00' is not an instant"),
        ("2026-02-30T00:00:00Z", "'2026-02-30T00:00:00Z' is not an instant"),
    ],
)
def test_a_time_zone_that_does_not_exist(start: str, message: str, tmp_path: Path) -> None:
    text = changed("2026-03-02T00:00:00Z", f'"{start}"')
    [found] = faults(place(tmp_path, text))
    assert found[:4] == ("scenario.yaml", *line_of(f'"{start}"', text), "start")
    assert found[4].startswith(message)


def test_a_time_zone_that_exists_is_turned_into_utc(tmp_path: Path) -> None:
    scenario = load(place(tmp_path, changed("2026-03-02T00:00:00Z", "2026-03-02T00:00:00[Europe/Berlin]")))
    assert scenario.start.isoformat() == "2026-03-01T23:00:00+00:00"


def bomb(levels: int = 12, width: int = 10) -> str:
    lines = ["a0: &a0 [" + ", ".join(["xxxxxxxx"] * width) + "]"]
    lines += [f"a{n}: &a{n} [" + ", ".join([f"*a{n - 1}"] * width) + "]" for n in range(1, levels)]
    return "\n".join(lines) + "\n"


def test_an_alias_bomb_is_refused_before_it_grows(tmp_path: Path) -> None:
    # 12 levels of 10 would be 10^12 values
    path = place(tmp_path, bomb())
    tracemalloc.start()
    begun = time.perf_counter()
    found = faults(path)
    seconds = time.perf_counter() - begun
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    message = "the document grows beyond 500000 values here (aliases are counted with all they stand for)"
    assert found == [("scenario.yaml", 6, 25, "a5[3]", message)]
    assert peak_bytes < 20_000_000
    assert seconds < 10


def test_a_bomb_of_100_mb_on_disk_is_not_read(tmp_path: Path) -> None:
    path = place(tmp_path, "")
    with path.open("wb") as stream:
        stream.truncate(100_000_000)
    tracemalloc.start()
    found = faults(path)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found == [("scenario.yaml", 1, 1, ".", "the file is larger than 10,000,000 bytes, the most that is read")]
    assert peak_bytes < 40_000_000


def test_a_bomb_of_merge_keys_is_refused(tmp_path: Path) -> None:
    text = "a0: &a0 {" + ", ".join(f"k{n}: v" for n in range(100)) + "}\n"
    text += "".join(f"a{n}: &a{n} [{', '.join(['{<<: *a0}'] * 100)}]\n" for n in range(1, 200))
    [(file, _, _, path, message)] = faults(place(tmp_path, text))
    assert (file, path.partition("[")[0], message[:35]) == (
        "scenario.yaml",
        "a50",
        "the document grows beyond 500000 va",
    )


OUTSIDE = "lies outside the scenario's folder: files a scenario names must be inside it (--allow-outside allows others)"


def test_a_task_definition_outside_the_folder_needs_allow_outside(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    place(tmp_path)
    path = tmp_path / "a" / "b" / "scenario.yaml"
    text = changed("file: web.taskdef.json", "file: ../../web.taskdef.json")
    path.write_text(text)
    at = line_of("../../web.taskdef.json", text)
    assert faults(path) == [("scenario.yaml", *at, "taskDefinitions[0].file", f"'../../web.taskdef.json' {OUTSIDE}")]
    assert load(path, allow_outside=True) == load(tmp_path / "scenario.yaml")


def test_a_link_that_leads_outside_the_folder_is_outside(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    path = place(tmp_path / "in")
    (tmp_path / "in" / "web.taskdef.json").rename(tmp_path / "web.taskdef.json")
    (tmp_path / "in" / "web.taskdef.json").symlink_to(tmp_path / "web.taskdef.json")
    at = line_of("web.taskdef.json")
    assert faults(path) == [("scenario.yaml", *at, "taskDefinitions[0].file", f"'web.taskdef.json' {OUTSIDE}")]


def test_a_trace_outside_the_folder_needs_allow_outside(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "trace.csv").write_text("timestamp,value\n2026-01-01 00:00:00,60\n2026-01-01 00:01:00,30\n")
    text = changed("{constant: 100 /s}", "{trace: {file: ../trace.csv}}")
    path = place(tmp_path / "in", text)
    at = line_of("../trace.csv", text)
    assert faults(path) == [("scenario.yaml", *at, "traffic[0].rate.trace.file", f"'../trace.csv' {OUTSIDE}")]
    counts = load(path, allow_outside=True).traffic[0].rate.counts
    assert counts is not None
    assert counts.values == (60, 30)


def test_an_absolute_path_is_outside(tmp_path: Path) -> None:
    text = changed("{constant: 100 /s}", "{timestamps: {file: /etc/passwd}}")
    [(_, _, _, path, message)] = faults(place(tmp_path, text))
    assert (path, message) == ("traffic[0].rate.timestamps.file", f"'/etc/passwd' {OUTSIDE}")


def test_a_file_that_is_not_there_names_those_that_look_like_it(tmp_path: Path) -> None:
    text = changed("web.taskdef.json", "web.taskdeff.json")
    path = place(tmp_path, text)
    message = "'web.taskdeff.json': there is no such file: did you mean web.taskdef.json?"
    # the service refers to a family of the missing file: that is not told a second time
    assert faults(path) == [("scenario.yaml", *line_of("web.taskdeff.json", text), "taskDefinitions[0].file", message)]
    missing = tmp_path / "scenari.yaml"
    assert faults(missing) == [("scenari.yaml", 1, 1, ".", "there is no such file: did you mean scenario.yaml?")]
    assert faults(tmp_path) == [(tmp_path.name, 1, 1, ".", "is not a regular file")]


MANY = """\
schema: 2
name: many faults
regoin: us-east-1
start: tomorrow
duration: 400 d
network:
  subnets:
    - {SubnetId: subnet-a, AvailabilityZone: us-east-1z}
taskDefinitions:
  - file: web.taskdef.json
  - family: api
    cpu: lots
    containerDefinitions: [{name: api, image: x}]
behaviour:
  web: {boot: 5, request: {cpu: 10 ms}}
  nobody: {}
services:
  - {serviceName: web, taskDefinition: web, desiredCount: -1}
  - {serviceName: api, taskDefinition: apy, launchType: fargate}
  - {serviceName: jobs, taskDefinition: "web:7", cluster: blue}
traffic:
  - {to: nowhere, rate: {constant: 5}}
  - {to: jobs, rate: {constant: 5 /s, daily: [1]}}
quotas: {fargate_vcpus: 3}
assumptions: {service_reaction: 5, scheduler_tick_s: soon}
"""


def test_all_faults_of_all_kinds_come_in_one_pass(tmp_path: Path) -> None:
    definition = copy.deepcopy(TASK_DEFINITION) | {"memory": "2000"}
    definition["containerDefinitions"][0] |= {"memory": 1000, "cpus": 1}
    path = place(tmp_path, MANY, definition)
    text = path.with_name("web.taskdef.json").read_text()
    found = {(file, line, path): message for file, line, _, path, message in faults(path)}
    told = {
        ("scenario.yaml", 1, "schema"): "must be 1, not 2",
        ("scenario.yaml", 2, "name"): "'many faults' does not match the pattern",
        ("scenario.yaml", 3, "regoin"): "unknown key 'regoin': did you mean 'region'?",
        ("scenario.yaml", 4, "start"): "'tomorrow' is not an instant",
        ("scenario.yaml", 5, "duration"): "must be at most 366 d, not '400 d'",
        ("scenario.yaml", 8, "network.subnets[0].AvailabilityZone"): "there is no zone of us-east-1 'us-east-1z'",
        (
            "web.taskdef.json",
            line_of("cpus", text)[0],
            "containerDefinitions[0].cpus",
        ): "unknown key 'cpus': did you mean 'cpu'?",
        ("web.taskdef.json", line_of('"memory": "2000"', text)[0], "memory"): "No Fargate configuration exists",
        ("scenario.yaml", 12, "taskDefinitions[1].cpu"): "'lots' is not an amount of CPU",
        ("scenario.yaml", 15, "behaviour.web.boot"): "5 has no unit: write a duration like '250 ms'",
        ("scenario.yaml", 16, "behaviour.nobody"): "there is no task definition 'nobody': there are api, web",
        ("scenario.yaml", 18, "services[0].desiredCount"): "must be at least 0, not -1",
        (
            "scenario.yaml",
            19,
            "services[1].launchType",
        ): "must be one of EC2, FARGATE, EXTERNAL, not 'fargate' (did you mean FARGATE?)",
        ("scenario.yaml", 19, "services[1].taskDefinition"): "there is no task definition 'apy': did you mean api?",
        ("scenario.yaml", 20, "services[2].taskDefinition"): "there is no revision '7' of web: there is web:1",
        ("scenario.yaml", 20, "services[2].cluster"): "there is no cluster 'blue': there is default",
        ("scenario.yaml", 22, "traffic[0].to"): "there is no service 'nowhere': there are api, web",
        ("scenario.yaml", 22, "traffic[0].rate.constant"): "5 has no unit: write a rate like '300 /s'",
        ("scenario.yaml", 23, "traffic[1].rate.daily"): "must have at least 24 elements, not 1",
        ("scenario.yaml", 23, "traffic[1].to"): "there is no service 'jobs': there are api, web",
        ("scenario.yaml", 24, "quotas.fargate_vcpus"): "there is no quota 'fargate_vcpus'",
        ("scenario.yaml", 25, "assumptions.service_reaction"): "there is no parameter 'service_reaction'",
        ("scenario.yaml", 25, "assumptions.scheduler_tick_s"): "scheduler_tick_s must be a number (s), not 'soon'",
    }
    for place_, beginning in told.items():
        assert found[place_].startswith(beginning), (place_, found.get(place_))
    assert found.keys() == told.keys()


def test_a_fault_hides_no_fault_of_another_part_and_causes_none(tmp_path: Path) -> None:
    # the service is at fault itself, but what refers to it does not dangle
    text = changed("desiredCount: 4", "desiredCount: four")
    assert [f[3] for f in faults(place(tmp_path, text))] == ["services[0].desiredCount"]
    text = changed("MaxCapacity: 60", "MaxCapacity: 1", text)
    text = changed("{constant: 100 /s}", "{constant: 100}", text)
    assert [f[3] for f in faults(place(tmp_path, text))] == [
        "services[0].desiredCount",
        "scaling[0]",
        "traffic[0].rate.constant",
    ]


@pytest.mark.parametrize(
    ("raw", "line", "col", "message"),
    [
        (b"name: x\nb: caf\xe9\n", 2, 7, "the byte 0xE9 is not UTF-8"),
        ("näme: ä\n".encode() + b"x: \xff", 2, 4, "the byte 0xFF is not UTF-8"),
        (b"name: x\nb: a\0b\n", 2, 5, "a NUL character is not allowed"),
        ("name: x".encode("utf-16"), 1, 1, "the file is not UTF-8 but UTF-16: save it as UTF-8"),
        (b"name: x\nb: \x07\n", 2, 4, "the character U+0007 is not allowed in YAML"),
        (b"", 1, 1, "the file is empty"),
        (b"# only words\n", 1, 1, "the file is empty"),
        (b"- a\n", 1, 1, "a scenario is a mapping, with keys such as name, duration and services"),
        (b'name: "\\ud800"\n', 1, 7, "the text holds half a surrogate pair, U+D800"),
        (b"name: &x [*x]\n", 1, 11, "the alias *x stands inside its own anchor"),
        (b"name: a\nduration: 1 h\nname: b\n", 3, 1, "the key 'name' stands twice (first on line 1)"),
        (
            b"name: !!python/object/apply:os.system ['true']\n",
            1,
            7,
            "the tag !!python/object/apply:os.system is not allowed: write plain values",
        ),
        (b"name: !Ref x\n", 1, 7, "the tag !Ref is not allowed: write plain values"),
        (b"name: a\n---\nname: b\n", 2, 1, "a second YAML document begins here: write one document per file"),
        (b"name: .nan\n", 1, 7, ".nan is not a finite number"),
        (b"? [a]\n: b\n", 1, 3, "a key must be a text, not a list or mapping"),
    ],
)
def test_what_is_no_document_is_told_where(raw: bytes, line: int, col: int, message: str, tmp_path: Path) -> None:
    path = place(tmp_path, "")
    path.write_bytes(raw)
    [(file, found_line, found_col, _, found)] = faults(path)
    assert (file, found_line, found_col, found) == ("scenario.yaml", line, col, message)


def test_deep_nesting_is_refused(tmp_path: Path) -> None:
    [(_, line, col, _, message)] = faults(place(tmp_path, "a: " + "[" * 5000))
    assert (line, col, message) == (1, 67, "values are nested more than 64 deep")
    [(_, line, col, _, message)] = faults(place(tmp_path, '{"a": ' + "[" * 5000, name="scenario.json"))
    assert (line, col, message) == (1, 70, "values are nested more than 64 deep")


def test_a_fault_is_one_line_whatever_the_file_holds(tmp_path: Path) -> None:
    [issue] = _issues(place(tmp_path, changed("regio" + "n:", '"re\\ngion\\e[31m":')))
    assert str(issue).startswith(
        f"{tmp_path}/scenario.yaml:3:1: re\\ngion\\x1b[31m: unknown key 're\\ngion\\x1b[31m': did you mean 'region'?"
    )


def _issues(path: Path) -> tuple[LocatedIssue, ...]:
    with pytest.raises(ScenarioError) as caught:
        load(path)
    return caught.value.issues


def test_faults_stand_in_the_order_of_their_lines(tmp_path: Path) -> None:
    text = changed("seed" if "seed" in SCENARIO else "schema: 1", "schema: 9")
    text = changed("quotas: {fargate_on_demand_vcpu: 200}", "quotas: {x: 1}", text)
    text = changed("region: us-east-1", "region: us-east-9", text)
    text = changed("{service: web, desiredCount: 6}", "{service: wob, desiredCount: 6}", text)
    lines = [f[1] for f in faults(place(tmp_path, text))]
    assert lines == sorted(lines)
    assert len(lines) == 3


def test_a_fault_of_one_variant_says_whose_it_is_and_points_into_it(tmp_path: Path) -> None:
    text = (
        SCENARIO
        + EC2
        + (
            "variants:\n"
            "  a: {}\n"
            "  b:\n"
            "    services:\n"
            "      - {serviceName: web, desiredCount: -2}\n"
            "  c: {slo: {latency_p9: 3 s}, seed: -1}\n"
        )
    )
    base = text.count("\n") - 6
    found = variant_faults(place(tmp_path, text))
    assert [(f[1] - base, f[2], f[3]) for f in found] == [
        (5, 42, "services[0].desiredCount"),
        (6, 13, "slo.latency_p9"),
        (6, 37, "seed"),
    ]
    assert [f[4] for f in found][::2] == [
        "must be at least 0, not -2 (legal: 0 to 5000) (variant b)",
        "must be at least 0, not -1 (variant c)",
    ]
    common = changed("seed" if "seed:" in SCENARIO else "duration: 24 h", "duration: 24", text)
    assert faults(place(tmp_path, common)) == variant_faults(place(tmp_path, common))[:1]


def test_load_variants_gives_every_variant_in_order(tmp_path: Path) -> None:
    path = place(tmp_path, SCENARIO + "variants: {b: , a: {seed: 4}}\n")
    found = load_variants(path)
    assert [(name, s.variant, s.seed) for name, s in found.items()] == [("b", "b", 1), ("a", "a", 4)]
    assert list(load_variants(place(tmp_path))) == ["default"]
    with pytest.raises(ScenarioError, match="variants: there is no variant 'c': it has b, a"):
        load(place(tmp_path, SCENARIO + "variants: {b: , a: {seed: 4}}\n"), variant="c")


def test_an_error_travels_between_processes(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError) as caught:
        load(place(tmp_path, changed("desiredCount: 4", "desiredCount: -4")))
    again = pickle.loads(pickle.dumps(caught.value))
    assert (again.issues, str(again)) == (caught.value.issues, str(caught.value))
