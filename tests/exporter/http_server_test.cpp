// SPDX-License-Identifier: Apache-2.0
#include "exporter/http_server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <filesystem>
#include <future>
#include <iterator>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tests/support/http_client.h"

namespace vcpu {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using std::chrono::steady_clock;
using testing::AnyOf;
using testing::HasSubstr;

HttpServerOptions local_options() {
  HttpServerOptions options;
  options.listen_addresses = {"127.0.0.1:0"};
  options.threads = 8;
  return options;
}

Response hello(const Request& /*request*/) {
  return text_response(200, "hello");
}

int port_of(const HttpServer& server) { return server.ports().at(0); }

void expect_alive(const HttpServer& server) {
  EXPECT_EQ(http_get(port_of(server), "/").body, "hello\n");
}

// Why a server with these addresses does not start.
std::string failure(std::vector<std::string> addresses) {
  HttpServerOptions options = local_options();
  options.listen_addresses = std::move(addresses);
  try {
    const HttpServer server(options, hello);
  } catch (const std::runtime_error& error) {
    return error.what();
  }
  return "it started";
}

std::ptrdiff_t open_files() {
  return std::distance(std::filesystem::directory_iterator("/proc/self/fd"),
                       std::filesystem::directory_iterator());
}

milliseconds since(steady_clock::time_point start) {
  return std::chrono::duration_cast<milliseconds>(steady_clock::now() - start);
}

template <typename Condition>
bool eventually(Condition condition) {
  const auto deadline = steady_clock::now() + kClientTimeout;
  while (!condition()) {
    if (steady_clock::now() > deadline) return false;
    std::this_thread::yield();
  }
  return true;
}

// A handler's answer of `size` bytes, and whether the server has let go of it.
class LargeBody {
 public:
  explicit LargeBody(std::size_t size) : size_(size) {}

  Response answer() {
    const std::lock_guard lock(mutex_);
    auto body = std::make_shared<const std::string>(size_, 'x');
    given_.push_back(body);
    return {200, "text/plain", {}, std::move(body)};
  }

  bool all_released() {
    const std::lock_guard lock(mutex_);
    return std::all_of(given_.begin(), given_.end(),
                       [](const auto& body) { return body.expired(); });
  }

