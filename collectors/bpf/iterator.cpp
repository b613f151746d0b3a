// SPDX-License-Identifier: Apache-2.0
#include "collectors/bpf/iterator.h"

#include <linux/bpf.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace vcpu {
namespace {

Error last_error(const char* what) {
  return {std::error_code(errno, std::generic_category()), what};
}

}  // namespace

Result<void> read_iterator(int link_fd, std::string& contents) {
  contents.clear();
  bpf_attr attributes;
  std::memset(&attributes, 0, sizeof attributes);
  attributes.iter_create.link_fd = static_cast<__u32>(link_fd);
  const auto fd = static_cast<int>(
      ::syscall(SYS_bpf, BPF_ITER_CREATE, &attributes, sizeof attributes));
  if (fd < 0) return last_error("the eBPF iterator cannot be opened");
  constexpr std::size_t kStep = std::size_t{64} << 10;
  Result<void> result;
  while (true) {
    const std::size_t size = contents.size();
    contents.resize(size + kStep);
    const ssize_t got = ::read(fd, contents.data() + size, kStep);
    contents.resize(size + static_cast<std::size_t>(got > 0 ? got : 0));
    if (got > 0) continue;
    if (got == 0) break;
    // It has looked at a million tasks without a word, and goes on.
    if (errno == EAGAIN || errno == EINTR) continue;
    result = last_error("the eBPF iterator cannot be read");
    break;
  }
  ::close(fd);
  return result;
}

}  // namespace vcpu
