// SPDX-License-Identifier: Apache-2.0
//
// What eBPF alone tells, byte for byte, of records as the kernel's side writes
// them: tests/golden/waits.prom. UPDATE_GOLDEN=1 writes it anew.
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string_view>

#include "collectors/catalog.h"
#include "collectors/vcpu_waits.h"
#include "tests/support/literal_snapshot.h"
#include "tests/support/text_of.h"

namespace vcpu {
namespace {

constexpr const char* kGolden = VCPU_SOURCE_DIR "/tests/golden/waits.prom";
constexpr std::uint64_t kMs = 1'000'000;
constexpr pid_t kWeb = 1100;
constexpr pid_t kNoisy = 1200;

Vm vm_named(const std::string& domain, pid_t pid,
            const std::vector<std::uint64_t>& waiting) {
  std::vector<Thread> vcpus;
  for (std::size_t i = 0; i < waiting.size(); ++i) {
    vcpus.push_back(vcpu_thread(domain, static_cast<int>(i), {}, 0, {0}));
    vcpus.back().tid = pid + 1 + static_cast<pid_t>(i);
    vcpus.back().waiting_ns = waiting[i];
  }
  Vm vm = vm_of(domain, std::move(vcpus));
  vm.pid = pid;
  return vm;
}

// Of a vCPU's thread.
class Written {
 public:
  Written(pid_t process, int vcpu) {
    record_.head.tid = static_cast<__u32>(process + 1 + vcpu);
    record_.head.tgid = static_cast<__u32>(process);
    record_.start_ns = 5;
  }
  Written& wait(std::uint64_t ns) {
    record_.account.waits[bucket_of(ns)]++;
    record_.account.waited += ns;
    return *this;
  }
  Written& charge(culprit_kind kind, std::uint64_t ns) {
    record_.account.by_kind[kind] += ns;
    record_.account.charged += ns;
    return *this;
  }
  Written& charge(culprit_kind kind, pid_t process, std::string_view name,
                  std::uint64_t ns) {
    auto& place = record_.account.culprits[record_.account.named++];
    place.who = {kind, static_cast<__u32>(process), {}};
    name.copy(place.who.name, TASK_NAME_LENGTH - 1);
    place.ns = ns;
    record_.account.charged += ns;
    return *this;
  }
  void add_to(AccountRecords& records) const {
    EXPECT_EQ(record_.account.charged, record_.account.waited);
    records.add(record_.head.tid,
                {reinterpret_cast<const char*>(&record_), sizeof record_});
  }

 private:
  account_record record_{};
};

std::string page() {
  const auto snapshot = snapshot_of(
      {vm_named("noisy", kNoisy, {0}), vm_named("web", kWeb, {0, 7 * kMs})});
  Written first(kWeb, 0);
  first.wait(1000).wait(1024).wait(1025).wait(2'000'000 * kMs / 1000);
  first.charge(CULPRIT_IDLE, 3049)
      .charge(CULPRIT_DOMAIN, kNoisy, "qemu-system-x86", 1500 * kMs)
      .charge(CULPRIT_HOST, 0, "back\"up\n\\", 300 * kMs)
      .charge(CULPRIT_OVERHEAD, kNoisy, "qemu-system-x86", 150 * kMs)
      .charge(CULPRIT_IRQ, 40 * kMs)
      // Too little for a place of its own.
      .charge(CULPRIT_HOST, 0, "cron", 10 * kMs);
  Written second(kWeb, 1);
  second.wait(40 * kMs).wait(60 * kMs);
  second.charge(CULPRIT_QUOTA, 60 * kMs)
      .charge(CULPRIT_SELF, 25 * kMs)
      .charge(CULPRIT_OWN_OVERHEAD, 10 * kMs)
      .charge(CULPRIT_UNKNOWN, 5 * kMs);
  const Written none(kNoisy, 0);
  AccountRecords records;
  first.add_to(records);
  second.add_to(records);
  none.add_to(records);
  records.sort();

  Families families;
  EXPECT_TRUE(make_sched({})->collect(snapshot, families));
  VcpuWaits waits({}, {});
  waits.add(snapshot, records);
  waits.say(snapshot, true, families);
  return text_of(families, TextFormat::kPrometheus);
}

TEST(Golden, IsAllThatEbpfAloneTells) {
  const auto text = page();
  if (std::getenv("UPDATE_GOLDEN") != nullptr)
    std::ofstream(kGolden, std::ios::binary) << text;
  std::ifstream file(kGolden, std::ios::binary);
  EXPECT_EQ(text, std::string(std::istreambuf_iterator<char>(file), {}))
      << "if the change is meant: UPDATE_GOLDEN=1, then read the diff";
}

}  // namespace
}  // namespace vcpu
