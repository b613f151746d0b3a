// SPDX-License-Identifier: Apache-2.0
#include "exporter/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <iterator>
#include <map>
#include <random>
#include <sstream>

#include "collectors/perf/event_names.h"

namespace vcpu {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

const std::vector<std::string> kCollectors{"sched", "threads", "numa"};

std::variant<Config, ConfigError> parse(std::string_view yaml,
                                        const Config& base = {}) {
  return parse_config(yaml, "c.yml", base, kCollectors);
}

Config good(std::string_view yaml, const Config& base = {}) {
  const auto result = parse(yaml, base);
  const auto* error = std::get_if<ConfigError>(&result);
  EXPECT_EQ(error, nullptr) << yaml << ": " << error->message;
  return error == nullptr ? std::get<Config>(result) : Config{};
}

std::string refusal(std::string_view yaml) {
  const auto result = parse(yaml);
  const auto* error = std::get_if<ConfigError>(&result);
  return error == nullptr ? "accepted" : error->message;
}

// All of a Config as text, so that two can be compared and shown.
std::string shown(const Config& c) {
  std::ostringstream out;
  for (const auto& address : c.listen_addresses) out << address << ' ';
  out << '\n' << c.telemetry_path << ' ' << c.max_requests << ' ';
  out << c.web_config_file << '\n' << c.roots.proc << ' ' << c.roots.sys;
  out << '\n' << c.disable_default_collectors;
  for (const auto& [name, on] : c.collectors) out << ' ' << name << '=' << on;
  out << '\n' << static_cast<int>(c.log_level) << ' ';
  out << static_cast<int>(c.log_format) << '\n';
  out << c.libvirt_enabled << ' ' << c.libvirt_uri << '\n';
  out << c.ebpf_enabled << c.seccomp_enabled << c.sched.per_vcpu;
  out << c.runqueue.per_vcpu << c.runqueue.culprits;
  out << c.numa.maps << c.block.paths << c.kvm.per_vcpu << '\n';
  for (const auto& own : c.metadata.labels)
    out << own.label << '=' << own.key << ' ';
  for (const auto& event : c.perf.events) out << event << ' ';
  out << c.perf.max_descriptors << ' ' << c.perf.window.count() << ' ';
  out << c.perf.budget.count() << '\n';
  out << c.vm_limits.vms << ' ' << c.vm_limits.user_vms << ' ';
  out << c.vm_limits.user_threads << ' ';
  out << c.max_series << ' ' << c.name_key_file << ' ' << c.user << '\n';
  return out.str();
}

// Differs from the defaults in every setting.
Config nothing_default() {
  Config c;
  c.listen_addresses = {"127.0.0.1:1", "[::1]:2"};
  c.telemetry_path = "/m";
  c.max_requests = 7;
  c.web_config_file = "/etc/web.yml";
  c.roots = {"/p", "/s"};
  c.disable_default_collectors = true;
  c.log_level = LogLevel::kDebug;
  c.log_format = LogFormat::kJson;
  c.libvirt_enabled = false;
  c.libvirt_uri = "test:///default";
  c.ebpf_enabled = false;
  c.sched.per_vcpu = false;
  c.seccomp_enabled = false;
  c.runqueue.per_vcpu = true;
  c.runqueue.culprits = false;
  c.perf = {{"branches", "PERF_COUNT_HW_CPU_CYCLES:u"},
            9,
            std::chrono::minutes(1),
            std::chrono::milliseconds(50)};
  c.numa.maps = true;
  c.block.paths = true;
  c.kvm.per_vcpu = true;
  c.metadata.labels = {{"team", "{http://a.b/c}vm/team"}};
  c.max_series = 5;
  c.vm_limits = {7, 3, 20};
  c.name_key_file = "/etc/names.key";
  c.user = "someone";
  return c;
}

constexpr const char* kNothingDefaultYaml = R"(
web:
  listen_addresses: ["127.0.0.1:1", "[::1]:2"]
  telemetry_path: /m
  max_requests: 7
  config_file: /etc/web.yml
collectors: {disable_defaults: true}
path: {procfs: /p, sysfs: /s}
log: {level: debug, format: json}
libvirt:
  enabled: false
  uri: test:///default
ebpf: {enabled: false}
sched: {per_vcpu: false}
seccomp: {enabled: false}
runqueue: {per_vcpu: true, culprits: false}
perf:
  events: [branches, "PERF_COUNT_HW_CPU_CYCLES:u"]
  max_descriptors: 9
  window: 1m
  budget: 50ms
numa: {maps: true}
block: {paths: true}
kvm: {per_vcpu: true}
metadata: {labels: ["team={http://a.b/c}vm/team"]}
limit: {series: 5, vms: 7, user_vms: 3, user_threads: 20}
privacy: {name_key_file: /etc/names.key}
user: someone
)";

