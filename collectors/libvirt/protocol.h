// SPDX-License-Identifier: Apache-2.0
//
// The language between the libvirt child and its parent: one frame per period.
//
// A frame is "VLF2", the length of its body, and the body; all numbers are
// little-endian and 32 bits wide unless said otherwise, and a text is its
// length followed by its bytes:
//
//   up (1 byte), reason (text), number of domains, then for each domain
//   uuid (text), name (text), state (1 byte, index into kLibvirtStates),
//   vcpus_current, vcpus_maximum (0xffffffff: not known),
//   memory_max_bytes, memory_balloon_bytes (64 bits; all ones: not known),
//   number of pinnings, the pinnings,
//   number of guest NUMA cells, then for each
//     number of vCPUs, the vCPUs, number of host nodes, the nodes,
//   reason of the state (text), number of metadata, then for each
//     key (text), value (text)
//
// Pure: no descriptor, no clock. The decoder trusts nothing: whatever the
// bytes, the outcome is frames or an Error, and memory stays below
// kMaxFrameBytes plus the chunk fed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "collectors/base/result.h"
#include "collectors/libvirt/view.h"
#include "collectors/libvirt/wire.h"

namespace vcpu {

struct LibvirtFrame {
  bool up = false;
  std::string reason;  // Why not, where up is false. Raw: not label-safe.
  std::vector<LibvirtDomain> domains;  // Active ones; none where up is false.
};

inline constexpr std::uint32_t kMaxFrameDomains = 16384;
inline constexpr std::uint32_t kMaxFrameVcpus = 16384;  // libvirt's own limit.
inline constexpr std::uint32_t kMaxFrameCpus = 1U << 20;
inline constexpr std::uint64_t kMaxFrameMemory = std::uint64_t{1} << 56;
inline constexpr std::uint32_t kMaxFrameNodes = 1024;  // Linux's own limit; of
                                                       // guest cells as well.
inline constexpr std::uint32_t kMaxFrameMetadata = 64;

// Always something the decoder accepts: texts are cut at kMaxFrameText, a count
// out of range becomes "not known", and domains beyond what a frame may hold,
// or without a canonical uuid, are left out.
std::string encode(const LibvirtFrame& frame);

// Bytes in, as they come; whole frames out. Not thread-safe.
class LibvirtFrameDecoder {
 public:
  LibvirtFrameDecoder();

  // The frames that `bytes` completes, oldest first. After an Error (bytes that
  // are no frame) the decoder must not be fed again: where the next frame
  // would begin is not known.
  Result<std::vector<LibvirtFrame>> feed(std::string_view bytes);

 private:
  Unframer bodies_;
};

}  // namespace vcpu
