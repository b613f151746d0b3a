// SPDX-License-Identifier: Apache-2.0
//
// What the eBPF programs of collector runqueue add to a context switch, as the
// README publishes it.
//
// Every round starts new tasks (ping_pong.h) and lets them play without a
// program, with the histogram alone and with attribution, in an order that
// changes from round to round. Programs are opened and closed while nobody
// plays. A round counts only if what was attached to sched_switch was ours
// alone, and nothing in the part without.
//
// The measure is void where an account has not counted its vCPU's waits, or
// attribution has not charged them: then it ends with 1 and no table.
#include <getopt.h>
#include <sched.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <fstream>
#include <iomanip>
#include <iostream>
#include <map>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "collectors/bpf/runqueue_program.h"
#include "tests/bench/crowd.h"
#include "tests/bench/links.h"
#include "tests/bench/ping_pong.h"
#include "tests/bench/price_table.h"
#include "tests/bench/vcpu_counts.h"
#include "tests/support/waiting.h"

namespace vcpu {
namespace {

constexpr const char* kUsage =
    "usage: switch_price [--rounds=60] [--switches=40000] [--threads=10000]\n"
    "                    [--cpu=LAST] [--markdown]\n"
    "\n"
    "  --rounds    how often to measure each program with each set of tasks\n"
    "  --switches  context switches in one such measurement\n"
    "  --threads   vCPU threads for the price of a scrape; 0: leave it out\n"
    "  --cpu       where the tasks play\n"
    "  --markdown  the table as the README has it\n"
    "\n"
    "Needs root. Ends with 0, 1 (failed, or void) or 3 (not possible here).\n";
constexpr std::size_t kReadings = 21;
constexpr int kFailed = 1;
constexpr int kNotHere = 3;

enum Program { kNone, kHistogram, kAttribution, kPrograms };
constexpr std::array<const char*, kPrograms> kProgramNames{"none", "histogram",
                                                           "attribution"};

struct Scene {
  const char* name;
  std::size_t pairs;
  bool vcpus;
};
constexpr std::array<Scene, 4> kScenes{{
    {"2 that are no vCPUs", 1, false},
    {"2 vCPUs, 1 runnable", 1, true},
    {"8 vCPUs, 4 runnable", 4, true},
    {"16 vCPUs, 8 runnable", 8, true},
}};

struct Settings {
  std::size_t rounds = 60;
  std::uint64_t switches = 40'000;
  std::size_t threads = 10'000;
  int cpu = 0;
  bool markdown = false;
  bool help = false;
};

// No fault of the programs: it cannot be measured here, or now.
struct NotHere : std::runtime_error {
  using std::runtime_error::runtime_error;
};

void check_rights() try {
  links_on_switch();
} catch (const std::system_error&) {
  throw NotHere(
      "not allowed: needs CAP_BPF and CAP_PERFMON to load programs, and "
      "CAP_SYS_ADMIN to see what else is attached; run it as root");
}

std::optional<RunqueueProgram> open(Program which) {
  if (which == kNone) return {};
  auto opened = RunqueueProgram::open(which == kAttribution);
  if (!opened) throw NotHere("eBPF is refused: " + opened.error().message());
  return *std::move(opened);
}

double ms_of(const auto& action) {
  const auto begin = std::chrono::steady_clock::now();
  action();
  const std::chrono::duration<double, std::milli> took =
      std::chrono::steady_clock::now() - begin;
  return took.count();
}

// ---- Rounds.

struct Measured {
  // ns per context switch, by scene and program: one of each round.
  std::array<std::array<std::vector<double>, kPrograms>, kScenes.size()> ns;
  std::array<std::vector<double>, kPrograms> open_ms;
  std::uint64_t dispatches = 0;  // Of vCPUs while a program was attached,
  std::uint64_t waits = 0;       // and what the accounts have of them.
  std::size_t rounds = 0;
  std::size_t disturbed = 0;
};

double ns_per_switch(PingPong& game, std::uint64_t switches) {
  const SwitchCost cost = game.play(switches / game.tasks().size());
  return static_cast<double>(cost.cpu_ns) / static_cast<double>(cost.switches);
}

double measure_vcpus(PingPong& game, Program which, RunqueueProgram& program,
                     std::uint64_t switches, Measured& measured) {
  std::vector<pid_t> pids;
  for (const auto& task : game.tasks())
    pids.insert(pids.end(), {task.pid, task.tid});
  program.tell(pids);
  const auto before = counts_at_rest(game, program);
  const double ns = ns_per_switch(game, switches);
  const auto after = counts_at_rest(game, program);
  for (std::size_t i = 0; i < after.size(); ++i) {
    const auto wrong = complaint(before[i], after[i], which == kAttribution);
    if (!wrong.empty())
      throw std::runtime_error(std::string("the measure is void, ") +
                               kProgramNames.at(which) +
                               " does not count: " + wrong);
    measured.dispatches += after[i].dispatches - before[i].dispatches;
    measured.waits += after[i].waits - before[i].waits;
  }
  return ns;
}

using Games = std::vector<std::unique_ptr<PingPong>>;
using Figures = std::array<double, kScenes.size()>;

// Of the links on sched_switch those that are ours: one, or none without a
// program.
LinkIds our_hooks(Program which) {
  LinkIds ours;
  const LinkIds own = own_links();
  for (const auto link : links_on_switch())
    if (own.contains(link)) ours.insert(link);
  if (ours.size() != (which == kNone ? 0 : 1))
    throw std::runtime_error(
        std::string("the measure is void, ") + kProgramNames.at(which) +
        " has " + std::to_string(ours.size()) + " links to sched_switch");
  return ours;
}

void close(std::optional<RunqueueProgram>& program) {
  const LinkIds links = own_links();
  program.reset();
  if (std::any_of(links.begin(), links.end(), exists))
    throw std::runtime_error("a program stays attached though it was closed");
}

// Nothing where other programs were attached meanwhile.
std::optional<Figures> measure(const Games& games, Program which,
                               const Settings& settings, Measured& measured) {
  std::optional<RunqueueProgram> program;
  const double open_ms = ms_of([&] { program = open(which); });
  const LinkIds ours = our_hooks(which);
  bool alone = links_on_switch() == ours;
  Figures figures{};
  for (std::size_t i = 0; i < kScenes.size(); ++i) {
    ns_per_switch(*games[i], settings.switches / 10);  // Warms the caches.
    figures.at(i) = program && kScenes.at(i).vcpus
                        ? measure_vcpus(*games[i], which, *program,
                                        settings.switches, measured)
                        : ns_per_switch(*games[i], settings.switches);
  }
  alone = alone && links_on_switch() == ours;
  close(program);
  if (!alone) return {};
  measured.open_ms.at(which).push_back(open_ms);
  return figures;
}

void play_round(const std::vector<Program>& order, const Settings& settings,
                Measured& measured) {
  Games games;
  for (const Scene& scene : kScenes)
    games.push_back(
        std::make_unique<PingPong>(scene.pairs, scene.vcpus, settings.cpu));
  std::map<Program, Figures> round;
  for (const Program which : order) {
    const auto figures = measure(games, which, settings, measured);
    if (!figures) {
      ++measured.disturbed;
      return;
    }
    round[which] = *figures;
  }
  ++measured.rounds;
  for (const auto& [which, figures] : round)
    for (std::size_t i = 0; i < kScenes.size(); ++i)
      measured.ns.at(i).at(which).push_back(figures.at(i));
}

Measured measure_all(const Settings& settings) {
  Measured measured;
  std::vector<Program> order{kNone, kHistogram, kAttribution};
  while (measured.rounds < settings.rounds) {
    if (measured.disturbed > settings.rounds + 10 ||
        !eventually([] { return links_on_switch().empty(); }))
      throw NotHere(
          "other eBPF programs are attached to sched_switch (bpftool link "
          "tells them); stop them first, an exporter for example");
    play_round(order, settings, measured);
    std::next_permutation(order.begin(), order.end());
  }
  return measured;
}

// What a scrape takes to read the accounts of so many vCPUs.
double read_ms(Program which, std::size_t threads, const Crowd& crowd) {
  auto program = open(which);
  program->tell(crowd.tids());
  std::vector<double> times;
  std::size_t accounts = 0;
  while (times.size() < kReadings) {
    times.push_back(ms_of([&] {
      auto records = program->read();
      accounts = records ? records->size() : 0;
    }));
  }
  if (accounts != threads)
    throw std::runtime_error("the measure is void, " +
                             std::to_string(accounts) + " accounts of " +
                             std::to_string(threads) + " vCPUs were read");
  return quartiles(std::move(times)).median;
}

// ---- What it says.

std::string machine() {
  utsname system{};
  ::uname(&system);
  std::string model = "unknown CPU";
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);)
    if (line.starts_with("model name")) model = line.substr(line.find(':') + 2);
  return std::string("Linux ") + system.release + ", " + model + ", " +
         std::to_string(::sysconf(_SC_NPROCESSORS_ONLN)) + " CPUs";
}

