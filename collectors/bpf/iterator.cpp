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

Result<std::string_view> read_iterator(int link_fd, std::vector<char>& buffer) {
  const int fd = bpf_iter_create(link_fd);
  if (fd < 0) return last_error("the eBPF iterator cannot be opened");
  constexpr std::size_t kStep = std::size_t{64} << 10;
  std::size_t size = 0;
  ssize_t got = 0;
  do {
    if (buffer.size() < size + kStep) buffer.resize(size + kStep);
    got = ::read(fd, buffer.data() + size, kStep);
    if (got > 0) size += static_cast<std::size_t>(got);
    // At EAGAIN it has looked at a million tasks without a word, and goes on.
  } while (got > 0 || (got < 0 && (errno == EAGAIN || errno == EINTR)));
  const auto error = last_error("the eBPF iterator cannot be read");
  ::close(fd);
  if (got < 0) return error;
  return std::string_view(buffer.data(), size);
}

}  // namespace vcpu

#endif
