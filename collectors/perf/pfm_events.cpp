// SPDX-License-Identifier: Apache-2.0
#include "collectors/perf/pfm_events.h"

#ifdef VCPU_HAVE_PFM

#include <perfmon/pfmlib_perf_event.h>
#include <strings.h>

#include <mutex>
#include <string_view>

#include "collectors/base/shared_library.h"

namespace vcpu {
namespace {

// libpfm4 does not say that it may be called by two threads at once.
std::mutex& one_at_a_time() {
  static std::mutex mutex;
  return mutex;
}

struct Pfm {
  decltype(&pfm_initialize) initialize = nullptr;
  decltype(&pfm_get_os_event_encoding) encode = nullptr;
  decltype(&pfm_get_pmu_info) pmu = nullptr;
  decltype(&pfm_get_event_info) event = nullptr;
  decltype(&pfm_get_event_next) next_event = nullptr;
  decltype(&pfm_strerror) error_text = nullptr;
};

// Looked for when it is needed: its tables of all CPUs' events take 2 MiB.
Result<Pfm> load() {
  auto library = SharedLibrary::open("libpfm.so.4");
  if (!library) return library.error();
  Pfm pfm;
  library->find("pfm_initialize", pfm.initialize);
  library->find("pfm_get_os_event_encoding", pfm.encode);
  library->find("pfm_get_pmu_info", pfm.pmu);
  library->find("pfm_get_event_info", pfm.event);
  library->find("pfm_get_event_next", pfm.next_event);
  library->find("pfm_strerror", pfm.error_text);
  if (const auto complete = library->complete(); !complete)
    return complete.error();
  if (const int result = pfm.initialize(); result != PFM_SUCCESS)
    return failed(std::string("libpfm4: ") + pfm.error_text(result));
  return pfm;
}

const Result<Pfm>& loaded() {
  static const Result<Pfm> pfm = load();
  return pfm;
}

// Left to itself libpfm4 excludes what a guest does.
bool says_whose_mode(std::string_view name) {
  return name.find(":mg") != std::string_view::npos ||
         name.find(":mh") != std::string_view::npos;
}

int encode(const Pfm& pfm, const std::string& name, perf_event_attr& event) {
  pfm_perf_encode_arg_t arguments{};
  arguments.attr = &event;
  arguments.size = sizeof(arguments);
  const int result = pfm.encode(name.c_str(), PFM_PLM0 | PFM_PLM3 | PFM_PLMH,
                                PFM_OS_PERF_EVENT, &arguments);
  if (!says_whose_mode(name)) event.exclude_guest = event.exclude_host = 0;
  return result;
}

bool same_word(std::string_view a, const char* b) {
  const std::string_view other = b == nullptr ? "" : b;
  return a.size() == other.size() &&
         ::strncasecmp(a.data(), other.data(), a.size()) == 0;
}

bool has_event(const Pfm& pfm, const pfm_pmu_info_t& pmu,
               std::string_view event) {
  for (int i = pmu.first_event; i != -1; i = pfm.next_event(i)) {
    pfm_event_info_t info{};
    info.size = sizeof(info);
    if (pfm.event(i, PFM_OS_NONE, &info) != PFM_SUCCESS) return false;
    if (same_word(event, info.name)) return true;
  }
  return false;
}

// "PMU::EVENT:MASK...": whether any CPU that libpfm4 knows has the event.
bool known_anywhere(const Pfm& pfm, std::string_view name) {
  std::string_view wanted_pmu;
  if (const auto end = name.find("::"); end != std::string_view::npos) {
    wanted_pmu = name.substr(0, end);
    name.remove_prefix(end + 2);
  }
  const std::string_view event = name.substr(0, name.find(':'));
  for (int i = 0; i < PFM_PMU_MAX; ++i) {
    pfm_pmu_info_t pmu{};
    pmu.size = sizeof(pmu);
    if (pfm.pmu(static_cast<pfm_pmu_t>(i), &pmu) != PFM_SUCCESS) continue;
    if (!wanted_pmu.empty() && !same_word(wanted_pmu, pmu.name)) continue;
    if (has_event(pfm, pmu, event)) return true;
  }
  return false;
}

}  // namespace

Result<perf_event_attr> encode_by_pfm(const std::string& name) {
  const std::lock_guard lock(one_at_a_time());
  const auto& pfm = loaded();
  if (!pfm) return pfm.error();
  perf_event_attr event{};
  const int result = encode(*pfm, name, event);
  if (result == PFM_SUCCESS) return event;
  if (result == PFM_ERR_NOTFOUND) return failed("this CPU has no such event");
  return failed(std::string("libpfm4: ") + pfm->error_text(result));
}

std::string pfm_name_problem(const std::string& name) {
  const std::lock_guard lock(one_at_a_time());
  const auto& pfm = loaded();
  if (!pfm) return "";
  perf_event_attr event{};
  const int result = encode(*pfm, name, event);
  if (result == PFM_SUCCESS) return "";
  if (result != PFM_ERR_NOTFOUND)
    return std::string("is refused by libpfm4: ") + pfm->error_text(result);
  return known_anywhere(*pfm, name) ? "" : "is no event that libpfm4 knows";
}

}  // namespace vcpu

#else

namespace vcpu {

Result<perf_event_attr> encode_by_pfm(const std::string& /*name*/) {
  return failed(
      "not a generic event, and this program was built without libpfm4, which "
      "knows others");
}

std::string pfm_name_problem(const std::string& /*name*/) { return ""; }

}  // namespace vcpu

#endif
