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

// The <domain>; empty where the text is none, or not safe to look into.
pugi::xml_node load(std::string_view xml, pugi::xml_document& document) {
  if (xml.size() > kMaxDomainXmlBytes) return {};
  const auto parsed =
      document.load_buffer(xml.data(), xml.size(),
                           pugi::parse_minimal | pugi::parse_escapes |
                               pugi::parse_doctype | pugi::parse_trim_pcdata,
                           pugi::encoding_utf8);
  if (!parsed || has_document_type(document)) return {};
  return document.child("domain");
}

std::string_view local_name(pugi::xml_node node) {
  const std::string_view name = node.name();
  return name.substr(name.find(':') + 1);
}

std::string_view namespace_of(pugi::xml_node node) {
  const std::string_view name = node.name();
  const auto colon = name.find(':');
  const auto wanted = colon == std::string_view::npos
                          ? std::string("xmlns")
                          : "xmlns:" + std::string(name.substr(0, colon));
  for (; !node.empty(); node = node.parent())
    if (const auto found = node.attribute(wanted.c_str()); !found.empty())
      return found.value();
  return {};
}

void add_metadata(const std::string& key, std::string_view value,
                  LibvirtMetadata& metadata) {
  if (value.empty() || metadata.size() == kMaxMetadata) return;
  if (key.size() > kMaxMetadataKey || value.size() > kMaxMetadataValue) return;
  metadata.emplace_back(key, value);
}

void add_attributes(pugi::xml_node element, const std::string& path,
                    LibvirtMetadata& metadata) {
  for (const auto attribute : element.attributes()) {
    const std::string_view name = attribute.name();
    if (name == "xmlns" || name.starts_with("xmlns:")) continue;
    add_metadata(path + "@" + std::string(name), attribute.value(), metadata);
  }
}

constexpr std::size_t kMaxUnread = 4096;

// An element that is still to be read, with those in it.
struct Unread {
  pugi::xml_node element;
  std::string path;
  int depth = 0;
};

// In the order of the text. `path` is of this very element.
void read_metadata(pugi::xml_node element, const std::string& path,
                   LibvirtMetadata& metadata) {
  std::vector<Unread> unread{{element, path, 1}};
  while (!unread.empty() && metadata.size() < kMaxMetadata) {
    const Unread next = std::move(unread.back());
    unread.pop_back();
    if (next.depth > kMaxMetadataDepth || next.path.size() > kMaxMetadataKey)
      continue;
    add_attributes(next.element, next.path, metadata);
    add_metadata(next.path, next.element.child_value(), metadata);
    const auto first_child = unread.size();
    for (const auto child : next.element.children()) {
      if (unread.size() == kMaxUnread) break;
      if (child.type() != pugi::node_element) continue;
      unread.push_back({child, next.path + "/" + std::string(local_name(child)),
                        next.depth + 1});
    }
    std::reverse(unread.begin() + static_cast<std::ptrdiff_t>(first_child),
                 unread.end());
  }
}

}  // namespace

Result<std::vector<LibvirtCell>> parse_numa_cells(std::string_view xml) {
  pugi::xml_document document;
  const auto domain = load(xml, document);
  if (!domain) return malformed("domain XML");
  Cells cells;
  if (!read_cells(domain.child("cpu").child("numa"), cells) ||
      !read_binding(domain.child("numatune"), cells))
    return malformed("NUMA cells of the domain XML");
  std::vector<LibvirtCell> in_order;
  for (auto& [id, cell] : cells) in_order.push_back(std::move(cell));
  return in_order;
}

Result<LibvirtMetadata> parse_metadata(std::string_view xml) {
  pugi::xml_document document;
  const auto domain = load(xml, document);
  if (!domain) return malformed("domain XML");
  LibvirtMetadata metadata;
  add_metadata("title", domain.child_value("title"), metadata);
  for (const auto element : domain.child("metadata").children()) {
    if (metadata.size() == kMaxMetadata) break;
    if (element.type() != pugi::node_element) continue;
    read_metadata(element,
                  "{" + std::string(namespace_of(element)) + "}" +
                      std::string(local_name(element)),
                  metadata);
  }
  return metadata;
}

}  // namespace vcpu
