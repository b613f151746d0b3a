// SPDX-License-Identifier: Apache-2.0
#include "exporter/options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>

#include "exporter/version.h"

namespace vcpu {
namespace {

using testing::ElementsAre;
using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

const std::vector<KnownCollector> kKnown{
    {"sched", true, "How long vCPUs waited"},
    {"threads", true, "Threads by role"},
    {"numa", false, "Where memory is"}};

std::variant<Options, ExitNow> parse(const std::vector<std::string>& flags) {
  std::vector<const char*> argv{"/usr/bin/vcpu_exporter"};
  for (const std::string& flag : flags) argv.push_back(flag.c_str());
  const int argc = static_cast<int>(argv.size());
  argv.push_back(nullptr);
  return parse_options(argc, argv.data(), kKnown);
}

Options good(const std::vector<std::string>& flags) {
  const auto result = parse(flags);
  const auto* exit_now = std::get_if<ExitNow>(&result);
  EXPECT_EQ(exit_now, nullptr) << exit_now->text;
  return exit_now == nullptr ? std::get<Options>(result) : Options{};
}

Config config_of(const std::vector<std::string>& flags) {
  const auto result = effective_config(good(flags));
  const auto* error = std::get_if<ConfigError>(&result);
  EXPECT_EQ(error, nullptr) << error->message;
  return error == nullptr ? std::get<Config>(result) : Config{};
}

ExitNow stopped(const std::vector<std::string>& flags) {
  const auto result = parse(flags);
  const auto* exit_now = std::get_if<ExitNow>(&result);
  return exit_now == nullptr ? ExitNow{-1, "accepted"} : *exit_now;
}

// Without the program's name in front and the hint behind, which all have.
std::string refusal(const std::vector<std::string>& flags) {
  const ExitNow exit_now = stopped(flags);
  EXPECT_EQ(exit_now.code, 1);
  EXPECT_THAT(exit_now.text, StartsWith("vcpu_exporter: "));
  EXPECT_THAT(exit_now.text, EndsWith(" (see --help)\n"));
  const std::size_t start = std::string("vcpu_exporter: ").size();
  const std::size_t end = exit_now.text.rfind(" (see --help)");
  if (end == std::string::npos) return exit_now.text;
  const std::string message = exit_now.text.substr(start, end - start);
  EXPECT_THAT(message, Not(HasSubstr("\n")));
  return message;
}

TEST(Options, NoneIsToServeWithTheDefaults) {
  const Options options = good({});
  EXPECT_EQ(options.mode, RunMode::kServe);
  EXPECT_EQ(options.config_file, "");
  EXPECT_THAT(options.known_collectors,
              ElementsAre("sched", "threads", "numa"));
  const Config config = config_of({});
  EXPECT_THAT(config.listen_addresses, ElementsAre(":9752"));
  EXPECT_EQ(config.max_requests, 40);
  EXPECT_TRUE(config.collectors.empty());
}

TEST(Options, EveryFlagIsTaken) {
  const Config config = config_of({"--web.listen-address=127.0.0.1:0",
                                   "--web.listen-address",
                                   "[::1]:1",
                                   "--web.telemetry-path=/m",
                                   "--web.max-requests",
                                   "0",
                                   "--web.config.file=web.yml",
                                   "--collector.disable-defaults",
                                   "--path.procfs=/p",
                                   "--path.sysfs=/s",
                                   "--log.level=debug",
                                   "--log.format=json",
                                   "--no-libvirt",
                                   "--libvirt.uri=test:///default",
                                   "--limit.series=5",
                                   "--limit.vms=7",
                                   "--limit.user-vms=3",
                                   "--limit.user-threads=20",
                                   "--user=someone",
                                   "--collector.numa",
                                   "--no-collector.sched"});
  EXPECT_THAT(config.listen_addresses, ElementsAre("127.0.0.1:0", "[::1]:1"));
  EXPECT_EQ(config.telemetry_path, "/m");
  EXPECT_EQ(config.max_requests, 0);
  EXPECT_EQ(config.web_config_file, "web.yml");
  EXPECT_TRUE(config.disable_default_collectors);
  EXPECT_EQ(config.roots.proc, "/p");
  EXPECT_EQ(config.vm_limits.vms, 7);
  EXPECT_EQ(config.vm_limits.user_vms, 3);
  EXPECT_EQ(config.vm_limits.user_threads, 20);
  EXPECT_EQ(config.roots.sys, "/s");
  EXPECT_EQ(config.log_level, LogLevel::kDebug);
  EXPECT_EQ(config.log_format, LogFormat::kJson);
  EXPECT_FALSE(config.libvirt_enabled);
  EXPECT_EQ(config.libvirt_uri, "test:///default");
  EXPECT_EQ(config.max_series, 5);
  EXPECT_EQ(config.user, "someone");
  EXPECT_TRUE(config.collectors.at("numa"));
  EXPECT_FALSE(config.collectors.at("sched"));
  EXPECT_EQ(config.collectors.count("threads"), 0U);
}

TEST(Options, FlagsWinOverTheFileOnEveryReload) {
  const std::string path = testing::TempDir() + "options_test." +
                           std::to_string(::getpid()) + ".yml";
  std::ofstream(path) << "web: {max_requests: 1, telemetry_path: /file}\n"
                         "libvirt: {enabled: false}\n"
                         "collectors: {disable_defaults: true, sched: true,"
                         " numa: true}\n";
  const Options options =
      good({"--config.file=" + path, "--web.max-requests=2", "--libvirt",
            "--no-collector.disable-defaults", "--no-collector.numa"});
  const Config config = std::get<Config>(effective_config(options));
  EXPECT_EQ(config.max_requests, 2);
  EXPECT_EQ(config.telemetry_path, "/file");
  EXPECT_TRUE(config.libvirt_enabled);
  EXPECT_FALSE(config.disable_default_collectors);
  EXPECT_TRUE(config.collectors.at("sched"));
  EXPECT_FALSE(config.collectors.at("numa"));

  std::ofstream(path) << "web: {max_requests: 3, telemetry_path: /other}\n";
  const Config reloaded = std::get<Config>(effective_config(options));
  EXPECT_EQ(reloaded.max_requests, 2);
  EXPECT_EQ(reloaded.telemetry_path, "/other");

  std::ofstream(path) << "wrong: 1\n";
  EXPECT_EQ(std::get<ConfigError>(effective_config(options)).message,
            path + ":1: unknown key \"wrong\"; correct or remove it");
  std::remove(path.c_str());
}

TEST(Options, Modes) {
  EXPECT_EQ(good({"--once"}).mode, RunMode::kOnce);
  EXPECT_EQ(good({"--config.check"}).mode, RunMode::kCheckConfig);
}

TEST(Options, VersionAndHelpGoToStdout) {
  EXPECT_EQ(stopped({"--version"}).code, 0);
  EXPECT_EQ(stopped({"--version"}).text, version_text());
  for (const char* flag : {"-h", "--help"}) {
    EXPECT_EQ(stopped({flag}).code, 0);
    EXPECT_THAT(stopped({flag}).text, HasSubstr("Usage: vcpu_exporter"));
  }
}

TEST(Options, VersionTextIsPrometheusStyle) {
  EXPECT_THAT(version_text(),
              StartsWith("vcpu_exporter, version " + std::string(version()) +
                         " (revision: " + std::string(revision()) + ")\n"));
  EXPECT_THAT(version_text(), HasSubstr("platform:"));
  EXPECT_THAT(version_text(), EndsWith("\n"));
}

TEST(Options, HelpNamesEveryFlag) {
  const std::string help = stopped({"--help"}).text;
  for (const Setting& setting : settings()) {
    EXPECT_THAT(help, HasSubstr("--" + std::string(setting.flag) + " "));
    EXPECT_THAT(help, HasSubstr(std::string(setting.help)));
  }
  for (const char* flag : {"--config.file FILE", "--config.check", "--once",
                           "--version", "-h,--help"}) {
    EXPECT_THAT(help, HasSubstr(flag));
  }
  EXPECT_THAT(help, HasSubstr("How long vCPUs waited (default: enabled)"));
  EXPECT_THAT(help, HasSubstr("Where memory is (default: disabled)"));
}

struct Refused {
  std::vector<std::string> flags;
  const char* message;
};

TEST(Options, SaysWhatIsWrongAndWhatToDo) {
  const std::vector<Refused> refused{
      {{"--bogus"}, "unknown flag \"--bogus\""},
      {{"--bogus=1"}, "unknown flag \"--bogus\""},
      {{"--collector.num"},
       "unknown flag \"--collector.num\" (did you mean \"--collector.numa\"?)"},
      {{"--no-collector.num"},
       "unknown flag \"--no-collector.num\" (did you mean "
       "\"--no-collector.numa\"?)"},
      {{"--web.listen-addres=:1"},
       "unknown flag \"--web.listen-addres\" (did you mean "
       "\"--web.listen-address\"?)"},
      {{"-x"}, "unknown flag \"-x\""},
      {{"serve"}, "unexpected argument \"serve\"; remove it"},
      {{""}, "unexpected argument \"\"; remove it"},
      {{"a\nb"}, "unexpected argument \"a\\x0ab\"; remove it"},
      {{"--web.listen-address", ":1", ":2"},
       "unexpected argument \":2\"; remove it"},
      {{"--web.listen-address=:x"},
       "--web.listen-address: \":x\" does not end in a port from 0 to 65535; "
       "write HOST:PORT, for example \":9752\""},
      {{"--web.listen-address", "--once"},
       "--web.listen-address has no value before \"--once\"; write one"},
      {{"--web.telemetry-path=metrics"},
       "--web.telemetry-path: \"metrics\" does not start with \"/\"; write for "
       "example /metrics"},
      {{"--web.telemetry-path=/"},
       "--web.telemetry-path: \"/\" is the landing page; write for example "
       "/metrics"},
      {{"--web.max-requests", "-1"},
       "--web.max-requests: \"-1\" is not a whole number from 0 to "
       "2147483647; write one without unit or quotes"},
      {{"--web.max-requests=1", "--web.max-requests=2"},
       "--web.max-requests is there twice; leave one out"},
      {{"--log.level=loud"},
       "--log.level: \"loud\" is not a log level; write debug, info, warn or "
       "error"},
      {{"--log.level"}, "--log.level has no value; write one or leave it out"},
      {{"--log.level="}, "--log.level has no value; write one or leave it out"},
      {{"--web.config.file=", "--once"},
       "--web.config.file has no value; write one or leave it out"},
      {{"--user", "--once"},
       "--user has no value before \"--once\"; write one"},
      {{"--config.file", "--once"},
       "--config.file has no value before \"--once\"; write one"},
      {{"--config.file=a", "--config.file=b"},
       "--config.file is there twice; leave one out"},
      {{"--once=false"}, "--once takes no value; write it without"},
      {{"--collector.sched=true"},
       "--collector.sched takes no value; write it without"},
      {{"--collector.sched", "--no-collector.sched"},
       "--collector.sched and --no-collector.sched contradict; leave one out"},
      {{"--no-libvirt", "--libvirt"},
       "--libvirt and --no-libvirt contradict; leave one out"},
      {{"--once", "--config.check"},
       "--once and --config.check contradict; leave one out"},
      {{"--version", "--bogus"}, "unknown flag \"--bogus\""},
  };
  for (const auto& [flags, message] : refused) {
    EXPECT_EQ(refusal(flags), message);
  }
}

TEST(Options, TakesAFlagTwiceWhereItMeansTheSame) {
  EXPECT_EQ(good({"--once", "--once"}).mode, RunMode::kOnce);
  EXPECT_TRUE(config_of({"--collector.numa", "--collector.numa"})
                  .collectors.at("numa"));
}

}  // namespace
}  // namespace vcpu
