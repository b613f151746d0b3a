#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What evaluating all rules and alerts costs a Prometheus, for hosts that are made up.

The past that rules look at is made into blocks; what is now comes with one scrape of each host, whose page has the samples of some
minutes, those to come as well. From then on a real Prometheus does nothing but evaluate the shipped rules. All groups are evaluated as
often as the fastest, so that nobody waits minutes; what that costs as often as shipped is reckoned. Times depend on the machine.
"""
import argparse
import json
import pathlib
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "tests/live"))
from monitoring import get_json, seconds  # noqa: E402
from processes import Daemon, wait_for  # noqa: E402
from cpu_clock import cpu_seconds  # noqa: E402
import loopback  # noqa: E402, of tests/support

RULES = [ROOT / "deploy/prometheus" / name for name in ("vcpu_rules.yml", "vcpu_alerts.yml")]
STEP = 15  # seconds from sample to sample, as shipped
DAY = 86400
# Blocks end so long ago, and pages begin: as far as Prometheus looks back for a sample, and most rules for a rate.
RECENT = 300
AHEAD = 540  # Prometheus takes no sample of what is more than ten minutes ahead.
SELECTOR = re.compile(r"(?P<name>[a-z_]\w*(?::\w+)*)(?:\{[^}]*\})?(?:\[(?P<range>\w+)\])?(?: offset (?P<offset>\w+))?")

# Series: how much they grow a second, or, as a text, what they are.
OF_HOST = {
    'vcpu_host_cores{}': "16", 'vcpu_host_logical_cpus{}': "32", 'vcpu_host_vcpus{}': "48",
    'vcpu_host_thread_density_ratio{}': "3", 'vcpu_host_memory_overcommit_ratio{}': "0.8", 'vcpu_host_machine_checks_total{}': "0",
    'vcpu_host_memory_bytes{kind="total"}': "4e11", 'vcpu_host_memory_bytes{kind="page_tables"}': "1e9",
    'vcpu_host_swap_bytes_total{direction="in"}': 10, 'vcpu_libvirt_up{}': "1", 'vcpu_libvirt_cache_age_seconds{}': "4",
    'vcpu_exporter_config_last_reload_successful{}': "1", 'vcpu_exporter_web_config_last_reload_successful{}': "1",
    **{f'vcpu_node_thread_density_ratio{{numa_node="{node}"}}': "3" for node in range(2)},
    **{f'vcpu_host_cpu_temperature_celsius{{package="{package}"}}': "60" for package in range(2)},
    **{f'vcpu_host_cpu_throttles_total{{scope="{scope}"}}': "0" for scope in ("core", "package")},
    **{f'vcpu_host_security_feature{{feature="{feature}"}}': "1" for feature in ("vmx_or_svm", "ept_or_npt", "smep", "smap")},
    **{f'vcpu_host_vulnerability{{name="v{number}",status="mitigated"}}': "1" for number in range(15)},
    **{f'vcpu_scrape_collector_success{{collector="c{number}"}}': "1" for number in range(15)},
    **{f'vcpu_source_available{{source="s{number}",reason=""}}': "1" for number in range(30)},
    # What the rules made of it in the days before.
    'instance:vcpu_host_cpu_busy:ratio_rate5m{}': "0.6", 'instance:vcpu_contention:sum_ratio_rate5m{hypervisor="kvm"}': "2",
    'instance:vcpu_contention:count{hypervisor="kvm"}': "200",
}
OF_CPU = {'vcpu_host_cpu_busy_seconds_total{}': 0.6, 'vcpu_guest_steal_seconds_total{}': 0.001, 'vcpu_cpu_assigned_vcpus{}': "1.5"}
OF_VM = {
    'vcpu_domain_info{uuid="0",vmm="qemu",accel="kvm",machine="q35",uid="64055"}': "1", 'vcpu_domain_start_time_seconds{}': "1",
    'vcpu_waiting_seconds{}': "0", 'vcpu_domain_swap_bytes{}': "0", 'vcpu_domain_numa_misplacement_ratio{}': "0.1",
    'vcpu_domain_pressure_seconds_total{resource="io",kind="some"}': 0.1,
    'vcpu_stolen_by_seconds_total{culprit_kind="domain",culprit="vm1"}': 0.02,
    'vcpu_stolen_by_seconds_total{culprit_kind="domain",culprit="vm2"}': 0.02,
    'vcpu_stolen_by_seconds_total{culprit_kind="self",culprit="vm0"}': 0.01,
    'vcpu_stolen_by_seconds_total{culprit_kind="host",culprit="kworker"}': 0.001,
    **{f'vcpu_domain_block_{what}_total{{device="vda",op="{op}"}}': rate
       for what, rate in (("requests", 50), ("seconds", 0.1)) for op in ("read", "write", "flush")},
}
OF_VCPU = {
    'vcpu_run_seconds_total{}': 0.3, 'vcpu_steal_seconds_total{}': 0.02,
    'vcpu_context_switches_total{kind="voluntary"}': 300, 'vcpu_context_switches_total{kind="involuntary"}': 10,
    'vcpu_kvm_halt_poll_seconds_total{result="success"}': 0.001, 'vcpu_kvm_halt_poll_seconds_total{result="fail"}': 0.001,
}
# Of one VM in ten: its CPU quota, its pins, vCPUs that do nothing, and a wait that is worth asking whose fault it is.
OF_SOME_VM = {'vcpu_domain_periods_total{}': 10, 'vcpu_domain_throttled_periods_total{}': 1,
              'vcpu_domain_throttled_seconds_total{}': 0.001}
OF_SOME_VCPU = {'vcpu_throttled_seconds_total{}': 0.001, 'vcpu_run_seconds_total{}': 0.01, 'vcpu_steal_seconds_total{}': 0.08}
CPUS = 32


def groups():
    return [group for file in RULES for group in yaml.safe_load(file.read_text())["groups"]]


def spans(now):
    """{metric: the times of which rules ask, [(from, to)], merged}."""
    asked = {}
    for rule in (rule for group in groups() for rule in group["rules"]):
        for found in SELECTOR.finditer(rule["expr"]):
            offset, over = (seconds(found[part]) if found[part] else 0 for part in ("offset", "range"))
            asked.setdefault(found["name"], []).append((now - offset - over - RECENT, now - offset + AHEAD))
    return {name: merged(sorted(times)) for name, times in asked.items()}


def merged(times):
    done = times[:1]
    for begin, end in times[1:]:
        if begin <= done[-1][1]:
            done[-1] = (done[-1][0], max(end, done[-1][1]))
        else:
            done.append((begin, end))
    return done


def moments(times, begin, end):
    return [moment for since, until in times for moment in range(max(since, begin) // STEP * STEP, min(until, end), STEP)]


def series_of(vms, vcpus):
    """(metric, labels, how it grows) of all series of a host."""
    def labelled(kinds, labels=""):
        for series, moves in kinds.items():
            name, own = series.rstrip("}").split("{")
            yield name, ",".join(filter(None, (own, labels))), moves
    yield from labelled(OF_HOST)
    for cpu in range(CPUS):
        yield from labelled(OF_CPU, f'cpu="{cpu}"')
    for vm in range(vms):
        some = vm % 10 == 0
        yield from labelled({**OF_VM, **(OF_SOME_VM if some else {})}, f'domain="vm{vm}"')
        for vcpu in range(vcpus):
            labels = f'domain="vm{vm}",vcpu="{vcpu}"'
            yield from labelled({**OF_VCPU, **(OF_SOME_VCPU if some else {})}, labels)
            if some:
                yield from labelled({"vcpu_pinned_info{}": "1"}, f'{labels},cpu="{(vm + vcpu) % CPUS}"')


def lines(series, moves, times, since, unit=1):
    if isinstance(moves, str):
        return (f"{series} {moves} {moment * unit}\n" for moment in times)
    return (f"{series} {moves * (moment - since):.3f} {moment * unit}\n" for moment in times)


class Past:
    """What Prometheus knows of hosts when it begins: blocks in `work`/data, and a page of each host in `work`/pages."""

    def __init__(self, work, hosts, vms, vcpus):
        self.work, self.now = work, int(time.time()) // STEP * STEP
        self.hosts = {f"kvm{host:04}": {"job": "vcpu_exporter", "cluster": f"c{host % 4}", "instance": f"kvm{host:04}:9752"}
                      for host in range(hosts)}
        self.series = list(series_of(vms, vcpus))
        self.asked = spans(self.now)

    def make(self):
        with open(self.work / "past", "w", encoding="ascii") as out:
            self.write_past(out)
        # In blocks of many days: promtool reads all of it once more for each.
        subprocess.run(["promtool", "tsdb", "create-blocks-from", "openmetrics", "--max-block-duration=162h", str(self.work / "past"),
                        str(self.work / "data")], stdout=subprocess.DEVNULL, check=True)
        (self.work / "past").unlink()
        (self.work / "pages").mkdir()
        for host in self.hosts:
            with open(self.work / "pages" / host, "w", encoding="ascii") as out:
                self.write_page(out)

    def write_past(self, out):
        by_name = {}
        for name, labels, moves in self.series:
            by_name.setdefault(name, []).append((labels, moves))
        for name, several in by_name.items():
            out.write(f"# TYPE {name} gauge\n")
            times = moments(self.asked[name], 0, self.now - RECENT)
            for where in self.hosts.values():
                target = ",".join(f'{label}="{value}"' for label, value in where.items())
                for labels, moves in several:
                    out.writelines(lines(f"{name}{{{','.join(filter(None, (target, labels)))}}}", moves, times, self.now - 8 * DAY))
        out.write("# EOF\n")

    def write_page(self, out):
        for name, labels, moves in self.series:
            if ":" not in name:  # what rules record goes on by itself
                times = moments(self.asked[name], self.now - RECENT, self.now + AHEAD)
                out.writelines(lines(f"{name}{{{labels}}}", moves, times, self.now - 8 * DAY, unit=1000))


class Pages:
    """Each host's page, once: then there is nothing new."""

    def __init__(self, directory):
        class Handler(loopback.Handler):
            def do_GET(self):
                page = directory / self.path.rpartition("/")[2]
                self.answer(page.read_bytes() if page.exists() else b"", content_type=loopback.METRICS)
                page.unlink(missing_ok=True)

        self.server = loopback.Server(Handler)
        self.address = self.server.address

    def close(self):
        self.server.close()


