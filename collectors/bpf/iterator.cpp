// SPDX-License-Identifier: Apache-2.0
#include "collectors/bpf/iterator.h"

#include <cstring>

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

Result<void> IteratorPass::read(int link_fd) {
  begin();
  const int fd = bpf_iter_create(link_fd);
  if (fd < 0) return last_error("the eBPF iterator cannot be opened");
  constexpr std::size_t kStep = std::size_t{64} << 10;
  ssize_t got = 0;
  do {
    got = ::read(fd, room(kStep), kStep);
    if (got > 0) grow(static_cast<std::size_t>(got));
    // At EAGAIN it has looked at a million tasks without a word, and goes on.
  } while (got > 0 || (got < 0 && (errno == EAGAIN || errno == EINTR)));
  const auto error = last_error("the eBPF iterator cannot be read");
  ::close(fd);
  if (got == 0) return {};
  begin();
  return error;
}

}  // namespace vcpu

#endif

namespace vcpu {

void IteratorPass::set(std::string_view bytes) {
  begin();
  if (bytes.empty()) return;
  std::memcpy(room(bytes.size()), bytes.data(), bytes.size());
  grow(bytes.size());
}

void IteratorPass::begin() {
  size_ = 0;
  parsed_ = 0;
  places_.clear();
}

char* IteratorPass::room(std::size_t bytes) {
  if (buffer_.size() < size_ + bytes) buffer_.resize(size_ + bytes);
  return buffer_.data() + size_;
}

// At once, while they are in the caches.
void IteratorPass::grow(std::size_t bytes) {
  size_ += bytes;
  while (size_ - parsed_ >= sizeof(record_head)) {
    Place one{{}, parsed_};
    std::memcpy(&one.head, buffer_.data() + parsed_, sizeof one.head);
    const std::size_t length = one.head.bytes;
    if (length < sizeof one.head || length > size_ - parsed_) return;
    places_.push_back(one);
    parsed_ += length;
  }
}

}  // namespace vcpu
