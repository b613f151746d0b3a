// SPDX-License-Identifier: Apache-2.0
#include "exporter/http_server.h"

#include <arpa/inet.h>
#include <civetweb.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <condition_variable>
#include <csignal>
#include <cstdint>
#include <cstring>
#include <ctime>
#include <exception>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <stop_token>
#include <system_error>
#include <thread>
#include <utility>

#include "exporter/wording.h"

namespace vcpu {
namespace {

using Clock = std::chrono::steady_clock;

// Small, because civetweb gives every write a timeout of its own: between two
// of them the answer's whole time is looked at.
constexpr std::size_t kWriteBytes = std::size_t{64} << 10;

bool equal_names(std::string_view left, std::string_view right) {
  return left.size() == right.size() &&
         strncasecmp(left.data(), right.data(), left.size()) == 0;
}

[[noreturn]] void cannot_listen(const std::string& address,
                                const std::string& why) {
  throw std::runtime_error("cannot listen on " + address + ": " + why);
}

// One listen address, as given and as civetweb and the kernel want it.
struct Endpoint {
  std::string given;
  std::string civetweb;
  std::optional<sockaddr_in> ipv4;
};

std::optional<std::uint16_t> parse_port(std::string_view text) {
  std::uint16_t port = 0;
  const auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc{} || end != text.data() + text.size()) {
    return std::nullopt;
  }
  return port;
}

sockaddr_in resolve_ipv4(const std::string& given, const std::string& host) {
  addrinfo hints{};
  hints.ai_family = AF_INET;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int error = getaddrinfo(host.c_str(), nullptr, &hints, &found);
  if (error != 0) {
    cannot_listen(
        given, "no IPv4 address for \"" + host + "\": " + gai_strerror(error));
  }
  sockaddr_in address{};
  std::memcpy(&address, found->ai_addr, sizeof address);
  freeaddrinfo(found);
  return address;
}

std::string dotted(const sockaddr_in& address) {
  std::array<char, INET_ADDRSTRLEN> text{};
  inet_ntop(AF_INET, &address.sin_addr, text.data(), text.size());
  return text.data();
}

Endpoint ipv6_endpoint(const std::string& given) {
  if (mg_check_feature(MG_FEATURES_IPV6) == 0) {
    cannot_listen(given,
                  "the civetweb library of this system has no IPv6; listen on "
                  "an IPv4 address and put systemd-socket-proxyd before it");
  }
  in6_addr address{};
  const auto end = given.rfind(']');
  if (end == std::string::npos ||
      inet_pton(AF_INET6, given.substr(1, end - 1).c_str(), &address) != 1) {
    cannot_listen(given, "not an IPv6 address in brackets");
  }
  return {given, given, std::nullopt};
}

Endpoint parse_endpoint(const std::string& given) {
  const auto colon = given.rfind(':');
  const auto port = colon == std::string::npos
                        ? std::nullopt
                        : parse_port(std::string_view(given).substr(colon + 1));
  if (!port) {
    cannot_listen(given, "expected HOST:PORT or :PORT with a port up to 65535");
  }
  const std::string host = given.substr(0, colon);
  if (host.starts_with('[')) return ipv6_endpoint(given);
  if (host.find(':') != std::string::npos) {
    cannot_listen(given, "an IPv6 address belongs in brackets, as in [::1]:" +
                             std::to_string(*port));
  }
  if (host.empty() && mg_check_feature(MG_FEATURES_IPV6) != 0) {
    return {given, "+" + std::to_string(*port), std::nullopt};
  }
  sockaddr_in ipv4 = resolve_ipv4(given, host.empty() ? "0.0.0.0" : host);
  ipv4.sin_port = htons(*port);
  return {given, dotted(ipv4) + ":" + std::to_string(*port), ipv4};
}

std::string advice(int error) {
  switch (error) {
    case EADDRINUSE:
      return "; stop the program that listens there, or choose another address";
    case EACCES:
      return "; ports below 1024 need CAP_NET_BIND_SERVICE: choose a higher "
             "one";
    case EADDRNOTAVAIL:
      return "; no interface of this machine has this address";
    default:
      return "";
  }
}

// civetweb only says that it failed: the kernel is asked why.
int bind_error(const sockaddr_in& address) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return errno;
  const int on = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr generic{};
  std::memcpy(&generic, &address, sizeof generic);
  const bool bound =
      bind(fd, &generic, sizeof generic) == 0 && listen(fd, 1) == 0;
  const int error = bound ? 0 : errno;
  close(fd);
  return error;
}

