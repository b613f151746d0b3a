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

#include "collectors/libvirt/client.h"
#include "collectors/libvirt/monitor_client.h"
#include "collectors/libvirt/protocol.h"

namespace vcpu {
namespace {

constexpr std::string_view kChildFlag = "--internal.libvirt-child=";
constexpr std::string_view kMonitorFlag = "--internal.libvirt-monitor=";
constexpr std::string_view kUriFlag = "--libvirt.uri=";
// Between two questions, however much is new.
constexpr std::chrono::milliseconds kCalm{500};
constexpr unsigned kFirstOtherFd = 3;
constexpr int kMaxFd = 1 << 20;

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

// All but the standard three and these two; those that they would leave to a
// program that libvirt starts (ssh, a session daemon) included.
void close_other_fds(int one, int other) {
  const auto low = static_cast<unsigned>(std::min(one, other));
  const auto high = static_cast<unsigned>(std::max(one, other));
  ::fcntl(one, F_SETFD, FD_CLOEXEC);
  ::fcntl(other, F_SETFD, FD_CLOEXEC);
  if (low > kFirstOtherFd) ::close_range(kFirstOtherFd, low - 1, 0);
  if (high > low + 1) ::close_range(low + 1, high - 1, 0);
  ::close_range(std::max(kFirstOtherFd, high + 1), ~0U, 0);
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

// Nothing of what the parent has but the pipes.
void become_child(int in_fd, int out_fd, const char* name) {
  std::signal(SIGPIPE, SIG_IGN);  // A killed libvirtd would kill us with it.
  drop_capabilities();
  ::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  ::prctl(PR_SET_NAME, name, 0, 0, 0);  // Not "exe".
  close_other_fds(in_fd, out_fd);
}

// The two numbers of a child's first flag, and its URI.
struct ChildFlags {
  int first;
  int second;
  std::string uri;
};

std::optional<ChildFlags> parse_flags(int argc, const char* const* argv,
                                      std::string_view flag, int most_first,
                                      int least_second, int most_second) {
  if (argc != 3) return std::nullopt;
  std::string_view numbers = argv[1];
  std::string_view uri = argv[2];
  if (!numbers.starts_with(flag) || !uri.starts_with(kUriFlag)) {
    return std::nullopt;
  }
  numbers.remove_prefix(flag.size());
  uri.remove_prefix(kUriFlag.size());
  const auto comma = numbers.find(',');
  if (comma == std::string_view::npos) return std::nullopt;
  const auto first = number(numbers.substr(0, comma), 0, most_first);
  const auto second =
      number(numbers.substr(comma + 1), least_second, most_second);
  if (!first || !second) return std::nullopt;
  return ChildFlags{*first, *second, std::string(uri)};
}

// The next request; empty when there will be none.
std::optional<MonitorRequest> read_request(int fd) {
  std::array<char, MonitorRequest::kBytes> bytes{};
  ssize_t got = 0;
  do {
    got = ::read(fd, bytes.data(), bytes.size());
  } while (got < 0 && errno == EINTR);
  if (got <= 0) return std::nullopt;
  return decode_request({bytes.data(), static_cast<std::size_t>(got)});
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
  constexpr int kMaxPeriodMs = 3'600'000;
  const auto flags =
      parse_flags(argc, argv, kChildFlag, kMaxFd, 1, kMaxPeriodMs);
  if (!flags) return std::nullopt;
  return LibvirtChild{flags->first, flags->uri,
                      std::chrono::milliseconds(flags->second)};
}

int run_libvirt_child(int out_fd, const std::string& uri,
                      std::chrono::milliseconds period) {
  become_child(out_fd, out_fd, "vcpu_libvirt");
  if (!somebody_reads(out_fd)) return 1;

  LibvirtClient client(uri);
  auto asked = std::chrono::steady_clock::now();
  while (write_all(out_fd, encode(client.ask()))) {
    client.wait(asked + std::min(period, kCalm), asked + period);
    asked = std::chrono::steady_clock::now();
  }
  return 0;
}

std::vector<std::string> monitor_child_argv(const MonitorChild& child) {
  return {"vcpu_exporter",
          std::string(kMonitorFlag) + std::to_string(child.in_fd) + "," +
              std::to_string(child.out_fd),
          std::string(kUriFlag) + child.uri};
}

std::optional<MonitorChild> parse_monitor_child(int argc,
                                                const char* const* argv) {
  const auto flags = parse_flags(argc, argv, kMonitorFlag, kMaxFd, 0, kMaxFd);
  if (!flags) return std::nullopt;
  return MonitorChild{flags->first, flags->second, flags->uri};
}

int run_monitor_child(const MonitorChild& child) {
  become_child(child.in_fd, child.out_fd, "vcpu_monitor");
  if (!somebody_reads(child.out_fd)) return 1;

  MonitorClient client(child.uri);
  auto frame = client.connect();
  while (write_all(child.out_fd, encode(frame)) &&
         frame.outcome != MonitorOutcome::kNoLibvirt) {
    const auto request = read_request(child.in_fd);
    if (!request) return 0;
    frame = client.ask(*request);
  }
  return 0;
}

}  // namespace vcpu
