// SPDX-License-Identifier: Apache-2.0
//
// A client for tests that can misbehave: a raw socket to 127.0.0.1.
//
// No call waits longer than kClientTimeout; what fails throws
// std::runtime_error, except where said.
#pragma once

#include <chrono>
#include <cstddef>
#include <string>
#include <string_view>

namespace vcpu {

inline constexpr std::chrono::seconds kClientTimeout{20};

class HttpClient {
 public:
  // `receive_bytes` > 0 makes the kernel take little for us to read.
  explicit HttpClient(int port, int receive_bytes = 0);
  HttpClient(HttpClient&& other) noexcept;
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;
  ~HttpClient();

  // False where the server has closed the connection.
  bool send(std::string_view bytes) const;

  // Up to `size` bytes; fewer only where the server has closed.
  std::string read(std::size_t size) const;

  // Waits for bytes to read, or the end of the connection: true where one came.
  bool readable_within(std::chrono::milliseconds time) const;

  // All until the server closes the connection, or resets it.
  std::string read_all() const;

 private:
  int fd_;
};

struct HttpReply {
  int status = 0;    // 0: nothing that looks like HTTP came.
  std::string head;  // Status line and headers, each line ended by "\r\n".
  std::string body;

  // The value of a header, empty where it is missing; how often it is there.
  std::string header(std::string_view name) const;
  int count(std::string_view name) const;
};

HttpReply parse_reply(const std::string& text);

// Sends `text` on a connection of its own and reads the answer.
HttpReply ask(int port, std::string_view text);

// The same for a plain request: http_get(port, "/metrics", "Accept: */*\r\n").
HttpReply http_get(int port, std::string_view target,
                   std::string_view headers = "");

// A port of 127.0.0.1 that something listens on, for as long as it lives.
class TakenPort {
 public:
  TakenPort();
  TakenPort(const TakenPort&) = delete;
  TakenPort& operator=(const TakenPort&) = delete;
  ~TakenPort();
  int port() const { return port_; }

 private:
  int fd_;
  int port_ = 0;
};

}  // namespace vcpu