std::string file_text(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

class ScratchFile {
 public:
  explicit ScratchFile(const std::string& text) {
    std::ofstream(path_) << text;
  }
  ScratchFile(const ScratchFile&) = delete;
  ScratchFile& operator=(const ScratchFile&) = delete;
  ~ScratchFile() { std::remove(path_.c_str()); }
  const std::string& path() const { return path_; }

 private:
  std::string path_ =
      testing::TempDir() + "config_test." + std::to_string(::getpid()) + ".yml";
};

TEST(Config, EmptyFileIsTheBase) {
  for (const char* yaml : {"", "# only a comment\n", "---\n", "---\n...\n",
                           "~\n", "{}\n", "web:\n# all commented out\n"}) {
    EXPECT_EQ(shown(good(yaml)), shown(Config{})) << yaml;
    EXPECT_EQ(shown(good(yaml, nothing_default())), shown(nothing_default()));
  }
}

TEST(Config, EveryKeyIsTaken) {
  EXPECT_EQ(shown(good(kNothingDefaultYaml)), shown(nothing_default()));
}

TEST(Config, EverySettingHasAKeyInTheTestAbove) {
  for (const Setting& setting : settings()) {
    EXPECT_THAT(kNothingDefaultYaml, HasSubstr(std::string(setting.key) + ":"));
  }
}

TEST(Config, ExampleNamesEveryKeyAndSaysTheDefaults) {
  const std::string example =
      file_text(std::string(VCPU_SOURCE_DIR) + "/deploy/config.example.yml");
  ASSERT_FALSE(example.empty());
  EXPECT_EQ(shown(good(example, nothing_default())), shown(Config{}));
}

TEST(Config, ExampleNamesEveryFlag) {
  const std::string example =
      file_text(std::string(VCPU_SOURCE_DIR) + "/deploy/config.example.yml");
  for (const Setting& setting : settings()) {
    EXPECT_THAT(example, HasSubstr("# --" + std::string(setting.flag)));
  }
}

TEST(Config, OwnLabelsOfMetadataAreCheckedAndCapped) {
  const auto refusal = [](const std::string& labels) {
    const auto parsed =
        parse_config("metadata: {labels: [" + labels + "]}", "f.yml", {}, {});
    const auto* const error = std::get_if<ConfigError>(&parsed);
    return error == nullptr ? "" : error->message;
  };
  EXPECT_EQ(refusal("'a_1=k', 'b=title'"), "");
  for (const char* bad : {"a", "a=", "=k", "A=k", "1a=k", "a-b=k"})
    EXPECT_THAT(refusal(std::string("'") + bad + "'"),
                HasSubstr("is no label of metadata"));
  for (const char* taken : {"domain", "namespace", "title", "openstack_x"})
    EXPECT_THAT(refusal(std::string("'") + taken + "=k'"),
                HasSubstr("meaning of its own"));
  EXPECT_THAT(refusal("'a=k', 'a=l'"), HasSubstr("there twice"));
  std::string many;
  for (int i = 0; i < 17; ++i)
    many += (i == 0 ? "'a" : ", 'a") + std::to_string(i) + "=k'";
  EXPECT_THAT(refusal(many), HasSubstr("more than 16"));
}

TEST(Config, CollectorsAreSwitchedOneByOne) {
  Config base;
  base.collectors = {{"sched", false}, {"numa", true}};
  const Config config = good("collectors: {sched: true, threads: false}", base);
  EXPECT_TRUE(config.collectors.at("sched"));
  EXPECT_FALSE(config.collectors.at("threads"));
  EXPECT_TRUE(config.collectors.at("numa"));
}

TEST(Config, CollectorEnabled) {
  Config config;
  EXPECT_TRUE(collector_enabled(config, "sched", true));
  EXPECT_FALSE(collector_enabled(config, "numa", false));
  config.collectors = {{"sched", false}, {"numa", true}};
  EXPECT_FALSE(collector_enabled(config, "sched", true));
  EXPECT_TRUE(collector_enabled(config, "numa", false));
  config.disable_default_collectors = true;
  EXPECT_FALSE(collector_enabled(config, "threads", true));
  EXPECT_TRUE(collector_enabled(config, "numa", true));
}

TEST(Config, ListReplacesTheOneInTheBase) {
  EXPECT_THAT(
      good("web: {listen_addresses: [':1', 'a-b.c_d:2']}", nothing_default())
          .listen_addresses,
      ElementsAre(":1", "a-b.c_d:2"));
}

TEST(Config, GoodListenAddresses) {
  for (const char* address : {":9752", "127.0.0.1:0", "localhost:9752",
                              "[::1]:9752", "[fe80::1]:65535"}) {
    EXPECT_THAT(
        good("web: {listen_addresses: ['" + std::string(address) + "']}")
            .listen_addresses,
        ElementsAre(address));
  }
}

TEST(Config, BadListenAddresses) {
  for (const char* address :
       {"", "9752", "localhost", "localhost:", ":65536", ":-1", ":+1", ":1x",
        "::1:9752", "[::1:9752", "[]:1", "[x]:1", "[1.2.3.4]:1", "a b:1",
        "http://x:1", "a/b:1", "vsock://:1", ":99999999999999999999"}) {
    EXPECT_THAT(
        refusal("\nweb: {listen_addresses: ['" + std::string(address) + "']}"),
        StartsWith("c.yml:2: web.listen_addresses: \"" + std::string(address) +
                   "\" "))
        << address;
  }
  EXPECT_THAT(refusal("web: {listen_addresses: []}"), HasSubstr("is empty"));
  EXPECT_THAT(refusal("web: {listen_addresses: [':1', ':1']}"),
              HasSubstr("\":1\" is there twice"));
}

TEST(Config, BadTelemetryPaths) {
  for (const char* path : {"", "/", "metrics", "/-/ready", "/-/", "/a b",
                           "/a?b", "/a#b", "/a%20b", "/\xc3\xa4"}) {
    EXPECT_THAT(refusal("web: {telemetry_path: '" + std::string(path) + "'}"),
                StartsWith("c.yml:1: web.telemetry_path: \""))
        << path;
  }
}

TEST(Config, BadNumbers) {
  for (const char* number : {"-1", "+1", "1.5", "1e3", "0x10", "many", "1 2",
                             "2147483648", "99999999999999999999"}) {
    EXPECT_THAT(refusal("web: {max_requests: " + std::string(number) + "}"),
                HasSubstr("is not a whole number from 0 to 2147483647"))
        << number;
  }
  EXPECT_EQ(good("web: {max_requests: 0}").max_requests, 0);
  EXPECT_THAT(refusal("limit: {series: 0}"), HasSubstr("from 1 to"));
  EXPECT_EQ(good("limit: {series: 9223372036854775807}").max_series,
            9223372036854775807);
}

TEST(Config, Durations) {
  for (const auto& [text, ms] : std::map<std::string, int>{
           {"1ms", 1}, {"250ms", 250}, {"10s", 10'000}, {"60m", 3'600'000}}) {
    EXPECT_EQ(good("perf: {window: " + text + "}").perf.window.count(), ms);
  }
  for (const char* text : {"", "10", "s", "0s", "-1s", "1.5s", "1 s", "10 ms",
                           "1h", "61m", "99999999999s", "10sec"}) {
    EXPECT_THAT(refusal("perf: {budget: '" + std::string(text) + "'}"),
                HasSubstr("is not a time from 1ms to 1h; write a whole number "
                          "with ms, s or m, for example 5ms"))
        << text;
  }
}

TEST(Config, PerfEventsAreOfTheseNames) {
  EXPECT_THAT(good("perf: {events: [page-faults, node_loads]}").perf.events,
              ElementsAre("page-faults", "node_loads"));
  EXPECT_EQ(refusal("perf: {events: []}"),
            "c.yml:1: perf.events: is empty; list at least one event, for "
            "example \"cycles\"");
  EXPECT_EQ(refusal("perf:\n  events: [cycles, CYCLES]"),
            "c.yml:2: perf.events: \"CYCLES\" is there twice; remove one");
  EXPECT_THAT(refusal("perf: {events: [\"a\\nb\"]}"),
              HasSubstr("is not the name of an event"));
  EXPECT_THAT(refusal("perf: {events: cycles}"),
              HasSubstr("perf.events is a single value; write a list, [NAME, "
                        "...]"));
}

TEST(Config, AnEventThatNoCpuHasIsAMistake) {
  if (event_name_problem("cylces").empty())
    GTEST_SKIP() << "only libpfm4 knows which events there are";
  EXPECT_EQ(refusal("perf:\n  events: [cylces]"),
            "c.yml:2: perf.events: \"cylces\" is no event that libpfm4 knows "
            "(did you mean \"cycles\"?); write a name of README.md, or one "
            "that papi_native_avail (package papi-tools) lists");
}

struct Refused {
  const char* yaml;
  const char* message;
};

// What it says, to the letter: this is what somebody reads at 3 a.m.
TEST(Config, SaysWhatIsWrongWhereAndWhatToDo) {
  const std::vector<Refused> refused{
      {"web:\n  telemetry_pth: /m\n",
       "c.yml:2: unknown key \"web.telemetry_pth\" (did you mean "
       "\"telemetry_path\"?); correct or remove it"},
      {"\n\nwebb: 1\n",
       "c.yml:3: unknown key \"webb\" (did you mean \"web\"?); correct or "
       "remove it"},
      {"collectors:\n  numma: true\n",
       "c.yml:2: unknown key \"collectors.numma\" (did you mean \"numa\"?); "
       "correct or remove it"},
      {"something_else: 1",
       "c.yml:1: unknown key \"something_else\"; correct or remove it"},
      {"'': 1", "c.yml:1: unknown key \"\"; correct or remove it"},
      {"<<: {}", "c.yml:1: unknown key \"<<\"; correct or remove it"},
      {"log:\n  level: loud",
       "c.yml:2: log.level: \"loud\" is not a log level; write debug, info, "
       "warn or error"},
      {"log:\n  format: xml",
       "c.yml:2: log.format: \"xml\" is not a log format; write logfmt or "
       "json"},
      {"web:\n  listen_addresses: ':1'",
       "c.yml:2: web.listen_addresses is a text in quotes; write a list, "
       "[HOST:PORT, ...]"},
      {"web:\n  listen_addresses:\n    - ':1'\n    - {a: b}\n",
       "c.yml:4: an item of web.listen_addresses is a mapping; write a single "
       "value"},
      {"web:\n  max_requests: \"40\"",
       "c.yml:2: web.max_requests is a text in quotes; remove the quotes"},
      {"web:\n  max_requests: [40]",
       "c.yml:2: web.max_requests is a list; write a single value"},
      {"web:\n  max_requests:\n",
       "c.yml:2: web.max_requests has no value; write one or remove the key"},
      {"libvirt:\n  enabled: yes",
       "c.yml:2: libvirt.enabled: \"yes\" is not a switch; write true or "
       "false"},
      {"collectors:\n  sched: 1",
       "c.yml:2: collectors.sched: \"1\" is not a switch; write true or false"},
      {"collectors:\n  sched: {}",
       "c.yml:2: collectors.sched is a mapping; write a single value"},
      {"- a", "c.yml:1: the file is a list; write NAME: VALUE lines"},
      {"hello", "c.yml:1: the file is a single value; write NAME: VALUE lines"},
      {"web: 3", "c.yml:1: web is a single value; write NAME: VALUE lines"},
      {"user: {}", "c.yml:1: user is a mapping; write a single value"},
      {"path:\n  procfs: ''",
       "c.yml:2: path.procfs: is empty; write for example /proc, or leave it "
       "out"},
      {"user: \"a\\nb\"",
       "c.yml:1: user: \"a\\x0ab\" contains a control character; remove it"},
      {"user: a\nweb:\nuser: b\n",
       "c.yml:3: key \"user\" is there twice; remove one"},
      {"web: {max_requests: 1, max_requests: 2}",
       "c.yml:1: key \"max_requests\" is there twice; remove one"},
      {"user: &x a\n",
       "c.yml:1: anchor \"&x\" is not accepted; write the value where it is "
       "needed, in quotes if it begins with &"},
      {"user: !!str a\n",
       "c.yml:1: tag \"tag:yaml.org,2002:str\" is not accepted; remove it"},
      {"user: a\n---\nuser: b\n",
       "c.yml:2: a second document starts here; leave only one"},
      {"[a, b]: c", "c.yml:1: a key must be a plain name; write NAME: VALUE"},
      {"~: c", "c.yml:1: a key is missing; write NAME: VALUE"},
      {"user: \"a\nweb: {}\n",
       "c.yml:3: not valid YAML: illegal EOF in scalar; look at the quotes "
       "and the indentation up to there"},
      {"user: 'a",
       "c.yml:2: not valid YAML: illegal EOF in scalar; look at the quotes "
       "and the indentation up to there"},
      {"user: \"a\\\r\"",
       "c.yml:1: not valid YAML: unknown escape character: ; look at the "
       "quotes and the indentation up to there"},
      {"user: \"\\\xc3\xa9\"",
       "c.yml:1: not valid YAML: unknown escape character: \xEF\xBF\xBD; look "
       "at the quotes and the indentation up to there"},
      {"web:\n  a: b\n c: d\n",
       "c.yml:3: not valid YAML: end of map not found; look at the quotes and "
       "the indentation up to there"},
      {"web: {listen_addresses: [[':1']]}",
       "c.yml:1: an item of web.listen_addresses is a list; write a single "
       "value"},
      {"a: b\nc: \xff\n", "c.yml:2: not valid UTF-8; save the file as UTF-8"},
      {"a: b\n\x04: d\n", "c.yml:2: control character \"\\x04\"; remove it"},
  };
  for (const auto& [yaml, message] : refused) {
    EXPECT_EQ(refusal(yaml), message) << yaml;
  }
}

TEST(Config, AliasesAreRefused) {
  EXPECT_THAT(refusal("user: *x\n"), StartsWith("c.yml:1: "));
  EXPECT_THAT(refusal("user: &x a\nlibvirt: *x\n"), HasSubstr("anchor"));
}

TEST(Config, WhatIsLeftOutAtTheEndIsInTheLastLine) {
  const std::string yaml = "web:\n  listen_addresses:\n    -";
  EXPECT_THAT(refusal(yaml), StartsWith("c.yml:3: "));
  EXPECT_THAT(refusal(yaml + "\n"), StartsWith("c.yml:3: "));
}

TEST(Config, NoMessageHasASecondLine) {
  EXPECT_EQ(refusal("\"a\\nb: c\": 1").find('\n'), std::string::npos);
  EXPECT_LT(refusal("\"" + std::string(1000, 'x') + "\": 1").size(), 300U);
}

template <typename Function>
std::chrono::milliseconds time_of(Function function) {
  const auto start = std::chrono::steady_clock::now();
  function();
  return std::chrono::duration_cast<std::chrono::milliseconds>(
      std::chrono::steady_clock::now() - start);
}

std::string repeated(std::string_view text, std::size_t bytes) {
  std::string out;
  while (out.size() + text.size() <= bytes) out += text;
  return out;
}

TEST(Config, BombsAreAnsweredQuickly) {
  std::string aliases = "a: &a [x,x,x,x,x,x,x,x,x]\n";
  for (char c = 'b'; c < 'k'; ++c) {
    const std::string before = std::string("*") + static_cast<char>(c - 1);
    aliases += std::string(1, c) + ": &" + c + " [" + before + "," + before +
               "," + before + "," + before + "," + before + "]\n";
  }
  const std::size_t most = kMaxConfigBytes;
  const std::vector<std::string> bombs{
      aliases,
      repeated("[", most),
      repeated("{", most),
      repeated("{a: ", most),
      repeated("- ", most),
      repeated("? ", most),
      repeated("a: {b: [", most),
      "a: [" + repeated("1,", most - 5) + "]",
      "a: '" + repeated("x\n ", most - 8) + "'",
      "a: |\n" + repeated(" x\n", most - 8),
      "a: >\n" + repeated(" x\n\n", most - 8),
      "a: \"" + repeated("\\\n", most - 8) + "\"",
      repeated("a b ", most),
      repeated("!", most),
      repeated("'' ", most),
      repeated("%x\n", most),
      repeated("--- \n", most),
      repeated("\n", most),
      repeated("#", most),
      repeated("\t", most),
  };
  for (const std::string& bomb : bombs) {
    std::string message;
    const auto taken = time_of([&] { message = refusal(bomb); });
    EXPECT_LT(taken, std::chrono::seconds(5)) << bomb.substr(0, 40);
    EXPECT_LT(message.size(), 400U);
  }
}

TEST(Config, DeepNestingIsRefused) {
  EXPECT_EQ(refusal(repeated("- ", 40)),
            "c.yml:1: nested more than 16 levels deep; no setting is that "
            "deep");
}

TEST(Config, OverOneMegabyteIsRefused) {
  EXPECT_EQ(shown(good(std::string(kMaxConfigBytes, '\n'))), shown(Config{}));
  const std::string larger(kMaxConfigBytes + 1, '\n');
  const std::string message =
      "larger than 1048576 bytes; is this the right file?";
  EXPECT_EQ(refusal(larger), "c.yml: " + message);
  const ScratchFile file(larger);
  EXPECT_EQ(std::get<ConfigError>(load_config(file.path(), {}, {})).message,
            file.path() + ": " + message);
}

// Bytes that are wrong anywhere: an error or not, but never a crash. The seed
// is fixed, so what fails once fails again.
TEST(Config, SurvivesDamagedFiles) {
  const std::string whole = kNothingDefaultYaml;
  const std::string_view marks = "{}[]:,'\"&*!|>%@`#-?\n\t \\\x04\xff~<";
  std::mt19937 random(20260102);
  for (int round = 0; round < 2000; ++round) {
    std::string damaged = whole;
    for (int edits = 0; edits < 3; ++edits) {
      damaged[random() % damaged.size()] = marks[random() % marks.size()];
    }
    damaged.resize(damaged.size() - random() % 40);
    EXPECT_THAT(refusal(damaged), testing::Not(HasSubstr("\n")));
  }
}

TEST(LoadConfig, ReadsAFile) {
  const ScratchFile file(kNothingDefaultYaml);
  EXPECT_EQ(shown(std::get<Config>(load_config(file.path(), {}, kCollectors))),
            shown(nothing_default()));
}

TEST(LoadConfig, RelativeWebConfigAndKeyAreBesideTheFile) {
  const ScratchFile file(
      "web: {config_file: web.yml}\nprivacy: {name_key_file: names.key}");
  const auto result = load_config(file.path(), {}, kCollectors);
  EXPECT_EQ(std::get<Config>(result).web_config_file,
            testing::TempDir() + "web.yml");
  EXPECT_EQ(std::get<Config>(result).name_key_file,
            testing::TempDir() + "names.key");
}

TEST(LoadConfig, SaysWhyAFileCannotBeRead) {
  const auto message = [](const std::string& path) {
    const auto result = load_config(path, {}, {});
    const auto* error = std::get_if<ConfigError>(&result);
    return error == nullptr ? "accepted" : error->message;
  };
  EXPECT_EQ(message("/does/not/exist.yml"),
            "cannot read \"/does/not/exist.yml\": No such file or directory");
  EXPECT_EQ(message("/"),
            "cannot read \"/\": not a regular file; name a YAML file");
  EXPECT_EQ(message(""), "cannot read \"\": No such file or directory");
  const std::string fifo = testing::TempDir() + "config_test." +
                           std::to_string(::getpid()) + ".fifo";
  ASSERT_EQ(mkfifo(fifo.c_str(), 0600), 0);
  EXPECT_THAT(message(fifo), HasSubstr("not a regular file"));
  std::remove(fifo.c_str());
}

}  // namespace
}  // namespace vcpu
