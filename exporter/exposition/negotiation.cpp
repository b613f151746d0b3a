// SPDX-License-Identifier: Apache-2.0
#include "exporter/exposition/negotiation.h"

#include <strings.h>

#include <algorithm>
#include <charconv>
#include <optional>

namespace vcpu {
namespace {

bool equal(std::string_view left, std::string_view right) {
  return left.size() == right.size() &&
         strncasecmp(left.data(), right.data(), left.size()) == 0;
}

std::string_view trim(std::string_view text) {
  const auto begin = text.find_first_not_of(" \t");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t") - begin + 1);
}

// Takes what stands before the next `separator` off the front of `text`.
std::string_view take(std::string_view& text, char separator) {
  const auto end = text.find(separator);
  const std::string_view front = text.substr(0, end);
  text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  return trim(front);
}

std::string_view unquote(std::string_view text) {
  const bool quoted =
      text.size() >= 2 && text.front() == '"' && text.back() == '"';
  return quoted ? text.substr(1, text.size() - 2) : text;
}

std::optional<double> parse_quality(std::string_view text) {
  double quality = 0;
  const auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), quality,
                      std::chars_format::fixed);
  const bool whole = error == std::errc{} && end == text.data() + text.size();
  if (!whole || !(quality >= 0 && quality <= 1)) return std::nullopt;
  return quality;
}

// One element of such a header: `name;version=1.0.0;q=0.5`.
struct Choice {
  std::string_view name;
  std::string_view version;  // Empty: any.
  double quality = 1;
};

std::optional<Choice> parse_choice(std::string_view text) {
  Choice choice;
  choice.name = take(text, ';');
  while (!text.empty()) {
    std::string_view value = take(text, ';');
    const std::string_view key = take(value, '=');
    if (equal(key, "version")) choice.version = unquote(trim(value));
    if (equal(key, "q")) {
      const auto quality = parse_quality(trim(value));
      if (!quality) return std::nullopt;
      choice.quality = *quality;
    }
  }
  return choice;
}

// Calls `visit` with every readable element.
template <typename Visit>
void for_each_choice(std::string_view header, Visit visit) {
  while (!header.empty()) {
    if (const auto choice = parse_choice(take(header, ','))) visit(*choice);
  }
}

void raise(std::optional<double>& quality, double other) {
  quality = std::max(quality.value_or(0), other);
}

}  // namespace

TextFormat negotiate_format(std::string_view accept) {
  std::optional<double> open_metrics;
  std::optional<double> text;
  std::optional<double> any_text;
  std::optional<double> anything;
  for_each_choice(accept, [&](const Choice& choice) {
    const auto is = [&](std::string_view name, std::string_view version) {
      return equal(choice.name, name) &&
             (choice.version.empty() || choice.version == version);
    };
    if (is("application/openmetrics-text", "1.0.0")) {
      raise(open_metrics, choice.quality);
    }
    if (is("text/plain", "0.0.4")) raise(text, choice.quality);
    if (equal(choice.name, "text/*")) raise(any_text, choice.quality);
    if (equal(choice.name, "*/*")) raise(anything, choice.quality);
  });
  // The most specific element that matches says how welcome it is.
  const double plain = text.value_or(any_text.value_or(anything.value_or(0)));
  const double open = open_metrics.value_or(0);
  return open > 0 && open >= plain ? TextFormat::kOpenMetrics
                                   : TextFormat::kPrometheus;
}

bool wants_gzip(std::string_view accept_encoding) {
  std::optional<double> gzip;
  std::optional<double> identity;
  std::optional<double> anything;
  for_each_choice(accept_encoding, [&](const Choice& choice) {
    if (equal(choice.name, "gzip") || equal(choice.name, "x-gzip")) {
      raise(gzip, choice.quality);
    }
    if (equal(choice.name, "identity")) raise(identity, choice.quality);
    if (choice.name == "*") raise(anything, choice.quality);
  });
  const double packed = gzip.value_or(anything.value_or(0));
  return packed > 0 && packed >= identity.value_or(0);
}

}  // namespace vcpu
