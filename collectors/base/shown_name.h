// SPDX-License-Identifier: Apache-2.0
//
// ShownName: what a name that a tenant, or whoever runs a program, has chosen
// becomes on the page: itself, or something that tells it from others and not
// what it is (exporter/name_hash.h). Whoever makes a label of such a name asks
// it. The same text becomes the same, wherever it stands, so that labels can be
// joined.
//
// It is given the text as it would be shown, label-safe, and returns another
// that is. Thread-safe; throws only std::bad_alloc. Null: names are shown.
#pragma once

#include <functional>
#include <string>
#include <string_view>

namespace vcpu {

using ShownName = std::function<std::string(std::string_view)>;

// What is not there stays so.
inline std::string as_shown(const ShownName& shown, std::string_view name) {
  return shown && !name.empty() ? shown(name) : std::string(name);
}

}  // namespace vcpu
