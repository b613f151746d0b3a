#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""How long Prometheus takes for each query of the dashboard Fleet, of many hosts that are made up.

Their recorded series of the last hour, one sample in two minutes, are made into a block; the dashboard's queries are then
asked of a real Prometheus, all hosts chosen. Times depend on the machine.
"""
import argparse
import json
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests/live"), str(ROOT / "tests/dashboards")]
import queries  # noqa: E402
from processes import Daemon, wait_for  # noqa: E402

SPAN, STEP = 3600, 120
OF_HOST = ("instance:vcpu_contention:max_ratio_rate5m", "instance:vcpu_contention:avg_ratio_rate5m",
           "instance:vcpu_contention:count", "instance:vcpu_thread_density:max_ratio", "instance:vcpu_domain_info:count",
           "instance:vcpu_host_cpu_busy:ratio_rate5m", "instance:vcpu_domain_numa_misplacement_ratio:max_avg15m",
           "instance:vcpu_host_swap_bytes_in:sum_rate5m", "instance:vcpu_domain_swap_bytes:sum",
           "instance:vcpu_host_cpu_busy:ratio_predicted3d", "instance:vcpu_host_thread_density:ratio_predicted3d", "up")
OF_VM = ("instance_domain:vcpu_contention:max_ratio_rate5m", "instance_domain:vcpu_contention:avg_ratio_rate5m",
         "instance_domain:vcpu_domain_numa_misplacement_ratio:avg15m", "instance_domain:vcpu_run:sum_rate5m",
         "instance_domain:vcpu_idle_vcpus:count1d", "instance_domain:vcpu_idle_vcpus:ratio1d")
OF_CULPRIT = "instance_domain_culprit:vcpu_stolen_by:share_rate5m"
OF_CLUSTER = ("cluster:vcpu_contention:avg_ratio_rate5m", "cluster:vcpu_contention:max_ratio_rate5m",
              "cluster:vcpu_host_cpu_busy:ratio_rate5m", "cluster:vcpu_host_thread_density:ratio")
CULPRITS = 2


def series_of(hosts, vms, alerts):
    """{name: label sets}; of the alerts a few are of hosts, all others of VMs."""
    def labels(host, more=""):
        return f'cluster="c{host % 4}",job="vcpu",instance="kvm{host:04}:9752"{more}'
    def of_vms(more=""):
        return [labels(host, f',domain="vm{vm}"{more}') for host in range(hosts) for vm in range(vms)]
    found = {name: [labels(host) for host in range(hosts)] for name in OF_HOST}
    found.update({name: of_vms() for name in OF_VM})
    found[OF_CULPRIT] = [one for rank in range(CULPRITS) for one in of_vms(f',culprit_kind="domain",culprit="vm{rank}"')]
    found.update({name: [f'cluster="c{cluster}",job="vcpu"' for cluster in range(4)] for name in OF_CLUSTER})
    saturated = [labels(host, ',alertname="VcpuHostSaturated",alertstate="firing",severity="critical"')
                 for host in range(0, hosts, 50)]
    waiting = [labels(number % hosts, f',domain="vm{number // hosts}",alertname="VcpuStealHigh",alertstate="firing",severity="warning"')
               for number in range(min(hosts * vms, max(alerts - len(saturated), 0)))]
    found["ALERTS"] = saturated + waiting
    return found


def write_openmetrics(series, now, out):
    for name, label_sets in series.items():
        out.write(f"# TYPE {name} gauge\n")
        for labels in label_sets:
            for moment in range(now - SPAN, now + 1, STEP):
                out.write(f"{name}{{{labels}}} {random.random():.4f} {moment}\n")
    out.write("# EOF\n")


def ask(address, path, **parameters):
    with urllib.request.urlopen(f"http://{address}{path}?{urllib.parse.urlencode(parameters)}", timeout=120) as answer:
        return json.load(answer)["data"]["result"]


def answers(address, now):
    """Whether it does by now: at first it reads what is there, and says 503."""
    try:
        return ask(address, "/api/v1/query", query="count(up)", time=now)
    except urllib.error.HTTPError as error:
        if error.code == 503:
            return False
        raise


def measure(address, now):
    """[(seconds, series, panel, query)]."""
    dashboard = queries.load()["vcpu-fleet.json"]
    for panel in dashboard["panels"]:
        for target in panel.get("targets", []):
            query = queries.interpolated(target["expr"], queries.EVERYTHING, SPAN)
            begin = time.perf_counter()
            if panel["type"] == "timeseries":
                found = ask(address, "/api/v1/query_range", query=query, start=now - SPAN, end=now, step=60)
            else:
                found = ask(address, "/api/v1/query", query=query, time=now)
            yield time.perf_counter() - begin, len(found), panel["title"], query


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hosts", type=int, default=1000)
    parser.add_argument("--vms", type=int, default=20, help="on each host (default 20)")
    parser.add_argument("--alerts", type=int, default=5000, help="that fire (default 5000)")
    args = parser.parse_args()
    now = int(time.time()) // STEP * STEP
    series = series_of(args.hosts, args.vms, args.alerts)
    with tempfile.TemporaryDirectory(prefix="vcpu-fleet-") as directory:
        work = pathlib.Path(directory)
        with open(work / "series", "w", encoding="ascii") as out:
            write_openmetrics(series, now, out)
        subprocess.run(["promtool", "tsdb", "create-blocks-from", "openmetrics", str(work / "series"), str(work / "data")],
                       stdout=subprocess.DEVNULL, check=True)
        (work / "series").unlink()
        (work / "prometheus.yml").write_text("{}\n", encoding="ascii")
        prometheus = Daemon("prometheus", [shutil.which("prometheus"), f"--config.file={work}/prometheus.yml",
                                           f"--storage.tsdb.path={work}/data", "--web.listen-address=127.0.0.1:0"],
                            work / "log")
        prometheus.start()
        try:
            address = prometheus.listening_address()
            wait_for(lambda: answers(address, now), 60, "Prometheus to answer")
            figures = list(measure(address, now))
        finally:
            prometheus.stop()
    print(f"{args.hosts} hosts, {args.hosts * args.vms} virtual machines, {sum(map(len, series.values()))} recorded series, "
          f"{len(series['ALERTS'])} alerts\n")
    print("| seconds | series | panel |\n|---|---|---|")
    for seconds, found, panel, _ in figures:
        print(f"| {seconds:.3f} | {found} | {panel} |")
    print(f"\n{len(figures)} queries one after the other: {sum(figure[0] for figure in figures):.2f} s, "
          f"the slowest {max(figures)[0]:.2f} s")
    nothing = [query for _, found, _, query in figures if found == 0]
    if nothing:
        sys.exit("No answer to:\n" + "\n".join(nothing))


if __name__ == "__main__":
    main()
