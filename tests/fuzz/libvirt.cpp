// SPDX-License-Identifier: Apache-2.0
//
// What a libvirtd, and the child that asks it, may send: frames, fields of
// QEMU's monitor, the XML of a domain.
#include <algorithm>
#include <array>
#include <map>
#include <set>
#include <tuple>
#include <variant>

#include "collectors/base/scan.h"
#include "collectors/libvirt/domain_xml.h"
#include "collectors/libvirt/monitor_figures.h"
#include "collectors/libvirt/monitor_protocol.h"
#include "collectors/libvirt/protocol.h"
#include "collectors/libvirt/socket.h"
#include "collectors/libvirt/wire.h"
#include "tests/fuzz/common/fuzz.h"

namespace vcpu::fuzz {
namespace {

auto values(const LibvirtDomain& domain) {
  std::vector<std::pair<std::vector<int>, std::vector<int>>> cells;
  for (const auto& cell : domain.cells)
    cells.emplace_back(cell.vcpus, cell.nodes);
  return std::tuple(domain.uuid, domain.name, domain.state, domain.state_reason,
                    domain.vcpus_current, domain.vcpus_maximum,
                    domain.pinned_cpus, domain.memory_max_bytes,
                    domain.memory_balloon_bytes, cells, domain.metadata);
}

auto values(const LibvirtFrame& frame) {
  std::vector<decltype(values(frame.domains[0]))> domains;
  for (const auto& domain : frame.domains) domains.push_back(values(domain));
  return std::tuple(frame.up, frame.reason, domains);
}

auto values(const MonitorFrame& frame) {
  std::vector<std::pair<std::string, std::variant<std::uint64_t, std::string>>>
      fields;
  for (const auto& field : frame.fields)
    fields.emplace_back(field.name, field.value);
  return std::tuple(frame.outcome, frame.reason, fields);
}

// Whatever the bytes are: the same frames in one piece and byte by byte; and a
// frame that was read is one that reads the same when it is written.
template <typename Decoder>
void expect_frames(std::string_view bytes) {
  Decoder whole;
  const auto frames = whole.feed(bytes);
  Decoder by_byte;
  std::size_t count = 0;
  bool failed = false;
  for (std::size_t i = 0; i < bytes.size() && !failed; ++i) {
    const auto some = by_byte.feed(bytes.substr(i, 1));
    failed = !some;
    if (some) count += some->size();
  }
  expect(failed == !frames, "frames do not depend on how they come");
  if (!frames) return;
  expect(count == frames->size(), "nor does how many they are");
  for (const auto& frame : *frames) {
    Decoder again;
    const auto same = again.feed(encode(frame));
    expect(same && same->size() == 1 && values((*same)[0]) == values(frame),
           "a frame that is written reads the same");
  }
}

// The bytes as they are, and as the body of a frame.
void look_frame(std::string_view text) {
  expect_frames<LibvirtFrameDecoder>(text);
  expect_frames<LibvirtFrameDecoder>(framed("VLF2", text));
}

void look_monitor_frame(std::string_view text) {
  expect_frames<MonitorFrameDecoder>(text);
  expect_frames<MonitorFrameDecoder>(framed("VMF1", text));
}

std::vector<int> take_numbers(std::string_view& line) {
  std::vector<int> numbers;
  for (auto rest = take_word(line); !rest.empty(); rest = take_word(line)) {
    const auto number = parse_number<int>(rest);
    if (!number) break;
    numbers.push_back(*number);
  }
  return numbers;
}

std::optional<int> take_count(std::string_view& line) {
  const auto number = take_u64(line);
  if (!number) return std::nullopt;
  return static_cast<int>(*number);
}

// "UUID NAME STATE CURRENT MAXIMUM MEMORY BALLOON PINNINGS..." a line, which is
// a domain of one cell: the encoder's part.
void look_domains(std::string_view text) {
  LibvirtFrame frame;
  frame.up = true;
  frame.reason = take_line(text);
  while (!text.empty()) {
    auto line = take_line(text);
    LibvirtDomain domain;
    domain.uuid = take_word(line);
    domain.name = take_word(line);
    domain.state = take_word(line);
    domain.vcpus_current = take_count(line);
    domain.vcpus_maximum = take_count(line);
    domain.memory_max_bytes = take_u64(line);
    domain.memory_balloon_bytes = take_u64(line);
    domain.pinned_cpus = take_numbers(line);
    domain.cells.push_back({domain.pinned_cpus, domain.pinned_cpus});
    domain.metadata.emplace_back(domain.name, line);
    frame.domains.push_back(domain);
  }
  LibvirtFrameDecoder decoder;
  const auto frames = decoder.feed(encode(frame));
  expect(frames && frames->size() == 1, "what is written can be read");
  const auto& read = (*frames)[0];
  std::erase_if(frame.domains, [](const LibvirtDomain& domain) {
    return !is_canonical_uuid(domain.uuid);
  });
  expect(read.domains.size() == frame.domains.size(), "every domain is there");
  for (std::size_t i = 0; i < read.domains.size(); ++i) {
    expect(read.domains[i].name == frame.domains[i].name, "a name is the same");
    expect(read.domains[i].metadata == frame.domains[i].metadata,
           "metadata are the same");
    const auto& pins = read.domains[i].pinned_cpus;
    expect(pins.empty() || pins == frame.domains[i].pinned_cpus,
           "pins are the same, or not known");
  }
}

void look_request(std::string_view text) {
  const auto request = decode_request(text);
  if (request)
    expect(encode(*request) == text, "a request that is written is the same");
}

std::vector<MonitorField> fields_of(std::string_view text) {
  std::vector<MonitorField> fields;
  while (!text.empty()) {
    auto line = take_line(text);
    MonitorField& field = fields.emplace_back();
    field.name = take_word(line);
    const auto value = trim(line);
    if (const auto number = parse_number<std::uint64_t>(value)) {
      field.value = *number;
    } else {
      field.value = std::string(value);
    }
  }
  return fields;
}

// A sum of more than 64 bits begins anew, as any counter does.
void expect_grows(std::uint64_t before, std::uint64_t now) {
  expect(now >= before || before > (std::uint64_t{1} << 62), "no total falls");
}

// Names and values; below a line "then" what is told the next time.
void look_monitor_fields(std::string_view text) {
  constexpr std::string_view kThen = "\nthen\n";
  const auto then = text.find(kThen);
  const auto first = fields_of(text.substr(0, then));
  const auto second = then == std::string_view::npos
                          ? first
                          : fields_of(text.substr(then + kThen.size()));
  MonitorTotals totals;
  std::map<std::string, std::uint64_t> requests;
  KvmStats::Values kvm{};
  for (const auto* fields : {&first, &second, &first}) {
    const auto told = totals.add(parse_monitor_fields(*fields));
    std::set<std::string> names;
    for (const auto& device : told.devices) {
      expect(names.insert(device.name).second, "a device is there once");
      auto& before = requests[device.name];
      if (!device.read.requests) continue;
      expect_grows(before, *device.read.requests);
      before = *device.read.requests;
    }
    for (std::size_t stat = 0; stat < kvm.size(); ++stat) {
      const auto now = told.kvm.all().at(stat);
      if (!now) continue;
      expect_grows(kvm.at(stat).value_or(0), *now);
      kvm.at(stat) = now;
    }
    for (const auto& [vcpu, stats] : told.vcpus)
      expect(vcpu >= 0, "a vCPU has an index");
  }
  MonitorFrame frame{MonitorOutcome::kTold, "", first};
  MonitorFrameDecoder decoder;
  const auto frames = decoder.feed(encode(frame));
  expect(frames && frames->size() == 1 && values((*frames)[0]) == values(frame),
         "fields that are written read the same");
}

void look_domain_xml(std::string_view text) {
  LibvirtDomain domain;
  domain.uuid = "12345678-1234-1234-1234-123456789abc";
  if (auto cells = parse_numa_cells(text)) domain.cells = *std::move(cells);
  for (const auto& cell : domain.cells)
    expect(std::is_sorted(cell.vcpus.begin(), cell.vcpus.end()),
           "a cell's vCPUs ascend");
  if (auto metadata = parse_metadata(text))
    domain.metadata = *std::move(metadata);
  expect(domain.metadata.size() <= kMaxMetadata, "metadata have an end");
  for (const auto& [key, value] : domain.metadata)
    expect(key.size() <= kMaxMetadataKey && value.size() <= kMaxMetadataValue &&
               !value.empty(),
           "and each of them has");
  // All that is read can be sent.
  LibvirtFrame frame{true, "", {domain}};
  LibvirtFrameDecoder decoder;
  const auto frames = decoder.feed(encode(frame));
  expect(frames && frames->size() == 1, "what is read can be sent");
  const auto& sent = (*frames)[0].domains.at(0);
  expect(sent.metadata == domain.metadata, "metadata are the same");
  expect(sent.cells.size() == domain.cells.size(), "cells are the same");
}

void look_uri(std::string_view text) {
  for (const auto& path : libvirt_sockets(text))
    expect(!path.empty(), "a socket has a path");
  const auto state = take_line(text);
  libvirt_state_reason(state,
                       static_cast<std::uint32_t>(take_u64(text).value_or(0)));
}

constexpr std::array kLooks{
    Look{"frame", look_frame},
    Look{"monitor_frame", look_monitor_frame},
    Look{"domains", look_domains},
    Look{"request", look_request},
    Look{"monitor_fields", look_monitor_fields},
    Look{"domain_xml", look_domain_xml},
    Look{"uri", look_uri},
};

}  // namespace

std::span<const Look> looks() { return kLooks; }

}  // namespace vcpu::fuzz
