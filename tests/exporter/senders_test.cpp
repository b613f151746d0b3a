// SPDX-License-Identifier: Apache-2.0
#include "exporter/senders.h"

#include <gtest/gtest.h>

#include <future>
#include <memory>
#include <optional>
#include <string>

#include "exporter/http_server.h"
#include "tests/support/http_client.h"

namespace vcpu {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr std::size_t kBody = std::size_t{64} << 20;

class SendersOfAServer : public testing::Test {
 protected:
  SendersOfAServer() {
    HttpServerOptions options;
    options.listen_addresses = {"127.0.0.1:0"};
    options.threads = 8;
    options.request_timeout = seconds(60);
    options.response_timeout = seconds(60);
    options.senders = senders_;
    server_ = std::make_unique<HttpServer>(options, [this](const Request&) {
      return Response{200, "text/plain", {}, body_};
    });
  }

  // A client that takes so many bytes of a body that does not fit into any
  // buffer, and no more.
  HttpClient client(std::size_t bytes) {
    HttpClient client(server_->ports().at(0), 4096);
    client.send("GET / HTTP/1.1\r\n\r\n");
    EXPECT_EQ(client.read(bytes).size(), bytes);
    return client;
  }

  bool drop_slowest() {
    return senders_->drop_slowest(Senders::Clock::now() + seconds(1));
  }

  const std::shared_ptr<const std::string> body_ =
      std::make_shared<const std::string>(kBody, 'x');
  const std::shared_ptr<Senders> senders_ = std::make_shared<Senders>();
  std::unique_ptr<HttpServer> server_;
};

TEST_F(SendersOfAServer, TheSlowestIsDroppedAndNoOther) {
  const HttpClient slow = client(1000);
  const HttpClient fast = client(kBody / 2);
  EXPECT_TRUE(drop_slowest());
  EXPECT_LT(slow.read_all().size(), kBody / 4);
  EXPECT_GT(fast.read_all().size(), kBody / 2 - 1000);
}

TEST_F(SendersOfAServer, EachIsDroppedOnce) {
  const HttpClient one = client(1000);
  const HttpClient other = client(1000);
  EXPECT_TRUE(drop_slowest());
  EXPECT_TRUE(drop_slowest());
  EXPECT_FALSE(drop_slowest());
}

TEST_F(SendersOfAServer, NobodyIsDroppedAtOnce) {
  const auto now = Senders::Clock::now();
  const Senders::Sending sending(*senders_, {"127.0.0.1", 1, 1}, now);
  EXPECT_FALSE(senders_->drop_slowest(now + Senders::kGrace / 2));
}

TEST_F(SendersOfAServer, WhoHasEverythingIsNoSenderAnyMore) {
  EXPECT_EQ(http_get(server_->ports().at(0), "/").body.size(), kBody);
  server_.reset();  // Waits for the end of what it does.
  EXPECT_FALSE(drop_slowest());
}

// Else a descriptor that is another's would be shut.
TEST(Senders, WhoseConnectionIsNotFoundIsPassedOver) {
  Senders senders;
  const Senders::Sending sending(senders, {"192.0.2.1", 1, 2});
  EXPECT_FALSE(senders.drop_slowest(Senders::Clock::now() + seconds(1)));
}

}  // namespace
}  // namespace vcpu
