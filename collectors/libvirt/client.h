// SPDX-License-Identifier: Apache-2.0
//
// LibvirtClient: asks one libvirt, over one read-only connection, what it says
// of its active domains. The only caller of libvirt; lives in the child.
//
// Per question: one virConnectGetAllDomainStats of the state group. For each
// domain virDomainGetVcpusFlags twice, virDomainGetVcpuPinInfo and
// virDomainGetInfo once: where it is new or its state has changed, else every
// 6 questions, by turns. Likewise virDomainGetXMLDesc, every 60 questions, of
// at most 128 domains per question; where it fails, what it told last is kept.
// What fails is asked once more in the next question. Once per connection
// virConnectDomainEventRegisterAny (lifecycle), and the inverse at its end.
// None of them asks a QEMU. Still each may block for ever (a stopped daemon):
// whoever calls must be someone that can be killed. One thread; one client per
// process, as libvirt's event loop is the process's.
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "collectors/libvirt/protocol.h"

namespace vcpu {

class LibvirtClient {
 public:
  explicit LibvirtClient(std::string uri, std::string library = "libvirt.so.0");
  LibvirtClient(const LibvirtClient&) = delete;
  LibvirtClient& operator=(const LibvirtClient&) = delete;
  ~LibvirtClient();

  // Connects first where there is no connection, though after a failure of
  // whatever kind no sooner than a back-off of 1 to 15 s allows; in between it
  // repeats the last reason. What one domain does not tell is empty in that
  // domain, and only there; it is asked for it again in the next question.
  LibvirtFrame ask();

  // Until `latest`, or libvirt has told since the last call that a domain has
  // begun, ended, or changed its state, though not before `earliest`.
  using Clock = std::chrono::steady_clock;
  void wait(Clock::time_point earliest, Clock::time_point latest);

 private:
  class Session;
  std::unique_ptr<Session> session_;
};

}  // namespace vcpu
