// SPDX-License-Identifier: Apache-2.0
//
// What an operator writes behind the program's name, names of
// perf events among it: the answer is what to do,
// or one line that says what is wrong.
#include <array>
#include <string>
#include <variant>
#include <vector>

#include "collectors/perf/event_names.h"
#include "exporter/options.h"
#include "tests/fuzz/common/fuzz.h"

namespace vcpu::fuzz {
namespace {

// An argument per line.
void look_options(std::string_view text) {
  std::vector<std::string> arguments{"vcpu_exporter"};
  while (!text.empty() && arguments.size() < 20) {
    const auto end = text.find('\n');
    arguments.emplace_back(text.substr(0, end));
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
  std::vector<const char*> argv;
  for (const auto& argument : arguments) argv.push_back(argument.c_str());
  argv.push_back(nullptr);
  const auto parsed =
      parse_options(static_cast<int>(arguments.size()), argv.data(),
                    {{"sched", true, ""}, {"host", true, ""}});
  const auto* exit = std::get_if<ExitNow>(&parsed);
  if (exit == nullptr) {
    Config config;
    std::get<Options>(parsed).overrides.apply(config);
    expect(!config.listen_addresses.empty(), "it listens somewhere");
    return;
  }
  expect(exit->text.ends_with('\n'), "what is said ends");
  if (exit->code != 0)
    expect(exit->text.find('\n') == exit->text.size() - 1,
           "what is wrong is said in one line");
}

void look_event_name(std::string_view text) {
  const std::string name(text);
  const auto canonical = canonical_event_name(name);
  expect(canonical_event_name(canonical) == canonical, "a name stays its own");
  const auto problem = event_name_problem(name);
  expect(is_one_line(problem), "what is wrong is said in one line");
  if (const auto event = encode_event(name); !event)
    expect(!event.error().message().empty(), "what is wrong is said");
}

constexpr std::array kLooks{
    Look{"options", look_options},
    Look{"event_name", look_event_name},
};

}  // namespace

std::span<const Look> looks() { return kLooks; }

}  // namespace vcpu::fuzz
