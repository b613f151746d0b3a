// SPDX-License-Identifier: Apache-2.0
#include "collectors/libvirt/protocol.h"

#include <gtest/gtest.h>

#include <random>
#include <string>

namespace vcpu {
namespace {

const std::string kUuid = "6695eb01-f6a4-8304-79aa-97f2502e193f";

LibvirtFrame two_domains() {
  LibvirtFrame frame{
      true,
      "",
      {{kUuid,
        "db \"\\\n\xf0\x9f\x98\x80\xff",
        "running",
        2,
        4,
        {1, 2, 2, 64},
        std::uint64_t{6} << 40U,
        5'000'000'001},
       {"00000000-0000-0000-0000-0000000000ff", "", "crashed", {}, {}, {}}}};
  frame.domains[0].cells = {{{0, 1}, {1}}, {{2, 3}, {}}};
  frame.domains[0].state_reason = "unpaused";
  frame.domains[0].metadata = {{"title", "a \xff"}, {"{n}a/b", ""}};
  return frame;
}

std::string u32(std::uint32_t value) {
  std::string out;
  for (unsigned i = 0; i < 4; ++i) {
    out.push_back(static_cast<char>((value >> (8 * i)) & 0xffU));
  }
  return out;
}

std::string u64(std::uint64_t value) {
  return u32(static_cast<std::uint32_t>(value)) +
         u32(static_cast<std::uint32_t>(value >> 32U));
}

std::string framed(const std::string& body) {
  return "VLF2" + u32(static_cast<std::uint32_t>(body.size())) + body;
}

// A body with one domain, whose `tail` begins with the state.
std::string body_with(const std::string& uuid, const std::string& tail) {
  return std::string(1, '\1') + u32(0) + u32(1) +
         u32(static_cast<std::uint32_t>(uuid.size())) + uuid + u32(1) + "n" +
         tail + u32(0) + u32(0);  // No reason, no metadata.
}

bool accepted(const std::string& bytes) {
  const auto frames = LibvirtFrameDecoder().feed(bytes);
  return frames && frames->size() == 1;
}

bool refused(const std::string& bytes) {
  return !LibvirtFrameDecoder().feed(bytes);
}

LibvirtFrame there_and_back(const LibvirtFrame& frame) {
  auto frames = LibvirtFrameDecoder().feed(encode(frame));
  EXPECT_TRUE(frames && frames->size() == 1);
  return frames && !frames->empty() ? frames->front() : LibvirtFrame{};
}

TEST(LibvirtProtocol, AFrameSurvivesTheTrip) {
  const auto sent = two_domains();
  const auto got = there_and_back(sent);
  EXPECT_TRUE(got.up);
  EXPECT_EQ(got.reason, "");
  ASSERT_EQ(got.domains.size(), 2U);
  for (std::size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(got.domains[i].uuid, sent.domains[i].uuid);
    EXPECT_EQ(got.domains[i].name, sent.domains[i].name);
    EXPECT_EQ(got.domains[i].state, sent.domains[i].state);
    EXPECT_EQ(got.domains[i].vcpus_current, sent.domains[i].vcpus_current);
    EXPECT_EQ(got.domains[i].vcpus_maximum, sent.domains[i].vcpus_maximum);
    EXPECT_EQ(got.domains[i].pinned_cpus, sent.domains[i].pinned_cpus);
    EXPECT_EQ(got.domains[i].memory_max_bytes,
              sent.domains[i].memory_max_bytes);
    EXPECT_EQ(got.domains[i].memory_balloon_bytes,
              sent.domains[i].memory_balloon_bytes);
    EXPECT_EQ(got.domains[i].state_reason, sent.domains[i].state_reason);
    EXPECT_EQ(got.domains[i].metadata, sent.domains[i].metadata);
    ASSERT_EQ(got.domains[i].cells.size(), sent.domains[i].cells.size());
    for (std::size_t c = 0; c < sent.domains[i].cells.size(); ++c) {
      EXPECT_EQ(got.domains[i].cells[c].vcpus, sent.domains[i].cells[c].vcpus);
      EXPECT_EQ(got.domains[i].cells[c].nodes, sent.domains[i].cells[c].nodes);
    }
  }
}

TEST(LibvirtProtocol, ADownFrameCarriesItsReason) {
  const auto got = there_and_back({false, "connection refused", {}});
  EXPECT_FALSE(got.up);
  EXPECT_EQ(got.reason, "connection refused");
  EXPECT_TRUE(got.domains.empty());
}

TEST(LibvirtProtocol, FramesMayComeByteByByte) {
  const auto bytes = encode(two_domains()) + encode({false, "gone", {}});
  LibvirtFrameDecoder decoder;
  std::size_t frames = 0;
  for (const char byte : bytes) {
    const auto got = decoder.feed({&byte, 1});
    ASSERT_TRUE(got);
    frames += got->size();
  }
  EXPECT_EQ(frames, 2U);
}

TEST(LibvirtProtocol, ManyFramesMayComeAtOnce) {
  std::string bytes;
  for (int i = 0; i < 100; ++i) bytes += encode(two_domains());
  bytes.pop_back();
  LibvirtFrameDecoder decoder;
  const auto most = decoder.feed(bytes);
  ASSERT_TRUE(most);
  EXPECT_EQ(most->size(), 99U);
}

TEST(LibvirtProtocol, AShortFrameIsNoFrameYet) {
  const auto bytes = encode(two_domains());
  for (std::size_t n = 0; n < bytes.size(); ++n) {
    const auto got = LibvirtFrameDecoder().feed(bytes.substr(0, n));
    ASSERT_TRUE(got) << n;
    EXPECT_TRUE(got->empty()) << n;
  }
}

TEST(LibvirtProtocol, ABodyShorterThanItsContentIsRefused) {
  const auto body = encode(two_domains()).substr(8);
  for (std::size_t n = 0; n < body.size(); ++n) {
    EXPECT_TRUE(refused(framed(body.substr(0, n)))) << n;
  }
  EXPECT_TRUE(accepted(framed(body)));
  EXPECT_TRUE(refused(framed(body + "x")));
}

TEST(LibvirtProtocol, GarbageIsRefused) {
  EXPECT_TRUE(refused("error: failed to connect"));
  EXPECT_TRUE(refused(std::string(8, '\0')));
  EXPECT_TRUE(refused(framed("")));
  EXPECT_TRUE(refused("VLF1" + encode(two_domains()).substr(4)));
  EXPECT_TRUE(refused(framed(std::string(100, '\xff'))));
}

TEST(LibvirtProtocol, EveryFieldHasItsBounds) {
  const auto tail = [](char state, std::uint32_t vcpus, std::uint32_t pins,
                       std::uint64_t memory = 7) {
    return std::string(1, state) + u32(vcpus) + u32(4) + u64(memory) +
           u64(memory) + u32(1) + u32(pins) + u32(0);
  };
  EXPECT_TRUE(accepted(framed(body_with(kUuid, tail(7, 4, kMaxFrameCpus)))));
  EXPECT_TRUE(refused(framed(body_with(kUuid, tail(8, 4, 1)))));
  EXPECT_TRUE(
      refused(framed(body_with(kUuid, tail(1, kMaxFrameVcpus + 1, 1)))));
  EXPECT_TRUE(refused(framed(body_with(kUuid, tail(1, 4, kMaxFrameCpus + 1)))));
  EXPECT_TRUE(accepted(framed(body_with(kUuid, tail(1, 4, 1, ~0UL)))));
  EXPECT_TRUE(
      accepted(framed(body_with(kUuid, tail(1, 4, 1, kMaxFrameMemory)))));
  EXPECT_TRUE(
      refused(framed(body_with(kUuid, tail(1, 4, 1, kMaxFrameMemory + 1)))));
  EXPECT_TRUE(refused(framed(body_with("not a uuid", tail(1, 4, 1)))));
  EXPECT_TRUE(refused(framed(body_with(std::string(36, 'a'), tail(1, 4, 1)))));
}

TEST(LibvirtProtocol, TheNumberOfPinningsHasItsBound) {
  const auto with = [](std::uint32_t pinnings) {
    std::string tail = std::string(1, '\1') + u32(1) + u32(1) + u64(1) +
                       u64(1) + u32(pinnings);
    for (std::uint32_t i = 0; i < pinnings; ++i) tail += u32(1);
    return framed(body_with(kUuid, tail + u32(0)));
  };
  EXPECT_TRUE(accepted(with(kMaxFrameVcpus)));
  EXPECT_TRUE(refused(with(kMaxFrameVcpus + 1)));
}

TEST(LibvirtProtocol, MetadataHaveTheirBound) {
  auto frame = two_domains();
  frame.domains[0].metadata.assign(kMaxFrameMetadata + 1, {"k", "v"});
  EXPECT_EQ(there_and_back(frame).domains[0].metadata.size(),
            kMaxFrameMetadata);
  auto body =
      encode(LibvirtFrame{true, "", {two_domains().domains[1]}}).substr(8);
  body.replace(body.size() - 4, 4, u32(kMaxFrameMetadata + 1));
  for (std::uint32_t i = 0; i <= kMaxFrameMetadata; ++i)
    body += u32(0) + u32(0);
  EXPECT_TRUE(refused(framed(body)));
}

TEST(LibvirtProtocol, CellsHaveTheirBounds) {
  const auto with = [](const std::string& cells) {
    return framed(body_with(kUuid, std::string(1, '\1') + u32(1) + u32(1) +
                                       u64(1) + u64(1) + u32(0) + cells));
  };
  const auto cell = [](std::uint32_t vcpu, std::uint32_t node) {
    return u32(1) + u32(vcpu) + u32(1) + u32(node);
  };
  EXPECT_TRUE(accepted(with(u32(1) + cell(kMaxFrameVcpus, kMaxFrameNodes))));
  EXPECT_TRUE(refused(with(u32(1) + cell(kMaxFrameVcpus + 1, 0))));
  EXPECT_TRUE(refused(with(u32(1) + cell(0, kMaxFrameNodes + 1))));
  EXPECT_TRUE(refused(with(u32(2) + cell(0, 0))));
  std::string many;
  for (std::uint32_t i = 0; i < kMaxFrameNodes; ++i) many += u32(0) + u32(0);
  EXPECT_TRUE(accepted(with(u32(kMaxFrameNodes) + many)));
  many += u32(0) + u32(0);
  EXPECT_TRUE(refused(with(u32(kMaxFrameNodes + 1) + many)));
}

TEST(LibvirtProtocol, CellsThatCannotBeSaidAreNotKnown) {
  for (const LibvirtCell& cell :
       {LibvirtCell{{-1}, {}}, LibvirtCell{{}, {-1}}, LibvirtCell{{}, {1025}},
        LibvirtCell{{16385}, {}}, LibvirtCell{std::vector<int>(16385, 1), {}},
        LibvirtCell{{}, std::vector<int>(1025, 1)}}) {
    LibvirtFrame sent{true, "", {{kUuid, "n", "running", 1, 1, {}}}};
    sent.domains[0].cells = {cell};
    const auto got = there_and_back(sent);
    ASSERT_EQ(got.domains.size(), 1U);
    EXPECT_TRUE(got.domains[0].cells.empty());
  }
}

TEST(LibvirtProtocol, AHugeLengthIsRefusedBeforeTheBodyComes) {
  EXPECT_TRUE(refused("VLF2" + u32(kMaxFrameBytes + 1)));
  EXPECT_FALSE(refused("VLF2" + u32(kMaxFrameBytes)));
}

TEST(LibvirtProtocol, TextsAreCut) {
  const std::string longer(kMaxFrameText + 1, 'n');
  const auto got =
      there_and_back({true, longer, {{kUuid, longer, "paused", 1, 1, {}}}});
  EXPECT_EQ(got.reason.size(), kMaxFrameText);
  ASSERT_EQ(got.domains.size(), 1U);
  EXPECT_EQ(got.domains[0].name.size(), kMaxFrameText);
  EXPECT_EQ(got.domains[0].state, "paused");
}

TEST(LibvirtProtocol, WhatCannotBeSaidIsNotKnown) {
  const auto got = there_and_back({true,
                                   "",
                                   {{"", "without uuid", "running", 1, 1, {}},
                                    {kUuid,
                                     "n",
                                     "dreaming",
                                     -1,
                                     static_cast<int>(kMaxFrameVcpus) + 1,
                                     {1, -1},
                                     kMaxFrameMemory + 1,
                                     ~std::uint64_t{0} - 1}}});
  ASSERT_EQ(got.domains.size(), 1U);
  EXPECT_EQ(got.domains[0].state, "nostate");
  EXPECT_FALSE(got.domains[0].vcpus_current);
  EXPECT_FALSE(got.domains[0].vcpus_maximum);
  EXPECT_TRUE(got.domains[0].pinned_cpus.empty());
  EXPECT_FALSE(got.domains[0].memory_max_bytes);
  EXPECT_FALSE(got.domains[0].memory_balloon_bytes);
}

TEST(LibvirtProtocol, AFrameNeverHoldsMoreDomainsThanFit) {
  LibvirtFrame frame{true, "", {}};
  frame.domains.assign(kMaxFrameDomains + 1, {kUuid, "n", "running", 1, 1, {}});
  EXPECT_EQ(there_and_back(frame).domains.size(), kMaxFrameDomains);

  frame.domains.assign(
      300, {kUuid, std::string(kMaxFrameText, 'n'), "running", 1, 1, {}});
  const auto fitting = there_and_back(frame).domains.size();
  EXPECT_GT(fitting, 200U);
  EXPECT_LT(fitting, 300U);
}

TEST(LibvirtProtocol, RandomBytesNeverHurt) {
  std::mt19937 random(1);
  for (int round = 0; round < 5000; ++round) {
    std::string body(random() % 200, '\0');
    for (char& byte : body) byte = static_cast<char>(random() % 5);
    const auto got = LibvirtFrameDecoder().feed(framed(body));
    EXPECT_TRUE(!got || got->size() == 1U);
  }
}

TEST(LibvirtProtocol, DamagedFramesNeverHurt) {
  std::mt19937 random(2);
  const auto good = encode(two_domains());
  for (int round = 0; round < 20000; ++round) {
    auto bytes = good;
    for (unsigned i = random() % 4; i < 4; ++i) {
      bytes[random() % bytes.size()] = static_cast<char>(random());
    }
    const auto got = LibvirtFrameDecoder().feed(bytes);
    if (!got) continue;
    // Whatever was let through can be said again.
    for (const LibvirtFrame& frame : *got) {
      EXPECT_EQ(there_and_back(frame).domains.size(), frame.domains.size());
    }
  }
}

}  // namespace
}  // namespace vcpu