 private:
  const std::size_t size_;
  std::mutex mutex_;
  std::vector<std::weak_ptr<const std::string>> given_;
};

TEST(HttpServer, Answers) {
  const HttpServer server(local_options(), hello);
  const HttpReply reply = http_get(port_of(server), "/");
  EXPECT_EQ(reply.status, 200);
  EXPECT_EQ(reply.body, "hello\n");
  EXPECT_EQ(reply.header("Content-Type"), "text/plain; charset=utf-8");
  EXPECT_EQ(reply.header("Content-Length"), "6");
  EXPECT_EQ(reply.header("Connection"), "close");
  EXPECT_THAT(reply.header("Date"), testing::EndsWith(" GMT"));
  for (const char* name : {"Content-Type", "Content-Length", "Date"}) {
    EXPECT_EQ(reply.count(name), 1) << name;
  }
}

TEST(HttpServer, HandsOverTheRequestAsSent) {
  Request seen;
  const HttpServer server(local_options(), [&](const Request& request) {
    seen = request;
    return hello(request);
  });
  ask(port_of(server),
      "PUT /a/../%2e%00/%zz;x?q=%5B&r=/?&c=+ HTTP/1.1\r\n"
      "Host: test\r\nAccept: a\r\nX-Long-Name:  v \r\naccept: b\r\n\r\n");
  EXPECT_EQ(seen.method, "PUT");
  EXPECT_EQ(seen.path, "/a/../%2e%00/%zz;x");
  EXPECT_EQ(seen.query, "q=%5B&r=/?&c=+");
  EXPECT_EQ(seen.header("ACCEPT"), "a, b");
  EXPECT_EQ(seen.header("Accep"), "");
}

TEST(HttpServer, TakesAnAbsoluteTarget) {
  std::string path;
  const HttpServer server(local_options(), [&](const Request& request) {
    path = request.path;
    return hello(request);
  });
  const int port = port_of(server);
  http_get(port, "http://any.name:" + std::to_string(port) + "/x?y");
  EXPECT_EQ(path, "/x");
}

TEST(HttpServer, SendsNoBodyForHead) {
  const HttpServer server(local_options(), hello);
  const HttpReply reply =
      ask(port_of(server), "HEAD / HTTP/1.1\r\nHost: test\r\n\r\n");
  EXPECT_EQ(reply.status, 200);
  EXPECT_EQ(reply.header("Content-Length"), "6");
  EXPECT_EQ(reply.body, "");
}

TEST(HttpServer, SendsHeadersOfTheHandlerAndItsOwn) {
  HttpServerOptions options = local_options();
  options.extra_headers = [] {
    return std::vector<Header>{{"X-Frame-Options", "deny"}, {"Vary", "all"}};
  };
  const HttpServer server(options, [](const Request&) {
    Response response{404, "text/plain", {}, nullptr};
    response.headers = {{"vary", "Accept"}, {"X-Bad", "a\r\nSet-Cookie: b"}};
    return response;
  });
  const HttpReply reply = http_get(port_of(server), "/");
  EXPECT_THAT(reply.head, HasSubstr("HTTP/1.1 404 Not Found\r\n"));
  EXPECT_EQ(reply.header("X-Frame-Options"), "deny");
  EXPECT_EQ(reply.header("Vary"), "all");
  EXPECT_EQ(reply.header("X-Bad"), "a  Set-Cookie: b");
  EXPECT_EQ(reply.header("Content-Length"), "0");
  // civetweb's own answers have them too.
  EXPECT_EQ(ask(port_of(server), "nonsense\r\n\r\n").header("X-Frame-Options"),
            "deny");
}

TEST(HttpServer, SurvivesHandlersThatThrow) {
  HttpServerOptions options = local_options();
  std::mutex mutex;
  std::vector<std::string> log;
  options.log = [&](const std::string& line) {
    const std::lock_guard lock(mutex);
    log.push_back(line);
  };
  const HttpServer server(options, [](const Request& request) -> Response {
    if (request.path == "/std") throw std::runtime_error("first\nsecond");
    if (request.path == "/int") throw 1;
    return hello(request);
  });
  for (const char* path : {"/std", "/int"}) {
    const HttpReply reply = http_get(port_of(server), path);
    EXPECT_EQ(reply.status, 500);
    EXPECT_EQ(reply.body, "internal error: see the exporter's log\n");
  }
  expect_alive(server);
  const std::lock_guard lock(mutex);
  EXPECT_THAT(log, testing::ElementsAre("first second", "unknown exception"));
}

TEST(HttpServer, SaysWhyItCannotListen) {
  const TakenPort taken;
  const std::string address = "127.0.0.1:" + std::to_string(taken.port());
  EXPECT_EQ(failure({"127.0.0.1:0", address}),
            "cannot listen on " + address +
                ": Address already in use; stop the program that listens "
                "there, or choose another address");
  EXPECT_EQ(failure({"192.0.2.1:0"}),
            "cannot listen on 192.0.2.1:0: Cannot assign requested address; "
            "no interface of this machine has this address");
  EXPECT_THAT(failure({"no.such.name.invalid:0"}),
              HasSubstr("cannot listen on no.such.name.invalid:0: no IPv4 "
                        "address for \"no.such.name.invalid\": "));
}

TEST(HttpServer, SaysWhichAddressIsNone) {
  for (const char* address :
       {"", ":", "9752", "localhost", "localhost:", "localhost:x", ":65536",
        ":-1", ":80s", "127.0.0.1:80,127.0.0.1:81"}) {
    const std::string message = failure({address});
    EXPECT_THAT(message, HasSubstr("cannot listen on " + std::string(address)));
    EXPECT_EQ(message.find('\n'), std::string::npos);
  }
  EXPECT_THAT(failure({"::1:9752"}), HasSubstr("belongs in brackets"));
}

TEST(HttpServer, SaysThatThereIsNoIpv6WhereThereIsNone) {
  EXPECT_THAT(failure({"[::1]:0"}),
              AnyOf("it started", HasSubstr("cannot listen on [::1]:0: ")));
}

TEST(HttpServer, ListensOnSeveralAddresses) {
  HttpServerOptions options = local_options();
  options.listen_addresses = {"127.0.0.1:0", "localhost:0", ":0"};
  const HttpServer server(options, hello);
  ASSERT_EQ(server.ports().size(), 3U);
  for (const int port : server.ports()) {
    EXPECT_EQ(http_get(port, "/").status, 200);
  }
}

TEST(HttpServer, RefusesWhatIsTooLong) {
  const HttpServer server(local_options(), hello);
  const int port = port_of(server);
  const std::string longest = "/" + std::string(kMaxTargetBytes - 1, 'a');
  EXPECT_EQ(http_get(port, longest).status, 200);
  EXPECT_EQ(http_get(port, longest + "a").status, 414);
  EXPECT_EQ(http_get(port, "/?" + longest).status, 414);
  EXPECT_EQ(
      http_get(port, "/", "X: " + std::string(65536, 'a') + "\r\n").status,
      400);
  EXPECT_EQ(http_get(port, "/" + std::string(65536, 'a')).status, 400);
  expect_alive(server);
}

TEST(HttpServer, SurvivesGarbage) {
  std::atomic<int> handled = 0;
  const HttpServer server(local_options(), [&](const Request& request) {
    ++handled;
    return hello(request);
  });
  const std::vector<std::string> garbage{
      std::string("GET /\0x HTTP/1.1\r\n\r\n", 20),
      std::string(20, '\0') + "\r\n\r\n",
      "\xff\xfe\xfd\r\n\r\n",
      "\r\n\r\n\r\n\r\n\r\n",
      "GET\r\n\r\n",
      "GET /\r\n\r\n",
      "GET / HTTP/9.9\r\n\r\n",
      "GET nowhere HTTP/1.1\r\n\r\n",
      "GET * HTTP/1.1\r\n\r\n",
      "GET http://other.name/ HTTP/1.1\r\n\r\n",
      "GET http://[::1]:x/ HTTP/1.1\r\n\r\n",
      "FETCH / HTTP/1.1\r\n\r\n",
      "get / HTTP/1.1\r\n\r\n",
      "GET / HTTP/1.1\r\nno colon\r\n\r\n",
      "GET / HTTP/1.1\r\n: no name\r\nno colon\r\n\r\n",
      "GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
      "GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n",
      "GET / HTTP/1.1\r\nTransfer-Encoding: bogus\r\n\r\n",
      "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"};
  for (const std::string& bytes : garbage) {
    const int before = handled;
    const HttpReply reply = ask(port_of(server), bytes);
    const bool refused = reply.status == 0 || reply.status >= 400;
    EXPECT_TRUE(refused || handled > before) << bytes << reply.head;
    EXPECT_LE(reply.count("Content-Type"), 1) << bytes;
  }
  expect_alive(server);
}

TEST(HttpServer, AnswersOnceHoweverMuchFollows) {
  std::atomic<int> handled = 0;
  const HttpServer server(local_options(), [&](const Request& request) {
    ++handled;
    return hello(request);
  });
  const std::string request =
      "GET / HTTP/1.1\r\nConnection: keep-alive\r\n\r\n";
  const HttpReply reply =
      ask(port_of(server), request + request + std::string(100, '\0'));
  EXPECT_EQ(reply.body, "hello\n");
  EXPECT_EQ(handled, 1);
}

TEST(HttpServer, DoesNotWaitForBodies) {
  HttpServerOptions options = local_options();
  options.request_timeout = seconds(60);
  const HttpServer server(options, hello);
  for (const char* body :
       {"Content-Length: 1000000000\r\n\r\nsome",
        "Transfer-Encoding: chunked\r\n\r\n5\r\nhe",
        "Content-Length: 9\r\nExpect: 100-continue\r\n\r\n"}) {
    const std::string head = "POST / HTTP/1.1\r\nHost: test\r\n";
    EXPECT_EQ(ask(port_of(server), head + body).status, 200) << body;
  }
}

// The promise behind the number of threads: idle clients delay nobody. Without
// enough threads this takes until request_timeout.
TEST(HttpServer, LetsSlowClientsWaitAndServesTheOthers) {
  constexpr int kSlowClients = 200;
  constexpr milliseconds kScrapeBound{200};
  constexpr milliseconds kEndBound{1000};
  HttpServerOptions options;
  options.listen_addresses = {"127.0.0.1:0"};
  options.request_timeout = seconds(60);
  auto server = std::make_unique<HttpServer>(options, hello);
  std::vector<HttpClient> slow;
  slow.reserve(kSlowClients);
  for (int i = 0; i < kSlowClients; ++i) {
    slow.emplace_back(port_of(*server));
    if (i % 2 == 0) slow.back().send("GET / HTTP/1.1\r\nX: ");
  }
  std::array<milliseconds, 5> took{};
  for (milliseconds& one : took) {
    const auto start = steady_clock::now();
    expect_alive(*server);
    one = since(start);
  }
  std::sort(took.begin(), took.end());
  EXPECT_LT(took[2], kScrapeBound);

  // Nor do they hold up the end.
  const auto stop = steady_clock::now();
  server.reset();
  EXPECT_LT(since(stop), kEndBound);
}

TEST(HttpServer, StopsAtOnceWhereNothingHappens) {
  auto server = std::make_unique<HttpServer>(local_options(), hello);
  expect_alive(*server);
  const auto stop = steady_clock::now();
  server.reset();
  EXPECT_LT(since(stop), milliseconds(500));
}

TEST(HttpServer, StopsWhileItSends) {
  LargeBody large(std::size_t{64} << 20);
  HttpServerOptions options = local_options();
  options.request_timeout = seconds(60);
  options.response_timeout = seconds(60);
  auto server = std::make_unique<HttpServer>(
      options, [&](const Request&) { return large.answer(); });
  HttpClient client(port_of(*server), 4096);
  client.send("GET / HTTP/1.1\r\n\r\n");
  client.read(100);
  const auto stop = steady_clock::now();
  server.reset();
  EXPECT_LT(since(stop), milliseconds(1000));
}

TEST(HttpServer, WaitsForTheHandlerThatRuns) {
  std::promise<void> entered;
  std::promise<void> release;
  bool finished = false;
  auto server = std::make_unique<HttpServer>(local_options(),
                                             [&](const Request& request) {
                                               entered.set_value();
                                               release.get_future().wait();
                                               finished = true;
                                               return hello(request);
                                             });
  HttpClient client(port_of(*server));
  client.send("GET / HTTP/1.1\r\n\r\n");
  entered.get_future().wait();
  auto stopped = std::async(std::launch::async, [&] { server.reset(); });
  release.set_value();
  stopped.get();
  EXPECT_TRUE(finished);
}

TEST(HttpServer, DropsClientsThatDripTheirHeaders) {
  HttpServerOptions options = local_options();
  options.request_timeout = milliseconds(300);
  const HttpServer server(options, hello);
  HttpClient client(port_of(server));
  client.send("GET / HTTP/1.1\r\nX: ");
  const auto start = steady_clock::now();
  while (!client.readable_within(milliseconds(20)) && client.send("a")) {
    ASSERT_LT(since(start), seconds(5));
  }
  EXPECT_THAT(parse_reply(client.read_all()).status, AnyOf(0, 400));
}

TEST(HttpServer, DropsClientsThatReadNothing) {
  LargeBody large(std::size_t{64} << 20);
  HttpServerOptions options = local_options();
  options.request_timeout = milliseconds(300);
  const HttpServer server(options,
                          [&](const Request&) { return large.answer(); });
  HttpClient client(port_of(server), 4096);
  client.send("GET / HTTP/1.1\r\n\r\n");
  ASSERT_TRUE(client.readable_within(kClientTimeout));
  EXPECT_TRUE(eventually([&] { return large.all_released(); }));
}

TEST(HttpServer, DropsClientsThatReadTooSlowly) {
  LargeBody large(std::size_t{64} << 20);
  HttpServerOptions options = local_options();
  options.request_timeout = seconds(60);
  options.response_timeout = milliseconds(300);
  const HttpServer server(options,
                          [&](const Request&) { return large.answer(); });
  HttpClient client(port_of(server), 4096);
  client.send("GET / HTTP/1.1\r\n\r\n");
  ASSERT_TRUE(client.readable_within(kClientTimeout));
  std::size_t got = 0;
  std::promise<void> never;
  const auto pace = never.get_future();
  while (!large.all_released()) {
    got += client.read(4096).size();
    ASSERT_LT(got, std::size_t{32} << 20);
    pace.wait_for(milliseconds(1));
  }
}

TEST(HttpServer, SurvivesClientsThatLeave) {
  LargeBody large(std::size_t{4} << 20);
  const HttpServer server(local_options(), [&](const Request& request) {
    return request.path == "/large" ? large.answer() : hello(request);
  });
  for (int i = 0; i < 50; ++i) {
    HttpClient client(port_of(server));
    client.send("GET /large HTTP/1.1\r\n\r\n");
    client.read(100);
  }
  expect_alive(server);
  EXPECT_TRUE(eventually([&] { return large.all_released(); }));
}

TEST(HttpServer, SendsLargeBodiesWhole) {
  LargeBody large((std::size_t{4} << 20) + 1);
  const HttpServer server(local_options(),
                          [&](const Request&) { return large.answer(); });
  const HttpReply reply = http_get(port_of(server), "/");
  EXPECT_EQ(reply.header("Content-Length"), "4194305");
  EXPECT_EQ(reply.body, std::string((std::size_t{4} << 20) + 1, 'x'));
}

TEST(HttpServer, KeepsNoFileOpen) {
  const HttpServer server(local_options(), hello);
  expect_alive(server);
  const auto before = open_files();
  for (int i = 0; i < 1000; ++i) {
    ASSERT_EQ(http_get(port_of(server), "/").status, 200);
  }
  // The last ones may still be closing.
  EXPECT_TRUE(eventually([&] { return open_files() <= before; }));
}

TEST(HttpServer, ServesManyAtOnce) {
  const HttpServer server(local_options(), hello);
  constexpr int kClients = 50;
  std::vector<std::future<HttpReply>> replies;
  replies.reserve(kClients);
  for (int i = 0; i < kClients; ++i) {
    replies.push_back(std::async(
        std::launch::async, [&] { return http_get(port_of(server), "/"); }));
  }
  for (auto& reply : replies) EXPECT_EQ(reply.get().body, "hello\n");
}

}  // namespace
}  // namespace vcpu