[[noreturn]] void explain_failure(const std::vector<Endpoint>& endpoints,
                                  const std::string& complaint) {
  std::string all;
  for (const Endpoint& endpoint : endpoints) {
    const int error = endpoint.ipv4 ? bind_error(*endpoint.ipv4) : 0;
    if (error != 0) {
      cannot_listen(endpoint.given, strerror(error) + advice(error));
    }
    all += (all.empty() ? "" : ", ") + endpoint.given;
  }
  cannot_listen(all, complaint.empty() ? "civetweb does not start" : complaint);
}

// The threads of a civetweb. It has no way to wake those that wait for a
// client, so they would hold up its end for as long as a client may be slow.
// A signal ends their poll(2), and SIGURG hurts nobody it reaches by mistake.
class InterruptibleThreads {
 public:
  void add_self() {
    sigset_t wanted;
    sigemptyset(&wanted);
    sigaddset(&wanted, SIGURG);
    pthread_sigmask(SIG_UNBLOCK, &wanted, nullptr);
    const std::lock_guard lock(mutex_);
    threads_.push_back(pthread_self());
  }

  void remove_self() {
    const std::lock_guard lock(mutex_);
    std::erase_if(threads_, [](pthread_t thread) {
      return pthread_equal(thread, pthread_self()) != 0;
    });
  }

  // Again and again, as a signal that comes just before the poll is lost.
  void interrupt_until(const std::stop_token& done) {
    struct sigaction action {};
    action.sa_handler = [](int) {};
    sigaction(SIGURG, &action, nullptr);
    while (!done.stop_requested()) {
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
      const std::lock_guard lock(mutex_);
      for (const pthread_t thread : threads_) pthread_kill(thread, SIGURG);
    }
  }

 private:
  std::mutex mutex_;
  std::vector<pthread_t> threads_;
};

std::string http_date() {
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  gmtime_r(&now, &utc);
  std::array<char, 64> text{};
  const auto size = std::strftime(text.data(), text.size(),
                                  "%a, %d %b %Y %H:%M:%S GMT", &utc);
  return {text.data(), size};
}

bool has_header(const std::vector<Header>& headers, const std::string& name) {
  return std::any_of(headers.begin(), headers.end(), [&](const Header& header) {
    return equal_names(header.name, name);
  });
}

Request to_request(const mg_request_info& info) {
  Request request;
  request.method = info.request_method;
  request.path = info.local_uri_raw;
  request.query = info.query_string == nullptr ? "" : info.query_string;
  for (int i = 0; i < info.num_headers; ++i) {
    const mg_header& header = info.http_headers[i];
    request.headers.push_back({header.name, header.value});
  }
  return request;
}

// civetweb's complaints as a person would say them: it says "sslize error:
// error:0A00009C:SSL routines::http request".
std::string in_plain_words(const char* complaint) {
  std::string line = one_line(complaint);
  const std::size_t colons = line.rfind("::");
  if (!line.starts_with("sslize error: ") || colons == std::string::npos) {
    return line;
  }
  return "TLS handshake failed: " + line.substr(colons + 2);
}

// What civetweb refuses before a handler sees it.
Response refusal(int status) {
  if (status == 505) {
    return text_response(status, "only HTTP/1.0 and HTTP/1.1 are spoken here");
  }
  return text_response(status,
                       "not a complete and valid request of up to 16 KiB");
}

}  // namespace

std::string Request::header(std::string_view name) const {
  std::string value;
  for (const Header& header : headers) {
    if (!equal_names(header.name, name)) continue;
    if (!value.empty()) value += ", ";
    value += header.value;
  }
  return value;
}

Response text_response(int status, std::string line) {
  line += '\n';
  return {status,
          "text/plain; charset=utf-8",
          {},
          std::make_shared<const std::string>(std::move(line))};
}

class HttpServer::Impl {
 public:
  Impl(HttpServerOptions options, Handler handler)
      : options_(std::move(options)), handler_(std::move(handler)) {
    static std::once_flag once;
    std::call_once(once, [] { mg_init_library(MG_FEATURES_DEFAULT); });
    start();
  }

