// SPDX-License-Identifier: Apache-2.0
#include "exporter/log.h"

#include <spdlog/logger.h>
#include <spdlog/sinks/stdout_sinks.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdio>
#include <exception>
#include <memory>

#include "collectors/base/utf8.h"

namespace vcpu {
namespace {

using Time = std::chrono::system_clock::time_point;

constexpr std::string_view kHexDigits = "0123456789abcdef";

std::string_view level_name(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return "debug";
    case LogLevel::kInfo:
      return "info";
    case LogLevel::kWarn:
      return "warn";
    case LogLevel::kError:
      break;
  }
  return "error";
}

spdlog::level::level_enum spdlog_level(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return spdlog::level::debug;
    case LogLevel::kInfo:
      return spdlog::level::info;
    case LogLevel::kWarn:
      return spdlog::level::warn;
    case LogLevel::kError:
      break;
  }
  return spdlog::level::err;
}

// RFC 3339, UTC, milliseconds.
std::string format_time(Time time) {
  using std::chrono::floor;
  const auto day = floor<std::chrono::days>(time);
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss clock(floor<std::chrono::milliseconds>(time) -
                                    day);
  std::array<char, 40> text{};
  std::snprintf(text.data(), text.size(), "%04d-%02u-%02uT%02d:%02d:%02d.%03dZ",
                static_cast<int>(date.year()),
                static_cast<unsigned>(date.month()),
                static_cast<unsigned>(date.day()),
                static_cast<int>(clock.hours().count()),
                static_cast<int>(clock.minutes().count()),
                static_cast<int>(clock.seconds().count()),
                static_cast<int>(clock.subseconds().count()));
  return text.data();
}

// All that is_control() knows lies below U+10000.
void append_code(std::string& out, char32_t code) {
  out += "\\u";
  for (unsigned shift = 16; shift > 0;) {
    shift -= 4;
    out += kHexDigits[(code >> shift) & 0x0FU];
  }
}

void append_escaped(std::string& out, const Utf8Char& next,
                    std::string_view bytes) {
  switch (next.code) {
    case '"':
      out += "\\\"";
      return;
    case '\\':
      out += "\\\\";
      return;
    case '\n':
      out += "\\n";
      return;
    case '\r':
      out += "\\r";
      return;
    case '\t':
      out += "\\t";
      return;
    default:
      break;
  }
  if (!next.valid || is_control(next.code)) {
    append_code(out, next.code);
  } else {
    out += bytes;
  }
}

// As it stands between the quotes of a JSON string, and of go-logfmt's.
std::string escaped(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    if (out.size() >= kMaxLogValueBytes) return out + "...";
    const Utf8Char next = first_utf8(text);
    append_escaped(out, next, text.substr(0, next.bytes));
    text.remove_prefix(next.bytes);
  }
  return out;
}

void append_logfmt(std::string& line, std::string_view key,
                   std::string_view value) {
  if (!line.empty()) line += ' ';
  // A key is ours; one that is none must not break the line all the same.
  for (const char c : key) {
    line += c > ' ' && c < '\x7f' && c != '=' && c != '"' ? c : '_';
  }
  line += '=';
  const std::string text = escaped(value);
  const bool plain = !text.empty() && text.size() == value.size() &&
                     text.find_first_of(" =\"\\") == std::string::npos;
  line += plain ? text : '"' + text + '"';
}

void append_json(std::string& line, std::string_view key,
                 std::string_view value) {
  line += line.empty() ? "{\"" : ",\"";
  line += escaped(key) + "\":\"" + escaped(value) + '"';
}

// spdlog's logger: the level, and one locked write per line.
class Logger {
 public:
  Logger()
      : logger_("vcpu_exporter",
                std::make_shared<spdlog::sinks::stderr_sink_mt>()) {
    logger_.set_pattern("%v");
    logger_.set_error_handler([](const std::string&) {});
  }

  void configure(LogLevel level, LogFormat format) {
    logger_.set_level(spdlog_level(level));
    format_.store(format);
  }

  void write(LogLevel level, std::string_view message, LogFields fields) {
    if (!logger_.should_log(spdlog_level(level))) return;
    const Time now = std::chrono::system_clock::now();
    logger_.log(spdlog_level(level),
                format_.load() == LogFormat::kJson
                    ? format_json(now, level, message, fields)
                    : format_logfmt(now, level, message, fields));
  }

 private:
  spdlog::logger logger_;
  std::atomic<LogFormat> format_{LogFormat::kLogfmt};
};

// The one thing here that all share: there is only one stderr. Never destroyed,
// so that threads which outlive main() may still log.
Logger& logger() {
  static Logger& instance = *new Logger();
  return instance;
}

}  // namespace

std::string format_logfmt(Time time, LogLevel level, std::string_view message,
                          LogFields fields) {
  std::string line;
  append_logfmt(line, "ts", format_time(time));
  append_logfmt(line, "level", level_name(level));
  append_logfmt(line, "msg", message);
  for (const auto& [key, value] : fields) append_logfmt(line, key, value);
  return line;
}

std::string format_json(Time time, LogLevel level, std::string_view message,
                        LogFields fields) {
  std::string line;
  append_json(line, "ts", format_time(time));
  append_json(line, "level", level_name(level));
  append_json(line, "msg", message);
  for (const auto& [key, value] : fields) append_json(line, key, value);
  return line + "}";
}

void log(LogLevel level, std::string_view message, LogFields fields) noexcept {
  try {
    logger().write(level, message, fields);
  } catch (const std::exception&) {
    // Nobody is left to be told.
  }
}

void configure_log(LogLevel level, LogFormat format) noexcept {
  try {
    logger().configure(level, format);
  } catch (const std::exception&) {
    // Logging goes on as it was.
  }
}

}  // namespace vcpu
