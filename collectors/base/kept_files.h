// SPDX-License-Identifier: Apache-2.0
//
// KeptFiles: pseudo-files that stay open from scrape to scrape, as to read one
// again costs the kernel a third of what opening it does.
//
// For files of control groups: small ones, which the kernel writes as a whole
// at every read from their begin, and which answer ENODEV when their group has
// gone, even where another was made under its name. Each takes about 5 KiB of
// the kernel's memory and a descriptor, so there is a limit; beyond it files
// are opened each time. One scrape, one thread.
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

#include "collectors/base/file.h"
#include "collectors/base/result.h"

namespace vcpu {

class KeptFiles {
 public:
  // Keeps at most `most`, and no more than an eighth of the descriptors that
  // this process may have.
  explicit KeptFiles(std::size_t most);
  KeptFiles(const KeptFiles&) = delete;
  KeptFiles& operator=(const KeptFiles&) = delete;
  ~KeptFiles();

  // As read_file(); the text is good until the next call.
  Result<std::string_view> read(const std::string& path);

  template <typename Parse>
  auto read_as(const std::string& path, const Parse& parse) {
    return parse_as(read(path), path, parse);
  }

  // Ends a scrape: closes what was not read in it.
  void close_unread();

  std::size_t kept() const { return files_.size(); }

 private:
  using Text = std::array<char, std::size_t{256} << 10>;
  struct File {
    int fd = -1;
    bool read = true;  // In this scrape.
  };

  Result<std::string_view> open(const std::string& path);
  Result<std::string_view> read_whole(int fd, const std::string& path);

  const std::size_t most_;
  std::unordered_map<std::string, File> files_;
  const std::unique_ptr<Text> text_;
};

}  // namespace vcpu