void print(const Measured& measured, const Settings& settings) {
  std::cout << machine() << "\nmedians of " << measured.rounds << " rounds of "
            << settings.switches << " switches; " << measured.disturbed
            << " rounds left out, as other programs were attached\n\n";
  std::vector<PriceRow> rows;
  for (std::size_t i = 0; i < kScenes.size(); ++i) {
    const auto& ns = measured.ns.at(i);
    for (const Program which : {kNone, kHistogram, kAttribution})
      rows.push_back({kScenes.at(i).name, kProgramNames.at(which), ns.at(which),
                      which == kNone ? std::vector<double>() : ns.at(kNone)});
  }
  std::cout << price_table(rows, settings.markdown) << '\n';
  for (const Program which : {kHistogram, kAttribution})
    std::cout << kProgramNames.at(which) << ": opened in "
              << quartiles(measured.open_ms.at(which)).median << " ms\n";
  std::cout << "the accounts have " << measured.waits << " waits of "
            << measured.dispatches << " dispatches\n";
}

void print_reading(std::size_t threads) {
  const Crowd crowd(threads);
  for (const Program which : {kHistogram, kAttribution})
    std::cout << kProgramNames.at(which) << ": the accounts of " << threads
              << " vCPUs read in " << read_ms(which, threads, crowd) << " ms\n";
}

