// SPDX-License-Identifier: Apache-2.0
#include "collectors/snapshot.h"

namespace vcpu {

std::string_view to_string(ThreadRole role) {
  switch (role) {
    case ThreadRole::kVcpu:
      return "vcpu";
    case ThreadRole::kEmulator:
      return "emulator";
    case ThreadRole::kIothread:
      return "iothread";
    case ThreadRole::kVhost:
      return "vhost";
    case ThreadRole::kWorker:
      return "worker";
    case ThreadRole::kOther:
      break;
  }
  return "other";
}

}  // namespace vcpu
