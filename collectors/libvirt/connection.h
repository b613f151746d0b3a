// SPDX-License-Identifier: Apache-2.0
//
// LibvirtConnection: one read-only connection to libvirt, by the library found
// at run time (library.h), kept alive by a thread that runs libvirt's event
// loop.
//
// Include this only where VCPU_HAVE_LIBVIRT is defined. Each call may block for
// ever (a stopped daemon). One thread; one per process, as libvirt's event loop
// is the process's.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "collectors/libvirt/library.h"

namespace vcpu {

class LibvirtConnection {
 public:
  LibvirtConnection(std::string uri, std::string library);
  LibvirtConnection(const LibvirtConnection&) = delete;
  LibvirtConnection& operator=(const LibvirtConnection&) = delete;
  ~LibvirtConnection() { close(); }

  // False: reason() says why not.
  bool open();
  void close();
  bool is_open() const { return connection_ != nullptr; }

  // Calls `changed`, from the thread of the event loop, whenever a domain
  // begins, ends, or changes its state, until the connection is closed. Where
  // libvirt tells no events it is never called. Only while it is open.
  void watch_domains(std::function<void()> changed);

  // Only while it is open.
  virConnectPtr get() const { return connection_; }
  const LibvirtLibrary& api() const { return *api_; }

  // Whether the daemon is still there; else reason() says that it is not.
  bool alive();

  // Keeps what libvirt says of the call that has just failed.
  void note_failure() { reason_ = api_->last_error_message(); }
  const std::string& reason() const { return reason_; }

 private:
  bool load();

  std::string uri_;
  std::string library_;
  std::optional<LibvirtLibrary> api_;
  virConnectPtr connection_ = nullptr;
  int watch_ = -1;  // The number of what watches; -1: nothing does.
  std::string reason_;
};

}  // namespace vcpu