int last_allowed_cpu() {
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  ::sched_getaffinity(0, sizeof allowed, &allowed);
  int last = 0;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu)
    if (CPU_ISSET(cpu, &allowed)) last = cpu;
  return last;
}

Settings settings_of(int argc, char** argv) {
  Settings settings;
  settings.cpu = last_allowed_cpu();
  const std::array<option, 7> options{
      {{"rounds", required_argument, nullptr, 'r'},
       {"switches", required_argument, nullptr, 's'},
       {"threads", required_argument, nullptr, 't'},
       {"cpu", required_argument, nullptr, 'c'},
       {"markdown", no_argument, nullptr, 'm'},
       {"help", no_argument, nullptr, 'h'},
       {nullptr, 0, nullptr, 0}}};
  opterr = 0;
  int key = 0;
  while ((key = ::getopt_long(argc, argv, "", options.data(), nullptr)) != -1) {
    if (key == 'r') settings.rounds = std::stoul(optarg);
    if (key == 's') settings.switches = std::stoul(optarg);
    if (key == 't') settings.threads = std::stoul(optarg);
    if (key == 'c') settings.cpu = std::stoi(optarg);
    if (key == 'm') settings.markdown = true;
    if (key == 'h') settings.help = true;
    if (key == '?') throw std::invalid_argument(kUsage);
  }
  if (optind < argc || settings.rounds == 0 || settings.switches < 1000)
    throw std::invalid_argument(kUsage);
  return settings;
}

int run(int argc, char** argv) {
  const Settings settings = settings_of(argc, argv);
  if (settings.help) {
    std::cout << kUsage;
    return 0;
  }
  check_rights();
  std::cout << std::fixed << std::setprecision(1);
  print(measure_all(settings), settings);
  if (settings.threads > 0) print_reading(settings.threads);
  return 0;
}

}  // namespace
}  // namespace vcpu

int main(int argc, char** argv) try {
  return vcpu::run(argc, argv);
} catch (const vcpu::NotHere& reason) {
  std::cerr << "switch_price: " << reason.what() << '\n';
  return vcpu::kNotHere;
} catch (const std::invalid_argument&) {
  std::cerr << vcpu::kUsage;
  return vcpu::kFailed;
} catch (const std::exception& error) {
  std::cerr << "switch_price: " << error.what() << '\n';
  return vcpu::kFailed;
}
