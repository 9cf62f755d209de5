"""What a file is told of tasks that its capacity cannot hold."""

from __future__ import annotations

from pathlib import Path

from capacity_files import MANAGED, mixed, place, text

from fargsim.catalog import ec2_on_demand_price, instance_type, instance_types
from fargsim.load import validate_file

MI = "[{capacityProvider: mi, weight: 1}]"


def test_a_task_that_no_instance_holds_is_noted_with_the_smallest_type_that_would_do(tmp_path: Path) -> None:
    report = validate_file(place(tmp_path, text(cpu=4096)))
    assert report.ok
    [note] = [n for n in report.notes if n.startswith("tasks of job on capacity provider cp")]
    assert note == (
        "tasks of job on capacity provider cp: no c5.large holds one (4096 CPU units, 1024 MiB), so they stay PROVISIONING and stop "
        "in the end; the smallest type that would do is " + note.rpartition(" ")[2]
    )
    # four vCPUs with so little memory: the cheapest of them
    best = note.rpartition(" ")[2]
    assert instance_type(best).vcpu >= 4
    assert ec2_on_demand_price(best, "us-east-1").value <= ec2_on_demand_price("c5.xlarge", "us-east-1").value
    assert not [n for n in validate_file(place(tmp_path, text())).notes if "PROVISIONING" in n]


def test_health_checks_of_a_load_balancer_are_noted(tmp_path: Path) -> None:
    notes = validate_file(place(tmp_path, text(group="HealthCheckType: ELB"))).notes
    assert "HealthCheckType ELB of Auto Scaling group asg is not simulated: EC2 checks only" in notes


def test_the_guard_is_the_smallest_type_of_a_mixed_group(tmp_path: Path) -> None:
    template = mixed("[{InstanceType: c5.4xlarge}, {InstanceType: c5.large}]")
    [note] = [n for n in validate_file(place(tmp_path, text(cpu=4096, template=template))).notes if "PROVISIONING" in n]
    assert "managed scaling goes by the smallest type of the group" in note


def test_the_smallest_type_is_so_by_vcpu_memory_and_price(tmp_path: Path) -> None:
    [note] = [n for n in validate_file(place(tmp_path, text(cpu=4096))).notes if "PROVISIONING" in n]
    found = instance_type(note.rpartition(" ")[2])
    assert (found.vcpu, found.memory_mib, found.architecture) == (4, 8192, "x86_64")
    price = ec2_on_demand_price(found.name, "us-east-1").value
    same = [t.name for t in instance_types().values() if (t.vcpu, t.memory_mib, t.architecture) == (4, 8192, "x86_64")]
    assert price == min(ec2_on_demand_price(name, "us-east-1").value for name in same)


def test_a_task_for_another_processor_fits_no_instance(tmp_path: Path) -> None:
    document = text().replace(
        "networkMode: bridge", "networkMode: bridge\n    runtimePlatform: {cpuArchitecture: ARM64}"
    )
    [note] = [n for n in validate_file(place(tmp_path, document)).notes if "PROVISIONING" in n]
    assert "no c5.large holds one (512 CPU units, 1024 MiB, arm64)" in note
    best = instance_type(note.rpartition(" ")[2])
    assert (best.architecture, best.vcpu) == ("arm64", 1)


def test_without_managed_scaling_such_a_task_is_refused(tmp_path: Path) -> None:
    document = text(cpu=4096).replace("managedScaling: {status: ENABLED}", "managedScaling: {status: DISABLED}")
    [note] = [n for n in validate_file(place(tmp_path, document)).notes if n.startswith("tasks of job on")]
    assert "so they are refused; the smallest type that would do is" in note


def test_a_task_that_managed_instances_cannot_hold(tmp_path: Path) -> None:
    requirements = "instanceRequirements: {vCpuCount: {max: 2}, memoryMiB: {max: 4096}}, "
    managed = MANAGED.replace("instanceLaunchTemplate: {", "instanceLaunchTemplate: {" + requirements)
    document = text(cpu=4096, provider=managed, more=", mi", strategy=MI).replace(
        "networkMode: bridge", "networkMode: host"
    )
    [note] = [n for n in validate_file(place(tmp_path, document)).notes if n.startswith("tasks of job on")]
    assert note.startswith(
        "tasks of job on capacity provider mi: no type that meets the instanceRequirements holds one (4096 CPU units, 1024 MiB), "
        "so they stay PROVISIONING and stop in the end; the smallest type that would do is "
    )
