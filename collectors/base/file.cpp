// SPDX-License-Identifier: Apache-2.0
#include "collectors/base/file.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <memory>
#include <string_view>
#include <utility>

#include "collectors/base/uninterrupted.h"

namespace vcpu {
namespace {

int open_uninterrupted(const std::string& path, int flags) {
  return uninterrupted([&] { return ::open(path.c_str(), flags | O_CLOEXEC); });
}

int open_at(const Directory& directory, const char* name, int flags) {
  return uninterrupted(
      [&] { return ::openat(directory.fd(), name, flags | O_CLOEXEC); });
}

Error failure(std::string context) {
  return {{errno, std::generic_category()}, std::move(context)};
}

std::string join(const Directory& directory, const char* name) {
  return directory.path() + "/" + name;
}

// Takes the descriptor over.
Result<void> read_all(int fd, std::string& contents,
                      std::size_t most = kMaxFileBytes) {
  constexpr std::size_t kChunk = 4096;
  contents.clear();
  ssize_t n = 0;
  std::array<char, kChunk> chunk;
  while (contents.size() < most) {
    const auto wanted = std::min(chunk.size(), most - contents.size());
    n = uninterrupted([&] { return ::read(fd, chunk.data(), wanted); });
    if (n <= 0) break;
    contents.append(chunk.data(), static_cast<std::size_t>(n));
  }
  const int error = errno;
  ::close(fd);
  if (n < 0) return Error{{error, std::generic_category()}, ""};
  return {};
}

// Takes the descriptor over.
template <typename Take>
Result<void> for_each_entry(int fd, const std::string& path, const Take& take) {
  DIR* const opened = ::fdopendir(fd);
  if (opened == nullptr) {
    auto error = failure(path);
    ::close(fd);
    return error;
  }
  const auto close = [](DIR* directory) { ::closedir(directory); };
  const std::unique_ptr<DIR, decltype(close)> directory(opened, close);
  do {
    errno = 0;
    while (const dirent* entry = ::readdir(directory.get())) {
      take(*entry);
      errno = 0;
    }
  } while (errno == EINTR);
  if (errno != 0) return failure(path);
  return {};
}

Result<std::vector<int>> numbers_in(int fd, const std::string& path) {
  std::vector<int> numbers;
  const auto listed = for_each_entry(fd, path, [&](const dirent& entry) {
    const char* const begin = entry.d_name;
    const char* const end = begin + std::strlen(begin);
    int number = 0;
    const auto [stop, error] = std::from_chars(begin, end, number);
    if (error == std::errc{} && stop == end && number >= 0)
      numbers.push_back(number);
  });
  if (!listed) return listed.error();
  std::sort(numbers.begin(), numbers.end());
  return numbers;
}

template <typename Wanted>
Result<std::vector<std::string>> names_in(const std::string& path,
                                          const Wanted& wanted) {
  const int fd = open_uninterrupted(path, O_RDONLY | O_DIRECTORY);
  if (fd < 0) return failure(path);
  std::vector<std::string> names;
  const auto listed = for_each_entry(fd, path, [&](const dirent& entry) {
    const std::string name = entry.d_name;
    if (wanted(entry) && name != "." && name != "..") names.push_back(name);
  });
  if (!listed) return listed.error();
  return names;
}

}  // namespace

Result<Directory> Directory::open(const std::string& path) {
  const int fd = open_uninterrupted(path, O_PATH | O_DIRECTORY);
  if (fd < 0) return failure(path);
  return Directory(fd, path);
}

Directory::Directory(int fd, std::string path)
    : fd_(fd), path_(std::move(path)) {}

Directory::Directory(Directory&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)), path_(std::move(other.path_)) {}

Directory& Directory::operator=(Directory&& other) noexcept {
  std::swap(fd_, other.fd_);
  std::swap(path_, other.path_);
  return *this;
}

Directory::~Directory() {
  if (fd_ >= 0) ::close(fd_);
}

Result<std::string> read_file(const std::string& path, std::size_t most) {
  const int fd = open_uninterrupted(path, O_RDONLY);
  if (fd < 0) return failure(path);
  std::string contents;
  const auto read = read_all(fd, contents, most);
  if (!read) return Error{read.error().code, path};
  return contents;
}

Result<std::string> read_end(const std::string& path, std::size_t most) {
  constexpr std::size_t kChunk = std::size_t{64} << 10;
  const int fd = open_uninterrupted(path, O_RDONLY);
  if (fd < 0) return failure(path);
  std::string end;
  std::string chunk(kChunk, '\0');
  ssize_t n = 0;
  const auto next = [&] {
    return uninterrupted(
        [&] { return ::read(fd, chunk.data(), chunk.size()); });
  };
  while ((n = next()) > 0) {
    end.append(chunk, 0, static_cast<std::size_t>(n));
    if (end.size() > 2 * most) end.erase(0, end.size() - most);
  }
  const int error = errno;
  ::close(fd);
  if (n < 0) return Error{{error, std::generic_category()}, path};
  if (end.size() > most) end.erase(0, end.size() - most);
  return end;
}

bool exists(const std::string& path) {
  return ::access(path.c_str(), F_OK) == 0 || !is_gone(failure(path));
}

Result<void> read_file_at(const Directory& directory, const char* name,
                          std::string& contents) {
  const int fd = open_at(directory, name, O_RDONLY);
  if (fd < 0) return failure(join(directory, name));
  const auto read = read_all(fd, contents);
  if (!read) return Error{read.error().code, join(directory, name)};
  return {};
}

Result<std::vector<int>> list_numbers(const std::string& path) {
  const int fd = open_uninterrupted(path, O_RDONLY | O_DIRECTORY);
  if (fd < 0) return failure(path);
  return numbers_in(fd, path);
}

Result<std::vector<int>> list_numbers_at(const Directory& directory,
                                         const char* name) {
  const int fd = open_at(directory, name, O_RDONLY | O_DIRECTORY);
  if (fd < 0) return failure(join(directory, name));
  return numbers_in(fd, join(directory, name));
}

Result<std::vector<std::string>> list_directories(const std::string& path) {
  return names_in(path,
                  [](const dirent& entry) { return entry.d_type == DT_DIR; });
}

Result<std::vector<std::string>> list_names(const std::string& path) {
  return names_in(path, [](const dirent&) { return true; });
}

bool is_gone(const Error& error) {
  return error.code == std::errc::no_such_file_or_directory ||
         error.code == std::errc::no_such_process ||
         error.code == std::errc::no_such_device;
}

bool is_refused(const Error& error) {
  return error.code == std::errc::permission_denied ||
         error.code == std::errc::operation_not_permitted;
}

}  // namespace vcpu
