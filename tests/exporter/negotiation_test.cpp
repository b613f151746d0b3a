// SPDX-License-Identifier: Apache-2.0
#include "exporter/exposition/negotiation.h"

#include <gtest/gtest.h>

#include <string>

namespace vcpu {
namespace {

constexpr auto kText = TextFormat::kPrometheus;
constexpr auto kOpen = TextFormat::kOpenMetrics;

TEST(NegotiateFormat, AnswersRealClients) {
  const std::string prometheus_2_42 =
      "application/openmetrics-text;version=1.0.0,"
      "application/openmetrics-text;version=0.0.1;q=0.75,"
      "text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
  const std::string prometheus_2_42_native_histograms =
      "application/vnd.google.protobuf;"
      "proto=io.prometheus.client.MetricFamily;encoding=delimited,"
      "application/openmetrics-text;version=1.0.0;q=0.8,"
      "application/openmetrics-text;version=0.0.1;q=0.75,"
      "text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
  const std::string prometheus_3 =
      "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
      "application/openmetrics-text;version=0.0.1;q=0.5,"
      "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,"
      "text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
  const std::string browser =
      "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
  EXPECT_EQ(negotiate_format(prometheus_2_42), kOpen);
  EXPECT_EQ(negotiate_format(prometheus_2_42_native_histograms), kOpen);
  EXPECT_EQ(negotiate_format(prometheus_3), kOpen);
  EXPECT_EQ(negotiate_format(browser), kText);
  EXPECT_EQ(negotiate_format("*/*"), kText);
  EXPECT_EQ(negotiate_format(""), kText);
}

TEST(NegotiateFormat, WeighsQualities) {
  EXPECT_EQ(
      negotiate_format("application/openmetrics-text;q=0.4,text/plain;q=0.5"),
      kText);
  EXPECT_EQ(
      negotiate_format("text/plain;q=0.5,application/openmetrics-text;q=0.5"),
      kOpen);
  EXPECT_EQ(negotiate_format("application/openmetrics-text;q=0.4,text/*;q=0.5"),
            kText);
  EXPECT_EQ(negotiate_format("application/openmetrics-text;q=0"), kText);
}

TEST(NegotiateFormat, PrefersTheMoreSpecificElement) {
  EXPECT_EQ(negotiate_format(
                "*/*, text/plain;q=0.1, application/openmetrics-text;q=0.5"),
            kOpen);
}

TEST(NegotiateFormat, DoesNotClaimOtherVersions) {
  EXPECT_EQ(negotiate_format("application/openmetrics-text;version=0.0.1"),
            kText);
  EXPECT_EQ(negotiate_format("application/openmetrics-text;version=2.0.0"),
            kText);
  EXPECT_EQ(negotiate_format("application/openmetrics-text; version=\"1.0.0\""),
            kOpen);
  EXPECT_EQ(negotiate_format("application/openmetrics-text"), kOpen);
}

TEST(NegotiateFormat, IgnoresCaseAndSpaces) {
  EXPECT_EQ(
      negotiate_format(" Application/OpenMetrics-Text ; Version = 1.0.0 ; "
                       "Q = 0.9\t, text/plain ; q=0.8"),
      kOpen);
}

TEST(NegotiateFormat, AnswersGarbageWithText) {
  for (const char* garbage :
       {",", ";", ";;;,,,", "=", "q=1", ";q=", "\"", "application",
        "application/openmetrics-text;q=nan",
        "application/openmetrics-text;q=-1", "application/openmetrics-text;q=2",
        "application/openmetrics-text;q=",
        "application/openmetrics-text;q=1e9999", "\x80\xff;q=0.5"}) {
    EXPECT_EQ(negotiate_format(garbage), kText) << garbage;
  }
  EXPECT_EQ(negotiate_format(std::string(16384, ',')), kText);
  EXPECT_EQ(negotiate_format(std::string(16384, ';')), kText);
}

TEST(WantsGzip, AnswersRealClients) {
  EXPECT_TRUE(wants_gzip("gzip"));
  EXPECT_TRUE(wants_gzip("gzip, deflate, br, zstd"));
  EXPECT_FALSE(wants_gzip(""));
  EXPECT_FALSE(wants_gzip("deflate, br"));
  EXPECT_FALSE(wants_gzip("identity"));
}

TEST(WantsGzip, WeighsQualities) {
  EXPECT_FALSE(wants_gzip("gzip;q=0"));
  EXPECT_FALSE(wants_gzip("gzip;q=0.000, *"));
  EXPECT_TRUE(wants_gzip("gzip;q=0.1"));
  EXPECT_FALSE(wants_gzip("gzip;q=0.5, identity"));
  EXPECT_TRUE(wants_gzip("gzip;q=0.5, identity;q=0.5"));
  EXPECT_TRUE(wants_gzip("identity;q=0, gzip;q=0.1"));
  EXPECT_TRUE(wants_gzip("*"));
  EXPECT_FALSE(wants_gzip("*;q=0"));
  EXPECT_FALSE(wants_gzip("identity, *;q=0.5"));
  EXPECT_TRUE(wants_gzip("GZIP"));
  EXPECT_TRUE(wants_gzip("x-gzip"));
}

TEST(WantsGzip, TakesGarbageForNo) {
  for (const char* garbage :
       {"gzip;q=abc", "gzipped", "gz ip", ";gzip", "q=1"}) {
    EXPECT_FALSE(wants_gzip(garbage)) << garbage;
  }
}

}  // namespace
}  // namespace vcpu
