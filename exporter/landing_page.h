// SPDX-License-Identifier: Apache-2.0
//
// The page at "/": what runs here and how it fares, for a person.
//
// One HTML file that loads nothing: no script, no font, no image.
#pragma once

#include <string>
#include <string_view>

#include "exporter/scraper.h"

namespace vcpu {

struct LandingPage {
  std::string version;
  std::string telemetry_path;
  std::string documentation_url;
  ScrapeStatus status;
};

// Pure. Every string of `page` is escaped.
std::string landing_page(const LandingPage& page);

// Fit for HTML text and for a quoted attribute. Control characters are left
// out; invalid UTF-8 stays, as browsers show it as U+FFFD.
std::string html_escape(std::string_view text);

}  // namespace vcpu
