// SPDX-License-Identifier: Apache-2.0
//
// A libvirt with one running domain, "web", for what no real one can be made to
// do: to fail one call and then go on. The URI is the path of the domain's XML;
// while there is no such file, virDomainGetXMLDesc fails.
#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>

namespace {

std::string& xml_path() {
  static std::string path;
  return path;
}

// Handles that nobody looks into.
template <typename Handle>
Handle handle() {
  static char there;
  return reinterpret_cast<Handle>(&there);
}

}  // namespace

extern "C" {

void virSetErrorFunc(void* /*data*/, virErrorFunc /*handler*/) {}
const char* virGetLastErrorMessage() { return "refused by the test"; }
int virGetLastErrorCode() { return VIR_ERR_OPERATION_FAILED; }
int virEventRegisterDefaultImpl() { return 0; }
int virEventRunDefaultImpl() { return -1; }

virConnectPtr virConnectOpenReadOnly(const char* uri) {
  xml_path() = uri;
  return handle<virConnectPtr>();
}
int virConnectSetKeepAlive(virConnectPtr /*connection*/, int /*seconds*/,
                           unsigned /*misses*/) {
  return 0;
}
int virConnectIsAlive(virConnectPtr /*connection*/) { return 1; }
int virConnectClose(virConnectPtr /*connection*/) { return 0; }
int virConnectDomainEventRegisterAny(
    virConnectPtr /*connection*/, virDomainPtr /*domain*/, int /*event*/,
    virConnectDomainEventGenericCallback /*callback*/, void* /*data*/,
    virFreeCallback /*free*/) {
  return -1;
}

int virConnectGetAllDomainStats(virConnectPtr /*connection*/,
                                unsigned /*stats*/,
                                virDomainStatsRecordPtr** records,
                                unsigned /*flags*/) {
  static virDomainStatsRecord record{handle<virDomainPtr>(), nullptr, 0};
  static std::array<virDomainStatsRecordPtr, 2> all{&record, nullptr};
  *records = all.data();
  return 1;
}
void virDomainStatsRecordListFree(virDomainStatsRecordPtr* /*records*/) {}
int virDomainListGetStats(virDomainPtr* /*domains*/, unsigned /*stats*/,
                          virDomainStatsRecordPtr** /*records*/,
                          unsigned /*flags*/) {
  return -1;
}

virDomainPtr virDomainLookupByUUIDString(virConnectPtr /*connection*/,
                                         const char* /*uuid*/) {
  return handle<virDomainPtr>();
}
int virDomainFree(virDomainPtr /*domain*/) { return 0; }
unsigned virDomainGetID(virDomainPtr /*domain*/) { return 1; }
const char* virDomainGetName(virDomainPtr /*domain*/) { return "web"; }
int virDomainGetUUIDString(virDomainPtr /*domain*/, char* uuid) {
  constexpr std::string_view kUuid = "0a1b2c3d-1111-2222-3333-444455556666";
  *std::copy(kUuid.begin(), kUuid.end(), uuid) = '\0';
  return 0;
}
int virDomainGetInfo(virDomainPtr /*domain*/, virDomainInfoPtr /*info*/) {
  return -1;
}
int virDomainGetVcpusFlags(virDomainPtr /*domain*/, unsigned /*flags*/) {
  return -1;
}
int virDomainGetVcpuPinInfo(virDomainPtr /*domain*/, int /*maps*/,
                            unsigned char* /*map*/, int /*bytes*/,
                            unsigned /*flags*/) {
  return -1;
}
char* virDomainGetXMLDesc(virDomainPtr /*domain*/, unsigned /*flags*/) {
  std::ifstream file(xml_path());
  if (!file) return nullptr;
  const std::string xml(std::istreambuf_iterator<char>(file), {});
  return ::strdup(xml.c_str());
}

}  // extern "C"
