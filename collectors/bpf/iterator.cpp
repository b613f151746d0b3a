// SPDX-License-Identifier: Apache-2.0
#include "collectors/bpf/iterator.h"

#ifdef VCPU_HAVE_BPF

#include <bpf/bpf.h>
#include <unistd.h>

#include <cerrno>

namespace vcpu {
namespace {

Error last_error(const char* what) {
  return {std::error_code(errno, std::generic_category()), what};
}

}  // namespace

Result<void> read_iterator(int link_fd, std::string& contents) {
  contents.clear();
  const int fd = bpf_iter_create(link_fd);
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

#endif
