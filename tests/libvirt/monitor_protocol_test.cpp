// SPDX-License-Identifier: Apache-2.0
#include "collectors/libvirt/monitor_protocol.h"

#include <gtest/gtest.h>

#include <random>
#include <string>

namespace vcpu {
namespace {

const std::string kUuid = "6695eb01-f6a4-8304-79aa-97f2502e193f";

MonitorFrame some_frame() {
  return {MonitorOutcome::kTold,
          "why \xff",
          {{"block.0.name", std::string("vda")},
           {"block.0.rd.reqs", std::uint64_t{0xfedcba9876543210}},
           {"", std::string()}}};
}

// Of the bytes of some_frame(), where the outcome and the first field's kind
// are: behind magic and length, and behind reason, count and name.
constexpr std::size_t kOutcome = 8;
constexpr std::size_t kFirstKind = kOutcome + 1 + (4 + 5) + 4 + (4 + 12);

bool accepted(const std::string& bytes) {
  const auto frames = MonitorFrameDecoder().feed(bytes);
  return frames && frames->size() == 1;
}

bool refused(const std::string& bytes) {
  return !MonitorFrameDecoder().feed(bytes);
}

TEST(MonitorProtocol, AFrameSurvivesTheTripByteByByte) {
  MonitorFrameDecoder decoder;
  std::vector<MonitorFrame> got;
  for (const char byte : encode(some_frame())) {
    auto frames = decoder.feed({&byte, 1});
    ASSERT_TRUE(frames);
    got.insert(got.end(), frames->begin(), frames->end());
  }
  ASSERT_EQ(got.size(), 1U);
  EXPECT_EQ(got[0].outcome, MonitorOutcome::kTold);
  EXPECT_EQ(got[0].reason, "why \xff");
  ASSERT_EQ(got[0].fields.size(), 3U);
  EXPECT_EQ(got[0].fields[0].name, "block.0.name");
  EXPECT_EQ(std::get<std::string>(got[0].fields[0].value), "vda");
  EXPECT_FALSE(got[0].fields[0].number());
  EXPECT_EQ(got[0].fields[1].number(), 0xfedcba9876543210U);
}

TEST(MonitorProtocol, ATextIsCutAndTooManyFieldsAreLeftOut) {
  MonitorFrame frame;
  frame.reason.assign(kMaxFrameText + 5, 'r');
  frame.fields.assign(300, {"f", std::string(kMaxFrameText, 'v')});
  const auto frames = MonitorFrameDecoder().feed(encode(frame));
  ASSERT_TRUE(frames && frames->size() == 1);
  EXPECT_EQ(frames->front().reason.size(), kMaxFrameText);
  EXPECT_LT(frames->front().fields.size(), 300U);
  EXPECT_GT(frames->front().fields.size(), 200U);
}

TEST(MonitorProtocol, RefusesWhatIsOutOfRange) {
  const auto good = encode(some_frame());
  ASSERT_TRUE(accepted(good));
  for (const std::size_t at : {std::size_t{0}, kOutcome, kFirstKind}) {
    auto bad = good;
    bad[at] = '\x7f';
    EXPECT_TRUE(refused(bad)) << at;
  }
  auto longer = good;
  longer[4] = static_cast<char>(longer[4] + 1);
  EXPECT_TRUE(refused(longer + "x"));
  EXPECT_TRUE(refused(std::string("VMF1\xff\xff\xff\xff", 8)));
  EXPECT_TRUE(refused("VLF2" + good.substr(4)));
}

TEST(MonitorProtocol, SurvivesAnyBytes) {
  std::mt19937 random(1);
  const auto good = encode(some_frame());
  for (int i = 0; i < 20000; ++i) {
    auto bytes = good;
    for (int j = 0; j < 3; ++j)
      bytes[random() % bytes.size()] = static_cast<char>(random());
    bytes.resize(random() % (bytes.size() + 1));
    MonitorFrameDecoder decoder;
    if (decoder.feed(bytes)) (void)decoder.feed(good);
  }
}

TEST(MonitorProtocol, ARequestSurvivesTheTrip) {
  const auto bytes = encode(MonitorRequest{kUuid, 3});
  ASSERT_EQ(bytes.size(), MonitorRequest::kBytes);
  const auto request = decode_request(bytes);
  ASSERT_TRUE(request);
  EXPECT_EQ(request->uuid, kUuid);
  EXPECT_EQ(request->groups, 3);
}

TEST(MonitorProtocol, RefusesWhatIsNoRequest) {
  EXPECT_FALSE(decode_request(""));
  EXPECT_FALSE(decode_request(kUuid));
  EXPECT_FALSE(decode_request(kUuid + std::string(1, '\0')));
  EXPECT_FALSE(decode_request(kUuid + '\4'));
  EXPECT_FALSE(decode_request(std::string(36, 'x') + '\1'));
  EXPECT_FALSE(decode_request(kUuid + "\1\1"));
}

}  // namespace
}  // namespace vcpu