def get(address, path, **parameters):
    """What Prometheus answers; nothing while it reads what is there."""
    try:
        return get_json(address, f"/api/v1/{path}", timeout=60, **parameters)["data"]
    except urllib.error.HTTPError as error:
        if error.code == 503:
            return {"groups": []}
        raise


class Evaluations:
    """Of each group, how long each took, by when it was."""

    def __init__(self, address):
        self.address = address
        self.took = {}

    def all_had(self, rounds):
        for group in get(self.address, "rules")["groups"]:
            if problems := [rule["lastError"] for rule in group["rules"] if rule.get("lastError")]:
                sys.exit(f"{group['name']}: {problems[0]}")
            seen = self.took.setdefault(group["name"], {})
            if not group["lastEvaluation"].startswith("0001-"):
                seen[group["lastEvaluation"]] = group["evaluationTime"]
        return self.took and all(len(seen) >= rounds for seen in self.took.values())

    def medians(self):
        return {name: statistics.median(seen.values()) for name, seen in self.took.items()}


def unrecorded(address):
    return [rule["record"] for group in groups() for rule in group["rules"]
            if "record" in rule and not get(address, "query", query=f'count({rule["record"]})')["result"]]


def measure(prometheus, pages, rounds, interval):
    """({group: seconds}, CPU seconds of evaluating all once). Rounds do not count before all is there that rules build on."""
    address = prometheus.listening_address()
    wait_for(lambda: not any(pages.iterdir()), 120, "Prometheus to take all pages")
    found = Evaluations(address)
    try:
        wait_for(lambda: found.all_had(2) and not unrecorded(address), 5 + 6 * interval, "all rules to record something")
    except AssertionError:
        sys.exit("Nothing was recorded as " + ", ".join(unrecorded(address)))
    found.took, begin, cpu = {}, time.monotonic(), cpu_seconds(prometheus.pid)
    # Asked seldom, as answering costs as well.
    wait_for(lambda: found.all_had(rounds + 1), 60 + 2 * rounds * interval, "all groups to be evaluated again", pause=interval / 5)
    spent = (cpu_seconds(prometheus.pid) - cpu) * interval / (time.monotonic() - begin)
    return found.medians(), spent


