// SPDX-License-Identifier: Apache-2.0
//
// vcpu_parts: what each part of a scrape costs, by Google Benchmark: the
// inventory, the parsers of what is read for each thread and VM, each
// collector, the text, its compression; on 10, 100 and 500 virtual machines
// that are made of files (MadeHost), and how that grows. --help tells the
// flags; --run PART VMS TIMES runs one part so often, for those who count its
// instructions, and prints how many samples it is about.
#include <benchmark/benchmark.h>

#include <cstdint>
#include <cstdlib>
#include <functional>
#include <iostream>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "collectors/catalog.h"
#include "collectors/kernel/cpu_stat.h"
#include "collectors/kernel/pressure.h"
#include "collectors/kernel/task_sched.h"
#include "collectors/kernel/task_schedstat.h"
#include "collectors/kernel/task_stat.h"
#include "collectors/kernel/task_status.h"
#include "exporter/exposition/gzip.h"
#include "exporter/exposition/text.h"
#include "tests/support/host_under_test.h"
#include "tests/support/made_host.h"

namespace vcpu {
namespace {

constexpr int kVcpus = 4;  // Of each VM.

// A made host, looked at once by all.
class Host {
 public:
  explicit Host(int vms)
      : made_(vms, kVcpus),
        inventory_(inventory_on(made_.roots(), made_.libvirt())) {
    CollectorOptions options{made_.roots(), false};
    options.monitor = made_.monitor();
    take();
    for (const CatalogEntry& entry : catalog()) {
      auto& collector = collectors_[std::string(entry.name)];
      collector = entry.make(options);
      said_.push_back(collect(std::string(entry.name)));
    }
    for (const auto& families : said_)
      for (const Family& family : families->families()) all_.push_back(&family);
    text_ = render(all_, TextFormat::kPrometheus);
  }

  void take() {
    Families said;
    auto taken = inventory_.take(said);
    if (!taken) throw std::runtime_error(taken.error().message());
    snapshot_ = *std::move(taken);
  }

  std::shared_ptr<Families> collect(const std::string& name) {
    auto families = std::make_shared<Families>();
    (void)collectors_.at(name)->collect(snapshot_, *families);
    return families;
  }

  const std::vector<const Family*>& families() const { return all_; }
  const std::string& text() const { return text_; }

