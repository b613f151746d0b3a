// SPDX-License-Identifier: Apache-2.0
//
// Result<T>: a value, or the Error that stood in its way.
//
// It carries recoverable failures from the kernel and libvirt up to the scrape,
// the only place that handles them. The names are those of std::expected, which
// replaces it when every compiler we support has it.
#pragma once

#include <string>
#include <system_error>
#include <utility>
#include <variant>

namespace vcpu {

struct Error {
  std::error_code code;
  std::string context;  // What was being done, e.g. "/proc/71/schedstat".

  std::string message() const;
};

// An Error for text that is not what its documentation says.
inline Error malformed(std::string context) {
  return {make_error_code(std::errc::bad_message), std::move(context)};
}

// An Error that says it all in its context.
inline Error failed(std::string context) { return {{}, std::move(context)}; }

inline std::string Error::message() const {
  if (!code) return context;
  if (code == std::errc::bad_message) return context + ": cannot be understood";
  return context + ": " + code.message();
}

template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}

  bool has_value() const { return state_.index() == 0; }
  explicit operator bool() const { return has_value(); }

  T& operator*() & { return std::get<0>(state_); }
  const T& operator*() const& { return std::get<0>(state_); }
  T&& operator*() && { return std::get<0>(std::move(state_)); }
  T* operator->() { return &std::get<0>(state_); }
  const T* operator->() const { return &std::get<0>(state_); }

  const Error& error() const { return std::get<1>(state_); }

 private:
  std::variant<T, Error> state_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error) : error_(std::move(error)), failed_(true) {}

  bool has_value() const { return !failed_; }
  explicit operator bool() const { return has_value(); }
  const Error& error() const { return error_; }

 private:
  Error error_;
  bool failed_ = false;
};

}  // namespace vcpu
