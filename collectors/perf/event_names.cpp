// SPDX-License-Identifier: Apache-2.0
#include "collectors/perf/event_names.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdint>
#include <string_view>

#include "collectors/base/label_text.h"
#include "collectors/perf/pfm_events.h"

namespace vcpu {
namespace {

struct Generic {
  std::string_view name;
  std::uint32_t type;
  std::uint64_t config;
};

constexpr std::uint64_t cache(std::uint64_t which, std::uint64_t access,
                              std::uint64_t result) {
  return which | access << 8U | result << 16U;
}

constexpr std::uint64_t kRead = PERF_COUNT_HW_CACHE_OP_READ;
constexpr std::uint64_t kWrite = PERF_COUNT_HW_CACHE_OP_WRITE;
constexpr std::uint64_t kAll = PERF_COUNT_HW_CACHE_RESULT_ACCESS;
constexpr std::uint64_t kMiss = PERF_COUNT_HW_CACHE_RESULT_MISS;

constexpr std::uint32_t kHardware = PERF_TYPE_HARDWARE;
constexpr std::uint32_t kCache = PERF_TYPE_HW_CACHE;
constexpr std::uint32_t kSoftware = PERF_TYPE_SOFTWARE;

constexpr std::array kGeneric{
    Generic{"cycles", kHardware, PERF_COUNT_HW_CPU_CYCLES},
    Generic{"instructions", kHardware, PERF_COUNT_HW_INSTRUCTIONS},
    Generic{"ref_cycles", kHardware, PERF_COUNT_HW_REF_CPU_CYCLES},
    Generic{"bus_cycles", kHardware, PERF_COUNT_HW_BUS_CYCLES},
    Generic{"stalled_cycles_frontend", kHardware,
            PERF_COUNT_HW_STALLED_CYCLES_FRONTEND},
    Generic{"stalled_cycles_backend", kHardware,
            PERF_COUNT_HW_STALLED_CYCLES_BACKEND},
    Generic{"branches", kHardware, PERF_COUNT_HW_BRANCH_INSTRUCTIONS},
    Generic{"branch_misses", kHardware, PERF_COUNT_HW_BRANCH_MISSES},
    Generic{"cache_references", kHardware, PERF_COUNT_HW_CACHE_REFERENCES},
    Generic{"cache_misses", kHardware, PERF_COUNT_HW_CACHE_MISSES},
    Generic{"l1d_loads", kCache, cache(PERF_COUNT_HW_CACHE_L1D, kRead, kAll)},
    Generic{"l1d_load_misses", kCache,
            cache(PERF_COUNT_HW_CACHE_L1D, kRead, kMiss)},
    Generic{"llc_loads", kCache, cache(PERF_COUNT_HW_CACHE_LL, kRead, kAll)},
    Generic{"llc_load_misses", kCache,
            cache(PERF_COUNT_HW_CACHE_LL, kRead, kMiss)},
    Generic{"llc_stores", kCache, cache(PERF_COUNT_HW_CACHE_LL, kWrite, kAll)},
    Generic{"llc_store_misses", kCache,
            cache(PERF_COUNT_HW_CACHE_LL, kWrite, kMiss)},
    Generic{"dtlb_loads", kCache, cache(PERF_COUNT_HW_CACHE_DTLB, kRead, kAll)},
    Generic{"dtlb_load_misses", kCache,
            cache(PERF_COUNT_HW_CACHE_DTLB, kRead, kMiss)},
    Generic{"dtlb_stores", kCache,
            cache(PERF_COUNT_HW_CACHE_DTLB, kWrite, kAll)},
    Generic{"dtlb_store_misses", kCache,
            cache(PERF_COUNT_HW_CACHE_DTLB, kWrite, kMiss)},
    Generic{"itlb_load_misses", kCache,
            cache(PERF_COUNT_HW_CACHE_ITLB, kRead, kMiss)},
    Generic{"node_loads", kCache, cache(PERF_COUNT_HW_CACHE_NODE, kRead, kAll)},
    Generic{"node_load_misses", kCache,
            cache(PERF_COUNT_HW_CACHE_NODE, kRead, kMiss)},
    Generic{"node_stores", kCache,
            cache(PERF_COUNT_HW_CACHE_NODE, kWrite, kAll)},
    Generic{"node_store_misses", kCache,
            cache(PERF_COUNT_HW_CACHE_NODE, kWrite, kMiss)},
    Generic{"page_faults", kSoftware, PERF_COUNT_SW_PAGE_FAULTS},
    Generic{"minor_faults", kSoftware, PERF_COUNT_SW_PAGE_FAULTS_MIN},
    Generic{"major_faults", kSoftware, PERF_COUNT_SW_PAGE_FAULTS_MAJ},
    Generic{"context_switches", kSoftware, PERF_COUNT_SW_CONTEXT_SWITCHES},
    Generic{"cpu_migrations", kSoftware, PERF_COUNT_SW_CPU_MIGRATIONS},
    Generic{"alignment_faults", kSoftware, PERF_COUNT_SW_ALIGNMENT_FAULTS},
    Generic{"emulation_faults", kSoftware, PERF_COUNT_SW_EMULATION_FAULTS},
};

std::string with_underscores(std::string name) {
  for (char& c : name) {
    c = c == '-'
            ? '_'
            : static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  }
  return name;
}

// Null where it is not generic.
const Generic* find_generic(const std::string& name) {
  const std::string wanted = with_underscores(name);
  const auto* const found =
      std::find_if(kGeneric.begin(), kGeneric.end(),
                   [&](const Generic& one) { return one.name == wanted; });
  return found == kGeneric.end() ? nullptr : found;
}

}  // namespace

std::vector<std::string> generic_event_names() {
  std::vector<std::string> names;
  names.reserve(kGeneric.size());
  for (const Generic& generic : kGeneric) names.emplace_back(generic.name);
  return names;
}

std::string canonical_event_name(const std::string& name) {
  const std::string text = label_text(name);
  const Generic* const generic = find_generic(text);
  return generic == nullptr ? text : std::string(generic->name);
}

std::string event_name_problem(const std::string& name) {
  return find_generic(name) != nullptr ? "" : pfm_name_problem(name);
}

Result<perf_event_attr> encode_event(const std::string& name) {
  const Generic* const generic = find_generic(name);
  if (generic == nullptr) return encode_by_pfm(name);
  perf_event_attr event{};
  event.type = generic->type;
  event.config = generic->config;
  return event;
}

bool is_software(const perf_event_attr& event) {
  return event.type == PERF_TYPE_SOFTWARE || event.type == PERF_TYPE_TRACEPOINT;
}

}  // namespace vcpu
