// SPDX-License-Identifier: Apache-2.0
#include "exporter/version.h"

#ifndef VCPU_VERSION
#error "the build defines VCPU_VERSION"
#endif
#ifndef VCPU_REVISION
#error "the build defines VCPU_REVISION"
#endif

namespace vcpu {

std::string_view version() { return VCPU_VERSION; }

std::string_view revision() { return VCPU_REVISION; }

std::string_view compiler() {
#if defined(__clang__)
  return "clang++ " __clang_version__;
#else
  return "g++ " __VERSION__;
#endif
}

std::string_view platform() {
#if defined(__x86_64__)
  return "linux/x86_64";
#elif defined(__aarch64__)
  return "linux/aarch64";
#elif defined(__s390x__)
  return "linux/s390x";
#elif defined(__powerpc64__)
  return "linux/ppc64";
#elif defined(__riscv)
  return "linux/riscv64";
#else
  return "linux/unknown";
#endif
}

std::string version_text() {
  std::string text(kProgramName);
  text.append(", version ").append(version());
  text.append(" (revision: ").append(revision()).append(")\n");
  text.append("  compiler:  ").append(compiler()).append("\n");
  text.append("  platform:  ").append(platform()).append("\n");
  return text;
}

}  // namespace vcpu
