// SPDX-License-Identifier: Apache-2.0
#include "exporter/senders.h"

#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <iterator>
#include <optional>
#include <string_view>
#include <utility>

#include "collectors/base/file.h"

namespace vcpu {
namespace {

using AskForName = int (*)(int, sockaddr*, socklen_t*);

struct End {
  std::string address;
  int port = 0;
};

// Nothing where it is no socket of a connection.
std::optional<End> end_of(int fd, AskForName ask) {
  sockaddr_storage storage{};
  socklen_t size = sizeof storage;
  auto* const name = reinterpret_cast<sockaddr*>(&storage);
  std::array<char, NI_MAXHOST> address{};
  std::array<char, NI_MAXSERV> port{};
  if (ask(fd, name, &size) != 0 ||
      getnameinfo(name, size, address.data(), address.size(), port.data(),
                  port.size(), NI_NUMERICHOST | NI_NUMERICSERV) != 0) {
    return std::nullopt;
  }
  End end{address.data(), 0};
  const std::string_view digits = port.data();
  std::from_chars(digits.data(), digits.data() + digits.size(), end.port);
  return end;
}

bool has(int fd, const Ends& ends) {
  const auto client = end_of(fd, ::getpeername);
  if (!client || client->address != ends.address || client->port != ends.port)
    return false;
  const auto own = end_of(fd, ::getsockname);
  return own && own->port == ends.own_port;
}

void end_connection(int fd) {
  // At once, without a word: what is not sent yet is not kept for it either.
  const linger none{1, 0};
  ::setsockopt(fd, SOL_SOCKET, SO_LINGER, &none, sizeof none);
  ::shutdown(fd, SHUT_RDWR);
}

bool drop(const Ends& ends) {
  const auto descriptors = list_numbers("/proc/self/fd");
  if (!descriptors) return false;
  const auto fd = std::find_if(descriptors->begin(), descriptors->end(),
                               [&](int one) { return has(one, ends); });
  if (fd == descriptors->end()) return false;
  end_connection(*fd);
  return true;
}

}  // namespace

Senders::Sending::Sending(Senders& senders, Ends ends, Clock::time_point now)
    : senders_(senders) {
  const std::lock_guard lock(senders_.mutex_);
  senders_.senders_.push_back({std::move(ends), now});
  self_ = std::prev(senders_.senders_.end());
}

Senders::Sending::~Sending() {
  const std::lock_guard lock(senders_.mutex_);
  senders_.senders_.erase(self_);
}

void Senders::Sending::sent(std::size_t bytes) {
  const std::lock_guard lock(senders_.mutex_);
  self_->bytes += bytes;
}

bool Senders::drop_slowest(Clock::time_point now) {
  using Seconds = std::chrono::duration<double>;
  const auto rate = [now](const Sender& sender) {
    return static_cast<double>(sender.bytes) /
           Seconds(now - sender.since).count();
  };
  const std::lock_guard lock(mutex_);
  while (true) {
    Sender* slowest = nullptr;
    for (Sender& sender : senders_) {
      if (sender.dropped || now - sender.since < kGrace) continue;
      if (slowest == nullptr || rate(sender) < rate(*slowest))
        slowest = &sender;
    }
    if (slowest == nullptr) return false;
    slowest->dropped = true;
    if (drop(slowest->ends)) return true;
  }
}

}  // namespace vcpu
