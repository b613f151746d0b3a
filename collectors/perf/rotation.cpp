// SPDX-License-Identifier: Apache-2.0
#include "collectors/perf/rotation.h"

#include <algorithm>
#include <utility>

namespace vcpu {
namespace {

// So many passes a VM may be missing and still not have ended.
constexpr int kPassesMissed = 10;

bool no_descriptor_left(const Error& error) {
  return error.code == std::errc::too_many_files_open ||
         error.code == std::errc::too_many_files_open_in_system;
}

}  // namespace

Rotation::Rotation(EventSource& source, const EventGroups& groups,
                   Limits limits, Now now)
    : source_(source), groups_(groups), limits_(limits), now_(std::move(now)) {}

void Rotation::pass(const std::vector<Vcpu>& present) {
  const auto begin = now_();
  take_in(present);
  forget_vms();
  read_open(begin + limits_.budget / 2);
  take_turns(begin + limits_.budget);
}

void Rotation::take_in(const std::vector<Vcpu>& present) {
  for (auto& [vm_id, vm] : vms_) {
    ++vm.missed;
    for (auto& [index, vcpu] : vm.vcpus) vcpu.present = false;
  }
  for (const Vcpu& vcpu : present) {
    Vm& vm = vms_[vcpu.id.vm];
    vm.missed = 0;
    Known& one = vm.vcpus[vcpu.id.index];
    one.present = true;
    one.tid = vcpu.tid;
    if (!std::exchange(one.in_line, true)) waiting_.push_back(vcpu.id);
  }
}

void Rotation::forget_vms() {
  std::erase_if(vms_, [](const auto& item) {
    const auto& [vm_id, vm] = item;
    return vm.missed > kPassesMissed &&
           std::none_of(vm.vcpus.begin(), vm.vcpus.end(),
                        [](const auto& one) { return one.second.in_line; });
  });
}

void Rotation::read_open(Clock::time_point until) {
  for (std::size_t left = open_.size(); left > 0; --left) {
    read_next();
    if (now_() >= until) return;
  }
}

void Rotation::read_next() {
  if (next_read_ >= open_.size()) next_read_ = 0;
  Known& vcpu = known(open_[next_read_]);
  if (!vcpu.present || vcpu.tid != vcpu.observed_tid) {
    close(next_read_);
  } else {
    read(vcpu);
    ++next_read_;
  }
}

void Rotation::read(Known& vcpu) {
  const auto before = vcpu.totals.observed_ns;
  vcpu.refusal.reset();
  if (const auto done = vcpu.observation->read(vcpu.totals); !done)
    vcpu.refusal = done.error();
  if (vcpu.totals.observed_ns > before) vcpu.starved_ns = 0;
}

void Rotation::take_turns(Clock::time_point until) {
  // Not for those who come to the end of the line meanwhile.
  for (std::size_t left = waiting_.size(); left > 0; --left) {
    if (!make_room() || !open_next() || now_() >= until) return;
  }
}

// Whether there are descriptors for one vCPU more.
bool Rotation::make_room() {
  const std::size_t needed = groups_.descriptors();
  while (open_descriptors() + needed > limits_.descriptors) {
    if (open_.empty()) return false;
    if (now_() - known(open_.front()).since < limits_.window) return false;
    close(0);
  }
  return true;
}

// Opens the first in the line. False: there is no sense in going on.
bool Rotation::open_next() {
  const VcpuId id = waiting_.front();
  waiting_.pop_front();
  Known& vcpu = known(id);
  vcpu.refusal.reset();
  vcpu.in_line = vcpu.present;
  if (!vcpu.present) return true;
  auto opened = Observation::open(source_, vcpu.tid, groups_);
  if (opened) {
    vcpu.observation = *std::move(opened);
    vcpu.observed_tid = vcpu.tid;
    vcpu.since = now_();
    open_.push_back(id);
    return true;
  }
  if (opened.error().code == std::errc::no_such_process) {
    // If it is still there at the next pass, it gets in line as a new one.
    vcpu.in_line = false;
    return true;
  }
  vcpu.refusal = opened.error();
  waiting_.push_back(id);
  return !no_descriptor_left(opened.error());
}

// Reads it for the last time; it goes to the end of the line.
void Rotation::close(std::size_t position) {
  const VcpuId id = open_[position];
  open_.erase(open_.begin() + static_cast<std::ptrdiff_t>(position));
  Known& vcpu = known(id);
  read(vcpu);
  vcpu.starved_ns += vcpu.observation->kept_back_ns();
  vcpu.observation.reset();
  vcpu.in_line = vcpu.present;
  if (vcpu.present) waiting_.push_back(id);
}

const Rotation::Known* Rotation::find(const VcpuId& id) const {
  const auto vm = vms_.find(id.vm);
  if (vm == vms_.end()) return nullptr;
  const auto vcpu = vm->second.vcpus.find(id.index);
  return vcpu == vm->second.vcpus.end() ? nullptr : &vcpu->second;
}

const PerfTotals* Rotation::totals(const VcpuId& id) const {
  const Known* const vcpu = find(id);
  if (vcpu == nullptr || vcpu->totals.observed_ns == 0) return nullptr;
  return &vcpu->totals;
}

std::optional<Error> Rotation::refusal() const {
  for (const auto& [vm_id, vm] : vms_)
    for (const auto& [index, vcpu] : vm.vcpus)
      if (vcpu.present && vcpu.refusal) return vcpu.refusal;
  return std::nullopt;
}

bool Rotation::starved() const {
  for (const auto& [vm_id, vm] : vms_) {
    for (const auto& [index, vcpu] : vm.vcpus) {
      auto starved_ns = vcpu.starved_ns;
      if (vcpu.observation) starved_ns += vcpu.observation->kept_back_ns();
      if (vcpu.present && starved_ns >= kStarvedNs) return true;
    }
  }
  return false;
}

std::size_t Rotation::open_descriptors() const {
  return open_.size() * groups_.descriptors();
}

}  // namespace vcpu
