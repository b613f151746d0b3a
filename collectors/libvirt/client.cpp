// SPDX-License-Identifier: Apache-2.0
#include "collectors/libvirt/client.h"

#include <thread>
#include <utility>

#ifdef VCPU_HAVE_LIBVIRT

#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <cstdlib>
#include <iterator>
#include <map>
#include <mutex>
#include <numeric>
#include <optional>
#include <string_view>
#include <vector>

#include "collectors/libvirt/backoff.h"
#include "collectors/libvirt/connection.h"
#include "collectors/libvirt/domain_xml.h"

namespace vcpu {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr milliseconds kShortestDelay{1000};
constexpr milliseconds kLongestDelay{15000};
constexpr int kMinCpusInMap = 1024;
constexpr int kXmlsPerRound = 128;
// Rounds until what a domain is asked for by itself is asked for again.
constexpr std::uint64_t kFigureRounds = 6;
constexpr std::uint64_t kXmlRounds = 60;

// CPU numbers may have holes, so a map is wider than the number of CPUs.
int cpus_in_map() {
  const auto configured = static_cast<int>(::sysconf(_SC_NPROCESSORS_CONF));
  return std::max(kMinCpusInMap, 2 * configured);
}

std::optional<unsigned> number(virDomainStatsRecordPtr record,
                               std::string_view field) {
  for (int i = 0; i < record->nparams; ++i) {
    const virTypedParameter& parameter = record->params[i];
    if (std::string_view(parameter.field) == field)
      return static_cast<unsigned>(parameter.value.i);
  }
  return std::nullopt;
}

void set_state(virDomainStatsRecordPtr record, LibvirtDomain& domain) {
  const auto state = number(record, "state.state");
  const bool known = state && *state < kLibvirtStates.size();
  domain.state = kLibvirtStates[known ? *state : 0U];
  if (const auto reason = number(record, "state.reason"))
    domain.state_reason = libvirt_state_reason(domain.state, *reason);
}

// What the thread of libvirt's events has to say to ours.
class News {
 public:
  void tell() {
    const std::lock_guard lock(mutex_);
    there_ = true;
    told_.notify_one();
  }
  void wait_until(Clock::time_point latest) {
    std::unique_lock lock(mutex_);
    told_.wait_until(lock, latest, [this] { return there_; });
    there_ = false;
  }

 private:
  std::mutex mutex_;
  std::condition_variable told_;
  bool there_ = false;
};

// When a domain was asked for something, so that all have their turn.
class Turn {
 public:
  // Whether to ask it in this round: `at_once`, or `rounds` after the last time
  // if any of the questions of this round is left.
  bool take(bool at_once, std::uint64_t round, std::uint64_t rounds,
            int& left) {
    const bool due = asked_ == 0 || round >= asked_ + rounds;
    if (!at_once && !again_ && (!due || left <= 0)) return false;
    --left;
    asked_ = round;
    return true;
  }
  // What came of it. Who does not tell is asked once more in the next round,
  // and after that when it is due: it may never tell.
  void done(bool told) { again_ = !told && !again_; }

 private:
  std::uint64_t asked_ = 0;  // Round; 0: never.
  bool again_ = false;
};

}  // namespace

class LibvirtClient::Session {
 public:
  Session(std::string uri, std::string library)
      : connection_(std::move(uri), std::move(library)) {}

  LibvirtFrame ask() {
    if (!connection_.is_open() && !connect()) return down();
    auto domains = list();
    if (!domains) {
      disconnect();
      return down();
    }
    backoff_.reset();
    return {true, {}, *std::move(domains)};
  }

  void wait(Clock::time_point earliest, Clock::time_point latest) {
    std::this_thread::sleep_until(earliest);
    news_->wait_until(latest);
  }

 private:
  struct Known {
    int id = -1;             // Of this run of the domain.
    std::uint64_t seen = 0;  // Round.
    Turn figures;
    Turn xml;
    LibvirtDomain domain;
  };

  LibvirtFrame down() const { return {false, connection_.reason(), {}}; }
  const LibvirtLibrary& api() const { return connection_.api(); }

  bool connect() {
    if (Clock::now() < next_try_) return false;
    if (connection_.open()) {
      connection_.watch_domains([news = news_] { news->tell(); });
      return true;
    }
    try_later();
    return false;
  }

  // What is known may not be so of a daemon that was started anew.
  void disconnect() {
    connection_.close();
    known_.clear();
    try_later();
  }

  void try_later() { next_try_ = Clock::now() + backoff_.next(); }

  std::optional<std::vector<LibvirtDomain>> list() {
    virDomainStatsRecordPtr* records = nullptr;
    const int count = api().all_domain_stats(
        connection_.get(), VIR_DOMAIN_STATS_STATE, &records,
        VIR_CONNECT_GET_ALL_DOMAINS_STATS_ACTIVE |
            VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT);
    if (count < 0) {
      connection_.note_failure();
      return std::nullopt;
    }
    std::vector<LibvirtDomain> domains;
    begin_round(count);
    for (int i = 0; i < count; ++i) {
      if (auto domain = describe(records[i])) {
        domains.push_back(*std::move(domain));
      }
    }
    api().free_stats(records);
    if (!connection_.alive()) return std::nullopt;
    return domains;
  }

