// SPDX-License-Identifier: Apache-2.0
//
// SharedLibrary: functions of a library that is looked for when it is needed,
// so that the program runs, and is small, where it is not. Never unloaded: its
// threads may be running. dlopen(3).
#pragma once

#include <string>
#include <utility>

#include "collectors/base/result.h"

namespace vcpu {

class SharedLibrary {
 public:
  // An Error where it is not installed.
  static Result<SharedLibrary> open(std::string file);

  template <typename Function>
  void find(const char* name, Function& function) {
    function = reinterpret_cast<Function>(address_of(name));
  }

  // An Error where something that was looked for is not in it.
  Result<void> complete() const;

 private:
  SharedLibrary(std::string file, void* library)
      : file_(std::move(file)), library_(library) {}
  void* address_of(const char* name);

  std::string file_;
  void* library_;
  std::string missing_;
};

}  // namespace vcpu
