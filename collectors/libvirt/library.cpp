// SPDX-License-Identifier: Apache-2.0
#ifdef VCPU_HAVE_LIBVIRT

#include "collectors/libvirt/library.h"

#include "collectors/base/shared_library.h"

namespace vcpu {

Result<LibvirtLibrary> load_libvirt(const std::string& file) {
  auto library = SharedLibrary::open(file);
  if (!library) return library.error();
  LibvirtLibrary api;
  library->find("virSetErrorFunc", api.set_error_func);
  library->find("virGetLastErrorMessage", api.last_error_message);
  library->find("virEventRegisterDefaultImpl", api.register_event_loop);
  library->find("virEventRunDefaultImpl", api.run_event_loop);
  library->find("virConnectOpenReadOnly", api.open_read_only);
  library->find("virConnectSetKeepAlive", api.set_keep_alive);
  library->find("virConnectIsAlive", api.is_alive);
  library->find("virConnectClose", api.close);
  library->find("virConnectGetAllDomainStats", api.all_domain_stats);
  library->find("virDomainStatsRecordListFree", api.free_stats);
  library->find("virDomainGetUUIDString", api.uuid);
  library->find("virDomainGetName", api.name);
  library->find("virDomainGetInfo", api.info);
  library->find("virDomainGetVcpusFlags", api.vcpus);
  library->find("virDomainGetVcpuPinInfo", api.vcpu_pins);
  library->find("virDomainGetID", api.id);
  library->find("virDomainGetXMLDesc", api.xml);
  library->find("virDomainLookupByUUIDString", api.lookup);
  library->find("virDomainFree", api.free_domain);
  library->find("virDomainListGetStats", api.domain_stats);
  library->find("virGetLastErrorCode", api.last_error_code);
  library->find("virConnectDomainEventRegisterAny", api.register_event);
  library->find("virConnectDomainEventDeregisterAny", api.deregister_event);
  if (const auto complete = library->complete(); !complete)
    return complete.error();
  return api;
}

}  // namespace vcpu

#endif
