// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "collectors/catalog.h"
#include "tests/support/literal_snapshot.h"
#include "tests/support/text_of.h"

namespace vcpu {
namespace {

using testing::ElementsAre;

TEST(Threads, SaysTheTimeOfEveryRole) {
  Vm vm = vm_of("web", {});
  vm.role_times = {{ThreadRole::kEmulator, 1'000'000'000, 2'000'000},
                   {ThreadRole::kVhost, 3, 0},
                   {ThreadRole::kOther, 5, 6}};
  Families families;
  ASSERT_TRUE(make_threads({})->collect(snapshot_of({vm}), families));
  EXPECT_THAT(
      samples_of(families),
      ElementsAre(
          R"(vcpu_domain_thread_run_seconds_total{domain="web",role="emulator"} 1)",
          R"(vcpu_domain_thread_run_seconds_total{domain="web",role="vhost"} 3e-09)",
          R"(vcpu_domain_thread_run_seconds_total{domain="web",role="other"} 5e-09)",
          R"(vcpu_domain_thread_steal_seconds_total{domain="web",role="emulator"} 0.002)",
          R"(vcpu_domain_thread_steal_seconds_total{domain="web",role="vhost"} 0)",
          R"(vcpu_domain_thread_steal_seconds_total{domain="web",role="other"} 6e-09)"));
}

}  // namespace
}  // namespace vcpu
