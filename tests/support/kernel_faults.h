// SPDX-License-Identifier: Apache-2.0
//
// KernelFaults: the kernel fails one call, and only below one directory.
//
// The test program is linked so that open(2), openat(2), access(2), read(2),
// pread(2), close(2), and fdopendir(3), readdir(3), closedir(3) of the program
// come here first (-Wl,--wrap in CMakeLists.txt); the product knows nothing of
// it. A pipe that is made meanwhile counts as a file there; a file of it stands
// for the link of an eBPF iterator, which writes what is in the file. As of the
// kernel's own files, what is read from an open file again is what stands there
// by then.
//
//   KernelFaults faults(root);
//   faults.begin(); run(); const auto calls = faults.calls();   // What it
//   does. faults.begin({.call = 7, .error = EIO}); run();             // The
//   8th fails.
//
// One at a time; thread-safe.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace vcpu {

enum class KernelCall { kOpen, kAccess, kRead, kPread, kList, kListNext };

struct KernelFault {
  static constexpr std::size_t kNever = static_cast<std::size_t>(-1);

  enum class Kind {
    kError,      // The call fails with `error`.
    kShortRead,  // It gives a few bytes, the next one what follows.
    kHalf,       // The file ends after half of what it would have given,
    kLessTail,   // or two bytes before its end.
    kEmpty,      // or at once.
  };

  std::size_t call = kNever;  // Which one, from 0.
  int error = 0;
  Kind kind = Kind::kError;
};

class KernelFaults {
 public:
  struct Call {
    KernelCall call;
    std::string path;
  };

  // `root` has no slash at its end.
  explicit KernelFaults(std::string root);
  KernelFaults(const KernelFaults&) = delete;
  KernelFaults& operator=(const KernelFaults&) = delete;
  ~KernelFaults();

  // Counts from 0 again; without a fault nothing fails.
  static void begin(const KernelFault& fault = {});

  // All since begin(), in their order.
  static std::vector<Call> calls();
};

}  // namespace vcpu
