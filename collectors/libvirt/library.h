// SPDX-License-Identifier: Apache-2.0
//
// LibvirtLibrary: those functions of libvirt.so that we call, found at run
// time.
//
// Only libvirt's header is needed to build, and nothing of it to run. Include
// this only where VCPU_HAVE_LIBVIRT is defined. The library is never unloaded,
// as its threads may be running. https://libvirt.org/html/index.html
#pragma once

#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>

#include <string>

#include "collectors/base/result.h"

namespace vcpu {

struct LibvirtLibrary {
  decltype(&virSetErrorFunc) set_error_func = nullptr;
  decltype(&virGetLastErrorMessage) last_error_message = nullptr;
  decltype(&virEventRegisterDefaultImpl) register_event_loop = nullptr;
  decltype(&virEventRunDefaultImpl) run_event_loop = nullptr;
  decltype(&virConnectOpenReadOnly) open_read_only = nullptr;
  decltype(&virConnectSetKeepAlive) set_keep_alive = nullptr;
  decltype(&virConnectIsAlive) is_alive = nullptr;
  decltype(&virConnectClose) close = nullptr;
  decltype(&virConnectGetAllDomainStats) all_domain_stats = nullptr;
  decltype(&virDomainStatsRecordListFree) free_stats = nullptr;
  decltype(&virDomainGetUUIDString) uuid = nullptr;
  decltype(&virDomainGetName) name = nullptr;
  decltype(&virDomainGetInfo) info = nullptr;
  decltype(&virDomainGetVcpusFlags) vcpus = nullptr;
  decltype(&virDomainGetVcpuPinInfo) vcpu_pins = nullptr;
  decltype(&virDomainGetID) id = nullptr;
  decltype(&virDomainGetXMLDesc) xml = nullptr;
  decltype(&virDomainLookupByUUIDString) lookup = nullptr;
  decltype(&virDomainFree) free_domain = nullptr;
  decltype(&virDomainListGetStats) domain_stats = nullptr;
  decltype(&virGetLastErrorCode) last_error_code = nullptr;
  decltype(&virConnectDomainEventRegisterAny) register_event = nullptr;
  decltype(&virConnectDomainEventDeregisterAny) deregister_event = nullptr;
};

// The error's context alone is a sentence for a person.
Result<LibvirtLibrary> load_libvirt(const std::string& file);

}  // namespace vcpu
