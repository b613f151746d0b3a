// SPDX-License-Identifier: Apache-2.0
//
// MonitorClient: asks libvirt for what it has to ask a QEMU for, over one
// read-only connection; lives in the monitor child.
//
// Per request: one virDomainListGetStats and, of a domain that is new to it,
// virDomainLookupByUUIDString. With NOWAIT: of a VM that is busy with another
// job libvirt tells what it knows without QEMU. Of a QEMU that does not answer
// a call never returns: whoever calls must be someone that can be killed. One
// thread; one per process.
#pragma once

#include <memory>
#include <string>

#include "collectors/libvirt/monitor_protocol.h"

namespace vcpu {

class MonitorClient {
 public:
  explicit MonitorClient(std::string uri, std::string library = "libvirt.so.0");
  MonitorClient(const MonitorClient&) = delete;
  MonitorClient& operator=(const MonitorClient&) = delete;
  ~MonitorClient();

  MonitorFrame connect();  // kConnected or kNoLibvirt; first, and once.
  MonitorFrame ask(const MonitorRequest& request);

 private:
  class Session;
  std::unique_ptr<Session> session_;
};

}  // namespace vcpu
