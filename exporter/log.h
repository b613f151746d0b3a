// SPDX-License-Identifier: Apache-2.0
//
// Log: one line per event, to stderr, as logfmt or JSON.
//
// Values come from anywhere (VM names above all): whatever they contain, an
// event is exactly one line, and a JSON line is valid JSON. Control characters
// are escaped, invalid UTF-8 becomes U+FFFD, a value ends after
// kMaxLogValueBytes in "...".
//
// Thread-safe. The formatting is pure.
#pragma once

#include <chrono>
#include <cstddef>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

#include "exporter/config.h"

namespace vcpu {

// A dozen of these stay below the 48 KiB at which journald splits a line, so
// that no value can start one of its own.
inline constexpr std::size_t kMaxLogValueBytes = 2048;

// A name in snake_case, and its value.
using LogField = std::pair<std::string_view, std::string>;
using LogFields = std::initializer_list<LogField>;

// Never throws; an event that cannot be written is lost. What is below the
// level set last costs next to nothing.
void log(LogLevel level, std::string_view message,
         LogFields fields = {}) noexcept;

// From now on. Before the first call: info, logfmt.
void configure_log(LogLevel level, LogFormat format) noexcept;

// ts=2026-01-02T03:04:05.678Z level=info msg="two words" key=value
// Quoted like go-logfmt: where there is a space, '=', '"' or an escape.
std::string format_logfmt(std::chrono::system_clock::time_point time,
                          LogLevel level, std::string_view message,
                          LogFields fields);

// {"ts":"2026-01-02T03:04:05.678Z","level":"info","msg":"two words","key":"v"}
std::string format_json(std::chrono::system_clock::time_point time,
                        LogLevel level, std::string_view message,
                        LogFields fields);

}  // namespace vcpu
