// SPDX-License-Identifier: Apache-2.0
#ifdef VCPU_HAVE_LIBVIRT

#include "collectors/libvirt/connection.h"

#include <chrono>
#include <memory>
#include <thread>
#include <utility>

namespace vcpu {
namespace {

constexpr int kKeepAliveSeconds = 5;
constexpr unsigned kKeepAliveMisses = 3;

[[noreturn]] void run_event_loop(decltype(&virEventRunDefaultImpl) run_once) {
  constexpr std::chrono::milliseconds kAfterFailure{100};
  while (true) {
    if (run_once() < 0) std::this_thread::sleep_for(kAfterFailure);
  }
}

using Changed = std::function<void()>;

int on_lifecycle(virConnectPtr /*connection*/, virDomainPtr /*domain*/,
                 int /*event*/, int /*detail*/, void* changed) {
  (*static_cast<Changed*>(changed))();
  return 0;
}

void free_changed(void* changed) {
  const std::unique_ptr<Changed> owned(static_cast<Changed*>(changed));
}

}  // namespace

LibvirtConnection::LibvirtConnection(std::string uri, std::string library)
    : uri_(std::move(uri)), library_(std::move(library)) {}

bool LibvirtConnection::load() {
  if (api_) return true;
  auto loaded = load_libvirt(library_);
  if (!loaded) {
    reason_ = loaded.error().context;
    return false;
  }
  // Otherwise libvirt prints every error to our standard error.
  loaded->set_error_func(nullptr, [](void*, virErrorPtr) {});
  // Before any connection is opened, or its keepalive would have no loop.
  if (loaded->register_event_loop() < 0) {
    reason_ = loaded->last_error_message();
    return false;
  }
  std::thread(run_event_loop, loaded->run_event_loop).detach();
  api_ = *loaded;
  return true;
}

bool LibvirtConnection::open() {
  if (!load()) return false;
  connection_ = api_->open_read_only(uri_.c_str());
  if (connection_ == nullptr) {
    note_failure();
    return false;
  }
  // A driver inside the library has no peer to keep alive, and says so.
  api_->set_keep_alive(connection_, kKeepAliveSeconds, kKeepAliveMisses);
  return true;
}

void LibvirtConnection::watch_domains(Changed changed) {
  auto held = std::make_unique<Changed>(std::move(changed));
  watch_ = api_->register_event(
      connection_, nullptr, VIR_DOMAIN_EVENT_ID_LIFECYCLE,
      VIR_DOMAIN_EVENT_CALLBACK(on_lifecycle), held.get(), free_changed);
  if (watch_ >= 0) (void)held.release();  // It is libvirt's now.
}

void LibvirtConnection::close() {
  if (connection_ == nullptr) return;
  // What watches holds the connection, which would outlive its end.
  if (watch_ >= 0) api_->deregister_event(connection_, watch_);
  api_->close(connection_);
  watch_ = -1;
  connection_ = nullptr;
}

bool LibvirtConnection::alive() {
  if (api_->is_alive(connection_) != 0) return true;
  reason_ = "the connection to libvirt was lost";
  return false;
}

}  // namespace vcpu

#endif
