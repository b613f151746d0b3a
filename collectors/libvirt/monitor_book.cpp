// SPDX-License-Identifier: Apache-2.0
#include "collectors/libvirt/monitor_book.h"

#include <algorithm>
#include <set>
#include <tuple>
#include <utility>

#include "collectors/libvirt/supervisor.h"

namespace vcpu {
namespace {

using std::chrono::milliseconds;

constexpr int kRestFactor = 3;
// A disk may never have counts (vhost-user), which looks like a busy VM.
constexpr int kMostEmptyAnswers = 6;

constexpr const char* kFirstTime =
    "a VM's QEMU is asked for the first time; its figures come with a later "
    "scrape";
constexpr const char* kBusy =
    "a VM is busy with another job of libvirt, such as a migration; its "
    "figures come back when that ends";
constexpr const char* kStopped =
    "a VM's QEMU is stopped, or waits for a disk; the log names it, and it is "
    "asked again when it runs";
constexpr const char* kLeftAlone =
    "a VM's QEMU does not answer; the log names it, and it is asked again "
    "after a pause of up to 10 minutes";
constexpr const char* kNobodyElse =
    "; so many do not answer that no other is asked until one does";
constexpr const char* kRefused =
    "libvirt does not tell what a VM's QEMU says; the log has VM and reason";

}  // namespace

MonitorBook::MonitorBook(MonitorBookOptions options, std::uint32_t seed)
    : options_(options), seed_(seed) {}

void MonitorBook::set(const std::vector<MonitoredVm>& vms, Time now) {
  std::set<VmId> present;
  for (const MonitoredVm& vm : vms) {
    present.insert(vm.id);
    const auto [known, is_new] = entries_.try_emplace(
        vm.id, Entry{.vm = vm,
                     .due = now,
                     .pause = Backoff(options_.shortest_pause,
                                      options_.longest_pause, seed_++)});
    if (!is_new) known->second.vm = vm;
    known->second.fresh = false;
  }
  std::erase_if(entries_, [&](const auto& item) {
    return !present.contains(item.first);
  });
}

// So that who scrapes every 15 s asks once for each scrape, and no more.
MonitorBook::Time MonitorBook::due(const Entry& entry) const {
  return entry.fresh ? entry.due + options_.period : entry.due;
}

bool MonitorBook::comes_before(const Entry& one, const Entry& other) {
  return std::tie(one.suspect, one.due) < std::tie(other.suspect, other.due);
}

bool MonitorBook::others_may_be_asked() const {
  const auto unheard =
      std::count_if(entries_.begin(), entries_.end(),
                    [](const auto& item) { return item.second.suspect; });
  return unheard < options_.most_unheard;
}

std::optional<MonitoredVm> MonitorBook::next(Time now) const {
  if (now < rest_until_) return std::nullopt;
  const bool others = others_may_be_asked();
  const Entry* best = nullptr;
  for (const auto& [id, entry] : entries_) {
    if (entry.vm.uuid.empty() || due(entry) > now) continue;
    if (!others && !entry.suspect) continue;
    if (best == nullptr || comes_before(entry, *best)) best = &entry;
  }
  if (best == nullptr) return std::nullopt;
  return best->vm;
}

milliseconds MonitorBook::until_next(Time now, milliseconds most) const {
  const bool others = others_may_be_asked();
  Time first = now + most;
  for (const auto& [id, entry] : entries_)
    if (!entry.vm.uuid.empty() && (others || entry.suspect))
      first = std::min(first, due(entry));
  const auto when = std::max(first, std::min(rest_until_, now + most));
  return std::max(std::chrono::ceil<milliseconds>(when - now), milliseconds(0));
}

MonitorBook::Entry* MonitorBook::find(const VmId& vm) {
  const auto known = entries_.find(vm);
  return known == entries_.end() ? nullptr : &known->second;
}

void MonitorBook::put_off(Entry& entry, Time due) {
  entry.due = due;
  entry.fresh = false;
}

// Whether these figures are its QEMU's own. Of a busy VM without disks libvirt
// tells nothing, as of one that has nothing to tell; but KVM has its figures of
// a vCPU for as long as the VM runs.
bool MonitorBook::told_by_qemu(Entry& entry, const MonitorFigures& figures) {
  const auto& before = entry.figures;
  if (figures.asked_qemu)
    return !figures.empty() || before == nullptr || before->vcpus.empty();
  if (before != nullptr) return false;
  return ++entry.empty_answers > kMostEmptyAnswers;
}

std::string MonitorBook::told(const VmId& vm, const MonitorFigures& figures,
                              Time asked, Time now) {
  rest_until_ = now + kRestFactor * (now - asked);
  Entry* const entry = find(vm);
  if (entry == nullptr) return {};
  const auto before = entry->condition;
  const bool by_qemu = told_by_qemu(*entry, figures);
  if (!by_qemu && entry->suspect) {
    entry->condition = Condition::kLeftAlone;
    put_off(*entry, now + entry->pause.next());
    return {};
  }
  entry->due = now + options_.period;
  entry->fresh = true;
  // Whoever holds the job may be the one that hangs, so it says nothing of when
  // its QEMU last answered.
  if (!by_qemu) {
    entry->condition = Condition::kBusy;
    return {};
  }
  entry->pause.reset();
  entry->suspect = false;
  entry->condition = Condition::kGood;
  entry->figures =
      std::make_shared<const MonitorFigures>(entry->totals.add(figures));
  entry->heard = now;
  const bool news = before == Condition::kStopped ||
                    before == Condition::kLeftAlone ||
                    before == Condition::kRefused;
  return news ? "the QEMU of " + entry->vm.domain + " answers again" : "";
}

std::string MonitorBook::stopped(const VmId& vm, char state, Time now) {
  Entry* const entry = find(vm);
  if (entry == nullptr) return {};
  const auto before = std::exchange(entry->condition, Condition::kStopped);
  put_off(*entry, now + options_.look_again);
  if (before == Condition::kStopped) return {};
  return "the QEMU of " + entry->vm.domain + " is not asked, it is in state " +
         state;
}

std::string MonitorBook::missed(const VmId& vm, milliseconds deadline,
                                Time now) {
  Entry* const entry = find(vm);
  if (entry == nullptr) return {};
  const auto pause = entry->pause.next();
  entry->condition = Condition::kLeftAlone;
  entry->suspect = true;
  put_off(*entry, now + pause);
  return "the QEMU of " + entry->vm.domain + " does not answer within " +
         in_words(deadline) + ", it is left alone for " +
         in_words(std::chrono::ceil<std::chrono::seconds>(pause)) +
         (others_may_be_asked() ? "" : kNobodyElse);
}

std::string MonitorBook::refused(const VmId& vm, const std::string& why,
                                 Time now) {
  Entry* const entry = find(vm);
  if (entry == nullptr) return {};
  const auto before = std::exchange(entry->condition, Condition::kRefused);
  put_off(*entry, now + options_.period);
  if (before == Condition::kRefused) return {};
  return "libvirt does not tell what the QEMU of " + entry->vm.domain +
         " says: " + why;
}

// Not forgotten: the kernel says who runs, and libvirt may be of another mind
// for a moment.
std::string MonitorBook::gone(const VmId& vm, Time now) {
  if (Entry* const entry = find(vm)) put_off(*entry, now + options_.period);
  return {};
}

bool MonitorBook::shown(const Entry& entry, Time now) const {
  return entry.figures != nullptr && now - entry.heard <= options_.oldest;
}

std::string MonitorBook::reason_of(const Entry& entry, Time now) const {
  if (entry.vm.uuid.empty()) return {};
  switch (entry.condition) {
    case Condition::kNew:
      return kFirstTime;
    case Condition::kStopped:
      return kStopped;
    case Condition::kLeftAlone:
      return kLeftAlone;
    case Condition::kBusy:
      return shown(entry, now) ? "" : kBusy;
    case Condition::kRefused:
      return shown(entry, now) ? "" : kRefused;
    case Condition::kGood:
      break;
  }
  return {};
}

bool MonitorBook::all_tried() const {
  return std::none_of(entries_.begin(), entries_.end(), [](const auto& item) {
    const Entry& entry = item.second;
    return !entry.vm.uuid.empty() && entry.condition == Condition::kNew;
  });
}

MonitorView MonitorBook::view(Time now) const {
  MonitorView view;
  auto worst = Condition::kNew;
  for (const auto& [id, entry] : entries_) {
    auto& vm = view.vms[id];
    if (shown(entry, now)) vm.figures = entry.figures;
    if (entry.figures != nullptr)
      vm.age_seconds = std::chrono::duration<double>(now - entry.heard).count();
    const auto reason = reason_of(entry, now);
    if (reason.empty() ||
        (!view.missing_reason.empty() && entry.condition < worst))
      continue;
    view.missing_reason = reason;
    worst = entry.condition;
  }
  return view;
}

}  // namespace vcpu
