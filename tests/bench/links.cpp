// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/links.h"

#include <bpf/bpf.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <system_error>

namespace vcpu {
namespace {

bool is_on_switch(int link_fd) {
  std::array<char, 64> name{};
  bpf_link_info info{};
  info.raw_tracepoint.tp_name = reinterpret_cast<__u64>(name.data());
  info.raw_tracepoint.tp_name_len = name.size();
  __u32 size = sizeof info;
  return bpf_obj_get_info_by_fd(link_fd, &info, &size) == 0 &&
         info.type == BPF_LINK_TYPE_RAW_TRACEPOINT &&
         std::strcmp(name.data(), "sched_switch") == 0;
}

}  // namespace

LinkIds links_on_switch() {
  LinkIds links;
  __u32 id = 0;
  int error = 0;
  while ((error = bpf_link_get_next_id(id, &id)) == 0) {
    const int fd = bpf_link_get_fd_by_id(id);
    if (fd < 0) continue;  // Gone meanwhile.
    if (is_on_switch(fd)) links.insert(id);
    ::close(fd);
  }
  if (error != -ENOENT)
    throw std::system_error(-error, std::generic_category(),
                            "eBPF links cannot be listed");
  return links;
}

LinkIds own_links() {
  LinkIds links;
  for (const auto& entry :
       std::filesystem::directory_iterator("/proc/self/fdinfo")) {
    std::ifstream info(entry.path());
    for (std::string key; info >> key;) {
      std::uint32_t id = 0;
      if (key == "link_id:" && info >> id) links.insert(id);
    }
  }
  return links;
}

bool exists(std::uint32_t link) {
  const int fd = bpf_link_get_fd_by_id(link);
  if (fd >= 0) ::close(fd);
  return fd >= 0;
}

}  // namespace vcpu
