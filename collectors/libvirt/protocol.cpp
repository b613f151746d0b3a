// SPDX-License-Identifier: Apache-2.0
#include "collectors/libvirt/protocol.h"

#include <algorithm>
#include <optional>
#include <utility>

namespace vcpu {
namespace {

constexpr std::string_view kMagic = "VLF1";
constexpr std::size_t kHeaderBytes = 8;
constexpr std::size_t kUuidBytes = 36;
constexpr std::uint32_t kUnknown = 0xffffffff;
constexpr std::uint64_t kUnknownBytes = ~std::uint64_t{0};

bool is_canonical_uuid(std::string_view text) {
  if (text.size() != kUuidBytes) return false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool dash = i == 8 || i == 13 || i == 18 || i == 23;
    const bool digit = (text[i] >= '0' && text[i] <= '9') ||
                       (text[i] >= 'a' && text[i] <= 'f');
    if (dash ? text[i] != '-' : !digit) return false;
  }
  return true;
}

void put_byte(std::string& out, std::size_t value) {
  out.push_back(static_cast<char>(static_cast<unsigned char>(value)));
}

void put_u32(std::string& out, std::uint32_t value) {
  for (unsigned shift = 0; shift < 32; shift += 8) {
    put_byte(out, (value >> shift) & 0xffU);
  }
}

void put_u64(std::string& out, std::uint64_t value) {
  put_u32(out, static_cast<std::uint32_t>(value));
  put_u32(out, static_cast<std::uint32_t>(value >> 32U));
}

void put_text(std::string& out, std::string_view text) {
  const auto kept = text.substr(0, kMaxFrameText);
  put_u32(out, static_cast<std::uint32_t>(kept.size()));
  out.append(kept);
}

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

std::string encode_domain(const LibvirtDomain& domain) {
  std::string out;
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
  return out;
}

// Takes values off the front of a body. Once something is missing or out of
// range it has failed for good, and only gives zeros.
class Reader {
 public:
  explicit Reader(std::string_view body) : rest_(body) {}

  bool failed() const { return failed_; }
  bool finished() const { return !failed_ && rest_.empty(); }

  std::uint32_t number(std::uint32_t most) {
    std::uint32_t value = 0;
    unsigned shift = 0;
    for (const char c : bytes(sizeof(value))) {
      value |= static_cast<std::uint32_t>(static_cast<unsigned char>(c))
               << shift;
      shift += 8;
    }
    return at_most(value, most);
  }

  std::uint32_t byte(std::uint32_t most) {
    const auto taken = bytes(1);
    return taken.empty()
               ? 0
               : at_most(static_cast<unsigned char>(taken.front()), most);
  }

  std::string_view text() { return bytes(number(kMaxFrameText)); }

  std::optional<int> count() {
    const auto value = number(kUnknown);
    if (value == kUnknown) return std::nullopt;
    return static_cast<int>(at_most(value, kMaxFrameVcpus));
  }

  std::optional<std::uint64_t> memory() {
    const std::uint64_t low = number(kUnknown);
    const std::uint64_t high = number(kUnknown);
    const auto bytes = low | high << 32U;
    if (bytes == kUnknownBytes) return std::nullopt;
    if (bytes > kMaxFrameMemory) failed_ = true;
    return bytes;
  }

  std::vector<int> numbers(std::uint32_t most_numbers, std::uint32_t most) {
    std::vector<int> all;
    const auto count = number(most_numbers);
    for (std::uint32_t i = 0; i < count && !failed_; ++i)
      all.push_back(static_cast<int>(number(most)));
    return all;
  }

  void fail() { failed_ = true; }

 private:
  std::string_view bytes(std::size_t count) {
    if (failed_ || count > rest_.size()) {
      failed_ = true;
      return {};
    }
    const auto taken = rest_.substr(0, count);
    rest_.remove_prefix(count);
    return taken;
  }

  std::uint32_t at_most(std::uint32_t value, std::uint32_t most) {
    if (value > most) failed_ = true;
    return failed_ ? 0 : value;
  }

  std::string_view rest_;
  bool failed_ = false;
};

LibvirtDomain decode_domain(Reader& reader) {
  LibvirtDomain domain;
  domain.uuid = reader.text();
  if (!is_canonical_uuid(domain.uuid)) reader.fail();
  domain.name = reader.text();
  domain.state = kLibvirtStates[reader.byte(kLibvirtStates.size() - 1)];
  domain.vcpus_current = reader.count();
  domain.vcpus_maximum = reader.count();
  domain.memory_max_bytes = reader.memory();
  domain.memory_balloon_bytes = reader.memory();
  domain.pinned_cpus = reader.numbers(kMaxFrameVcpus, kMaxFrameCpus);
  const auto cells = reader.number(kMaxFrameNodes);
  for (std::uint32_t i = 0; i < cells && !reader.failed(); ++i) {
    LibvirtCell& cell = domain.cells.emplace_back();
    cell.vcpus = reader.numbers(kMaxFrameVcpus, kMaxFrameVcpus);
    cell.nodes = reader.numbers(kMaxFrameNodes, kMaxFrameNodes);
  }
  return domain;
}

Result<LibvirtFrame> decode_body(std::string_view body) {
  Reader reader(body);
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

// The length of the body that `header` announces.
Result<std::size_t> decode_header(std::string_view header) {
  if (!header.starts_with(kMagic)) return malformed("libvirt frame header");
  const std::size_t length =
      Reader(header.substr(kMagic.size())).number(kUnknown);
  if (length > kMaxFrameBytes) return malformed("libvirt frame length");
  return length;
}

}  // namespace

std::string encode(const LibvirtFrame& frame) {
  std::string head;
  put_byte(head, frame.up ? 1 : 0);
  put_text(head, frame.reason);

  std::string domains;
  std::uint32_t count = 0;
  for (const LibvirtDomain& domain : frame.domains) {
    if (!is_canonical_uuid(domain.uuid)) continue;
    const auto encoded = encode_domain(domain);
    const auto bytes =
        head.size() + sizeof(count) + domains.size() + encoded.size();
    if (count == kMaxFrameDomains || bytes > kMaxFrameBytes) break;
    domains += encoded;
    ++count;
  }
  put_u32(head, count);

  std::string out(kMagic);
  put_u32(out, static_cast<std::uint32_t>(head.size() + domains.size()));
  return out + head + domains;
}

Result<std::vector<LibvirtFrame>> LibvirtFrameDecoder::feed(
    std::string_view bytes) {
  pending_.append(bytes);
  std::vector<LibvirtFrame> frames;
  std::string_view rest = pending_;
  while (rest.size() >= kHeaderBytes) {
    const auto length = decode_header(rest.substr(0, kHeaderBytes));
    if (!length) return length.error();
    if (rest.size() - kHeaderBytes < *length) break;
    auto frame = decode_body(rest.substr(kHeaderBytes, *length));
    if (!frame) return frame.error();
    frames.push_back(*std::move(frame));
    rest.remove_prefix(kHeaderBytes + *length);
  }
  pending_.erase(0, pending_.size() - rest.size());
  return frames;
}

}  // namespace vcpu
