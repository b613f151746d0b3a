// SPDX-License-Identifier: Apache-2.0
#ifdef VCPU_HAVE_LIBVIRT

#include "collectors/libvirt/library.h"

#include <dlfcn.h>

#include <system_error>

namespace vcpu {
namespace {

class Symbols {
 public:
  explicit Symbols(void* library) : library_(library) {}

  template <typename Function>
  void find(const char* name, Function& function) {
    function = reinterpret_cast<Function>(::dlsym(library_, name));
    if (function == nullptr) missing_ = name;
  }

  const std::string& missing() const { return missing_; }

 private:
  void* library_;
  std::string missing_;
};

Error unusable(std::string why) {
  return {make_error_code(std::errc::not_supported), std::move(why)};
}

}  // namespace

Result<LibvirtLibrary> load_libvirt(const std::string& file) {
  void* const library = ::dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    return unusable(file + " is not installed (" + ::dlerror() + ")");
  }

  LibvirtLibrary api;
  Symbols symbols(library);
  symbols.find("virSetErrorFunc", api.set_error_func);
  symbols.find("virGetLastErrorMessage", api.last_error_message);
  symbols.find("virEventRegisterDefaultImpl", api.register_event_loop);
  symbols.find("virEventRunDefaultImpl", api.run_event_loop);
  symbols.find("virConnectOpenReadOnly", api.open_read_only);
  symbols.find("virConnectSetKeepAlive", api.set_keep_alive);
  symbols.find("virConnectIsAlive", api.is_alive);
  symbols.find("virConnectClose", api.close);
  symbols.find("virConnectGetAllDomainStats", api.all_domain_stats);
  symbols.find("virDomainStatsRecordListFree", api.free_stats);
  symbols.find("virDomainGetUUIDString", api.uuid);
  symbols.find("virDomainGetName", api.name);
  symbols.find("virDomainGetInfo", api.info);
  symbols.find("virDomainGetVcpusFlags", api.vcpus);
  symbols.find("virDomainGetVcpuPinInfo", api.vcpu_pins);
  symbols.find("virDomainGetID", api.id);
  symbols.find("virDomainGetXMLDesc", api.xml);
  symbols.find("virDomainLookupByUUIDString", api.lookup);
  symbols.find("virDomainFree", api.free_domain);
  symbols.find("virDomainListGetStats", api.domain_stats);
  symbols.find("virGetLastErrorCode", api.last_error_code);
  symbols.find("virConnectDomainEventRegisterAny", api.register_event);
  if (!symbols.missing().empty()) {
    return unusable(file + " is too old: it has no " + symbols.missing());
  }
  return api;
}

}  // namespace vcpu

#endif
