"""A whole bill, one dictionary and one loop at a time: what `fargsim.report.cost` must agree with, however it reckons.

It shares the prices with the code under test, and nothing else. Money is kept by (item, hour since 1970, task, instance, service).
"""

from __future__ import annotations

import math
from collections import defaultdict
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import pandas as pd
from slow_commitments import HOUR, Bill, Coverable, SlowCommitments

from fargsim.catalog import instance_types
from fargsim.report.cost_terms import BillingTerms

SECOND, GB, MIB = 1_000_000, 2**30, 2**20
Row = dict[str, Any]


def rows_of(frame: pd.DataFrame | None) -> list[Row]:
    """Rows as dictionaries: instants as microseconds since 1970, what is absent as None."""
    if frame is None or frame.empty:
        return []
    found = []
    for row in frame.to_dict("records"):
        plain: Row = {}
        for key, value in row.items():
            if isinstance(value, pd.Timestamp):
                plain[key] = value.value // 1000
            else:
                plain[key] = None if pd.isna(value) else value
        found.append(plain)
    return found


def spread(begin: int, end: int, *, least_s: int = 0, step_us: int = SECOND) -> dict[int, int]:
    """Microseconds by hour; what rounding up and a minimum add goes into the hour in which the use ends."""
    found: dict[int, int] = defaultdict(int)
    at = begin
    while at < end:
        until = min(end, (at // HOUR + 1) * HOUR)
        found[at // HOUR] += until - at
        at = until
    billed = max(-(-(end - begin) // step_us) * step_us, least_s * SECOND)
    found[(end - 1) // HOUR if end > begin else begin // HOUR] += billed - (end - begin)
    return found


def first(*values: int | None) -> int | None:
    return next((v for v in values if v is not None), None)


class SlowBill:
    """The bill of some tables under some terms: `usd` and `usage` (what a commitment may cover, by kind)."""

    def __init__(self, tables: dict[str, pd.DataFrame], terms: BillingTerms) -> None:
        self.terms, self.start, self.end = terms, terms.start_us, terms.end_us
        names = ("tasks", "instances", "services", "cpu_credits")
        self.tasks, self.instances, self.services, self.credits = (rows_of(tables.get(n)) for n in names)
        self.hosts = {h["instance_id"]: h for h in self.instances}
        self.usd: Bill = defaultdict(float)
        self._coverable: list[Coverable] = []
        for task in self.tasks:
            self._task(task)
        for host in self.instances:
            self._host(host)
        for row in self.credits:
            self._credit(row)
        self._balancers()
        self._gateways()
        self._around()
        for key, usd in SlowCommitments(terms, self._coverable).usd.items():
            self.usd[key] += usd

    # money

    def add(self, item: str, hour: int, amount: float, price: float, *, kind: str | None = None, **whose: Any) -> None:
        key = (item, hour, whose.get("task"), whose.get("instance"), whose.get("service"))
        if kind is None:
            self.usd[key] += amount * price
        elif amount:
            self._coverable.append((kind, item, amount, price, key))

    def price(self, name: str) -> float:
        return self.terms.other(name).value

    def number(self, name: str) -> float:
        return self.terms.parameters.number(name)

    def task_end(self, task: Row) -> int:
        return min(first(task["execution_stopped_at"], task["stopped_at"], self.end) or 0, self.end)

    # compute

    def _task(self, task: Row) -> None:
        begin = task["pull_started_at"]
        if task["launch_type"] != "FARGATE" or begin is None or begin >= self.end:
            return
        windows, spot = task["operating_system_family"] != "LINUX", task["capacity_provider"] == "FARGATE_SPOT"
        chip = "windows" if windows else "arm64" if task["cpu_architecture"] == "ARM64" else "x86"
        vcpu, gb = task["cpu_units"] / 1024, task["memory_mib"] / 1024
        spot = spot and not windows
        lines = [
            (f"fargate {'spot ' if spot else ''}vCPU", f"{chip}_vcpu", vcpu),
            (f"fargate {'spot ' if spot else ''}memory", f"{chip}_memory", gb),
            ("fargate ephemeral storage", "storage", max(0.0, (task["ephemeral_storage_gib"] or 20) - 20)),
        ]
        if windows:
            lines.append(("fargate Windows licence", "windows_os", vcpu))
        for hour, us in spread(begin, max(begin, self.task_end(task)), least_s=300 if windows else 60).items():
            for item, name, size in lines:
                at_spot = item.startswith("fargate spot")
                usd = self.terms.fargate(name, spot=at_spot).value if size else 0.0
                kind = None if at_spot else f"fargate:{name}"
                if name in ("storage", "windows_os"):
                    kind = None
                whose = {"task": task["task_id"], "service": task["service"]}
                self.add(item, hour, us / HOUR * size, usd, kind=kind, **whose)

    def _host(self, host: Row) -> None:
        name, kind = host["instance_id"], host["instance_type"]
        end = min(first(host["terminated_at"], self.end) or 0, self.end)
        windows = str(host.get("operating_system_family") or "LINUX") != "LINUX"
        spot = host["market"] == "spot"
        running = host["running_at"]
        gone = host["terminated_at"]
        free = (
            spot
            and running is not None
            and running > self.start
            and gone is not None
            and gone - running < HOUR
            and str(host.get("status_reason")).startswith("Server.SpotInstanceTermination")
        )
        if running is not None and running < self.end:
            stop, again = host.get("stopped_at"), host.get("restarted_at")
            spans, serves = [(running, end)], (running, end)
            if stop is not None and stop < end:
                spans, serves = [(running, stop)], None
                if again is not None and again < end:
                    spans, serves = [(running, stop), (again, end)], (again, end)
            used = self._used(host, serves) if serves else {}
            whole: dict[int, float] = defaultdict(float)
            for low, high in spans:
                for hour, us in spread(low, max(low, high), least_s=60).items():
                    whole[hour] += us
            usd = 0.0 if free else self.terms.ec2(kind, spot=spot).value
            facts = instance_types()[kind]
            licensed = facts.vcpu if facts.credits is None else facts.credits.credits_per_hour / 60
            licence = 0.0 if free else self.price("ec2_windows_licence")
            cover = None if spot else f"{'ec2_windows' if windows else 'ec2'}:{kind}"
            title = "ec2 spot instance" if spot else "ec2 instance"
            parts = [("used", t, h, us) for (t, h), us in used.items()]
            parts += [("idle", None, h, us - sum(v for (_, k), v in used.items() if k == h)) for h, us in whole.items()]
            services = {t["task_id"]: t["service"] for t in self.tasks}
            for word, task, hour, us in parts:
                whose = {"task": task, "instance": name, "service": None if task is None else services[task]}
                self.add(f"{title} ({word})", hour, us / HOUR, usd, kind=cover, **whose)
                if windows:
                    self.add(f"ec2 Windows licence ({word})", hour, us / HOUR * licensed, licence, **whose)
            if host.get("capacity_provider") in self.terms.around.managed_providers:
                fee = self.terms.ec2(kind).value * self.number("managed_instances_fee_percent") / 100
                for hour, us in spread(running, max(running, end), least_s=60).items():
                    self.add("managed instances fee", hour, us / HOUR, fee, instance=name)
            if host["public_ip"]:
                self._address(running, max(running, end), 1, instance=name)
        launched = host["launched_at"]
        if launched is not None and launched < self.end:
            month = HOUR * self.number("hours_per_month")
            for hour, us in spread(launched, max(launched, end), least_s=60).items():
                size = host["root_volume_gib"] + (host.get("more_volumes_gib") or 0)
                self.add("ebs volume", hour, us / month * size, self.price("ebs_gp3_storage"), instance=name)
                for item, price, column in (
                    ("IOPS", "ebs_gp3_iops", "volume_iops_above"),
                    ("throughput", "ebs_gp3_throughput", "volume_mib_s_above"),
                ):
                    above = host.get(column) or 0
                    self.add(f"ebs volume {item}", hour, us / month * above, self.price(price), instance=name)

    def _used(self, host: Row, serves: tuple[int, int]) -> dict[tuple[str, int], float]:
        """Microseconds of the instance by task and hour, walking from change to change."""
        stays = []
        for task in self.tasks:
            begin = first(task["pull_started_at"], task["started_at"])
            if task["instance_id"] != host["instance_id"] or begin is None:
                continue
            low, high = max(begin, serves[0]), min(self.task_end(task), serves[1])
            share = max(task["cpu_units"] / host["cpu_units"], task["memory_mib"] / host["memory_mib"])
            if high > low:
                stays.append((low, high, min(1.0, share), task["task_id"]))
        cuts = {x for low, high, _, _ in stays for x in (low, high)}
        if cuts:
            cuts |= set(range((min(cuts) // HOUR + 1) * HOUR, max(cuts), HOUR))
        found: dict[tuple[str, int], float] = defaultdict(float)
        for low, high in pairwise(sorted(cuts)):
            here = [(share, task) for a, b, share, task in stays if a <= low and high <= b]
            whole = max(1.0, sum(share for share, _ in here))
            for share, task in here:
                found[task, low // HOUR] += (high - low) * share / whole
        return found

    def _credit(self, row: Row) -> None:
        host = self.hosts[row["instance_id"]]
        kind = instance_types()[row["instance_type"]].architecture.replace("x86_64", "x86")
        if str(host.get("operating_system_family") or "LINUX") != "LINUX":
            kind = "windows"
        amount = row["charged_credits"] / 60
        usd = self.price(f"cpu_credit_surplus_{kind}")
        self.add("cpu credits (surplus)", row["period_start_at"] // HOUR, amount, usd, instance=host["instance_id"])

    # network

    def requests(self, *, balancer: str | None = None) -> dict[tuple[int, str, str], tuple[float, float]]:
        """Requests and mean requests in flight by hour, cluster and service."""
        found: dict[tuple[int, str, str], tuple[float, float]] = {}
        for row in self.services:
            at = row["period_start_at"]
            if not self.start <= at < self.end or (balancer is not None and row["load_balancer"] != balancer):
                continue
            key = (at // HOUR, row["cluster"], row["service"])
            requests, inside = found.get(key, (0.0, 0.0))
            inside += (row["requests_active_mean"] or 0.0) * row["period_s"] / 3600
            found[key] = (requests + (row["requests_arrived"] or 0), inside)
        return found

    def _started_hours(self, begin: datetime, end: datetime | None) -> list[int]:
        low = round(begin.timestamp() * SECOND)
        high = self.end if end is None else min(self.end, round(end.timestamp() * SECOND))
        if low >= self.end:
            return []
        return [(low + n * HOUR) // HOUR for n in range(max(1, math.ceil((high - low) / HOUR)))]

    def _balancers(self) -> None:
        for one in self.terms.load_balancers:
            short = "alb" if one.kind == "application" else "nlb"
            only = one.services[0][1] if len(one.services) == 1 else None
            for hour in self._started_hours(one.created_at, one.deleted_at):
                self.add("load balancer hours", hour, 1, self.price(f"{short}_hour"), service=only)
            self._lives(one, service=only)
            traffic = self.requests(balancer=one.name)
            for hour in {h for h, _, _ in traffic}:
                here = {k: v for k, v in traffic.items() if k[0] == hour}
                requests, inside = sum(r for r, _ in here.values()), sum(i for _, i in here.values())
                new = requests * self.number("connections_per_request") / 3600
                active = max(new * self.number("connection_lifetime_s"), inside)
                gb = requests * self.number("bytes_per_request") / GB
                rules = max(0.0, self.number("rules_per_listener") - 10) * requests / 3600
                each = (
                    (new / 25, active / 3000, gb, rules / 1000) if short == "alb" else (new / 800, active / 100_000, gb)
                )
                for (_, _, service), (r, i) in here.items():
                    part = r / requests if requests else (i / inside if inside else 0.0)
                    self.add("load balancer LCU", hour, max(each) * part, self.price(f"{short}_lcu"), service=service)

    def _lives(self, holder: Any, **whose: Any) -> None:
        low = round(holder.created_at.timestamp() * SECOND)
        gone = holder.deleted_at
        high = self.end if gone is None else min(self.end, round(gone.timestamp() * SECOND))
        if low < self.end:
            self._address(low, max(low, high), holder.public_ipv4_addresses, **whose)

    def _address(self, low: int, high: int, count: int, **whose: Any) -> None:
        step = max(1, round(self.number("ipv4_billing_granularity_s") * SECOND))
        for hour, us in spread(low, high, step_us=step).items():
            self.add("public IPv4", hour, us / HOUR * count, self.price("public_ipv4"), **whose)

    def _gateways(self) -> None:
        around, data = self.terms.around, self.price("nat_data")
        for one in self.terms.nat_gateways:
            for hour in self._started_hours(one.created_at, one.deleted_at):
                self.add("nat gateway hours", hour, 1, self.price("nat_hour"))
            self._lives(one)
        for task in self.tasks:
            begun, ended, task_id = task["pull_started_at"], task["pull_stopped_at"], task["task_id"]
            if task["public_ip"] and task["created_at"] is not None and task["created_at"] < self.end:
                high = min(self.end, first(task["stopped_at"], self.end) or 0)
                whose = {"task": task_id, "service": task["service"]}
                self._address(task["created_at"], max(task["created_at"], high), 1, **whose)
            if self.terms.nat_gateways and begun is not None and begun < self.end and (ended or 0) > begun:
                size = around.nat_bytes_per_pull
                size += task["image_mib"] * MIB if around.images_through_nat else 0
                whose = {"task": task_id, "service": task["service"]}
                self.add("nat gateway data", begun // HOUR, size / GB, data, **whose)
        if self.terms.nat_gateways:
            for (hour, _, service), (requests, _) in self.requests().items():
                gb = requests * around.nat_bytes_per_request / GB
                self.add("nat gateway data", hour, gb, data, service=service)

    # around

    def _around(self) -> None:
        around, month = self.terms.around, self.number("hours_per_month")
        hours = spread(self.start, self.end, step_us=1) if self.end > self.start else {self.start // HOUR: 0}
        traffic = self.requests()
        for hour, us in hours.items():
            if around.interface_endpoints:
                self.add("interface endpoint hours", hour, around.interface_endpoints, self.price("endpoint_hour"))
            kept = us / HOUR / month / GB
            self.add("logs kept", hour, around.log_storage_bytes * kept, self.price("logs_storage"))
            self.add("ecr storage", hour, around.ecr_storage_bytes * kept, self.price("ecr_storage"))
        per_request = (
            ("interface endpoint data", "endpoint_data", around.endpoint_bytes_per_request),
            ("traffic between zones", "cross_az", 2 * around.cross_zone_bytes_per_request),
            ("logs ingested", "logs_ingest", around.log_bytes_per_request),
        )
        for (hour, _, service), (requests, _) in traffic.items():
            for item, price, size in per_request:
                self.add(item, hour, requests * size / GB, self.price(price), service=service)
        self._egress(traffic)
        self._metrics(sorted(hours), traffic, month)

    def _running(self, task: Row) -> dict[int, int]:
        begin = task["started_at"]
        end = self.task_end(task)
        return spread(begin, end, step_us=1) if begin is not None and begin < end else {}

    def _egress(self, traffic: dict[tuple[int, str, str], tuple[float, float]]) -> None:
        around = self.terms.around
        steps = ((100.0, None), (10240.0, "first_10tb"), (40960.0, "next_40tb"), (102400.0, "next_100tb"))
        sent: dict[tuple[int, int], float] = defaultdict(float)
        origin = datetime.fromtimestamp(self.start / SECOND, UTC)
        sent[origin.year, origin.month] = around.egress_before_bytes / GB
        for hour in sorted({h for h, _, _ in traffic}):
            when = datetime.fromtimestamp(hour * 3600, UTC)
            of_hour = {
                s: r * around.egress_bytes_per_request / GB for (h, _, s), (r, _) in traffic.items() if h == hour
            }
            total, before = sum(of_hour.values()), sent[when.year, when.month]
            usd, low = 0.0, 0.0
            for size, name in (*steps, (math.inf, "over_150tb")):
                within = max(0.0, min(before + total, low + size) - max(before, low))
                usd += within * (0.0 if name is None else self.price(f"egress_{name}"))
                low += size
            sent[when.year, when.month] += total
            for service, gb in of_hour.items():
                if total:
                    self.add("internet egress", hour, gb / total, usd, service=service)

    def _metrics(self, hours: list[int], traffic: dict[Any, Any], month: float) -> None:
        around, n = self.terms.around, self.number
        lines: list[tuple[str, str, int, float, dict[str, Any]]] = []
        for hour in hours:
            lines.append(("custom", "custom metrics", hour, around.custom_metrics, {}))
        for hour, cluster, service in traffic:
            if (cluster, service) in around.high_resolution:
                count = n("high_resolution_metrics_per_service")
                lines.append(("custom", "high-resolution metrics", hour, count, {"service": service}))
        item = "container insights metrics"
        for cluster, setting in around.container_insights.items():
            pool, of = "custom" if setting == "enabled" else "enhanced", "container_insights_metrics_per_"
            lines += [(pool, item, hour, n(f"{of}cluster"), {}) for hour in hours]
            for hour, where, service in traffic:
                if where == cluster:
                    lines.append((pool, item, hour, n(f"{of}service"), {"service": service}))
            mine = [t for t in self.tasks if t["cluster"] == cluster]
            for hour, _ in {(hour, t["family"]) for t in mine for hour in self._running(t)}:
                lines.append((pool, item, hour, n(f"{of}family"), {}))
            if pool == "enhanced":
                for task in mine:
                    each = n(f"{of}task") + around.containers.get(task["family"], 1) * n(f"{of}container")
                    whose = {"task": task["task_id"], "service": task["service"]}
                    lines += [(pool, item, hour, each, whose) for hour in self._running(task)]
        total: dict[int, float] = defaultdict(float)
        for pool, _, hour, count, _ in lines:
            total[hour] += count if pool == "custom" else 0
        for pool, name, hour, count, whose in lines:
            if pool == "custom":
                cheap = max(0.0, 1 - 10_000 / total[hour]) if total[hour] else 0.0
                usd = (1 - cheap) * self.price("custom_metric_first_10000") + cheap * self.price("custom_metric_beyond")
            else:
                usd = self.price("container_insights_enhanced")
            self.add(name, hour, count / month, usd, **whose)
        for task in self.tasks:
            for hour, us in self._running(task).items():
                gb = us / HOUR * around.log_bytes_per_task_h / GB
                whose = {"task": task["task_id"], "service": task["service"]}
                self.add("logs ingested", hour, gb, self.price("logs_ingest"), **whose)
