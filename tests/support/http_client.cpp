// SPDX-License-Identifier: Apache-2.0
#include "tests/support/http_client.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <utility>

namespace vcpu {
namespace {

[[noreturn]] void fail(const std::string& what) {
  throw std::runtime_error(what + ": " + strerror(errno));
}

sockaddr loopback(int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  sockaddr generic{};
  std::memcpy(&generic, &address, sizeof generic);
  return generic;
}

int new_socket() {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) fail("socket");
  const timeval timeout{kClientTimeout.count(), 0};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout);
  return fd;
}

}  // namespace

HttpClient::HttpClient(int port, int receive_bytes) : fd_(new_socket()) {
  if (receive_bytes > 0) {
    setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &receive_bytes,
               sizeof receive_bytes);
  }
  const sockaddr address = loopback(port);
  if (connect(fd_, &address, sizeof address) != 0) {
    close(fd_);
    fail("connect");
  }
}

HttpClient::HttpClient(HttpClient&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)) {}

HttpClient::~HttpClient() {
  if (fd_ >= 0) close(fd_);
}

bool HttpClient::send(std::string_view bytes) const {
  while (!bytes.empty()) {
    const auto sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent < 0 && (errno == EPIPE || errno == ECONNRESET)) return false;
    if (sent < 0) fail("send");
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
  return true;
}

std::string HttpClient::read(std::size_t size) const {
  std::string text;
  std::array<char, 65536> buffer{};
  while (text.size() < size) {
    const auto wanted = std::min(buffer.size(), size - text.size());
    const auto got = recv(fd_, buffer.data(), wanted, 0);
    if (got == 0 || (got < 0 && errno == ECONNRESET)) break;
    if (got < 0) fail("recv");
    text.append(buffer.data(), static_cast<std::size_t>(got));
  }
  return text;
}

bool HttpClient::readable_within(std::chrono::milliseconds time) const {
  pollfd wanted{fd_, POLLIN, 0};
  return poll(&wanted, 1, static_cast<int>(time.count())) > 0;
}

std::string HttpClient::read_all() const { return read(std::string::npos); }

std::string HttpReply::header(std::string_view name) const {
  std::size_t begin = head.find("\r\n");
  while (begin != std::string::npos && begin + 2 < head.size()) {
    begin += 2;
    const auto end = head.find("\r\n", begin);
    const auto line = std::string_view(head).substr(begin, end - begin);
    if (line.size() > name.size() + 1 && line[name.size()] == ':' &&
        strncasecmp(line.data(), name.data(), name.size()) == 0) {
      return std::string(line.substr(name.size() + 2));
    }
    begin = end;
  }
  return "";
}

int HttpReply::count(std::string_view name) const {
  int found = 0;
  const std::string wanted = "\r\n" + std::string(name) + ":";
  auto at = head.find(wanted);
  while (at != std::string::npos) {
    ++found;
    at = head.find(wanted, at + 1);
  }
  return found;
}

HttpReply parse_reply(const std::string& text) {
  HttpReply reply;
  const auto end = text.find("\r\n\r\n");
  if (!text.starts_with("HTTP/1.1 ") || end == std::string::npos) return reply;
  reply.status = std::stoi(text.substr(9, 3));
  reply.head = text.substr(0, end + 2);
  reply.body = text.substr(end + 4);
  return reply;
}

HttpReply ask(int port, std::string_view text) {
  HttpClient client(port);
  client.send(text);
  return parse_reply(client.read_all());
}

HttpReply http_get(int port, std::string_view target,
                   std::string_view headers) {
  return ask(port, "GET " + std::string(target) +
                       " HTTP/1.1\r\nHost: test\r\n" + std::string(headers) +
                       "\r\n");
}

TakenPort::TakenPort() : fd_(new_socket()) {
  sockaddr address = loopback(0);
  socklen_t size = sizeof address;
  if (bind(fd_, &address, size) != 0 || listen(fd_, 1) != 0 ||
      getsockname(fd_, &address, &size) != 0) {
    fail("listen");
  }
  sockaddr_in bound{};
  std::memcpy(&bound, &address, sizeof bound);
  port_ = ntohs(bound.sin_port);
}

TakenPort::~TakenPort() { close(fd_); }

}  // namespace vcpu
