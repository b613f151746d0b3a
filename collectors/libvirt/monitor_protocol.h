// SPDX-License-Identifier: Apache-2.0
//
// The language between the monitor child and its parent: what QEMU's monitor
// says of one VM, on request.
//
// A request is the uuid of a VM (36 characters) and one byte, the groups wanted
// (MonitorGroup). The child sends a frame, "VMF1", once it is connected to
// libvirt, or is not, and one for each request:
//
//   outcome (1 byte, MonitorOutcome), reason (text), number of fields, then for
//   each name (text), kind (1 byte) and its value: 0 a number (64 bits), 1 a
//   text
//
// Fields are those of virDomainListGetStats, by libvirt's own names.
// Pure: no descriptor, no clock; the decoder trusts nothing (wire.h).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "collectors/base/result.h"
#include "collectors/libvirt/wire.h"

namespace vcpu {

// Bits of a byte: what is asked for. I/O threads are told with the disks.
enum class MonitorGroup : std::uint8_t { kBlock = 1, kKvm = 2 };
inline constexpr std::uint8_t kAllMonitorGroups = 3;

inline constexpr std::uint32_t kMaxMonitorFields = 1U << 18;

struct MonitorRequest {
  std::string uuid;  // Canonical.
  std::uint8_t groups = 0;

  static constexpr std::size_t kBytes = 37;
};

enum class MonitorOutcome : std::uint8_t {
  kConnected,  // To libvirt; of the first frame only.
  kTold,       // What there is to tell is in `fields`.
  kGone,       // libvirt has no such VM, or it does not run.
  kRefused,    // libvirt does not tell, and says why.
  kNoLibvirt,  // No connection, or no more; the child's last frame.
};
inline constexpr std::uint32_t kLastMonitorOutcome = 4;

struct MonitorField {
  std::string name;  // "block.0.rd.reqs"
  std::variant<std::uint64_t, std::string> value;

  std::optional<std::uint64_t> number() const;
};

struct MonitorFrame {
  MonitorOutcome outcome = MonitorOutcome::kNoLibvirt;
  std::string reason;  // Raw: not label-safe.
  std::vector<MonitorField> fields;
};

std::string encode(const MonitorRequest& request);

// Of exactly MonitorRequest::kBytes; empty where they are none.
std::optional<MonitorRequest> decode_request(std::string_view bytes);

// Always something the decoder accepts: texts are cut at kMaxFrameText, fields
// beyond what a frame may hold are left out.
std::string encode(const MonitorFrame& frame);

// Bytes in, as they come; whole frames out. Not thread-safe.
class MonitorFrameDecoder {
 public:
  MonitorFrameDecoder();

  // The frames that `bytes` completes, oldest first. After an Error it is of no
  // more use.
  Result<std::vector<MonitorFrame>> feed(std::string_view bytes);

 private:
  Unframer bodies_;
};

}  // namespace vcpu
