// SPDX-License-Identifier: Apache-2.0
//
// What a client asked for, and which of our answers suits it best.
//
// Pure, and never fails: what cannot be read counts as not said.
// https://www.rfc-editor.org/rfc/rfc9110#section-12.5
#pragma once

#include <string_view>

#include "exporter/exposition/format.h"

namespace vcpu {

// From an Accept header, e.g. Prometheus 2.42's
//   application/openmetrics-text;version=1.0.0,
//   application/openmetrics-text;version=0.0.1;q=0.75,
//   text/plain;version=0.0.4;q=0.5,*/*;q=0.1
//
// OpenMetrics where it is named, as version 1.0.0 or none, at least as dearly
// as the text format; the text format in all other cases, */* included. The
// draft 0.0.1 alone gets text: who knew it listed text too, and our
// Content-Type is then one that was asked for.
TextFormat negotiate_format(std::string_view accept);

// From an Accept-Encoding header: true where gzip (or x-gzip, or *) is welcome
// and identity is not preferred.
bool wants_gzip(std::string_view accept_encoding);

}  // namespace vcpu
