// SPDX-License-Identifier: Apache-2.0
#ifdef VCPU_HAVE_BPF

#include "collectors/bpf/load_log.h"

#include <bpf/btf.h>

#include <cerrno>
#include <string_view>

namespace vcpu {
namespace {

constexpr std::size_t kLogBytes = std::size_t{1} << 20;

int silent(libbpf_print_level /*level*/, const char* /*format*/,
           va_list /*arguments*/) {
  return 0;
}

// The line that says what the verifier does not like: its last, but for the
// statistics.
std::string last_words(std::string_view log) {
  while (!log.empty()) {
    const auto end = log.find_last_not_of('\n');
    if (end == std::string_view::npos) break;
    log = log.substr(0, end + 1);
    const auto before = log.rfind('\n');
    const auto line = log.substr(before + 1);
    if (line.find("processed ") != 0) return std::string(line);
    if (before == std::string_view::npos) break;
    log = log.substr(0, before);
  }
  return "";
}

// As libbpf looks for it.
bool kernel_has_btf() {
  btf* const types = btf__load_vmlinux_btf();
  const bool found = types != nullptr;
  btf__free(types);
  return found;
}

}  // namespace

LoadLog::LoadLog() : text_(kLogBytes, '\0') {
  libbpf_set_print(silent);
  options_.sz = sizeof options_;
  options_.kernel_log_buf = text_.data();
  options_.kernel_log_size = text_.size();
}

Error LoadLog::error(int error) const {
  if (error == -EPERM)
    return failed("not allowed: needs CAP_BPF and CAP_PERFMON at the start");
  const std::string words = last_words(text_.c_str());
  if ((error == -EACCES || error == -EINVAL) && !words.empty())
    return failed("this kernel's verifier refuses the eBPF program: " + words);
  if ((error == -ENOENT || error == -ESRCH) && !kernel_has_btf())
    return failed("the kernel has no BTF (CONFIG_DEBUG_INFO_BTF)");
  if (error == -ENOENT || error == -ESRCH)
    return failed("this kernel has not all that the eBPF program hooks into");
  return {std::error_code(-error, std::generic_category()),
          "eBPF cannot be loaded"};
}

}  // namespace vcpu

#endif
