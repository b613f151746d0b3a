// SPDX-License-Identifier: Apache-2.0
#include "collectors/runqueue.h"

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "collectors/bpf/other_processes.h"
#include "collectors/bpf/runqueue_program.h"
#include "collectors/catalog.h"
#include "collectors/vcpu_waits.h"

namespace vcpu {
namespace {

constexpr const char* kNotOpened =
    "switched off at the start; restart to attach it";

class Runqueue final : public Collector {
 public:
  explicit Runqueue(const CollectorOptions& options)
      : roots_(options.roots),
        culprits_(options.runqueue.culprits),
        tasks_(options.tasks),
        ebpf_(options.ebpf),
        waits_(options.runqueue, options.shown_name) {}

  std::string_view name() const override { return "runqueue"; }

  void open() override {
    reason_ = no_ebpf_reason(ebpf_, roots_);
    if (!reason_.empty()) return;
    auto opened = RunqueueProgram::open(culprits_, tasks_);
    if (opened) {
      program_.emplace(*std::move(opened));
    } else {
      reason_ = opened.error().message();
    }
  }

  void close() override {
    program_.reset();
    waits_.clear();
    reason_ = kNotOpened;
  }

  void expect() override {
    if (program_) program_->expect();
  }

  Result<void> collect(const Snapshot& snapshot, Families& families) override {
    families.source("runqueue", reason_);
    if (!program_) return {};
    const std::string& no_quota = program_->quota_missing_reason();
    if (culprits_) families.source("runqueue_quota", no_quota);
    tell(snapshot);
    auto records = program_->read();
    if (!records) return records.error();
    waits_.add(snapshot, *records);
    program_->taken();
    waits_.say(snapshot, no_quota.empty(), families);
    return {};
  }

 private:
  void tell(const Snapshot& snapshot) {
    std::vector<pid_t> pids;
    for (const Vm& vm : snapshot.vms) {
      pids.push_back(vm.pid);
      for (const Thread& vcpu : vm.vcpus()) pids.push_back(vcpu.tid);
    }
    program_->tell(pids);
  }

  const Roots roots_;
  const bool culprits_;
  const std::shared_ptr<TasksProgram> tasks_;
  std::optional<RunqueueProgram> program_;
  const bool ebpf_;
  std::string reason_ = kNotOpened;
  VcpuWaits waits_;
};

}  // namespace

std::unique_ptr<Collector> make_runqueue(const CollectorOptions& options) {
  return std::make_unique<Runqueue>(options);
}

}  // namespace vcpu