 private:
  MadeHost made_;
  Inventory inventory_;
  Snapshot snapshot_;
  std::map<std::string, std::unique_ptr<Collector>> collectors_;
  std::vector<std::shared_ptr<Families>> said_;
  std::vector<const Family*> all_;
  std::string text_;
};

Host& host_of(int vms) {
  static std::map<int, std::unique_ptr<Host>> hosts;
  auto& host = hosts[vms];
  if (!host) host = std::make_unique<Host>(vms);
  return *host;
}

std::size_t series(const std::vector<const Family*>& families) {
  std::size_t sum = 0;
  for (const Family* family : families) sum += family->series();
  return sum;
}

std::size_t series(const Families& families) {
  std::size_t sum = 0;
  for (const Family& family : families.families()) sum += family.series();
  return sum;
}

// Runs once, and tells how many samples (or threads, or VMs) that was about.
using Step = std::function<std::size_t()>;

struct Part {
  std::string name;
  std::function<Step(int vms)> make;
};

Step collector_step(const std::string& name, int vms) {
  return [name, &host = host_of(vms)] { return series(*host.collect(name)); };
}

Step text_step(TextFormat format, int vms) {
  return [format, &host = host_of(vms)] {
    benchmark::DoNotOptimize(render(host.families(), format));
    return series(host.families());
  };
}

Step gzip_step(int vms) {
  return [&host = host_of(vms)] {
    benchmark::DoNotOptimize(gzip(host.text()));
    return series(host.families());
  };
}

// One text for each thread or VM.
template <typename Parse>
std::function<Step(int)> parser(const std::string& text, std::size_t each_vm,
                                Parse parse) {
  return [=](int vms) -> Step {
    return [=] {
      const auto times = static_cast<std::size_t>(vms) * each_vm;
      for (std::size_t i = 0; i < times; ++i)
        benchmark::DoNotOptimize(parse(std::string_view(text)));
      return times;
    };
  };
}

std::vector<Part> parsers() {
  return {
      {"parse_task_schedstat",
       parser("4123456789 123456789 81234\n", kVcpus, parse_task_schedstat)},
      {"parse_task_stat",
       parser("4711 (CPU 0/KVM) S 1 4700 4700 0 -1 4194624 2315 0 3 0 81234 "
              "2345 0 0 20 0 4 0 123456 2147483648 12345 18446744073709551615 "
              "1 1 0 0 0 0 0 0 0 0 0 0 -1 3 0 0 0 0 0 0 0 0 0 0 0 0 0\n",
              kVcpus, parse_task_stat)},
      {"parse_task_status",
       parser("Name:\tCPU 0/KVM\nState:\tS (sleeping)\nTgid:\t4700\n"
              "Pid:\t4711\nCpus_allowed:\tff\nCpus_allowed_list:\t0-7\n"
              "voluntary_ctxt_switches:\t700000\n"
              "nonvoluntary_ctxt_switches:\t112345\n",
              kVcpus, parse_task_status)},
      {"parse_task_sched",
       parser("CPU 0/KVM (4711, #threads: 6)\n"
              "se.exec_start : 63851063.5\nse.nr_migrations : 42\n",
              kVcpus, parse_task_sched)},
      {"parse_cpu_stat",
       parser("usage_usec 9000000\nuser_usec 8000000\nsystem_usec 1000000\n"
              "nr_periods 900\nnr_throttled 60\nthrottled_usec 1250000\n",
              1, parse_cpu_stat)},
      {"parse_pressure",
       parser("some avg10=1.08 avg60=0.95 avg300=0.40 total=1418521\n"
              "full avg10=0.00 avg60=0.12 avg300=0.10 total=812339\n",
              3, parse_pressure)},
  };
}

std::vector<Part> parts() {
  auto all = parsers();
  all.push_back({"inventory", [](int vms) -> Step {
                   return [vms, &host = host_of(vms)] {
                     host.take();
                     return static_cast<std::size_t>(vms) * kVcpus;
                   };
                 }});
  for (const CatalogEntry& entry : catalog()) {
    const std::string name(entry.name);
    all.push_back(
        {name, [name](int vms) { return collector_step(name, vms); }});
  }
  all.push_back({"text", [](int vms) {
                   return text_step(TextFormat::kPrometheus, vms);
                 }});
  all.push_back({"openmetrics", [](int vms) {
                   return text_step(TextFormat::kOpenMetrics, vms);
                 }});
  all.push_back({"gzip", gzip_step});
  return all;
}

void measure(benchmark::State& state, const Part& part) {
  const auto vms = static_cast<int>(state.range(0));
  const Step step = part.make(vms);
  std::size_t samples = step();
  for ([[maybe_unused]] auto _ : state) samples = step();
  state.SetComplexityN(vms);
  state.counters["each"] =
      benchmark::Counter(static_cast<double>(samples),
                         benchmark::Counter::kIsIterationInvariantRate |
                             benchmark::Counter::kInvert);
}

// The processes of this machine, whatever they are, by eBPF where that works.
void measure_this_machine(benchmark::State& state) {
  Inventory inventory = inventory_on(Roots{});
  for ([[maybe_unused]] auto _ : state) {
    Families said;
    benchmark::DoNotOptimize(inventory.take(said));
  }
}

int run(const std::string& name, int vms, int times) {
  for (const Part& part : parts()) {
    if (part.name != name) continue;
    const Step step = part.make(vms);
    std::size_t samples = 0;
    for (int i = 0; i < times; ++i) samples = step();
    std::cout << samples << '\n';
    return 0;
  }
  std::cerr << "no part is called " << name << '\n';
  return 1;
}

int measure_all(int argc, char** argv) {
  for (const Part& part : parts())
    benchmark::RegisterBenchmark(
        part.name.c_str(),
        [part](benchmark::State& state) { measure(state, part); })
        ->Arg(10)
        ->Arg(100)
        ->Arg(500)
        ->Unit(benchmark::kMicrosecond)
        ->Complexity(benchmark::oN);
  benchmark::RegisterBenchmark("inventory of this machine",
                               measure_this_machine)
      ->Unit(benchmark::kMicrosecond);
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}

}  // namespace
}  // namespace vcpu

int main(int argc, char** argv) {
  try {
    if (argc == 5 && std::string_view(argv[1]) == "--run")
      return vcpu::run(argv[2], std::atoi(argv[3]), std::atoi(argv[4]));
    return vcpu::measure_all(argc, argv);
  } catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
}