  ~Impl() {
    std::jthread waker;
    try {
      waker = std::jthread([this](const std::stop_token& done) {
        threads_.interrupt_until(done);
      });
    } catch (const std::system_error&) {
      // No thread to be had: civetweb ends without it, only later.
    }
    mg_stop(context_);
  }

  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  std::vector<int> ports() const {
    std::vector<mg_server_port> found(options_.listen_addresses.size());
    const int count = mg_get_server_ports(
        context_, static_cast<int>(found.size()), found.data());
    std::vector<int> numbers;
    numbers.reserve(found.size());
    for (int i = 0; i < count; ++i) {
      numbers.push_back(found[static_cast<std::size_t>(i)].port);
    }
    return numbers;
  }

 private:
  static Impl& of(const mg_connection* connection) {
    return *static_cast<Impl*>(mg_get_user_context_data(connection));
  }

  static Impl& of(const mg_context* context) {
    return *static_cast<Impl*>(mg_get_user_data(context));
  }

  static mg_callbacks callbacks() {
    mg_callbacks all{};
    all.begin_request = [](mg_connection* connection) {
      return of(connection).serve(connection);
    };
    all.http_error = [](mg_connection* connection, int status, const char*) {
      return of(connection).refuse(connection, status);
    };
    all.log_message = [](const mg_connection* connection, const char* text) {
      return of(mg_get_context(connection)).complain(text);
    };
    // Called for the beginning and for the end: the context is ours.
    all.external_ssl_ctx = [](void** context, void* self) {
      *context = static_cast<Impl*>(self)->options_.tls;
      return 1;
    };
    all.init_thread = [](const mg_context* context, int type) -> void* {
      constexpr int kListener = 0;
      of(context).threads_.add_self();
      if (type == kListener) of(context).set_listening();
      return nullptr;
    };
    all.exit_thread = [](const mg_context* context, int, void*) {
      of(context).threads_.remove_self();
    };
    return all;
  }

  void start() {
    std::vector<Endpoint> endpoints;
    std::string list;
    for (const std::string& address : options_.listen_addresses) {
      endpoints.push_back(parse_endpoint(address));
      list += (list.empty() ? "" : ",") + endpoints.back().civetweb +
              (options_.tls == nullptr ? "" : "s");
    }
    const std::string threads = std::to_string(options_.threads);
    const std::string timeout =
        std::to_string(options_.request_timeout.count());
    // decode_url: what a percent sign means is for the handler to say, as
    // civetweb's strings end at a decoded NUL. Backlog: with the default of
    // 200, a burst of connections loses some for the second of a SYN's retry.
    const std::array<const char*, 15> settings{"listening_ports",
                                               list.c_str(),
                                               "num_threads",
                                               threads.c_str(),
                                               "request_timeout_ms",
                                               timeout.c_str(),
                                               "listen_backlog",
                                               "1024",
                                               "tcp_nodelay",
                                               "1",
                                               "decode_url",
                                               "no",
                                               "enable_auth_domain_check",
                                               "no",
                                               nullptr};
    const mg_callbacks functions = callbacks();
    // An older C API: it changes none of these strings.
    context_ =
        mg_start(&functions, this, const_cast<const char**>(settings.data()));
    // civetweb ignores it, and then the number of a child that has ended could
    // be another process's when we signal it.
    std::signal(SIGCHLD, SIG_DFL);
    if (context_ == nullptr) explain_failure(endpoints, first_complaint_);
    // It says so even when no thread was left to listen. Stopping it would wait
    // for that thread for ever; the process is about to end anyway.
    if (!listens_soon()) {
      throw std::runtime_error(
          "cannot listen: too few threads are allowed; raise `ulimit -u`, the "
          "service's TasksMax=, the container's pids limit or its memory");
    }
    started_ = true;
  }

  void set_listening() {
    const std::lock_guard lock(listening_mutex_);
    listening_ = true;
    listening_changed_.notify_all();
  }

  bool listens_soon() {
    std::unique_lock lock(listening_mutex_);
    return listening_changed_.wait_for(lock, std::chrono::seconds(5),
                                       [this] { return listening_; });
  }

