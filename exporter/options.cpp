// SPDX-License-Identifier: Apache-2.0
#include "exporter/options.h"

#include <CLI/CLI.hpp>
#include <deque>
#include <exception>
#include <string_view>

#include "exporter/version.h"
#include "exporter/wording.h"

namespace vcpu {
namespace {

constexpr std::size_t kHelpColumn = 34;

constexpr const char* kFooter =
    "Each --collector flag, and --libvirt, has a --no- form that switches it "
    "off.\nA flag wins over the file; config.example.yml shows the file's "
    "keys.";

ExitNow usage_error(const std::string& what) {
  return {1, std::string(kProgramName) + ": " + what + " (see --help)\n"};
}

// A flag that switches something on, and one that switches it off.
struct Switch {
  std::string flag;  // Without "--".
  int on = 0;
  int off = 0;

  std::string problem() const {
    if (on == 0 || off == 0) return "";
    return "--" + flag + " and --no-" + flag + " contradict; leave one out";
  }
  bool given() const { return on + off > 0; }
};

struct SettingFlag {
  const Setting* setting;
  std::vector<std::string> values;
  Switch on_off;
};

// The command line as CLI11 took it apart; judged afterwards, so that the file
// and the flags are judged by the same code.
class CommandLine {
 public:
  explicit CommandLine(const std::vector<KnownCollector>& known)
      : known_(known), app_(std::string(kDescription)) {
    app_.name(std::string(kProgramName));
    app_.allow_extras();
    app_.footer(kFooter);
    app_.get_formatter()->column_width(kHelpColumn);
    app_.set_help_flag("-h,--help", "Print this and exit");
    add_program_flags();
    for (const Setting& setting : settings()) add_setting(setting);
    for (const KnownCollector& collector : known) add_collector(collector);
  }

  std::variant<Options, ExitNow> parse(int argc, const char* const* argv) {
    for (int i = 1; i < argc; ++i) {
      const std::string problem = value_problem(argv[i], i + 1 == argc);
      if (!problem.empty()) return usage_error(problem);
    }
    try {
      app_.parse(argc, argv);
    } catch (const CLI::CallForHelp&) {
      return ExitNow{0, app_.help()};
    } catch (const CLI::ParseError& e) {
      return usage_error(one_line(e.what()));
    }
    return judge();
  }

 private:
  void add_value(const std::string& flag, std::vector<std::string>& values,
                 std::string_view value_name, std::string_view help) {
    app_.add_option("--" + flag, values, std::string(help))
        ->allow_extra_args(false)
        ->option_text(std::string(value_name));
  }

  // A count, not a bool: CLI11 refuses --x=true for neither, and a flag that
  // is given twice means what it means once.
  void add_count(const std::string& flag, int& count, const std::string& help) {
    app_.add_flag("--" + flag, count, help)->disable_flag_override();
  }

  void add_switch(Switch& on_off, const std::string& help) {
    add_count(on_off.flag, on_off.on, help);
    add_count("no-" + on_off.flag, on_off.off, "");
    // Beside the flag it belongs to, not on a line of its own.
    app_.get_option("--no-" + on_off.flag)->group("");
  }

  void add_program_flags() {
    add_value("config.file", config_file_, "FILE",
              "Configuration in YAML (default: none)");
    add_count("config.check", check_, "Check the configuration and exit");
    add_count("once", once_, "Print one scrape and exit");
    add_count("version", version_, "Print the version and exit");
  }

  void add_setting(const Setting& setting) {
    SettingFlag& flag = setting_flags_.emplace_back();
    flag.setting = &setting;
    if (setting.type == SettingType::kSwitch) {
      flag.on_off.flag = setting.flag;
      add_switch(flag.on_off, std::string(setting.help));
    } else {
      add_value(std::string(setting.flag), flag.values, setting.value_name,
                setting.help);
    }
  }

  void add_collector(const KnownCollector& collector) {
    Switch& on_off = collector_flags_.emplace_back();
    on_off.flag = "collector." + collector.name;
    add_switch(on_off, collector.help + (collector.enabled_by_default
                                             ? " (default: enabled)"
                                             : " (default: disabled)"));
  }

  // What CLI11 would misunderstand or say in words of its own: it takes the
  // next argument for the value of "--flag=", and "--once=false" for a puzzle.
  std::string value_problem(std::string_view argument, bool last) const {
    const std::size_t equals = argument.find('=');
    const std::string flag(argument.substr(0, equals));
    const CLI::Option* option = app_.get_option_no_throw(flag);
    if (option == nullptr) return "";
    const bool has_value = equals != std::string_view::npos;
    if (option->get_items_expected_max() == 0) {
      return has_value ? flag + " takes no value; write it without" : "";
    }
    const bool missing = has_value ? equals + 1 == argument.size() : last;
    return missing ? flag + " has no value; write one or leave it out" : "";
  }

