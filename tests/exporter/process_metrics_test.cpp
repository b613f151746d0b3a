// SPDX-License-Identifier: Apache-2.0
#include "exporter/process_metrics.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <ctime>
#include <map>

namespace vcpu {
namespace {

std::map<std::string, double> figures() {
  Families families;
  add_process_metrics(families);
  std::map<std::string, double> values;
  for (const Family& family : families.families())
    values[family.name()] = family.sample(0).value;
  return values;
}

TEST(ProcessMetrics, HaveTheStandardNames) {
  const auto values = figures();
  for (const char* name :
       {"process_cpu_seconds_total", "process_open_fds", "process_max_fds",
        "process_virtual_memory_bytes", "process_resident_memory_bytes",
        "process_start_time_seconds"}) {
    EXPECT_GT(values.count(name), 0U) << name;
  }
  EXPECT_EQ(values.size(), 6U);
}

TEST(ProcessMetrics, CountOpenDescriptors) {
  const auto before = figures().at("process_open_fds");
  const int fd = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  EXPECT_EQ(figures().at("process_open_fds"), before + 1);
  ::close(fd);
}

TEST(ProcessMetrics, KnowWhenTheProcessStarted) {
  const auto now = static_cast<double>(std::time(nullptr));
  const auto start = figures().at("process_start_time_seconds");
  EXPECT_LE(start, now + 2);
  EXPECT_GT(start, now - 3600);
}

TEST(ProcessMetrics, CountCpuTimeThatWasUsed) {
  const auto before = figures().at("process_cpu_seconds_total");
  const auto until = std::clock() + CLOCKS_PER_SEC / 20;
  while (std::clock() < until) {
  }
  EXPECT_GE(figures().at("process_cpu_seconds_total"), before + 0.04);
}

}  // namespace
}  // namespace vcpu
