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
  std::string head;
  put_byte(head, static_cast<std::size_t>(frame.outcome));
  put_text(head, frame.reason);
  std::string fields;
  std::uint32_t count = 0;
  for (const MonitorField& field : frame.fields) {
    const auto encoded = encode_field(field);
    const auto bytes =
        head.size() + sizeof(count) + fields.size() + encoded.size();
    if (count == kMaxMonitorFields || bytes > kMaxFrameBytes) break;
    fields += encoded;
    ++count;
  }
  put_u32(head, count);
  return framed(kMagic, head + fields);
}

MonitorFrameDecoder::MonitorFrameDecoder() : bodies_(kMagic) {}

Result<std::vector<MonitorFrame>> MonitorFrameDecoder::feed(
    std::string_view bytes) {
  const auto bodies = bodies_.feed(bytes);
  if (!bodies) return bodies.error();
  std::vector<MonitorFrame> frames;
  for (const std::string& body : *bodies) {
    auto frame = decode_body(body);
    if (!frame) return frame.error();
    frames.push_back(*std::move(frame));
  }
  return frames;
}

}  // namespace vcpu