  std::variant<Options, ExitNow> judge() {
    std::string problem = extras_problem();
    if (!problem.empty()) return usage_error(problem);
    if (version_ > 0) return ExitNow{0, version_text()};
    Options options;
    problem = take_program_flags(options);
    if (problem.empty()) problem = take_settings(options.overrides);
    if (problem.empty()) problem = take_collectors(options);
    if (!problem.empty()) return usage_error(problem);
    return options;
  }

  std::string extras_problem() const {
    const std::vector<std::string> extras = app_.remaining();
    if (extras.empty()) return "";
    const std::string& first = extras.front();
    if (first.size() < 2 || first.front() != '-') {
      return "unexpected argument " + in_quotes(first) + "; remove it";
    }
    const std::string flag = first.substr(0, first.find('='));
    return "unknown flag " + in_quotes(flag) + did_you_mean(flag, all_flags());
  }

  std::vector<std::string> all_flags() const {
    std::vector<std::string> flags;
    for (const CLI::Option* option : app_.get_options()) {
      for (const std::string& name : option->get_lnames()) {
        flags.push_back("--" + name);
      }
    }
    return flags;
  }

  std::string take_program_flags(Options& options) const {
    if (once_ > 0 && check_ > 0) {
      return "--once and --config.check contradict; leave one out";
    }
    if (once_ > 0) options.mode = RunMode::kOnce;
    if (check_ > 0) options.mode = RunMode::kCheckConfig;
    if (!config_file_.empty()) {
      std::string problem =
          values_problem("config.file", SettingType::kText, config_file_);
      if (!problem.empty()) return problem;
      options.config_file = config_file_.front();
    }
    return "";
  }

  std::string take_settings(Overrides& overrides) {
    Config scratch;
    for (SettingFlag& flag : setting_flags_) {
      if (flag.on_off.given())
        flag.values = {flag.on_off.on > 0 ? "true" : "false"};
      if (flag.values.empty()) continue;
      std::string problem = setting_problem(flag, scratch);
      if (!problem.empty()) return problem;
      overrides.set(*flag.setting, flag.values);
    }
    return "";
  }

  static std::string setting_problem(const SettingFlag& flag, Config& scratch) {
    const Setting& setting = *flag.setting;
    std::string problem = flag.on_off.problem();
    if (problem.empty()) {
      problem = values_problem(setting.flag, setting.type, flag.values);
    }
    if (!problem.empty()) return problem;
    problem = setting.assign(scratch, flag.values);
    return problem.empty() ? ""
                           : "--" + std::string(setting.flag) + ": " + problem;
  }

  static std::string values_problem(std::string_view flag, SettingType type,
                                    const std::vector<std::string>& values) {
    const std::string name = "--" + std::string(flag);
    if (values.size() > 1 && type != SettingType::kList) {
      return name + " is there twice; leave one out";
    }
    // CLI11 takes whatever comes next for a value, another flag as well.
    for (const std::string& value : values) {
      if (value.rfind("--", 0) == 0) {
        return name + " has no value before " + in_quotes(value) +
               "; write one";
      }
    }
    return "";
  }

  std::string take_collectors(Options& options) const {
    for (std::size_t i = 0; i < known_.size(); ++i) {
      const Switch& on_off = collector_flags_[i];
      std::string problem = on_off.problem();
      if (!problem.empty()) return problem;
      if (on_off.given()) {
        options.overrides.set_collector(known_[i].name, on_off.on > 0);
      }
      options.known_collectors.push_back(known_[i].name);
    }
    return "";
  }

  const std::vector<KnownCollector>& known_;
  CLI::App app_;
  // CLI11 keeps references into these, so they must not move.
  std::deque<SettingFlag> setting_flags_;
  std::deque<Switch> collector_flags_;
  std::vector<std::string> config_file_;
  int check_ = 0;
  int once_ = 0;
  int version_ = 0;
};

}  // namespace

void Overrides::set(const Setting& setting, std::vector<std::string> values) {
  settings_.emplace_back(&setting, std::move(values));
}

void Overrides::set_collector(const std::string& name, bool enabled) {
  collectors_[name] = enabled;
}

void Overrides::apply(Config& config) const {
  for (const auto& [setting, values] : settings_) {
    setting->assign(config, values);
  }
  for (const auto& [name, enabled] : collectors_) {
    config.collectors[name] = enabled;
  }
}

std::variant<Options, ExitNow> parse_options(
    int argc, const char* const* argv,
    const std::vector<KnownCollector>& known) {
  try {
    return CommandLine(known).parse(argc, argv);
  } catch (const std::exception& e) {
    return usage_error(one_line(e.what()));
  }
}

std::variant<Config, ConfigError> effective_config(const Options& options) {
  std::variant<Config, ConfigError> result;
  if (!options.config_file.empty()) {
    result =
        load_config(options.config_file, Config{}, options.known_collectors);
  }
  if (auto* config = std::get_if<Config>(&result)) {
    options.overrides.apply(*config);
  }
  return result;
}

}  // namespace vcpu
