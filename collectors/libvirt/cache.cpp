// SPDX-License-Identifier: Apache-2.0
#include "collectors/libvirt/cache.h"

#include <unistd.h>

#include <array>
#include <cstdint>
#include <exception>
#include <utility>

#include "collectors/base/uninterrupted.h"
#include "collectors/libvirt/child.h"
#include "collectors/libvirt/socket.h"

namespace vcpu {
namespace {

using Clock = LibvirtCacheOptions::Clock;
using std::chrono::milliseconds;

constexpr std::size_t kChunkBytes = std::size_t{64} << 10;

std::vector<std::string> child_argv(const LibvirtCacheOptions& options) {
  if (!options.argv.empty()) return options.argv;
  return libvirt_child_argv({kChildOutFd, options.uri, options.period});
}

std::string joined(const std::vector<std::string>& paths) {
  std::string out;
  for (const std::string& path : paths) {
    out += (out.empty() ? "" : " or ") + path;
  }
  return out;
}

}  // namespace

LibvirtCache::LibvirtCache(LibvirtCacheOptions options)
    : options_(std::move(options)),
      argv_(child_argv(options_)),
      sockets_(libvirt_sockets(options_.uri)),
      backoff_(options_.shortest_delay, options_.longest_delay,
               static_cast<std::uint32_t>(::getpid())) {
  state_.reason = "libvirt is switched off";
}

LibvirtCache::~LibvirtCache() { stop(); }

Result<void> LibvirtCache::start() {
  set_down("libvirt has not answered yet");
  look_for_libvirt();
  return supervisor_.start([this] { supervise(); });
}

void LibvirtCache::stop() {
  if (supervisor_.stop()) set_down("the exporter is stopping");
}

std::shared_ptr<const LibvirtView> LibvirtCache::view() const {
  const State now_state = state();
  auto view = std::make_shared<LibvirtView>();
  view->expected = now_state.expected;
  view->up = now_state.up;
  view->reason = now_state.reason;
  if (!now_state.heard) return view;
  const std::chrono::duration<double> age = options_.now() - *now_state.heard;
  view->age_seconds = age.count();
  if (age <= options_.oldest) {
    view->domains = *now_state.domains;
  } else if (view->up) {
    view->up = false;
    view->reason = "no answer for more than " + in_words(options_.oldest);
  }
  return view;
}

bool LibvirtCache::wait_for_answer(milliseconds most) const {
  std::unique_lock lock(mutex_);
  return answered_.wait_for(
      lock, most, [this] { return state_.answered || !state_.expected; });
}

void LibvirtCache::supervise() {
  while (true) {
    milliseconds pause = options_.period;
    try {
      pause = live_one_child();
    } catch (const std::exception& failure) {  // No memory: of no one's making.
      set_down(failure.what());
    }
    child_.end();
    if (supervisor_.wait(-1, pause) == Supervisor::Event::kStop) return;
  }
}

// From looking for a libvirt to the end of the child; returns how long to
// pause.
milliseconds LibvirtCache::live_one_child() {
  if (!look_for_libvirt()) return options_.period;
  if (const auto spawned = child_.spawn(options_.program, argv_); !spawned) {
    set_down("cannot start the libvirt child: " + spawned.error().message());
    return backoff_.next();
  }
  if (auto why = listen(); !why.empty()) set_down(std::move(why));
  return silent_ ? milliseconds(0) : backoff_.next();
}

// Takes in frames until the child has to go. Returns why; empty: as we stop, or
// as there is no libvirt any more.
std::string LibvirtCache::listen() {
  LibvirtFrameDecoder decoder;
  std::array<char, kChunkBytes> chunk{};
  auto deadline = Clock::now() + options_.deadline;
  silent_ = false;
  while (true) {
    const auto left = std::chrono::ceil<milliseconds>(deadline - Clock::now());
    const auto event = supervisor_.wait(child_.out_fd(), left);
    if (event == Supervisor::Event::kStop) return {};
    if (event == Supervisor::Event::kDeadline) {
      silent_ = true;
      return "no answer for " + in_words(options_.deadline) +
             ", child restarted";
    }
    if (event != Supervisor::Event::kReadable) continue;
    const auto n = uninterrupted(
        [&] { return ::read(child_.out_fd(), chunk.data(), chunk.size()); });
    if (n <= 0) {
      return "the libvirt child ended (" + child_.how_it_ended() +
             "), restarted";
    }
    auto frames = decoder.feed({chunk.data(), static_cast<std::size_t>(n)});
    if (!frames) {
      return "the libvirt child sent nonsense, restarted: " +
             frames.error().context;
    }
    if (frames->empty()) continue;
    for (LibvirtFrame& frame : *frames) accept(std::move(frame));
    deadline = Clock::now() + options_.deadline;
    if (!look_for_libvirt()) return {};
  }
}

// Once a libvirt was up its absence is news, not a property of the host.
bool LibvirtCache::look_for_libvirt() {
  const bool expected = was_up_ || any_exists(sockets_);
  const std::lock_guard lock(mutex_);
  state_.expected = expected;
  if (!expected) {
    state_.up = false;
    state_.reason = "no libvirt socket at " + joined(sockets_);
    answered_.notify_all();
  }
  return expected;
}

void LibvirtCache::accept(LibvirtFrame frame) {
  auto domains = std::make_shared<const std::vector<LibvirtDomain>>(
      std::move(frame.domains));
  if (frame.up) {
    was_up_ = true;
    backoff_.reset();
  }
  const std::lock_guard lock(mutex_);
  state_.answered = true;
  state_.up = frame.up;
  state_.reason = std::move(frame.reason);
  if (frame.up) {
    state_.heard = options_.now();
    state_.domains = std::move(domains);
  }
  answered_.notify_all();
}

void LibvirtCache::set_down(std::string reason) {
  const std::lock_guard lock(mutex_);
  state_.up = false;
  state_.reason = std::move(reason);
}

LibvirtCache::State LibvirtCache::state() const {
  const std::lock_guard lock(mutex_);
  return state_;
}

}  // namespace vcpu
