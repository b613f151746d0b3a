// SPDX-License-Identifier: Apache-2.0
#include "exporter/file_stamp.h"

#include <sys/stat.h>

#include <cstdint>

namespace vcpu {

std::string file_stamp(const std::string& file) {
  struct stat status {};
  if (::stat(file.c_str(), &status) != 0) return "";
  std::string stamp;
  for (const auto part : {static_cast<std::int64_t>(status.st_dev),
                          static_cast<std::int64_t>(status.st_ino),
                          static_cast<std::int64_t>(status.st_size),
                          // Of a change of rights too.
                          static_cast<std::int64_t>(status.st_ctim.tv_sec),
                          static_cast<std::int64_t>(status.st_ctim.tv_nsec)}) {
    stamp += std::to_string(part) + ' ';
  }
  return stamp;
}

}  // namespace vcpu
