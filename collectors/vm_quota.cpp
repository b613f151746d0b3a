// SPDX-License-Identifier: Apache-2.0
#include "collectors/vm_quota.h"

#include <algorithm>
#include <filesystem>
#include <utility>

#include "collectors/base/file.h"
#include "collectors/base/growing.h"
#include "collectors/inventory/thread_role.h"

namespace vcpu {
namespace {

Result<QuotaCores> read_quota(const std::string& directory, int version) {
  if (version == 2) return read_as(directory + "/cpu.max", parse_cpu_max);
  const auto path = directory + "/cpu.cfs_quota_us";
  const auto quota = read_file(path);
  if (!quota) return quota.error();
  if (!is_whole(*quota)) return malformed(path);
  if (!is_cfs_limit(*quota)) return QuotaCores{};
  const auto period = read_file(directory + "/cpu.cfs_period_us");
  if (!period) return period.error();
  auto parsed = parse_cfs_quota(*quota, *period);
  if (!parsed || !is_whole(*period)) return malformed(path);
  return parsed;
}

Result<double> weight_of(const Cgroup& group) {
  return group.version == 1
             ? read_as(group.directory + "/cpu.shares", parse_cpu_shares)
             : read_as(group.directory + "/cpu.weight", parse_cpu_weight);
}

// A group that was made anew under its name begins at zero.
CpuStat grown(const CpuStat& before, const CpuStat& now) {
  return {vcpu::grown(before.periods, now.periods),
          vcpu::grown(before.throttled_periods, now.throttled_periods),
          vcpu::grown(before.throttled_ns, now.throttled_ns)};
}

CpuStat& operator+=(CpuStat& sum, const CpuStat& more) {
  sum.periods += more.periods;
  sum.throttled_periods += more.throttled_periods;
  sum.throttled_ns += more.throttled_ns;
  return sum;
}

QuotaCores least(const QuotaCores& a, const QuotaCores& b) {
  if (!a || !b) return a ? a : b;
  return std::min(*a, *b);
}

bool is_gone_or_say(const Error& error, Families& said) {
  if (is_gone(error)) return true;
  say_unread(error, VmQuota::kSource, said);
  return false;
}

// What is there and could not be read is, perhaps, the next time.
bool may_pass(const Error& error) {
  return !is_gone(error) && error.code != std::errc::bad_message;
}

// In the order of their names; none where the directory has just gone.
std::vector<std::string> groups_below(const std::string& directory,
                                      Families& said) {
  auto names = list_directories(directory);
  if (!names) {
    (void)is_gone_or_say(names.error(), said);
    return {};
  }
  std::sort(names->begin(), names->end());
  return *std::move(names);
}

}  // namespace

void VmQuota::read(const Cgroup& own, std::size_t vcpus, bool look,
                   KeptFiles& kept, Families& said) {
  const bool others = own.directory != own_.directory || vcpus != vcpu_count_;
  const bool due = look || others;
  vcpu_count_ = vcpus;
  if (others || !listed_ || (due && links() != links_)) list(own, kept, said);
  if (due || weight_unread_) read_weight(said);
  if (due) look_where_due(said);
  for (Group& group : groups_)
    if (group.unread && !due) this->look(group, said);
  for (Group& group : groups_)
    if (group.limited) count(group, kept, said);
  has_controller_ = !groups_.front().gone || !exists(own_.directory);
}

void VmQuota::list(const Cgroup& own, KeptFiles& kept, Families& said) {
  const auto said_before = said.problems().size() + said.sources().size();
  std::vector<Group> found{{.directory = own.directory, .own = true}};
  auto parent = own.directory;
  auto names = groups_below(parent, said);
  if (std::binary_search(names.begin(), names.end(), "libvirt")) {
    parent += "/libvirt";
    found.push_back({.directory = parent, .own = true});
    names = groups_below(parent, said);
  }
  parent += "/";
  for (const auto& name : names) {
    const auto role = role_by_cgroup(name);
    if (!role) continue;
    found.push_back({.directory = parent + name});
    if (role->role == ThreadRole::kVcpu) found.back().vcpu = role->vcpu;
  }

  const bool moved = own.directory != own_.directory || !listed_;
  listed_ = said.problems().size() + said.sources().size() == said_before;
  own_ = own;
  std::swap(groups_, found);
  for (Group& group : groups_) {
    const auto known = std::find_if(
        found.begin(), found.end(),
        [&](const Group& old) { return old.directory == group.directory; });
    if (known != found.end()) {
      group = *known;
      continue;
    }
    look(group, said);
    // What a new group has counted is news. What a group has that we see for
    // the first time is not, but has to be known before it grows.
    if (!moved) group.last = CpuStat{};
    if (!group.gone) count(group, kept, said);
  }
  links_ = links();
}

std::uintmax_t VmQuota::links() const {
  std::uintmax_t sum = 0;
  std::error_code gone;
  for (const Group& group : groups_)
    if (group.own)
      sum += std::filesystem::hard_link_count(group.directory, gone);
  return sum;
}

void VmQuota::read_weight(Families& said) {
  const auto weight = weight_of(own_);
  weight_ = weight ? std::optional(*weight) : std::nullopt;
  weight_unread_ = !weight && may_pass(weight.error());
  if (!weight) (void)is_gone_or_say(weight.error(), said);
}

void VmQuota::look_where_due(Families& said) {
  bool all = false;
  bool first_vcpu = true;
  for (Group& group : groups_) {
    const bool leads = group.vcpu && std::exchange(first_vcpu, false);
    if (!group.own && !group.gone && !group.unread && !leads) continue;
    const QuotaCores before = group.cores;
    look(group, said);
    all = all || (leads && group.cores != before);
  }
  const auto in_turn =
      all ? groups_.size() : 1 + groups_.size() / kLooksPerRound;
  for (std::size_t i = 0; i < in_turn; ++i) {
    Group& group = groups_[++turn_ % groups_.size()];
    if (!group.own) look(group, said);
  }
}

void VmQuota::look(Group& group, Families& said) {
  const auto cores = read_quota(group.directory, own_.version);
  group.unread = !cores && may_pass(cores.error());
  if (cores) {
    group.gone = false;
    group.cores = *cores;
    group.limited = group.limited || group.cores;
    limited_ = limited_ || group.limited;
  } else if (is_gone_or_say(cores.error(), said)) {
    // Another one may have come in its place.
    if (!std::exchange(group.gone, true)) links_ = 0;
    group.cores.reset();
  }
}

void VmQuota::count(Group& group, KeptFiles& kept, Families& said) {
  const auto stat = kept.read_as(group.directory + "/cpu.stat", parse_cpu_stat);
  if (!stat) {
    // If it comes back, it is a new one.
    if (is_gone_or_say(stat.error(), said)) group.last = CpuStat{};
    return;
  }
  if (group.last) {
    const CpuStat more = grown(*group.last, *stat);
    total_ += more;
    if (group.vcpu) vcpu_ns_[*group.vcpu] += more.throttled_ns;
  } else if (group.vcpu) {
    vcpu_ns_.try_emplace(*group.vcpu, stat->throttled_ns);
  }
  group.last = *stat;
}

QuotaCores VmQuota::cores() const {
  QuotaCores cores = cores_of_vcpus();
  for (const Group& group : groups_)
    if (group.own) cores = least(cores, group.cores);
  return cores;
}

QuotaCores VmQuota::cores_of_vcpus() const {
  bool limited = false;
  double sum = 0;
  for (const Group& group : groups_) {
    if (!group.vcpu || group.gone) continue;
    limited = limited || group.cores;
    sum += std::min(1.0, group.cores.value_or(1.0));
  }
  return limited ? QuotaCores{sum} : std::nullopt;
}

std::optional<CpuStat> VmQuota::throttled() const {
  return limited_ ? std::optional(total_) : std::nullopt;
}

std::optional<std::uint64_t> VmQuota::throttled_ns(int vcpu) const {
  if (!limited_) return std::nullopt;
  const auto group = std::find_if(
      groups_.begin(), groups_.end(),
      [&](const Group& each) { return each.vcpu == vcpu && each.limited; });
  const auto ns = vcpu_ns_.find(vcpu);
  if (group == groups_.end() || ns == vcpu_ns_.end()) return std::nullopt;
  return ns->second;
}

}  // namespace vcpu
