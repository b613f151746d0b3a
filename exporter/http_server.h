// SPDX-License-Identifier: Apache-2.0
//
// HttpServer: sockets in, a handler in the middle, bytes out. The only caller
// of civetweb.
//
// What a client can do to it is bounded: a request that is not complete within
// request_timeout is dropped, an answer that is not read within
// response_timeout too; a target over kMaxTargetBytes gets 414, a request over
// 16 KiB 400 (civetweb does not tell it from a broken one), and the body of a
// request is never read. Every answer closes its connection.
//
// The handler runs in `threads` threads at once; it may throw (the answer is
// 500). No exception crosses into civetweb, which is C.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "exporter/senders.h"

struct ssl_ctx_st;

namespace vcpu {

struct Header {
  std::string name;
  std::string value;
};

struct Request {
  std::string method;  // "GET"; any method that civetweb knows.
  std::string path;    // As sent, still percent-encoded: "/metrics".
  std::string query;   // As sent, without the "?"; empty where there is none.
  std::vector<Header> headers;

  // The value of a header, its name in any case; several of one name are
  // joined by ", ". Empty where there is none.
  std::string header(std::string_view name) const;
};

struct Response {
  int status = 200;
  std::string content_type;
  // Besides Content-Type, Content-Length, Date and Connection.
  std::vector<Header> headers;
  // Held until the last byte is sent, or the client is given up. Null: empty.
  std::shared_ptr<const std::string> body;
};

// One line of plain text; `line` comes without its line feed.
Response text_response(int status, std::string line);

inline constexpr std::size_t kMaxTargetBytes = 4096;

struct HttpServerOptions {
  // "HOST:PORT" with a name or an address of IPv4, or ":PORT" for all of them;
  // "[::1]:PORT" where civetweb has IPv6 (Debian 12's has not). Port 0: any.
  std::vector<std::string> listen_addresses{":9752"};

  // A connection keeps a thread until it is answered or dropped, so this is the
  // number of idle or slow clients that delay nobody. One more than that waits
  // up to request_timeout. A sleeping thread costs about 20 KiB.
  int threads = 256;

  std::chrono::milliseconds request_timeout{2000};
  // For an answer as a whole. A client that takes nothing at all for
  // request_timeout, and two seconds at least, is dropped before.
  std::chrono::milliseconds response_timeout{30000};

  // Added to every answer; one replaces a header of the same name. Called by
  // several threads at once. Empty: none.
  std::function<std::vector<Header>()> extra_headers;

  // OpenSSL's SSL_CTX, which outlives the server: TLS alone is spoken, on all
  // addresses. A handshake has request_timeout too, before the request has
  // its own; one that fails is a complaint, and the connection is closed, also
  // where the client speaks HTTP without TLS. Null: no TLS.
  ssl_ctx_st* tls = nullptr;

  // Where to enter whom an answer is sent to. Null: nowhere.
  std::shared_ptr<Senders> senders;

  // What civetweb complains about, one line each, from any thread. Must not
  // throw. Empty: dropped.
  std::function<void(const std::string&)> log;
};

class HttpServer {
 public:
  using Handler = std::function<Response(const Request&)>;

  // Listens when it returns. Otherwise throws std::runtime_error with one line
  // that names the address and says what to do. Ignores SIGPIPE for the whole
  // process, as civetweb does, and sets SIGCHLD to its default.
  HttpServer(HttpServerOptions options, Handler handler);

  // Waits for the handlers that run, and for no client.
  ~HttpServer();

  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  // The ports listened on, in the order of the addresses.
  std::vector<int> ports() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace vcpu
