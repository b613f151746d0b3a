// SPDX-License-Identifier: Apache-2.0
//
// Reading pseudo-files: the only open(2) on procfs, sysfs and cgroupfs.
//
// Their st_size is a lie (0, or one page), so a file is read until its end, and
// no further than a cap: what a guest can make grow must not fill our memory.
// Thread-safe: nothing here keeps state between calls.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "collectors/base/result.h"

namespace vcpu {

inline constexpr std::size_t kMaxFileBytes = std::size_t{4} << 20;

// A directory held open: what is read through it belongs to the process that
// had the pid when it was opened, and to no later one (ESRCH instead).
class Directory {
 public:
  static Result<Directory> open(const std::string& path);

  Directory(Directory&& other) noexcept;
  Directory& operator=(Directory&& other) noexcept;
  ~Directory();

  int fd() const { return fd_; }
  const std::string& path() const { return path_; }

 private:
  Directory(int fd, std::string path);
  int fd_;
  std::string path_;
};

// The whole file, at most `most` bytes of it.
Result<std::string> read_file(const std::string& path,
                              std::size_t most = kMaxFileBytes);

// The last `most` bytes of a file, of which no more is held in memory at once
// than twice as many.
Result<std::string> read_end(const std::string& path, std::size_t most);

// Whether no part of it is missing at its end: each of the kernel's texts ends
// with a line.
inline bool is_whole(std::string_view text) {
  return text.empty() || text.back() == '\n';
}

// What `parse` makes of the text that was read from `path`: a Result, of which
// an Error says the whole path. Of a text that is not whole it is none: half a
// number is another number.
template <typename Text, typename Parse>
auto parse_as(const Result<Text>& text, const std::string& path,
              const Parse& parse)
    -> std::invoke_result_t<const Parse&, std::string_view> {
  if (!text) return text.error();
  if (!is_whole(*text)) return malformed(path);
  auto parsed = parse(std::string_view(*text));
  if (!parsed) return malformed(path);
  return parsed;
}

template <typename Parse>
auto read_as(const std::string& path, const Parse& parse) {
  return parse_as(read_file(path), path, parse);
}

// True, too, where the kernel cannot say.
bool exists(const std::string& path);

// The same as read_file() below `directory`, into a buffer that is reused from
// call to call.
Result<void> read_file_at(const Directory& directory, const char* name,
                          std::string& contents);

// The entries of a directory whose names are plain decimal numbers, ascending:
// the processes of /proc, the threads of /proc/PID/task.
Result<std::vector<int>> list_numbers(const std::string& path);
Result<std::vector<int>> list_numbers_at(const Directory& directory,
                                         const char* name);

// The names of the directories in a directory, links not among them: the groups
// of a control group. In no order.
Result<std::vector<std::string>> list_directories(const std::string& path);

// The names of all entries of a directory, links among them: the devices of a
// class. In no order.
Result<std::vector<std::string>> list_names(const std::string& path);

// True for the errors that mean "this process, thread or VM has just ended", or
// "this group or device has just been removed" (ENODEV).
bool is_gone(const Error& error);

// True for the errors that mean "not for the user that we are".
bool is_refused(const Error& error);

}  // namespace vcpu
