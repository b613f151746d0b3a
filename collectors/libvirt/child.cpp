// SPDX-License-Identifier: Apache-2.0
#include "collectors/libvirt/child.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <string_view>
#include <thread>

#include "collectors/libvirt/client.h"
#include "collectors/libvirt/protocol.h"

namespace vcpu {
namespace {

constexpr std::string_view kChildFlag = "--internal.libvirt-child=";
constexpr std::string_view kUriFlag = "--libvirt.uri=";
constexpr unsigned kFirstOtherFd = 3;

// All of `text` as a number in [least, most].
std::optional<int> number(std::string_view text, int least, int most) {
  int value = 0;
  const auto* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc{} || stop != end) return std::nullopt;
  if (value < least || value > most) return std::nullopt;
  return value;
}

// Whatever the binary's file capabilities, or the user, gave us.
void drop_capabilities() {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> none{};
  ::syscall(SYS_capset, &header, none.data());
  ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

// All but the standard three and `kept`; those that `kept` would leave to a
// program that libvirt starts (ssh, a session daemon) included.
void close_other_fds(int kept) {
  const auto keep = static_cast<unsigned>(kept);
  ::fcntl(kept, F_SETFD, FD_CLOEXEC);
  if (keep > kFirstOtherFd) ::close_range(kFirstOtherFd, keep - 1, 0);
  ::close_range(std::max(kFirstOtherFd, keep + 1), ~0U, 0);
}

// The end of a pipe that nobody reads polls as an error. It tells a parent that
// died before PR_SET_PDEATHSIG was in force, in any pid namespace.
bool somebody_reads(int fd) {
  pollfd out{fd, 0, 0};
  return ::poll(&out, 1, 0) == 0;
}

bool write_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const auto written = ::write(fd, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
  return true;
}

}  // namespace

std::vector<std::string> libvirt_child_argv(const LibvirtChild& child) {
  return {"vcpu_exporter",
          std::string(kChildFlag) + std::to_string(child.out_fd) + "," +
              std::to_string(child.period.count()),
          std::string(kUriFlag) + child.uri};
}

std::optional<LibvirtChild> parse_libvirt_child(int argc,
                                                const char* const* argv) {
  constexpr int kMaxFd = 1 << 20;
  constexpr int kMaxPeriodMs = 3'600'000;
  if (argc != 3) return std::nullopt;
  std::string_view numbers = argv[1];
  std::string_view uri = argv[2];
  if (!numbers.starts_with(kChildFlag) || !uri.starts_with(kUriFlag)) {
    return std::nullopt;
  }
  numbers.remove_prefix(kChildFlag.size());
  uri.remove_prefix(kUriFlag.size());
  const auto comma = numbers.find(',');
  if (comma == std::string_view::npos) return std::nullopt;
  const auto fd = number(numbers.substr(0, comma), 0, kMaxFd);
  const auto period = number(numbers.substr(comma + 1), 1, kMaxPeriodMs);
  if (!fd || !period) return std::nullopt;
  return LibvirtChild{*fd, std::string(uri),
                      std::chrono::milliseconds(*period)};
}

int run_libvirt_child(int out_fd, const std::string& uri,
                      std::chrono::milliseconds period) {
  std::signal(SIGPIPE, SIG_IGN);  // A killed libvirtd would kill us with it.
  drop_capabilities();
  ::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  ::prctl(PR_SET_NAME, "vcpu_libvirt", 0, 0, 0);  // Not "exe".
  close_other_fds(out_fd);
  if (!somebody_reads(out_fd)) return 1;

  LibvirtClient client(uri);
  auto next = std::chrono::steady_clock::now();
  while (write_all(out_fd, encode(client.ask()))) {
    next = std::max(next + period, std::chrono::steady_clock::now());
    std::this_thread::sleep_until(next);
  }
  return 0;
}

}  // namespace vcpu
