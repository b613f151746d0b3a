// SPDX-License-Identifier: Apache-2.0
#include "collectors/libvirt/monitor_client.h"

#include <utility>

#ifdef VCPU_HAVE_LIBVIRT

#include <array>
#include <cstddef>
#include <unordered_map>

#include "collectors/libvirt/connection.h"

namespace vcpu {
namespace {

// Domains that have ended are among them.
constexpr std::size_t kMostKept = 16384;

unsigned stats_of(std::uint8_t groups) {
  const auto wanted = [groups](MonitorGroup group) {
    return (groups & static_cast<std::uint8_t>(group)) != 0;
  };
  unsigned stats = 0;
  if (wanted(MonitorGroup::kBlock))
    stats |= VIR_DOMAIN_STATS_BLOCK | VIR_DOMAIN_STATS_IOTHREAD;
  if (wanted(MonitorGroup::kKvm)) stats |= VIR_DOMAIN_STATS_VCPU;
  return stats;
}

// Negative numbers mean that something is not known; truth values and
// fractions do not concern us.
bool take(const virTypedParameter& parameter, MonitorField& field) {
  field.name = parameter.field;
  switch (parameter.type) {
    case VIR_TYPED_PARAM_ULLONG:
      field.value = std::uint64_t{parameter.value.ul};
      return true;
    case VIR_TYPED_PARAM_UINT:
      field.value = std::uint64_t{parameter.value.ui};
      return true;
    case VIR_TYPED_PARAM_LLONG:
      field.value = static_cast<std::uint64_t>(parameter.value.l);
      return parameter.value.l >= 0;
    case VIR_TYPED_PARAM_INT:
      field.value = static_cast<std::uint64_t>(parameter.value.i);
      return parameter.value.i >= 0;
    case VIR_TYPED_PARAM_STRING:
      if (parameter.value.s == nullptr) return false;
      field.value = std::string(parameter.value.s);
      return true;
    default:
      return false;
  }
}

std::vector<MonitorField> fields_of(virDomainStatsRecordPtr record) {
  std::vector<MonitorField> fields;
  for (int i = 0; i < record->nparams; ++i) {
    MonitorField field;
    if (take(record->params[i], field)) fields.push_back(std::move(field));
  }
  return fields;
}

bool means_gone(int code) {
  return code == VIR_ERR_NO_DOMAIN || code == VIR_ERR_OPERATION_INVALID;
}

}  // namespace

class MonitorClient::Session {
 public:
  Session(std::string uri, std::string library)
      : connection_(std::move(uri), std::move(library)) {}
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  ~Session() { forget_all(); }

  MonitorFrame connect() {
    if (!connection_.open())
      return {MonitorOutcome::kNoLibvirt, connection_.reason(), {}};
    return {MonitorOutcome::kConnected, {}, {}};
  }

  MonitorFrame ask(const MonitorRequest& request) {
    const auto& api = connection_.api();
    virDomainPtr domain = find(request.uuid);
    if (domain == nullptr) return failure();
    std::array<virDomainPtr, 2> domains{domain, nullptr};
    virDomainStatsRecordPtr* records = nullptr;
    const int count =
        api.domain_stats(domains.data(), stats_of(request.groups), &records,
                         VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT);
    // Before anything else is called, which would forget the error.
    MonitorFrame frame = count < 0 ? failure() : MonitorFrame{};
    if (count >= 0) frame.outcome = MonitorOutcome::kGone;
    if (count > 0) frame = {MonitorOutcome::kTold, {}, fields_of(records[0])};
    if (count >= 0) api.free_stats(records);
    if (count <= 0) forget(request.uuid);
    return frame;
  }

 private:
  // As it was looked up before: that is a call to libvirtd as well.
  virDomainPtr find(const std::string& uuid) {
    if (domains_.size() >= kMostKept) forget_all();
    const auto known = domains_.find(uuid);
    if (known != domains_.end()) return known->second;
    virDomainPtr domain =
        connection_.api().lookup(connection_.get(), uuid.c_str());
    if (domain != nullptr) domains_.emplace(uuid, domain);
    return domain;
  }

  void forget(const std::string& uuid) {
    const auto known = domains_.find(uuid);
    if (known == domains_.end()) return;
    connection_.api().free_domain(known->second);
    domains_.erase(known);
  }

  void forget_all() {
    for (const auto& [uuid, domain] : domains_)
      connection_.api().free_domain(domain);
    domains_.clear();
  }

  MonitorFrame failure() {
    const bool gone = means_gone(connection_.api().last_error_code());
    connection_.note_failure();
    if (!connection_.alive())
      return {MonitorOutcome::kNoLibvirt, connection_.reason(), {}};
    if (gone) return {MonitorOutcome::kGone, {}, {}};
    return {MonitorOutcome::kRefused, connection_.reason(), {}};
  }

  LibvirtConnection connection_;
  std::unordered_map<std::string, virDomainPtr> domains_;  // By uuid.
};

}  // namespace vcpu

#else

namespace vcpu {

class MonitorClient::Session {
 public:
  Session(std::string /*uri*/, std::string /*library*/) {}
  MonitorFrame connect() {
    return {MonitorOutcome::kNoLibvirt, "built without libvirt", {}};
  }
  MonitorFrame ask(const MonitorRequest& /*request*/) { return connect(); }
};

}  // namespace vcpu

#endif

namespace vcpu {

MonitorClient::MonitorClient(std::string uri, std::string library)
    : session_(std::make_unique<Session>(std::move(uri), std::move(library))) {}

MonitorClient::~MonitorClient() = default;

MonitorFrame MonitorClient::connect() { return session_->connect(); }

MonitorFrame MonitorClient::ask(const MonitorRequest& request) {
  return session_->ask(request);
}

}  // namespace vcpu
