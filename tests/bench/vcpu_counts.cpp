// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/vcpu_counts.h"

#include <iterator>
#include <numeric>
#include <stdexcept>

#include "collectors/base/file.h"
#include "collectors/kernel/task_schedstat.h"

namespace vcpu {
namespace {

std::uint64_t dispatches(const PingPong::Task& task) {
  const auto text = read_file("/proc/" + std::to_string(task.pid) + "/task/" +
                              std::to_string(task.tid) + "/schedstat");
  if (!text) throw std::runtime_error(text.error().message());
  const auto parsed = parse_task_schedstat(*text);
  if (!parsed) throw std::runtime_error(parsed.error().message());
  return parsed->timeslices;
}

std::vector<VcpuCounts> counts_now(const PingPong& game,
                                   RunqueueProgram& program) {
  auto records = program.read();
  if (!records) throw std::runtime_error(records.error().message());
  std::vector<VcpuCounts> counts;
  for (const auto& task : game.tasks()) {
    VcpuCounts& one = counts.emplace_back();
    one.dispatches = dispatches(task);
    const auto record = records->find(task.tid);
    if (record == nullptr) continue;
    const account& account = record->account;
    one.waits = std::accumulate(std::begin(account.waits),
                                std::end(account.waits), std::uint64_t{0});
    one.waited_ns = account.waited;
    one.charged_ns = account.charged;
  }
  return counts;
}

}  // namespace

std::vector<VcpuCounts> counts_at_rest(const PingPong& game,
                                       RunqueueProgram& program) {
  auto counts = counts_now(game, program);
  while (true) {
    auto again = counts_now(game, program);
    if (again == counts) return counts;
    counts = std::move(again);
  }
}

std::string complaint(const VcpuCounts& before, const VcpuCounts& after,
                      bool with_culprits) {
  const auto dispatched = after.dispatches - before.dispatches;
  const auto waits = after.waits - before.waits;
  const std::string of = std::to_string(dispatched) + " dispatches, ";
  // A few switches in a million are shown to no program; such a wait is part of
  // the next one.
  if (waits > dispatched || dispatched - waits > 1 + dispatched / 1000)
    return of + std::to_string(waits) + " waits in the account";
  if (after.charged_ns != (with_culprits ? after.waited_ns : 0))
    return of + std::to_string(after.waited_ns) + " ns waited, " +
           std::to_string(after.charged_ns) + " ns charged";
  return {};
}

}  // namespace vcpu