  // Never lets civetweb go on by itself: it would look for files.
  int serve(mg_connection* connection) noexcept {
    int status = 500;
    try {
      const mg_request_info& info = *mg_get_request_info(connection);
      const Request request = to_request(info);
      const Response response = answer(request);
      status = response.status;
      send(connection, response, request.method == "HEAD");
    } catch (const std::exception& error) {
      complain(error.what());
    } catch (...) {
      complain("unknown exception");
    }
    // The body of a request is not waited for.
    mg_disable_connection_keep_alive(connection);
    return status;
  }

  Response answer(const Request& request) {
    if (request.path.size() + request.query.size() > kMaxTargetBytes) {
      return text_response(414, "the request's target is too long");
    }
    try {
      return handler_(request);
    } catch (const std::exception& error) {
      complain(error.what());
    } catch (...) {
      complain("unknown exception");
    }
    return text_response(500, "internal error: see the exporter's log");
  }

  int refuse(mg_connection* connection, int status) noexcept {
    try {
      const mg_request_info* info = mg_get_request_info(connection);
      const bool head = info != nullptr && info->request_method != nullptr &&
                        std::string_view(info->request_method) == "HEAD";
      send(connection, refusal(status), head);
    } catch (...) {
      complain("no memory to refuse a request");
    }
    return 0;
  }

  int complain(const char* text) noexcept {
    constexpr int kSaid = 1;
    try {
      const std::string line = in_plain_words(text);
      if (started_) {
        if (options_.log) options_.log(line);
        return kSaid;
      }
      const std::lock_guard lock(first_complaint_mutex_);
      if (first_complaint_.empty()) first_complaint_ = line;
    } catch (...) {  // NOLINT(bugprone-empty-catch): there is nowhere to say it
    }
    return kSaid;
  }

  std::string head_text(const mg_connection* connection,
                        const Response& response) const {
    const std::size_t size = response.body ? response.body->size() : 0;
    std::string text =
        "HTTP/1.1 " + std::to_string(response.status) + " " +
        mg_get_response_code_text(connection, response.status) +
        "\r\nDate: " + http_date() +
        "\r\nConnection: close\r\nContent-Type: " + response.content_type +
        "\r\nContent-Length: " + std::to_string(size) + "\r\n";
    const auto append = [&](const Header& header) {
      text += one_line(header.name) + ": " + one_line(header.value) + "\r\n";
    };
    const auto extra = options_.extra_headers ? options_.extra_headers()
                                              : std::vector<Header>{};
    for (const Header& header : response.headers) {
      if (!has_header(extra, header.name)) append(header);
    }
    for (const Header& header : extra) append(header);
    return text + "\r\n";
  }

  void send(mg_connection* connection, const Response& response,
            bool head_only) const {
    const auto deadline = Clock::now() + options_.response_timeout;
    std::optional<Senders::Sending> sending;
    if (options_.senders) sending.emplace(*options_.senders, ends(connection));
    if (!write(connection, head_text(connection, response), deadline)) return;
    if (!response.body || head_only) return;
    write(connection, *response.body, deadline, sending ? &*sending : nullptr);
  }

  static Ends ends(const mg_connection* connection) {
    const mg_request_info& info = *mg_get_request_info(connection);
    return {info.remote_addr, info.remote_port, info.server_port};
  }

  static bool write(mg_connection* connection, std::string_view bytes,
                    Clock::time_point deadline,
                    Senders::Sending* sending = nullptr) {
    while (!bytes.empty()) {
      if (Clock::now() > deadline) return false;
      const std::string_view part = bytes.substr(0, kWriteBytes);
      const int written = mg_write(connection, part.data(), part.size());
      if (written != static_cast<int>(part.size())) return false;
      bytes.remove_prefix(part.size());
      if (sending != nullptr) sending->sent(part.size());
    }
    return true;
  }

  const HttpServerOptions options_;
  const Handler handler_;
  InterruptibleThreads threads_;
  std::mutex listening_mutex_;
  std::condition_variable listening_changed_;
  bool listening_ = false;
  std::mutex first_complaint_mutex_;
  std::string first_complaint_;  // Why civetweb did not start.
  std::atomic<bool> started_{false};
  mg_context* context_ = nullptr;
};

HttpServer::HttpServer(HttpServerOptions options, Handler handler)
    : impl_(std::make_unique<Impl>(std::move(options), std::move(handler))) {}

HttpServer::~HttpServer() = default;

std::vector<int> HttpServer::ports() const { return impl_->ports(); }

}  // namespace vcpu
