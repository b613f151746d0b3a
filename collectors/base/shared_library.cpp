// SPDX-License-Identifier: Apache-2.0
#include "collectors/base/shared_library.h"

#include <dlfcn.h>

#include <system_error>

namespace vcpu {
namespace {

Error unusable(std::string why) {
  return {make_error_code(std::errc::not_supported), std::move(why)};
}

}  // namespace

Result<SharedLibrary> SharedLibrary::open(std::string file) {
  void* const library = ::dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr)
    return unusable(file + " is not installed (" + ::dlerror() + ")");
  return SharedLibrary(std::move(file), library);
}

void* SharedLibrary::address_of(const char* name) {
  void* const address = ::dlsym(library_, name);
  if (address == nullptr) missing_ = name;
  return address;
}

Result<void> SharedLibrary::complete() const {
  if (missing_.empty()) return {};
  return unusable(file_ + " is too old: it has no " + missing_);
}

}  // namespace vcpu
