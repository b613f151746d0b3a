// SPDX-License-Identifier: Apache-2.0
//
// By a library of our own, which fails on request.
#include "collectors/libvirt/client.h"

#include <dlfcn.h>
#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <string>

#include "tests/support/fake_libvirt.h"
#include "tests/support/forked.h"

namespace vcpu {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class LibvirtClientTest : public testing::Test {
 protected:
  void SetUp() override {
    if (!std::filesystem::exists(path_))
      GTEST_SKIP() << "built without libvirt";
  }

  // What `work` returns; it has a client of its own, and what that sees.
  template <typename Work>
  std::string with_client(const Work& work) const {
    return in_child([&]() -> std::string {
      void* const library = ::dlopen(path_.c_str(), RTLD_NOW);
      if (library == nullptr) return ::dlerror();
      LibvirtClient client("fake:///", path_);
      return work(client,
                  *static_cast<FakeLibvirt*>(::dlsym(library, "fake_libvirt")));
    });
  }

 private:
  const std::string path_ =
      std::string(VCPU_BINARY_DIR) + "/libfake_libvirt.so";
};

// A list that fails on a connection that lives.
TEST_F(LibvirtClientTest, AfterAFailureItConnectsNoSoonerThanItsBackOffAllows) {
  EXPECT_EQ(with_client([](LibvirtClient& client, FakeLibvirt& fake) {
              fake.list_fails = true;
              const auto until =
                  std::chrono::steady_clock::now() + milliseconds(400);
              std::string reason;
              while (std::chrono::steady_clock::now() < until)
                reason = client.ask().reason;
              return std::to_string(fake.opened) + " " + reason;
            }),
            "1 the fake fails");
}

TEST_F(LibvirtClientTest, AConnectionThatIsClosedIsHeldByNobody) {
  EXPECT_EQ(with_client([](LibvirtClient& client, FakeLibvirt& fake) {
              std::string open = client.ask().up ? "up " : "down ";
              open += std::to_string(fake.open_now);
              fake.list_fails = true;
              client.ask();
              return open + " " + std::to_string(fake.open_now);
            }),
            "up 1 0");
}

// Of a daemon that was started anew nothing is known.
TEST_F(LibvirtClientTest, AfterAReconnectEveryoneIsAskedAnew) {
  EXPECT_EQ(with_client([](LibvirtClient& client, FakeLibvirt& fake) {
              client.ask();
              fake.vcpus = 3;
              fake.list_fails = true;
              client.ask();
              fake.list_fails = false;
              const auto until = std::chrono::steady_clock::now() + seconds(20);
              auto frame = client.ask();
              while (!frame.up && std::chrono::steady_clock::now() < until) {
                client.wait(
                    {}, std::chrono::steady_clock::now() + milliseconds(10));
                frame = client.ask();
              }
              std::string told;
              for (const auto& domain : frame.domains)
                told += domain.name + " " +
                        std::to_string(domain.vcpus_current.value_or(0)) + " ";
              return told;
            }),
            "one 3 two 3 ");
}

TEST_F(LibvirtClientTest,
       WhatWasNotToldIsAskedForInTheNextQuestionAndThenByTurns) {
  EXPECT_EQ(with_client([](LibvirtClient& client, FakeLibvirt& fake) {
              std::string asked;
              fake.vcpus_fail = true;
              for (int i = 0; i < 4; ++i) {
                client.ask();
                asked += std::to_string(fake.asked_for_info) + " ";
              }
              return asked;
            }),
            "2 4 4 4 ");
  EXPECT_EQ(with_client([](LibvirtClient& client, FakeLibvirt& fake) {
              fake.vcpus_fail = true;
              client.ask();
              fake.vcpus_fail = false;
              return std::to_string(
                  client.ask().domains.at(1).vcpus_current.value_or(0));
            }),
            "2");
}

constexpr int kRoundsPerXml = 60;

// The node of the first domain's guest cell; -1: nothing is known of it.
int node_told(LibvirtClient& client) {
  const auto frame = client.ask();
  if (frame.domains.empty() || frame.domains[0].cells.empty()) return -1;
  const auto& nodes = frame.domains[0].cells[0].nodes;
  return nodes.empty() ? -1 : nodes[0];
}

TEST_F(LibvirtClientTest, KeepsWhatTheXmlToldWhileItIsNotToldAndAsksAgain) {
  EXPECT_EQ(with_client([](LibvirtClient& client, FakeLibvirt& fake) {
              fake.node = 1;
              std::string told = std::to_string(node_told(client)) + " ";
              fake.xml_fails = true;
              int kept = 0;
              for (int round = 0; round < kRoundsPerXml; ++round)
                kept += node_told(client) == 1 ? 1 : 0;
              fake.xml_fails = false;
              fake.node = 0;
              told += std::to_string(kept) + " ";
              return told + std::to_string(node_told(client));
            }),
            "1 60 0");
}

TEST_F(LibvirtClientTest, AsksForTheXmlOnlyNowAndThen) {
  EXPECT_EQ(with_client([](LibvirtClient& client, FakeLibvirt& fake) {
              fake.node = 1;
              int rounds = 0;
              while (node_told(client) == 1) {
                ++rounds;
                fake.node = 0;
              }
              return std::to_string(rounds);
            }),
            std::to_string(kRoundsPerXml));
}

TEST_F(LibvirtClientTest, HasOneCallInFlight) {
  EXPECT_EQ(with_client([](LibvirtClient& client, FakeLibvirt& fake) {
              for (int i = 0; i < 20; ++i) {
                client.ask();
                fake.list_fails = i % 2 == 0;
              }
              return std::to_string(fake.most_calls_at_once) +
                     (fake.calls > 10 ? "" : " of few");
            }),
            "1");
}

}  // namespace
}  // namespace vcpu
