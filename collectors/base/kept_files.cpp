// SPDX-License-Identifier: Apache-2.0
#include "collectors/base/kept_files.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "collectors/base/uninterrupted.h"

namespace vcpu {
namespace {

std::size_t share_of_descriptors() {
  constexpr rlim_t kShare = 8;
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return 0;
  return static_cast<std::size_t>(limit.rlim_cur / kShare);
}

Error failure(const std::string& path) {
  return {{errno, std::generic_category()}, path};
}

}  // namespace

KeptFiles::KeptFiles(std::size_t most)
    : most_(std::min(most, share_of_descriptors())),
      text_(std::make_unique_for_overwrite<Text>()) {}

KeptFiles::~KeptFiles() {
  for (const auto& [path, file] : files_) ::close(file.fd);
}

Result<std::string_view> KeptFiles::read(const std::string& path) {
  const auto known = files_.find(path);
  if (known == files_.end()) return open(path);
  known->second.read = true;
  if (auto text = read_whole(known->second.fd, path)) return text;
  ::close(known->second.fd);
  files_.erase(known);
  return open(path);
}

Result<std::string_view> KeptFiles::open(const std::string& path) {
  const int fd =
      uninterrupted([&] { return ::open(path.c_str(), O_RDONLY | O_CLOEXEC); });
  if (fd < 0) return failure(path);
  auto text = read_whole(fd, path);
  if (text && files_.size() < most_) {
    files_.emplace(path, File{fd});
  } else {
    ::close(fd);
  }
  return text;
}

Result<std::string_view> KeptFiles::read_whole(int fd,
                                               const std::string& path) {
  std::size_t size = 0;
  ssize_t n = 0;
  // To ask for the end of the file would have the kernel write it all again:
  // what ends with a line is whole.
  do {
    n = uninterrupted([&] {
      return ::pread(fd, text_->data() + size, text_->size() - size,
                     static_cast<off_t>(size));
    });
    if (n < 0) return failure(path);
    size += static_cast<std::size_t>(n);
  } while (n > 0 && size < text_->size() && (*text_)[size - 1] != '\n');
  return std::string_view(text_->data(), size);
}

void KeptFiles::close_unread() {
  for (auto entry = files_.begin(); entry != files_.end();) {
    if (std::exchange(entry->second.read, false)) {
      ++entry;
    } else {
      ::close(entry->second.fd);
      entry = files_.erase(entry);
    }
  }
}

}  // namespace vcpu
