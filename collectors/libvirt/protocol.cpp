// SPDX-License-Identifier: Apache-2.0
#include "collectors/libvirt/protocol.h"

#include <algorithm>
#include <optional>
#include <utility>

namespace vcpu {
namespace {

constexpr std::string_view kMagic = "VLF2";
constexpr std::uint32_t kUnknown = 0xffffffff;
constexpr std::uint64_t kUnknownBytes = ~std::uint64_t{0};

void put_count(std::string& out, std::optional<int> count) {
  const bool valid =
      count && *count >= 0 && std::cmp_less_equal(*count, kMaxFrameVcpus);
  put_u32(out, valid ? static_cast<std::uint32_t>(*count) : kUnknown);
}

void put_memory(std::string& out, std::optional<std::uint64_t> bytes) {
  put_u64(out, bytes && *bytes <= kMaxFrameMemory ? *bytes : kUnknownBytes);
}

std::size_t state_index(std::string_view state) {
  const auto* const found =
      std::find(kLibvirtStates.begin(), kLibvirtStates.end(), state);
  if (found == kLibvirtStates.end()) return 0;
  return static_cast<std::size_t>(found - kLibvirtStates.begin());
}

bool sendable(const std::vector<int>& numbers, std::uint32_t most_numbers,
              std::uint32_t most) {
  return numbers.size() <= most_numbers &&
         std::all_of(numbers.begin(), numbers.end(), [&](int number) {
           return number >= 0 && std::cmp_less_equal(number, most);
         });
}

void put_numbers(std::string& out, const std::vector<int>& numbers) {
  put_u32(out, static_cast<std::uint32_t>(numbers.size()));
  for (const int number : numbers)
    put_u32(out, static_cast<std::uint32_t>(number));
}

bool sendable(const std::vector<LibvirtCell>& cells) {
  return cells.size() <= kMaxFrameNodes &&
         std::all_of(cells.begin(), cells.end(), [](const LibvirtCell& cell) {
           return sendable(cell.vcpus, kMaxFrameVcpus, kMaxFrameVcpus) &&
                  sendable(cell.nodes, kMaxFrameNodes, kMaxFrameNodes);
         });
}

void put_cells(std::string& out, const std::vector<LibvirtCell>& cells) {
  put_u32(out, static_cast<std::uint32_t>(cells.size()));
  for (const LibvirtCell& cell : cells) {
    put_numbers(out, cell.vcpus);
    put_numbers(out, cell.nodes);
  }
}

void put_metadata(std::string& out, const LibvirtMetadata& metadata) {
  const auto count = std::min<std::size_t>(metadata.size(), kMaxFrameMetadata);
  put_u32(out, static_cast<std::uint32_t>(count));
  for (std::size_t i = 0; i < count; ++i) {
    put_text(out, metadata[i].first);
    put_text(out, metadata[i].second);
  }
}

// Empty where it has no canonical uuid.
std::string encode_domain(const LibvirtDomain& domain) {
  std::string out;
  if (!is_canonical_uuid(domain.uuid)) return out;
  put_text(out, domain.uuid);
  put_text(out, domain.name);
  put_byte(out, state_index(domain.state));
  put_count(out, domain.vcpus_current);
  put_count(out, domain.vcpus_maximum);
  put_memory(out, domain.memory_max_bytes);
  put_memory(out, domain.memory_balloon_bytes);
  const bool pins = sendable(domain.pinned_cpus, kMaxFrameVcpus, kMaxFrameCpus);
  put_numbers(out, pins ? domain.pinned_cpus : std::vector<int>{});
  const bool cells = sendable(domain.cells);
  put_cells(out, cells ? domain.cells : std::vector<LibvirtCell>{});
  put_text(out, domain.state_reason);
  put_metadata(out, domain.metadata);
  return out;
}

std::optional<int> take_count(WireReader& reader) {
  const auto value = reader.number(kUnknown);
  if (value == kUnknown) return std::nullopt;
  if (value > kMaxFrameVcpus) reader.fail();
  return static_cast<int>(value);
}

std::optional<std::uint64_t> take_memory(WireReader& reader) {
  const auto bytes = reader.long_number();
  if (bytes == kUnknownBytes) return std::nullopt;
  if (bytes > kMaxFrameMemory) reader.fail();
  return bytes;
}

std::vector<int> take_numbers(WireReader& reader, std::uint32_t most_numbers,
                              std::uint32_t most) {
  std::vector<int> all;
  const auto count = reader.number(most_numbers);
  for (std::uint32_t i = 0; i < count && !reader.failed(); ++i)
    all.push_back(static_cast<int>(reader.number(most)));
  return all;
}

LibvirtDomain decode_domain(WireReader& reader) {
  LibvirtDomain domain;
  domain.uuid = reader.text();
  if (!is_canonical_uuid(domain.uuid)) reader.fail();
  domain.name = reader.text();
  domain.state = kLibvirtStates[reader.byte(kLibvirtStates.size() - 1)];
  domain.vcpus_current = take_count(reader);
  domain.vcpus_maximum = take_count(reader);
  domain.memory_max_bytes = take_memory(reader);
  domain.memory_balloon_bytes = take_memory(reader);
  domain.pinned_cpus = take_numbers(reader, kMaxFrameVcpus, kMaxFrameCpus);
  const auto cells = reader.number(kMaxFrameNodes);
  for (std::uint32_t i = 0; i < cells && !reader.failed(); ++i) {
    LibvirtCell& cell = domain.cells.emplace_back();
    cell.vcpus = take_numbers(reader, kMaxFrameVcpus, kMaxFrameVcpus);
    cell.nodes = take_numbers(reader, kMaxFrameNodes, kMaxFrameNodes);
  }
  domain.state_reason = reader.text();
  const auto metadata = reader.number(kMaxFrameMetadata);
  for (std::uint32_t i = 0; i < metadata && !reader.failed(); ++i) {
    std::string key(reader.text());
    domain.metadata.emplace_back(std::move(key), reader.text());
  }
  return domain;
}

Result<LibvirtFrame> decode_body(std::string_view body) {
  WireReader reader(body);
  LibvirtFrame frame;
  frame.up = reader.byte(1) == 1;
  frame.reason = reader.text();
  const auto domains = reader.number(kMaxFrameDomains);
  for (std::uint32_t i = 0; i < domains && !reader.failed(); ++i) {
    frame.domains.push_back(decode_domain(reader));
  }
  if (!reader.finished()) return malformed("libvirt frame body");
  return frame;
}

}  // namespace

std::string encode(const LibvirtFrame& frame) {
  std::string body;
  put_byte(body, frame.up ? 1 : 0);
  put_text(body, frame.reason);
  put_list(body, frame.domains, kMaxFrameDomains, encode_domain);
  return framed(kMagic, body);
}

LibvirtFrameDecoder::LibvirtFrameDecoder() : bodies_(kMagic) {}

Result<std::vector<LibvirtFrame>> LibvirtFrameDecoder::feed(
    std::string_view bytes) {
  return decode_frames(bodies_, bytes, decode_body);
}

}  // namespace vcpu
