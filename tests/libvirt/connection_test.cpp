// SPDX-License-Identifier: Apache-2.0
//
// By libvirt's own library, and the driver inside it.
#ifdef VCPU_HAVE_LIBVIRT

#include "collectors/libvirt/connection.h"

#include <gtest/gtest.h>
#include <malloc.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "tests/support/forked.h"

namespace vcpu {
namespace {

namespace fs = std::filesystem;

struct Held {
  std::ptrdiff_t fds;
  std::size_t bytes;  // That malloc has given out: pages come and go.
  long resident_kib;
};

Held held() {
  long pages = 0;
  long resident = 0;
  std::ifstream("/proc/self/statm") >> pages >> resident;
  const auto now = ::mallinfo2();
  return {std::distance(fs::directory_iterator("/proc/self/fd"), {}),
          now.uordblks + now.hblkhd,
          resident * (::sysconf(_SC_PAGESIZE) >> 10)};
}

// False: there is no libvirt.
bool reconnect(LibvirtConnection& connection, int times) {
  for (int i = 0; i < times; ++i) {
    if (!connection.open()) return false;
    connection.watch_domains([] {});
    connection.close();
  }
  return true;
}

TEST(LibvirtConnectionTest, TwoHundredReconnectsLeaveNothingBehind) {
#ifdef __SANITIZE_ADDRESS__
  GTEST_SKIP() << "the sanitizer keeps what was freed for a while";
#endif
  const auto result = in_child([]() -> std::string {
    LibvirtConnection connection("test:///default", "libvirt.so.0");
    if (!reconnect(connection, 200)) return connection.reason();
    const auto before = held();
    reconnect(connection, 200);
    const auto after = held();
    std::string grown;
    if (after.fds != before.fds)
      grown += std::to_string(after.fds - before.fds) + " descriptors ";
    // A connection that is held has at least 700 bytes.
    if (after.bytes > before.bytes + std::size_t{50'000})
      grown += std::to_string(after.bytes - before.bytes) + " bytes ";
    if (after.resident_kib > before.resident_kib + 2048)
      grown +=
          std::to_string(after.resident_kib - before.resident_kib) + " KiB";
    return grown;
  });
  if (result.find("not installed") != std::string::npos) GTEST_SKIP() << result;
  EXPECT_EQ(result, "");
}

}  // namespace
}  // namespace vcpu

#endif
