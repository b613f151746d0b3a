// SPDX-License-Identifier: Apache-2.0
#include "collectors/bpf/other_processes.h"

#include <sys/stat.h>
#include <unistd.h>

#include <array>

namespace vcpu {
namespace {

constexpr ino_t kFirstPidNamespace = 0xEFFFFFFC;   // PROC_PID_INIT_INO
constexpr ino_t kFirstTimeNamespace = 0xEFFFFFFA;  // PROC_TIME_INIT_INO

// False where the kernel has no such namespaces.
bool is_another(const std::string& path, ino_t first) {
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0 && status.st_ino != first;
}

std::string link_text(const std::string& path) {
  std::array<char, 16> text{};
  const auto size = ::readlink(path.c_str(), text.data(), text.size());
  return {text.data(), static_cast<std::size_t>(size > 0 ? size : 0)};
}

std::string other_processes_reason(const Roots& roots) {
  const std::string self = roots.proc + "/self";
  if (is_another(self + "/ns/pid", kFirstPidNamespace))
    return "runs in a pid namespace of its own; give it the host's";
  if (link_text(self) != std::to_string(::getpid()))
    return roots.proc + " is not this machine's, or of another pid namespace";
  if (is_another(self + "/ns/time", kFirstTimeNamespace))
    return "runs in a time namespace of its own";
  return "";
}

}  // namespace

std::string no_ebpf_reason(bool ebpf, const Roots& roots) {
  return ebpf ? other_processes_reason(roots)
              : "eBPF is switched off (--no-ebpf)";
}

}  // namespace vcpu
