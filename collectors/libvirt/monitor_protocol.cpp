// SPDX-License-Identifier: Apache-2.0
#include "collectors/libvirt/monitor_protocol.h"

#include <utility>

namespace vcpu {
namespace {

constexpr std::string_view kMagic = "VMF1";
constexpr std::uint32_t kNumber = 0;
constexpr std::uint32_t kText = 1;

std::string encode_field(const MonitorField& field) {
  std::string out;
  put_text(out, field.name);
  if (const auto* text = std::get_if<std::string>(&field.value)) {
    put_byte(out, kText);
    put_text(out, *text);
  } else {
    put_byte(out, kNumber);
    put_u64(out, std::get<std::uint64_t>(field.value));
  }
  return out;
}

MonitorField decode_field(WireReader& reader) {
  MonitorField field;
  field.name = reader.text();
  if (reader.byte(kText) == kText)
    field.value = std::string(reader.text());
  else
    field.value = reader.long_number();
  return field;
}

Result<MonitorFrame> decode_body(std::string_view body) {
  WireReader reader(body);
  MonitorFrame frame;
  frame.outcome = static_cast<MonitorOutcome>(reader.byte(kLastMonitorOutcome));
  frame.reason = reader.text();
  const auto fields = reader.number(kMaxMonitorFields);
  for (std::uint32_t i = 0; i < fields && !reader.failed(); ++i)
    frame.fields.push_back(decode_field(reader));
  if (!reader.finished()) return malformed("monitor frame body");
  return frame;
}

}  // namespace

std::optional<std::uint64_t> MonitorField::number() const {
  const auto* const held = std::get_if<std::uint64_t>(&value);
  if (held == nullptr) return std::nullopt;
  return *held;
}

std::string encode(const MonitorRequest& request) {
  return request.uuid + static_cast<char>(request.groups);
}

std::optional<MonitorRequest> decode_request(std::string_view bytes) {
  if (bytes.size() != MonitorRequest::kBytes) return std::nullopt;
  const auto uuid = bytes.substr(0, MonitorRequest::kBytes - 1);
  const auto groups = static_cast<std::uint8_t>(bytes.back());
  if (!is_canonical_uuid(uuid) || groups == 0 || groups > kAllMonitorGroups)
    return std::nullopt;
  return MonitorRequest{std::string(uuid), groups};
}

std::string encode(const MonitorFrame& frame) {
  std::string body;
  put_byte(body, static_cast<std::size_t>(frame.outcome));
  put_text(body, frame.reason);
  put_list(body, frame.fields, kMaxMonitorFields, encode_field);
  return framed(kMagic, body);
}

MonitorFrameDecoder::MonitorFrameDecoder() : bodies_(kMagic) {}

Result<std::vector<MonitorFrame>> MonitorFrameDecoder::feed(
    std::string_view bytes) {
  return decode_frames(bodies_, bytes, decode_body);
}

}  // namespace vcpu
