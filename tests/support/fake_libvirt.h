// SPDX-License-Identifier: Apache-2.0
//
// What fake_libvirt.so, a library with libvirt's functions and two domains of
// nobody's, was asked, and what it is to do. Found by dlsym("fake_libvirt").
#pragma once

#include <atomic>

namespace vcpu {

inline constexpr int kFakeDomains = 2;

struct FakeLibvirt {
  std::atomic<bool> list_fails = false;
  std::atomic<bool> vcpus_fail = false;
  std::atomic<int> vcpus = 2;  // Of each domain.
  std::atomic<bool> xml_fails = false;
  std::atomic<int> node = 0;  // That each domain's one guest cell is bound to.

  std::atomic<int> opened = 0;
  std::atomic<int> open_now = 0;  // Until nobody holds the connection any more.
  std::atomic<int> asked_for_info = 0;
  std::atomic<int> calls = 0;
  std::atomic<int> calls_now = 0;
  std::atomic<int> most_calls_at_once = 0;
};

}  // namespace vcpu
