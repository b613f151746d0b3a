// SPDX-License-Identifier: Apache-2.0
#include "collectors/libvirt/client.h"

#include <utility>

#ifdef VCPU_HAVE_LIBVIRT

#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <iterator>
#include <map>
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
constexpr std::uint64_t kXmlRounds = 60;  // Until it is asked for again.

// CPU numbers may have holes, so a map is wider than the number of CPUs.
int cpus_in_map() {
  const auto configured = static_cast<int>(::sysconf(_SC_NPROCESSORS_CONF));
  return std::max(kMinCpusInMap, 2 * configured);
}

std::string state_name(virDomainStatsRecordPtr record) {
  for (int i = 0; i < record->nparams; ++i) {
    const virTypedParameter& parameter = record->params[i];
    if (std::string_view(parameter.field) != "state.state") continue;
    const auto index = static_cast<unsigned>(parameter.value.i);
    if (index < kLibvirtStates.size()) return kLibvirtStates[index];
  }
  return kLibvirtStates[VIR_DOMAIN_NOSTATE];
}

}  // namespace

class LibvirtClient::Session {
 public:
  Session(std::string uri, std::string library)
      : connection_(std::move(uri), std::move(library)) {}

  LibvirtFrame ask() {
    if (!connection_.is_open() && !connect()) return down();
    auto domains = list();
    if (!domains) {
      connection_.close();
      return down();
    }
    backoff_.reset();
    return {true, {}, *std::move(domains)};
  }

 private:
  LibvirtFrame down() const { return {false, connection_.reason(), {}}; }
  const LibvirtLibrary& api() const { return connection_.api(); }

  bool connect() {
    if (Clock::now() < next_try_) return false;
    if (connection_.open()) return true;
    next_try_ = Clock::now() + backoff_.next();
    return false;
  }

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
    begin_round();
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
    LibvirtDomain domain;
    domain.uuid = uuid.data();
    domain.name = name;
    domain.state = state_name(record);
    domain.vcpus_current = vcpus(record->dom, VIR_DOMAIN_VCPU_LIVE);
    domain.vcpus_maximum =
        vcpus(record->dom, VIR_DOMAIN_VCPU_LIVE | VIR_DOMAIN_VCPU_MAXIMUM);
    domain.pinned_cpus =
        pinned_cpus(record->dom, domain.vcpus_maximum.value_or(0));
    set_memory(record->dom, domain);
    domain.cells = cells(record->dom, domain.uuid);
    return domain;
  }

  // What libvirt keeps itself and QEMU tells it of: the balloon group of the
  // statistics would ask QEMU.
  void set_memory(virDomainPtr domain, LibvirtDomain& described) {
    constexpr std::uint64_t kBytesPerKib = 1024;
    virDomainInfo info{};
    if (api().info(domain, &info) < 0) return;
    described.memory_max_bytes = info.maxMem * kBytesPerKib;
    described.memory_balloon_bytes = info.memory * kBytesPerKib;
  }

  void begin_round() {
    std::erase_if(
        cells_, [&](const auto& known) { return known.second.seen < round_; });
    ++round_;
    xmls_left_ = kXmlsPerRound;
  }

  // From the XML, which is long, so it is not asked for each time.
  std::vector<LibvirtCell> cells(virDomainPtr domain, const std::string& uuid) {
    auto& known = cells_[uuid];
    known.seen = round_;
    const auto id = static_cast<int>(api().id(domain));
    const bool same = known.asked != 0 && known.id == id;
    if (same && round_ < known.asked + kXmlRounds) return known.cells;
    if (!same) known = {id, round_, 0, {}};
    if (xmls_left_ == 0) return known.cells;
    --xmls_left_;
    known.asked = round_;
    known.cells.clear();
    if (char* const xml = api().xml(domain, 0); xml != nullptr) {
      if (auto parsed = parse_numa_cells(xml)) known.cells = *std::move(parsed);
      std::free(xml);
    }
    return known.cells;
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

  struct KnownCells {
    int id = -1;              // Of this run of the domain.
    std::uint64_t seen = 0;   // Rounds.
    std::uint64_t asked = 0;  // 0: never.
    std::vector<LibvirtCell> cells;
  };

  LibvirtConnection connection_;
  std::map<std::string, KnownCells> cells_;  // By uuid.
  std::uint64_t round_ = 0;
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
};

}  // namespace vcpu

#endif

namespace vcpu {

LibvirtClient::LibvirtClient(std::string uri, std::string library)
    : session_(std::make_unique<Session>(std::move(uri), std::move(library))) {}

LibvirtClient::~LibvirtClient() = default;

LibvirtFrame LibvirtClient::ask() { return session_->ask(); }

}  // namespace vcpu
