// SPDX-License-Identifier: Apache-2.0
#include "collectors/libvirt/domain_xml.h"

#include <algorithm>
#include <map>
#include <optional>
#include <pugixml.hpp>
#include <string>
#include <utility>

#include "collectors/base/scan.h"
#include "collectors/kernel/cpu_list.h"
#include "collectors/libvirt/protocol.h"

namespace vcpu {
namespace {

using Cells = std::map<int, LibvirtCell>;  // By id.

std::string_view attribute(pugi::xml_node node, const char* name,
                           const char* otherwise = "") {
  return node.attribute(name).as_string(otherwise);
}

std::optional<int> cell_id(std::string_view text) {
  const auto id = parse_number<int>(text);
  if (!id || std::cmp_greater_equal(*id, kMaxFrameNodes)) return std::nullopt;
  return id;
}

// Empty where it is no list of numbers below `most`.
std::optional<std::vector<int>> numbers(std::string_view text,
                                        std::uint32_t most) {
  const auto parsed = parse_cpu_list(text);
  if (!parsed) return std::nullopt;
  if (!parsed->empty() && std::cmp_greater_equal(parsed->back(), most))
    return std::nullopt;
  return *parsed;
}

bool read_cells(pugi::xml_node numa, Cells& cells) {
  for (const auto node : numa.children("cell")) {
    const auto next = std::to_string(cells.size());
    const auto id = cell_id(attribute(node, "id", next.c_str()));
    const auto vcpus = numbers(attribute(node, "cpus"), kMaxFrameVcpus);
    if (!id || !vcpus) return false;
    if (!cells.try_emplace(*id, LibvirtCell{*vcpus, {}}).second) return false;
  }
  return true;
}

// The nodes that a <memory> or a <memnode> binds to.
std::optional<std::vector<int>> bound_nodes(pugi::xml_node node) {
  if (attribute(node, "mode", "strict") != "strict") return std::vector<int>{};
  if (attribute(node, "placement") == "auto") return std::vector<int>{};
  return numbers(attribute(node, "nodeset"), kMaxFrameNodes);
}

bool read_binding(pugi::xml_node numatune, Cells& cells) {
  const auto of_all = bound_nodes(numatune.child("memory"));
  if (!of_all) return false;
  for (auto& [id, cell] : cells) cell.nodes = *of_all;
  for (const auto node : numatune.children("memnode")) {
    const auto id = cell_id(attribute(node, "cellid"));
    const auto nodes = bound_nodes(node);
    if (!id || !nodes) return false;
    const auto cell = cells.find(*id);
    if (cell != cells.end()) cell->second.nodes = *nodes;
  }
  return true;
}

bool has_document_type(const pugi::xml_document& document) {
  const auto top = document.children();
  return std::any_of(top.begin(), top.end(), [](pugi::xml_node node) {
    return node.type() == pugi::node_doctype;
  });
}

}  // namespace

Result<std::vector<LibvirtCell>> parse_numa_cells(std::string_view xml) {
  if (xml.size() > kMaxDomainXmlBytes) return malformed("domain XML, too long");
  pugi::xml_document document;
  const auto parsed = document.load_buffer(
      xml.data(), xml.size(),
      pugi::parse_minimal | pugi::parse_escapes | pugi::parse_doctype,
      pugi::encoding_utf8);
  const auto domain = document.child("domain");
  if (!parsed || has_document_type(document) || !domain)
    return malformed("domain XML");
  Cells cells;
  if (!read_cells(domain.child("cpu").child("numa"), cells) ||
      !read_binding(domain.child("numatune"), cells))
    return malformed("NUMA cells of the domain XML");
  std::vector<LibvirtCell> in_order;
  for (auto& [id, cell] : cells) in_order.push_back(std::move(cell));
  return in_order;
}

}  // namespace vcpu
