// SPDX-License-Identifier: Apache-2.0
#include "collectors/proxmox_tags.h"

#include <algorithm>
#include <map>
#include <mutex>
#include <optional>
#include <system_error>
#include <thread>
#include <utility>

#include "collectors/base/file.h"
#include "collectors/base/scan.h"

namespace vcpu {
namespace {

using Time = ProxmoxTagsOptions::Clock::time_point;

constexpr std::size_t kMaxBytes = std::size_t{256} << 10;
constexpr std::size_t kMostDigits = 10;

bool is_vmid(std::string_view text) {
  return !text.empty() && text.size() <= kMostDigits &&
         text.find_first_not_of("0123456789") == std::string_view::npos;
}

struct Known {
  std::string tags;
  bool there = false;
  std::optional<Time> read;
  bool asked = true;  // Since the last read_asked().
};

}  // namespace

std::string_view parse_proxmox_tags(std::string_view text) {
  constexpr std::string_view kKey = "tags:";
  while (!text.empty()) {
    const auto line = take_line(text);
    if (line.starts_with('[')) break;
    if (line.starts_with(kKey)) return trim(line.substr(kKey.size()));
  }
  return {};
}

struct ProxmoxTags::State {
  Reader reader;
  ProxmoxTagsOptions options;
  std::mutex mutex;
  std::map<std::string, Known> known;  // By vmid.
  bool reading = false;

  // With the mutex held.
  std::map<std::string, Known>::iterator due() {
    const auto before = options.now() - options.period;
    return std::find_if(known.begin(), known.end(), [&](const auto& item) {
      return !item.second.read || *item.second.read <= before;
    });
  }
};

ProxmoxTags::ProxmoxTags(const std::string& pve, ProxmoxTagsOptions options)
    : ProxmoxTags(
          [directory = pve + "/qemu-server/"](const std::string& vmid) {
            return read_file(directory + vmid + ".conf", kMaxBytes);
          },
          std::move(options)) {}

ProxmoxTags::ProxmoxTags(Reader reader, ProxmoxTagsOptions options)
    : state_(std::make_shared<State>()) {
  state_->reader = std::move(reader);
  state_->options = std::move(options);
}

ProxmoxTags::Answer ProxmoxTags::of(const std::string& vmid) {
  if (!is_vmid(vmid)) return {{}, true};
  const std::lock_guard lock(state_->mutex);
  Known& known = state_->known[vmid];
  known.asked = true;
  const auto& options = state_->options;
  if (!known.read || options.now() - *known.read > options.oldest) return {};
  return {known.tags, known.there};
}

void ProxmoxTags::read_asked() {
  const std::lock_guard lock(state_->mutex);
  std::erase_if(state_->known,
                [](const auto& item) { return !item.second.asked; });
  for (auto& [vmid, known] : state_->known) known.asked = false;
  if (state_->reading || state_->due() == state_->known.end()) return;
  try {
    std::thread(read_due, state_).detach();
    state_->reading = true;
  } catch (const std::system_error&) {
    // No thread to be had now; they are due at the next scrape as well.
  }
}

void ProxmoxTags::read_due(const std::shared_ptr<State>& state) {
  std::unique_lock lock(state->mutex);
  for (auto due = state->due(); due != state->known.end(); due = state->due()) {
    const std::string vmid = due->first;
    lock.unlock();
    const auto text = state->reader(vmid);
    lock.lock();
    const auto known = state->known.find(vmid);
    if (known == state->known.end()) continue;  // Nobody asks any more.
    known->second.read = state->options.now();
    known->second.there = text.has_value();
    known->second.tags = text ? parse_proxmox_tags(*text) : std::string_view();
  }
  state->reading = false;
}

}  // namespace vcpu
