// SPDX-License-Identifier: Apache-2.0
#include "collectors/huge_pages.h"

#include <optional>
#include <string>
#include <string_view>

#include "collectors/base/file.h"
#include "collectors/base/scan.h"
#include "collectors/kernel/count.h"

namespace vcpu {
namespace {

// Of hugepages-2048kB.
std::optional<std::uint64_t> page_bytes(std::string_view directory) {
  constexpr std::string_view kBefore = "hugepages-";
  constexpr std::string_view kAfter = "kB";
  constexpr std::uint64_t kBytesPerKib = 1024;
  if (!directory.starts_with(kBefore) || !directory.ends_with(kAfter))
    return std::nullopt;
  directory.remove_prefix(kBefore.size());
  directory.remove_suffix(kAfter.size());
  const auto kib = parse_number<std::uint64_t>(directory);
  if (!kib) return std::nullopt;
  return *kib * kBytesPerKib;
}

Result<HugePagePool> read_pool(const std::string& directory,
                               std::uint64_t bytes) {
  const auto pages = read_as(directory + "/nr_hugepages", parse_count);
  if (!pages) return pages.error();
  const auto free = read_as(directory + "/free_hugepages", parse_count);
  if (!free) return free.error();
  return HugePagePool{bytes, *pages, *free};
}

}  // namespace

Result<std::vector<HugePagePool>> read_huge_pages(const Roots& roots) {
  const auto root = roots.sys + "/kernel/mm/hugepages";
  const auto directories = list_directories(root);
  if (!directories) return directories.error();
  const auto top = root + "/";
  std::vector<HugePagePool> pools;
  for (const auto& directory : *directories) {
    const auto bytes = page_bytes(directory);
    if (!bytes) continue;
    auto pool = read_pool(top + directory, *bytes);
    if (!pool) return pool.error();
    pools.push_back(*pool);
  }
  return pools;
}

}  // namespace vcpu