def start(work, hosts, address, interval):
    rules = []
    for file in RULES:
        rules.append(str(work / file.name))
        (work / file.name).write_text(re.sub(r"(?m)^(- interval: ).*$", rf'\g<1>"{interval}s"', file.read_text()))
    targets = [{"targets": [address], "labels": {**labels, "__metrics_path__": f"/{host}"}} for host, labels in hosts.items()]
    (work / "prometheus.yml").write_text(json.dumps({  # JSON is YAML
        "global": {"evaluation_interval": f"{interval}s", "scrape_interval": f"{interval}s", "scrape_timeout": f"{interval}s"},
        "rule_files": rules,
        "scrape_configs": [{"job_name": "vcpu_exporter", "static_configs": targets}],
    }))
    prometheus = Daemon("prometheus", [shutil.which("prometheus"), f"--config.file={work}/prometheus.yml",
                                       f"--storage.tsdb.path={work}/data", "--web.listen-address=127.0.0.1:0"], work / "log")
    prometheus.start()
    return prometheus


def report(args, series, took, spent):
    shipped = {group["name"]: seconds(group.get("interval", f"{STEP}s")) for group in groups()}
    vcpus, whole = args.hosts * args.vms * args.vcpus, sum(took.values())
    print(f"{args.hosts} hosts, {args.hosts * args.vms} virtual machines, {vcpus} vCPUs, {series} series\n")
    print("| group | every | seconds |\n|---|---|---|")
    for name, lasts in sorted(took.items(), key=lambda item: -item[1]):
        print(f"| {name} | {shipped[name]} s | {lasts:.3f} |")
    busy = sum(spent * took[name] / whole / shipped[name] for name in took)
    longest = max(took, key=lambda name: took[name] / shipped[name])
    print(f"\nAll once: {whole:.2f} s one after the other, {spent:.2f} s of CPU. As often as shipped: {100 * busy:.1f}% of a CPU.")
    print(f"A CPU that does nothing else is busy with the rules of {vcpus / busy:.0f} vCPUs. {longest}, the group that is first too "
          f"slow, is so from {vcpus * shipped[longest] / took[longest]:.0f} on.")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hosts", type=int, default=20)
    parser.add_argument("--vms", type=int, default=50, help="on each host (default 50)")
    parser.add_argument("--vcpus", type=int, default=4, help="of each VM (default 4)")
    parser.add_argument("--rounds", type=int, default=5, help="evaluations of everything (default 5)")
    parser.add_argument("--interval", type=int, default=STEP, help="seconds between them (default 15)")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="vcpu-rules-") as directory:
        work = pathlib.Path(directory)
        past = Past(work, args.hosts, args.vms, args.vcpus)
        past.make()
        pages = Pages(work / "pages")
        prometheus = start(work, past.hosts, pages.address, args.interval)
        try:
            took, spent = measure(prometheus, work / "pages", args.rounds, args.interval)
        finally:
            prometheus.stop()
            pages.close()
    report(args, args.hosts * len(past.series), took, spent)


if __name__ == "__main__":
    main()
