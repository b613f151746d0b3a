// SPDX-License-Identifier: Apache-2.0
#include "collectors/libvirt/monitor.h"

#include <unistd.h>

#include <array>
#include <exception>
#include <utility>

#include "collectors/base/file.h"
#include "collectors/base/uninterrupted.h"
#include "collectors/kernel/task_stat.h"
#include "collectors/libvirt/child.h"

namespace vcpu {
namespace {

using std::chrono::milliseconds;
using Event = Supervisor::Event;

constexpr std::size_t kChunkBytes = std::size_t{64} << 10;

std::vector<std::string> child_argv(const LibvirtMonitorOptions& options) {
  if (!options.argv.empty()) return options.argv;
  return monitor_child_argv({kChildInFd, kChildOutFd, options.uri});
}

// The state in which a QEMU cannot answer; empty where it can, or has ended.
std::optional<char> standing_still(const std::string& proc, const VmId& vm) {
  const auto stat =
      read_as(proc + "/" + std::to_string(vm.first) + "/stat", parse_task_stat);
  if (!stat || stat->start_ticks != vm.second) return std::nullopt;
  const char state = stat->state;
  if (state == 'T' || state == 't' || state == 'D') return state;
  return std::nullopt;
}

}  // namespace

LibvirtMonitor::LibvirtMonitor(LibvirtMonitorOptions options)
    : options_(std::move(options)),
      argv_(child_argv(options_)),
      book_(options_.book, static_cast<std::uint32_t>(::getpid())),
      down_("libvirt is switched off"),
      backoff_(options_.shortest_delay, options_.longest_delay,
               static_cast<std::uint32_t>(::getpid())) {}

LibvirtMonitor::~LibvirtMonitor() { stop(); }

Result<void> LibvirtMonitor::start() {
  set_down({});
  return supervisor_.start([this] { supervise(); });
}

void LibvirtMonitor::stop() {
  if (supervisor_.stop()) set_down("the exporter is stopping");
}

MonitorView LibvirtMonitor::look(MonitorGroup group,
                                 const std::vector<MonitoredVm>& vms) {
  const std::lock_guard lock(mutex_);
  const auto now = Clock::now();
  looked_[group] = now;
  if (begins_scrape(group)) book_.set(vms, now);
  supervisor_.nudge();
  return locked_view(now);
}

// Who looks for a group again makes another scrape.
bool LibvirtMonitor::begins_scrape(MonitorGroup group) {
  const bool again = !looked_in_scrape_.insert(group).second;
  if (!again) return looked_in_scrape_.size() == 1;
  looked_in_scrape_ = {group};
  first_scrape_ = false;
  return true;
}

MonitorView LibvirtMonitor::view() {
  const std::lock_guard lock(mutex_);
  return locked_view(Clock::now());
}

void LibvirtMonitor::wait_until_tried(milliseconds most) {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, most, [this] {
    return !down_.empty() || looked_.empty() || book_.all_tried();
  });
}

MonitorView LibvirtMonitor::locked_view(Clock::time_point now) {
  auto view = book_.view(now);
  if (!down_.empty()) view.missing_reason = down_;
  return view;
}

void LibvirtMonitor::supervise() {
  Event event = Event::kNudged;
  while (event != Event::kStop)
    event = wanted() ? try_one_child() : supervisor_.wait(-1, until_next());
}

// And the pause after it.
Supervisor::Event LibvirtMonitor::try_one_child() {
  milliseconds pause = options_.shortest_delay;
  try {
    pause = live_one_child();
  } catch (const std::exception& failure) {  // No memory: of no one's making.
    set_down(failure.what());
  }
  child_.end();
  const auto until = Clock::now() + pause;
  Event event = Event::kNudged;
  while (event == Event::kNudged)
    event = supervisor_.wait(
        -1, std::chrono::ceil<milliseconds>(until - Clock::now()));
  return event;
}

// Whether a collector has looked lately, and there is somebody to ask.
bool LibvirtMonitor::wanted() {
  if (groups() == 0) return false;
  const std::lock_guard lock(mutex_);
  const auto now = Clock::now();
  return suspect_ || book_.until_next(now, milliseconds(1)) == milliseconds(0);
}

std::uint8_t LibvirtMonitor::groups() {
  const std::lock_guard lock(mutex_);
  const auto now = Clock::now();
  unsigned groups = 0;
  for (const auto& [group, when] : looked_)
    if (now - when <= options_.idle) groups |= static_cast<unsigned>(group);
  // Else who comes later in a scrape would wait for the next question.
  if (groups != 0 && first_scrape_) return kAllMonitorGroups;
  return static_cast<std::uint8_t>(groups);
}

// Until the child has to go; returns how long to pause.
milliseconds LibvirtMonitor::live_one_child() {
  if (const auto spawned = child_.spawn_listening(options_.program, argv_);
      !spawned) {
    set_down("cannot start the monitor child: " + spawned.error().message());
    return backoff_.next();
  }
  decoder_.emplace();
  auto why = greet();
  if (why.empty()) {
    set_down({});
    backoff_.reset();
    blame_suspect();
    why = talk();
  }
  if (why.empty()) return milliseconds(0);
  set_down(std::move(why));
  return backoff_.next();
}

