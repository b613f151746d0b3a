// SPDX-License-Identifier: Apache-2.0
#include "exporter/log.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <iterator>
#include <random>
#include <thread>
#include <vector>

#include "collectors/base/utf8.h"
#include "exporter/yaml.h"

namespace vcpu {
namespace {

using testing::HasSubstr;
using testing::MatchesRegex;
using testing::Not;

// 2026-01-02T03:04:05.678Z
const std::chrono::system_clock::time_point kTime{
    std::chrono::milliseconds(1767323045678)};

std::string logfmt(std::string_view message, LogFields fields = {}) {
  return format_logfmt(kTime, LogLevel::kInfo, message, fields);
}

std::string json(std::string_view message, LogFields fields = {}) {
  return format_json(kTime, LogLevel::kInfo, message, fields);
}

// What stands behind "msg=".
std::string message_of(std::string_view message) {
  const std::string line = logfmt(message);
  return line.substr(line.find("msg=") + 4);
}

TEST(Logfmt, OneLine) {
  EXPECT_EQ(logfmt("scrape failed", {{"collector", "sched"}, {"errors", "2"}}),
            "ts=2026-01-02T03:04:05.678Z level=info msg=\"scrape failed\" "
            "collector=sched errors=2");
}

TEST(Logfmt, Levels) {
  EXPECT_THAT(format_logfmt(kTime, LogLevel::kDebug, "x", {}),
              HasSubstr(" level=debug "));
  EXPECT_THAT(format_logfmt(kTime, LogLevel::kWarn, "x", {}),
              HasSubstr(" level=warn "));
  EXPECT_THAT(format_logfmt(kTime, LogLevel::kError, "x", {}),
              HasSubstr(" level=error "));
}

TEST(Logfmt, QuotesLikeGoLogfmt) {
  EXPECT_EQ(message_of("plain-1.2/3:4{}"), "plain-1.2/3:4{}");
  EXPECT_EQ(message_of("gr\xc3\xbc\xc3\x9f"), "gr\xc3\xbc\xc3\x9f");
  EXPECT_EQ(message_of(""), "\"\"");
  EXPECT_EQ(message_of("two words"), "\"two words\"");
  EXPECT_EQ(message_of("a=b"), "\"a=b\"");
  EXPECT_EQ(message_of("a\"b"), R"("a\"b")");
  EXPECT_EQ(message_of("a\\b"), R"("a\\b")");
  EXPECT_EQ(message_of("a\nb\rc\td"), R"("a\nb\rc\td")");
  EXPECT_EQ(message_of(std::string_view("a\0b", 3)), R"("a\u0000b")");
  EXPECT_EQ(message_of("\x1b[31m"), R"("\u001b[31m")");
  EXPECT_EQ(message_of("\x7f"), R"("\u007f")");
  EXPECT_EQ(message_of("\xc2\x9b"), R"("\u009b")");
  EXPECT_EQ(message_of("\xe2\x80\xa8"), R"("\u2028")");
  EXPECT_EQ(message_of("a\xff"), R"("a\ufffd")");
}

TEST(Logfmt, InvalidUtf8IsReplacedByteByByte) {
  EXPECT_EQ(message_of("\xc0\xaf"), R"("\ufffd\ufffd")");  // Overlong.
  EXPECT_EQ(message_of("\xe0\x80\xaf"), R"("\ufffd\ufffd\ufffd")");  // Too.
  EXPECT_EQ(message_of("\xed\xa0\x80"), R"("\ufffd\ufffd\ufffd")");  // UTF-16.
  EXPECT_EQ(message_of("\xf4\x90\x80\x80"),
            R"("\ufffd\ufffd\ufffd\ufffd")");              // Beyond.
  EXPECT_EQ(message_of("\xe2\x82"), R"("\ufffd\ufffd")");  // Short.
  EXPECT_EQ(message_of("\xe2\x82\xac"), "\xe2\x82\xac");
  EXPECT_EQ(message_of("\xf0\x9f\x90\xa7"), "\xf0\x9f\x90\xa7");
}

TEST(Logfmt, HostileValueCannotForge) {
  const std::string line =
      logfmt("gone", {{"domain", "x\nts=0 level=error msg=\"root\" a=b"}});
  EXPECT_EQ(line,
            "ts=2026-01-02T03:04:05.678Z level=info msg=gone "
            "domain=\"x\\nts=0 level=error msg=\\\"root\\\" a=b\"");
}

TEST(Logfmt, HostileKeyCannotForge) {
  EXPECT_THAT(logfmt("m", {{"a b\n=\"", "v"}}), testing::EndsWith(" a_b___=v"));
}

TEST(Logfmt, LongValuesAreCut) {
  const std::string line =
      logfmt("m", {{"domain", std::string(100'000, '\x01')}, {"b", "c"}});
  EXPECT_LT(line.size(), kMaxLogValueBytes + 100);
  EXPECT_THAT(line, testing::EndsWith("...\" b=c"));
}

TEST(Json, OneLine) {
  EXPECT_EQ(json("scrape failed", {{"collector", "sched"}, {"errors", "2"}}),
            R"({"ts":"2026-01-02T03:04:05.678Z","level":"info",)"
            R"("msg":"scrape failed","collector":"sched","errors":"2"})");
}

TEST(Json, Escapes) {
  EXPECT_THAT(json("a\"b\\c\n\x01\xff\xc2\x9b"),
              HasSubstr(R"("msg":"a\"b\\c\n\u0001\ufffd\u009b")"));
}

// JSON is YAML, so that yaml-cpp can be the oracle.
TEST(Json, IsValidWhateverTheBytes) {
  std::mt19937 random(20260102);
  for (int round = 0; round < 500; ++round) {
    std::string bytes(random() % 60, ' ');
    for (char& c : bytes) c = static_cast<char>(random() % 256);
    const std::string line = json(bytes, {{"domain", bytes}});
    for (std::string_view rest = line; !rest.empty();) {
      const Utf8Char next = first_utf8(rest);
      ASSERT_TRUE(next.valid && !is_control(next.code)) << line;
      rest.remove_prefix(next.bytes);
    }
    const auto read = parse_yaml(line, "line");
    const auto* object = std::get_if<YamlNode>(&read);
    ASSERT_NE(object, nullptr) << line;
    ASSERT_EQ(object->children.size(), 4U) << line;
    EXPECT_EQ(object->children[2].text, object->children[3].text) << line;
  }
}

TEST(Time, BeforeTheEpochAndFarAhead) {
  using std::chrono::milliseconds;
  const auto line = [](std::int64_t ms) {
    return format_logfmt(
        std::chrono::system_clock::time_point(milliseconds(ms)),
        LogLevel::kInfo, "m", {});
  };
  EXPECT_THAT(line(0), HasSubstr("ts=1970-01-01T00:00:00.000Z "));
  EXPECT_THAT(line(-1), HasSubstr("ts=1969-12-31T23:59:59.999Z "));
  EXPECT_THAT(line(4107542399999), HasSubstr("ts=2100-02-28T23:59:59.999Z "));
}

// Runs with stderr going to a file, and says what arrived there.
template <typename Function>
std::vector<std::string> lines_of(Function function) {
  const std::string path =
      testing::TempDir() + "log_test." + std::to_string(::getpid());
  std::fflush(stderr);
  const int kept = ::dup(STDERR_FILENO);
  const int file =
      ::open(path.c_str(), O_CREAT | O_TRUNC | O_WRONLY | O_APPEND, 0600);
  ::dup2(file, STDERR_FILENO);
  function();
  ::dup2(kept, STDERR_FILENO);
  ::close(file);
  ::close(kept);
  std::vector<std::string> lines;
  std::ifstream read(path);
  for (std::string line; std::getline(read, line);) lines.push_back(line);
  std::remove(path.c_str());
  return lines;
}

class Log : public testing::Test {
 protected:
  void TearDown() override {
    configure_log(LogLevel::kInfo, LogFormat::kLogfmt);
  }
};

TEST_F(Log, GoesToStderrFromItsLevelOn) {
  const auto lines = lines_of([] {
    log(LogLevel::kDebug, "unheard");
    log(LogLevel::kInfo, "hello", {{"a", "b"}});
    configure_log(LogLevel::kError, LogFormat::kJson);
    log(LogLevel::kWarn, "unheard");
    log(LogLevel::kError, "bye");
    configure_log(LogLevel::kDebug, LogFormat::kLogfmt);
    log(LogLevel::kDebug, "at last");
  });
  ASSERT_EQ(lines.size(), 3U);
  EXPECT_THAT(lines[0],
              MatchesRegex("ts=20[0-9T:.-]+Z level=info msg=hello a=b"));
  EXPECT_THAT(lines[1], MatchesRegex("\\{\"ts\":\"20[0-9T:.-]+Z\","
                                     "\"level\":\"error\",\"msg\":\"bye\"\\}"));
  EXPECT_THAT(lines[2], HasSubstr("level=debug msg=\"at last\""));
}

TEST_F(Log, PatternsInAMessageAreText) {
  const auto lines = lines_of([] { log(LogLevel::kInfo, "%v{}{0}%n%s"); });
  ASSERT_EQ(lines.size(), 1U);
  EXPECT_THAT(lines[0], HasSubstr("msg=%v{}{0}%n%s"));
}

TEST_F(Log, LinesOfManyThreadsStayWhole) {
  constexpr int kThreads = 8;
  constexpr int kLines = 200;
  const auto lines = lines_of([] {
    std::vector<std::thread> threads;
    for (int t = 0; t < kThreads; ++t) {
      threads.emplace_back([] {
        for (int i = 0; i < kLines; ++i) {
          log(LogLevel::kInfo, "m", {{"value", std::string(1000, 'x')}});
          configure_log(LogLevel::kInfo, LogFormat::kLogfmt);
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
  });
  ASSERT_EQ(lines.size(), static_cast<std::size_t>(kThreads * kLines));
  for (const std::string& line : lines) {
    ASSERT_THAT(line, MatchesRegex("ts=[^ ]+ level=info msg=m value=x+"));
    ASSERT_THAT(line, testing::EndsWith(std::string(1000, 'x')));
  }
}

TEST_F(Log, SurvivesAClosedStderr) {
  EXPECT_EXIT(
      {
        ::close(STDERR_FILENO);
        log(LogLevel::kError, "nobody reads this");
        std::_Exit(0);
      },
      testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace vcpu
