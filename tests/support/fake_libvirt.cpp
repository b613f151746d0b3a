// SPDX-License-Identifier: Apache-2.0
#include "tests/support/fake_libvirt.h"

#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>

// As in libvirt, what watches holds the connection.
struct _virConnect {
  int holders = 1;
  void* watching = nullptr;
  virFreeCallback free_watching = nullptr;
};

struct _virDomain {
  unsigned id = 0;
  std::string name;
};

vcpu::FakeLibvirt fake_libvirt;

namespace {

std::array<_virDomain, vcpu::kFakeDomains> domains{{{1, "one"}, {2, "two"}}};

// A call that somebody waits for.
class Call {
 public:
  Call() {
    ++fake_libvirt.calls;
    const int now = ++fake_libvirt.calls_now;
    int most = fake_libvirt.most_calls_at_once;
    while (now > most &&
           !fake_libvirt.most_calls_at_once.compare_exchange_weak(most, now)) {
    }
    ::usleep(100);  // So that others can meet it.
  }
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;
  ~Call() { --fake_libvirt.calls_now; }
};

int let_go(virConnectPtr connection) {
  if (--connection->holders > 0) return connection->holders;
  const std::unique_ptr<_virConnect> owned(connection);
  --fake_libvirt.open_now;
  return 0;
}

virTypedParameter number(const char* name, int value) {
  virTypedParameter parameter{};
  std::strncpy(parameter.field, name, sizeof parameter.field - 1);
  parameter.type = VIR_TYPED_PARAM_INT;
  parameter.value.i = value;
  return parameter;
}

constexpr int kParameters = 2;

virDomainStatsRecordPtr record_of(virDomainPtr domain) {
  auto record = std::make_unique<virDomainStatsRecord>();
  auto parameters = std::make_unique<virTypedParameter[]>(kParameters);
  parameters[0] = number("state.state", VIR_DOMAIN_RUNNING);
  parameters[1] = number("state.reason", VIR_DOMAIN_RUNNING_BOOTED);
  record->dom = domain;
  record->params = parameters.release();
  record->nparams = kParameters;
  return record.release();
}

}  // namespace

void virSetErrorFunc(void* /*data*/, virErrorFunc /*handler*/) {}
const char* virGetLastErrorMessage(void) { return "the fake fails"; }
int virGetLastErrorCode(void) { return VIR_ERR_INTERNAL_ERROR; }
int virEventRegisterDefaultImpl(void) { return 0; }
int virEventRunDefaultImpl(void) { return ::pause(); }

virConnectPtr virConnectOpenReadOnly(const char* /*uri*/) {
  const Call call;
  ++fake_libvirt.opened;
  ++fake_libvirt.open_now;
  return std::make_unique<_virConnect>().release();
}

int virConnectSetKeepAlive(virConnectPtr /*connection*/, int /*interval*/,
                           unsigned /*count*/) {
  return 0;
}

int virConnectIsAlive(virConnectPtr /*connection*/) { return 1; }
int virConnectClose(virConnectPtr connection) { return let_go(connection); }

int virConnectDomainEventRegisterAny(virConnectPtr connection,
                                     virDomainPtr /*domain*/, int /*event*/,
                                     virConnectDomainEventGenericCallback,
                                     void* opaque, virFreeCallback free_it) {
  const Call call;
  ++connection->holders;
  connection->watching = opaque;
  connection->free_watching = free_it;
  return 7;
}

int virConnectDomainEventDeregisterAny(virConnectPtr connection, int id) {
  const Call call;
  if (id != 7) return -1;
  connection->free_watching(connection->watching);
  let_go(connection);
  return 0;
}

int virConnectGetAllDomainStats(virConnectPtr /*connection*/,
                                unsigned /*stats*/,
                                virDomainStatsRecordPtr** records,
                                unsigned /*flags*/) {
  const Call call;
  if (fake_libvirt.list_fails) return -1;
  auto list =
      std::make_unique<virDomainStatsRecordPtr[]>(vcpu::kFakeDomains + 1);
  for (int i = 0; i < vcpu::kFakeDomains; ++i)
    list[i] = record_of(&domains.at(static_cast<std::size_t>(i)));
  *records = list.release();
  return vcpu::kFakeDomains;
}

void virDomainStatsRecordListFree(virDomainStatsRecordPtr* records) {
  const std::unique_ptr<virDomainStatsRecordPtr[]> list(records);
  for (int i = 0; list[i] != nullptr; ++i) {
    const std::unique_ptr<virDomainStatsRecord> record(list[i]);
    const std::unique_ptr<virTypedParameter[]> parameters(record->params);
  }
}

int virDomainGetUUIDString(virDomainPtr domain, char* text) {
  const std::string uuid =
      "6695eb01-f6a4-8304-79aa-97f2502e193" + std::to_string(domain->id);
  std::strncpy(text, uuid.c_str(), VIR_UUID_STRING_BUFLEN);
  return 0;
}

const char* virDomainGetName(virDomainPtr domain) {
  return domain->name.c_str();
}

unsigned virDomainGetID(virDomainPtr domain) { return domain->id; }

int virDomainGetInfo(virDomainPtr /*domain*/, virDomainInfoPtr info) {
  const Call call;
  ++fake_libvirt.asked_for_info;
  info->maxMem = info->memory = 1024;
  return 0;
}

int virDomainGetVcpusFlags(virDomainPtr /*domain*/, unsigned /*flags*/) {
  const Call call;
  return fake_libvirt.vcpus_fail ? -1 : fake_libvirt.vcpus.load();
}

int virDomainGetVcpuPinInfo(virDomainPtr /*domain*/, int vcpus,
                            unsigned char* maps, int map_bytes,
                            unsigned /*flags*/) {
  const Call call;
  std::memset(
      maps, 1,
      static_cast<std::size_t>(vcpus) * static_cast<std::size_t>(map_bytes));
  return vcpus;
}

char* virDomainGetXMLDesc(virDomainPtr /*domain*/, unsigned /*flags*/) {
  const Call call;
  if (fake_libvirt.xml_fails) return nullptr;
  const std::string xml =
      "<domain><cpu><numa><cell id='0' cpus='0-1'/></numa></cpu>"
      "<numatune><memory mode='strict' nodeset='" +
      std::to_string(fake_libvirt.node) + "'/></numatune></domain>";
  return ::strdup(xml.c_str());
}

virDomainPtr virDomainLookupByUUIDString(virConnectPtr /*connection*/,
                                         const char* /*uuid*/) {
  return nullptr;
}

int virDomainFree(virDomainPtr /*domain*/) { return 0; }

int virDomainListGetStats(virDomainPtr* /*domains*/, unsigned /*stats*/,
                          virDomainStatsRecordPtr** /*records*/,
                          unsigned /*flags*/) {
  return -1;
}
