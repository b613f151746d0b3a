// SPDX-License-Identifier: Apache-2.0
//
// LoadLog: why the kernel did not take an eBPF program, for a person to read.
// For the programs' own sources only, where there is libbpf.
#pragma once

#include <bpf/libbpf.h>

#include <string>

#include "collectors/base/result.h"

namespace vcpu {

class LoadLog {
 public:
  LoadLog();
  LoadLog(const LoadLog&) = delete;
  LoadLog& operator=(const LoadLog&) = delete;

  // For NAME_bpf__open_opts(): the verifier writes here.
  const bpf_object_open_opts* options() const { return &options_; }

  // Why loading or attaching failed with `error`, a -errno.
  Error error(int error) const;

 private:
  std::string text_;
  bpf_object_open_opts options_{};
};

}  // namespace vcpu