// Waits until the child is connected to libvirt. Returns why it is not.
std::string LibvirtMonitor::greet() {
  const Reply hello = receive();
  if (hello.kind == Reply::kAnswer &&
      hello.frame.outcome == MonitorOutcome::kConnected)
    return {};
  suspect_.reset();  // It was libvirtd that did not answer, or we stop.
  if (hello.kind == Reply::kStopping) return {};
  if (hello.kind == Reply::kAnswer) return hello.frame.reason;
  if (hello.kind == Reply::kEnded) return hello.why;
  return "no connection to libvirt for " + in_words(options_.deadline);
}

// libvirtd is well: it was the QEMU.
void LibvirtMonitor::blame_suspect() {
  if (!suspect_) return;
  note([this] {
    return book_.missed(suspect_->id, options_.deadline, Clock::now());
  });
  suspect_.reset();
}

// Asks until the child has to go. Returns why; empty: as nobody wants to know
// any more, as we stop, or as an answer was late.
std::string LibvirtMonitor::talk() {
  while (groups() != 0) {
    if (const auto vm = next()) {
      auto why = ask(*vm);
      if (suspect_ || !why.empty()) return why;
    }
    switch (supervisor_.wait(child_.out_fd(), until_next())) {
      case Event::kStop:
        return {};
      case Event::kReadable:
        return ended();
      case Event::kDeadline:
      case Event::kNudged:
        break;
    }
  }
  return {};
}

// Returns why the child has to go, other than for a late answer.
std::string LibvirtMonitor::ask(const MonitoredVm& vm) {
  const auto asked = Clock::now();
  if (const auto state = standing_still(options_.proc, vm.id)) {
    note([&] { return book_.stopped(vm.id, *state, asked); });
    return {};
  }
  if (!child_.tell(encode(MonitorRequest{vm.uuid, groups()}))) return ended();
  const Reply reply = receive();
  if (reply.kind == Reply::kStopping) return {};
  if (reply.kind == Reply::kEnded) {
    // It may end each child that asks of it; the others are to have their turn.
    note([&] { return book_.refused(vm.id, reply.why, Clock::now()); });
    return reply.why;
  }
  if (reply.kind == Reply::kLate) {
    suspect_ = vm;
    return {};
  }
  return take_in(vm, reply.frame, asked);
}

// Returns as ask() does.
std::string LibvirtMonitor::take_in(const MonitoredVm& vm,
                                    const MonitorFrame& frame,
                                    Clock::time_point asked) {
  const auto now = Clock::now();
  switch (frame.outcome) {
    case MonitorOutcome::kTold: {
      const auto figures = parse_monitor_fields(frame.fields);
      note([&] { return book_.told(vm.id, figures, asked, now); });
      return {};
    }
    case MonitorOutcome::kGone:
      note([&] { return book_.gone(vm.id, now); });
      return {};
    case MonitorOutcome::kRefused:
      note([&] { return book_.refused(vm.id, frame.reason, now); });
      return {};
    case MonitorOutcome::kNoLibvirt:  // Of which it may be the cause, likewise.
      note([&] { return book_.gone(vm.id, now); });
      break;
    case MonitorOutcome::kConnected:
      break;
  }
  return frame.reason.empty() ? "the monitor child is confused, restarted"
                              : frame.reason;
}

// The next frame, or what came in its stead.
LibvirtMonitor::Reply LibvirtMonitor::receive() {
  std::array<char, kChunkBytes> chunk{};
  const auto deadline = Clock::now() + options_.deadline;
  while (true) {
    const auto left = std::chrono::ceil<milliseconds>(deadline - Clock::now());
    const auto event = supervisor_.wait(child_.out_fd(), left);
    if (event == Event::kStop) return {Reply::kStopping, {}, {}};
    if (event == Event::kDeadline) return {Reply::kLate, {}, {}};
    if (event == Event::kNudged) continue;
    const auto n = uninterrupted(
        [&] { return ::read(child_.out_fd(), chunk.data(), chunk.size()); });
    if (n <= 0) return {Reply::kEnded, {}, ended()};
    auto frames = decoder_->feed({chunk.data(), static_cast<std::size_t>(n)});
    if (!frames || frames->size() > 1)
      return {Reply::kEnded, {}, "the monitor child sent nonsense, restarted"};
    if (!frames->empty())
      return {Reply::kAnswer, std::move(frames->front()), {}};
  }
}

std::string LibvirtMonitor::ended() const {
  return "the monitor child ended (" + child_.how_it_ended() + "), restarted";
}

std::optional<MonitoredVm> LibvirtMonitor::next() {
  const std::lock_guard lock(mutex_);
  return book_.next(Clock::now());
}

// Whoever looks wakes us.
milliseconds LibvirtMonitor::until_next() {
  if (groups() == 0) return options_.idle;
  const std::lock_guard lock(mutex_);
  return book_.until_next(Clock::now(), options_.idle);
}

void LibvirtMonitor::set_down(std::string reason) {
  const std::lock_guard lock(mutex_);
  down_ = std::move(reason);
  changed_.notify_all();
}

// What the book makes of something, and of that what is news.
void LibvirtMonitor::note(const std::function<std::string()>& write) {
  std::string line;
  {
    const std::lock_guard lock(mutex_);
    line = write();
    changed_.notify_all();
  }
  if (!line.empty()) options_.log(line);
}

}  // namespace vcpu
