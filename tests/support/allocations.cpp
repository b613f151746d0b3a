// SPDX-License-Identifier: Apache-2.0
#include "tests/support/allocations.h"

#include <cstdlib>
#include <new>

namespace vcpu {
namespace {

// Not destroyed: memory is taken until the very end of a thread.
thread_local constinit std::uint64_t taken = 0;

}  // namespace

std::uint64_t allocations() { return taken; }

#if defined(__SANITIZE_ADDRESS__)
bool allocations_are_counted() { return false; }
#else
bool allocations_are_counted() { return true; }

namespace {

void* take(std::size_t size) {
  ++taken;
  if (void* const memory = std::malloc(size == 0 ? 1 : size)) return memory;
  throw std::bad_alloc();
}

}  // namespace
#endif

}  // namespace vcpu

#if !defined(__SANITIZE_ADDRESS__)
void* operator new(std::size_t size) { return vcpu::take(size); }
void* operator new[](std::size_t size) { return vcpu::take(size); }
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete[](void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t /*size*/) noexcept {
  std::free(memory);
}
void operator delete[](void* memory, std::size_t /*size*/) noexcept {
  std::free(memory);
}
#endif
