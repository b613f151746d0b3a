// SPDX-License-Identifier: Apache-2.0
#include "tests/fuzz/common/fuzz.h"

#include <cstddef>

#include "collectors/base/scan.h"

// fuzz_NAME --names prints the looks, for test.sh.
extern "C" int LLVMFuzzerInitialize(int* argc, char*** argv) {
  if (*argc != 2 || std::string_view((*argv)[1]) != "--names") return 0;
  for (const auto& look : vcpu::fuzz::looks())
    std::puts(std::string(look.name).c_str());
  std::exit(0);
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data,
                                      std::size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto name = vcpu::take_line(text);
  for (const auto& look : vcpu::fuzz::looks())
    if (look.name == name) look.at(text);
  return 0;
}