  std::optional<LibvirtDomain> describe(virDomainStatsRecordPtr record) {
    std::array<char, VIR_UUID_STRING_BUFLEN> uuid{};
    const char* const name = api().name(record->dom);
    if (name == nullptr || api().uuid(record->dom, uuid.data()) < 0) return {};
    const auto id = static_cast<int>(api().id(record->dom));
    Known& known = known_[uuid.data()];
    if (known.id != id) known = {id, 0, {}, {}, {}};
    known.seen = round_;
    const LibvirtDomain before = known.domain;
    known.domain.uuid = uuid.data();
    known.domain.name = name;
    set_state(record, known.domain);
    const bool changed = known.domain.state != before.state ||
                         known.domain.state_reason != before.state_reason;
    if (known.figures.take(changed, round_, kFigureRounds, figures_left_))
      known.figures.done(set_figures(record->dom, known.domain));
    if (known.xml.take(false, round_, kXmlRounds, xmls_left_))
      known.xml.done(set_from_xml(record->dom, known.domain));
    return known.domain;
  }

  void begin_round(int count) {
    std::erase_if(known_,
                  [&](const auto& one) { return one.second.seen < round_; });
    ++round_;
    xmls_left_ = kXmlsPerRound;
    figures_left_ = count / static_cast<int>(kFigureRounds) + 1;
  }

  // A call each, which keeps libvirtd busier than all states at once. False:
  // not all of it was told.
  bool set_figures(virDomainPtr domain, LibvirtDomain& described) {
    described.vcpus_current = vcpus(domain, VIR_DOMAIN_VCPU_LIVE);
    described.vcpus_maximum =
        vcpus(domain, VIR_DOMAIN_VCPU_LIVE | VIR_DOMAIN_VCPU_MAXIMUM);
    described.pinned_cpus =
        pinned_cpus(domain, described.vcpus_maximum.value_or(0));
    set_memory(domain, described);
    return described.vcpus_current && described.vcpus_maximum &&
           described.memory_max_bytes && !described.pinned_cpus.empty();
  }

  // What libvirt keeps itself and QEMU tells it of: the balloon group of the
  // statistics would ask QEMU.
  void set_memory(virDomainPtr domain, LibvirtDomain& described) {
    constexpr std::uint64_t kBytesPerKib = 1024;
    virDomainInfo info{};
    described.memory_max_bytes.reset();
    described.memory_balloon_bytes.reset();
    if (api().info(domain, &info) < 0) return;
    described.memory_max_bytes = info.maxMem * kBytesPerKib;
    described.memory_balloon_bytes = info.memory * kBytesPerKib;
  }

  // What only the XML says, which is long. False where libvirt does not tell it
  // now: what it told before is the best that is known.
  bool set_from_xml(virDomainPtr domain, LibvirtDomain& described) {
    char* const xml = api().xml(domain, 0);
    if (xml == nullptr) return false;
    auto cells = parse_numa_cells(xml);
    auto metadata = parse_metadata(xml);
    std::free(xml);
    described.cells = cells ? *std::move(cells) : std::vector<LibvirtCell>{};
    described.metadata.clear();
    if (metadata) described.metadata = *std::move(metadata);
    return true;
  }

  std::optional<int> vcpus(virDomainPtr domain, unsigned flags) {
    const int count = api().vcpus(domain, flags);
    if (count < 0) return std::nullopt;
    return count;
  }

  std::vector<int> pinned_cpus(virDomainPtr domain, int vcpus) {
    if (vcpus <= 0 || std::cmp_greater(vcpus, kMaxFrameVcpus)) return {};
    const int map_bytes = VIR_CPU_MAPLEN(cpus_in_map());
    std::vector<unsigned char> maps(static_cast<std::size_t>(vcpus) *
                                    static_cast<std::size_t>(map_bytes));
    const int filled = api().vcpu_pins(domain, vcpus, maps.data(), map_bytes,
                                       VIR_DOMAIN_AFFECT_LIVE);
    std::vector<int> counts;
    for (int i = 0; i < std::min(filled, vcpus); ++i) {
      const auto map = std::next(maps.begin(), std::ptrdiff_t{i} * map_bytes);
      counts.push_back(std::accumulate(map, std::next(map, map_bytes), 0,
                                       [](int sum, unsigned char byte) {
                                         return sum + std::popcount(byte);
                                       }));
    }
    return counts;
  }

  const std::shared_ptr<News> news_ = std::make_shared<News>();
  LibvirtConnection connection_;
  std::map<std::string, Known> known_;  // By uuid.
  std::uint64_t round_ = 0;
  int figures_left_ = 0;
  int xmls_left_ = 0;
  Clock::time_point next_try_;
  Backoff backoff_{kShortestDelay, kLongestDelay,
                   static_cast<std::uint32_t>(::getpid())};
};

}  // namespace vcpu

#else

namespace vcpu {

class LibvirtClient::Session {
 public:
  Session(std::string /*uri*/, std::string /*library*/) {}
  LibvirtFrame ask() { return {false, "built without libvirt", {}}; }
  void wait(LibvirtClient::Clock::time_point /*earliest*/,
            LibvirtClient::Clock::time_point latest) {
    std::this_thread::sleep_until(latest);
  }
};

}  // namespace vcpu

#endif

namespace vcpu {

LibvirtClient::LibvirtClient(std::string uri, std::string library)
    : session_(std::make_unique<Session>(std::move(uri), std::move(library))) {}

LibvirtClient::~LibvirtClient() = default;

LibvirtFrame LibvirtClient::ask() { return session_->ask(); }

void LibvirtClient::wait(Clock::time_point earliest, Clock::time_point latest) {
  session_->wait(earliest, latest);
}

}  // namespace vcpu
