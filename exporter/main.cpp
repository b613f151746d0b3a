// SPDX-License-Identifier: Apache-2.0
//
// Wires everything together; the only place that exits.
#include <fcntl.h>
#include <linux/capability.h>
#include <malloc.h>
#include <prometheus/registry.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <exception>
#include <functional>
#include <iostream>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "collectors/catalog.h"
#include "collectors/inventory/bpf_task_reader.h"
#include "collectors/inventory/inventory.h"
#include "collectors/libvirt/cache.h"
#include "collectors/libvirt/child.h"
#include "collectors/libvirt/monitor.h"
#include "exporter/asked_reload.h"
#include "exporter/http_server.h"
#include "exporter/log.h"
#include "exporter/name_hash.h"
#include "exporter/options.h"
#include "exporter/privileges.h"
#include "exporter/process_metrics.h"
#include "exporter/reload.h"
#include "exporter/scrape_service.h"
#include "exporter/seccomp_filter.h"
#include "exporter/senders.h"
#include "exporter/sparingly.h"
#include "exporter/systemd.h"
#include "exporter/version.h"
#include "exporter/web_access.h"
#include "exporter/web_config.h"
#include "exporter/web_handler.h"
#include "exporter/wording.h"

namespace vcpu {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr milliseconds kPatienceOnce{1000};  // For --once, who waits gladly.
constexpr seconds kDeadlineOnce{10};
constexpr int kClientLinesPerMinute = 10;
constexpr seconds kStuck{60};  // A scrape this long is stuck for good.

int fail(const std::string& message) {
  std::cerr << kProgramName << ": " << message << '\n';
  return 1;
}

std::vector<KnownCollector> known_collectors() {
  std::vector<KnownCollector> known;
  for (const CatalogEntry& entry : catalog()) {
    known.push_back({std::string(entry.name), entry.enabled_by_default,
                     std::string(entry.help)});
  }
  return known;
}

// Shared with the scrape, whose thread outlives us where it hangs.
struct Libvirt {
  std::shared_ptr<LibvirtCache> cache;
  std::shared_ptr<LibvirtMonitor> monitor;
};

Libvirt libvirt_of(const Config& config) {
  LibvirtCacheOptions cache;
  cache.uri = config.libvirt_uri;
  LibvirtMonitorOptions monitor;
  monitor.uri = config.libvirt_uri;
  monitor.proc = config.roots.proc;
  monitor.log = [](const std::string& line) {
    log(LogLevel::kWarn, "libvirt monitor", {{"news", line}});
  };
  return {std::make_shared<LibvirtCache>(std::move(cache)),
          std::make_shared<LibvirtMonitor>(std::move(monitor))};
}

// Why there is no filter of system calls, empty where it holds: known only
// after the scrape has been made, and everything opened.
using SeccompReason = std::shared_ptr<std::string>;

Scrape make_scrape(const Config& config, const Libvirt& libvirt,
                   const ShownName& shown_name, const SeccompReason& seccomp,
                   milliseconds patience) {
  const auto tasks =
      BpfTaskReader::open_program(config.roots, config.ebpf_enabled);
  auto inventory = std::make_shared<Inventory>(
      config.roots, std::make_unique<BpfTaskReader>(config.roots, tasks),
      CommandLines(config.roots),
      [cache = libvirt.cache] { return cache->view(); }, patience,
      config.vm_limits, shown_name);
  std::vector<std::unique_ptr<Collector>> collectors;
  const CollectorOptions options{config.roots,    config.ebpf_enabled,
                                 config.runqueue, config.perf,
                                 config.numa,     config.block,
                                 config.kvm,      config.metadata,
                                 libvirt.monitor, tasks ? *tasks : nullptr,
                                 config.sched,    shown_name};
  for (const CatalogEntry& entry : catalog())
    collectors.push_back(entry.make(options));
  return {[inventory, seccomp](Families& said) {
            said.source("seccomp", *seccomp);
            return inventory->take(said);
          },
          std::move(collectors)};
}

ScrapeService::Options service_options(const Config& config) {
  ScrapeService::Options options;
  for (const CatalogEntry& entry : catalog())
    options.known.emplace_back(entry.name);
  options.enabled = enabled_collectors(config);
  options.max_series = config.max_series;
  options.about_ourselves = add_process_metrics;
  options.on_change = [](const std::string& line, bool failure) {
    log(failure ? LogLevel::kWarn : LogLevel::kInfo, line);
  };
  return options;
}

std::shared_ptr<prometheus::Registry> make_registry() {
  auto registry = std::make_shared<prometheus::Registry>();
  prometheus::BuildGauge()
      .Name("vcpu_exporter_build_info")
      .Help("Which build of the exporter this is, always 1; from the build.")
      .Register(*registry)
      .Add({{"version", std::string(version())},
            {"revision", std::string(revision())}})
      .Set(1);
  return registry;
}

void start_libvirt(const Config& config, const Libvirt& libvirt) {
  if (!config.libvirt_enabled) return;
  for (const auto& started : {libvirt.cache->start(), libvirt.monitor->start()})
    if (!started)
      log(LogLevel::kError, "libvirt cannot be asked",
          {{"err", started.error().message()}});
}

struct Kept {
  std::vector<Capability> capabilities;
  std::vector<std::string> collectors;  // That need them.
};

// What the enabled collectors need for as long as they run.
Kept to_be_kept(const Config& config) {
  Kept kept;
  const auto enabled = enabled_collectors(config);
  for (const CatalogEntry& entry : catalog()) {
    if (!entry.keeps || !enabled.contains(std::string(entry.name))) continue;
    kept.capabilities.push_back(*entry.keeps);
    kept.collectors.emplace_back(entry.name);
  }
  if (config.numa.maps && enabled.contains("numa")) {
    kept.capabilities.push_back(CAP_SYS_PTRACE);
    kept.collectors.emplace_back("numa");
  }
  return kept;
}

void log_rights(const PrivilegeResult& dropped, const Kept& kept) {
  const std::string line =
      dropped.kept.empty() ? "No capability is held"
                           : joined(dropped.kept) + " is kept, for collector " +
                                 joined(kept.collectors);
  log(LogLevel::kInfo, line, {{"user", dropped.user}});
}

std::string filter_system_calls(const Config& config) {
  SeccompOptions options;
  options.enabled = config.seccomp_enabled;
  options.perf = enabled_collectors(config).contains("perf");
  return load_seccomp_filter(options);
}

int print_once(const Config& config, const ShownName& shown_name) {
  const Libvirt libvirt = libvirt_of(config);
  const auto seccomp = std::make_shared<std::string>();
  auto scrape =
      make_scrape(config, libvirt, shown_name, seccomp, kPatienceOnce);
  scrape.open(enabled_collectors(config));
  const auto dropped =
      drop_privileges(config.user, to_be_kept(config).capabilities);
  if (!dropped.error.empty()) return fail(dropped.error);
  *seccomp = filter_system_calls(config);
  start_libvirt(config, libvirt);
  ScrapeService service(std::move(scrape), service_options(config),
                        make_registry());
  const auto scrape_now = [&service] {
    return service.scrape({service.enabled_collectors(),
                           std::chrono::steady_clock::now() + kDeadlineOnce});
  };
  if (config.libvirt_enabled && libvirt.cache->wait_for_answer(seconds(3))) {
    (void)scrape_now();  // Which QEMUs are to be asked.
    libvirt.monitor->wait_until_tried(seconds(5));
  }
  const auto page = scrape_now();
  std::cout << *page->body(TextFormat::kPrometheus, false) << std::flush;
  return std::cout ? 0 : fail("cannot write to standard output");
}

// One heap for all threads: with one for each, every thread that has ever made
// a page would keep the room for one.
void share_one_heap() { ::mallopt(M_ARENA_MAX, 1); }

// What reading the kernel's types for eBPF took.
void give_back_heap() { ::malloc_trim(0); }

// Room for files that stay open, and for a full house of clients: with no
// descriptor left, civetweb spins.
void raise_descriptor_limit() {
  constexpr rlim_t kEnough = 16384;
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = std::max(limit.rlim_cur, std::min(limit.rlim_max, kEnough));
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

// Answered by wait_for_signals() alone, in every thread started from now on.
sigset_t block_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int number : {SIGHUP, SIGINT, SIGTERM})
    sigaddset(&signals, number);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  return signals;
}

// Empty, or what is wrong.
using Reload = std::function<std::string()>;

// Until it is time to stop.
void wait_for_signals(const sigset_t& signals, const Reload& reload,
                      const ScrapeService& service, const std::string& status) {
  const auto watchdog = watchdog_interval();
  const auto pause = watchdog ? *watchdog / 2 : std::chrono::hours(1);
  const auto whole = std::chrono::duration_cast<seconds>(pause);
  const timespec timeout{whole.count(),
                         std::chrono::nanoseconds(pause - whole).count()};
  while (true) {
    // A scrape that is stuck cannot be helped but by a new process.
    if (service.busy_for() < kStuck) (void)notify_watchdog();
    const int number = sigtimedwait(&signals, nullptr, &timeout);
    if (number == SIGINT || number == SIGTERM) return;
    if (number != SIGHUP) continue;
    (void)notify_reloading();
    reload();
    (void)notify_ready(status);
  }
}

HttpServerOptions server_options(const Config& config, const WebAccess& access,
                                 std::shared_ptr<Senders> senders) {
  HttpServerOptions options;
  options.listen_addresses = config.listen_addresses;
  options.tls = access.tls();
  options.senders = std::move(senders);
  options.extra_headers = [&access] { return access.headers(); };
  options.log = [](const std::string& line) {
    static Sparingly sparingly(kClientLinesPerMinute);
    const auto left_out = sparingly.next();
    if (!left_out) return;
    log(LogLevel::kWarn, "HTTP server", {{"err", line}});
    if (*left_out > 0) {
      log(LogLevel::kWarn, "HTTP server",
          {{"lines_left_out_before", std::to_string(*left_out)}});
    }
  };
  return options;
}

WebHandlerOptions handler_options(const Config& config, WebAccess& access,
                                  std::shared_ptr<Senders> senders,
                                  Reload reload,
                                  prometheus::Registry& registry) {
  WebHandlerOptions options;
  options.telemetry_path = config.telemetry_path;
  options.max_requests = config.max_requests;
  options.senders = std::move(senders);
  options.refusal = [&access](const Request& request) {
    return access.refusal(request);
  };
  options.reload = std::move(reload);
  options.version = version();
  options.registry = &registry;
  return options;
}

void log_listening(const Config& config, const WebAccess& access,
                   const std::vector<int>& ports) {
  for (std::size_t i = 0; i < ports.size(); ++i) {
    const auto& address = config.listen_addresses.at(i);
    log(LogLevel::kInfo, "Listening",
        {{"address",
          address.substr(0, address.rfind(':') + 1) + std::to_string(ports[i])},
         {"path", config.telemetry_path}});
  }
  log(LogLevel::kInfo,
      access.tls() == nullptr ? "TLS is disabled" : "TLS is enabled",
      {{"http2", "false"}});
  log(LogLevel::kInfo, access.asks_for_passwords() ? "Basic auth is enabled"
                                                   : "Basic auth is disabled");
}

int serve(const Options& options, const Config& config,
          const ShownName& shown_name) {
  share_one_heap();
  raise_descriptor_limit();
  const sigset_t signals = block_signals();
  const Libvirt libvirt = libvirt_of(config);
  const auto seccomp = std::make_shared<std::string>();
  auto scrape =
      make_scrape(config, libvirt, shown_name, seccomp, Inventory::kPatience);
  scrape.open(enabled_collectors(config));
  const auto kept = to_be_kept(config);
  const auto dropped = drop_privileges(config.user, kept.capabilities);
  if (!dropped.error.empty()) return fail(dropped.error);

  *seccomp = filter_system_calls(config);
  give_back_heap();
  const auto registry = make_registry();
  const auto opened = WebAccess::open(config.web_config_file, registry.get());
  if (const auto* error = std::get_if<ConfigError>(&opened))
    return fail(error->message);
  WebAccess& access = *std::get<std::unique_ptr<WebAccess>>(opened);
  start_libvirt(config, libvirt);
  ScrapeService service(std::move(scrape), service_options(config), registry);
  Reloader reloader(options, config, *registry, [&](const Config& changed) {
    service.set_enabled(enabled_collectors(changed));
    configure_log(changed.log_level, changed.log_format);
  });
  const auto read_again = [&](ReloadLog said) {
    const std::string problem = reloader.reload(said);
    const std::string web_problem = access.reload(said);
    return problem.empty() ? web_problem : problem;
  };
  const Reload reload = [&] { return read_again(ReloadLog::kSaid); };
  AskedReload asked_reload(
      [&] { return reloader.stamp() + '\n' + access.stamp(); }, read_again);
  const auto senders = std::make_shared<Senders>();
  WebHandler handler(service, handler_options(
                                  config, access, senders,
                                  [&] { return asked_reload(); }, *registry));
  HttpServer server(
      server_options(config, access, senders),
      [&](const Request& request) { return handler.handle(request); });
  access.watch();

  // Not before: where the port is taken, that is all there is to say.
  log(LogLevel::kInfo, "Started vcpu_exporter",
      {{"version", std::string(version())},
       {"revision", std::string(revision())}});
  log_rights(dropped, kept);
  log_listening(config, access, server.ports());
  const std::string status = "Serving " + config.telemetry_path;
  (void)notify_ready(status);
  wait_for_signals(signals, reload, service, status);
  log(LogLevel::kInfo, "Stopping");
  (void)notify_stopping();
  service.stop();
  return 0;
}

// Else the first sockets would be taken for them, and be logged into.
void fill_standard_descriptors() {
  int fd = -1;
  do {
    fd = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  } while (fd >= 0 && fd <= STDERR_FILENO);
  if (fd >= 0) ::close(fd);
}

int run(int argc, char** argv) {
  const auto parsed = parse_options(argc, argv, known_collectors());
  if (const auto* exit = std::get_if<ExitNow>(&parsed)) {
    (exit->code == 0 ? std::cout : std::cerr) << exit->text << std::flush;
    return exit->code;
  }
  const auto& options = std::get<Options>(parsed);
  const auto configured = effective_config(options);
  if (const auto* error = std::get_if<ConfigError>(&configured))
    return fail(error->message);
  const auto& config = std::get<Config>(configured);
  const auto web = load_web_config(config.web_config_file);
  if (const auto* error = std::get_if<ConfigError>(&web))
    return fail(error->message);
  // With the rights of the start: the key may be root's alone.
  const auto names = load_name_hash(config.name_key_file);
  if (const auto* error = std::get_if<ConfigError>(&names))
    return fail(error->message);
  const auto& shown_name = std::get<ShownName>(names);
  if (options.mode == RunMode::kCheckConfig) {
    const auto opened = WebAccess::open(config.web_config_file, nullptr);
    if (const auto* error = std::get_if<ConfigError>(&opened))
      return fail(error->message);
    std::cout << "The configuration is good.\n";
    return 0;
  }
  configure_log(config.log_level, config.log_format);
  if (options.mode == RunMode::kServe)
    return serve(options, config, shown_name);
  return print_once(config, shown_name);
}

}  // namespace
}  // namespace vcpu

int main(int argc, char** argv) try {
  vcpu::fill_standard_descriptors();
  // A libvirtd that is killed, or a client that hangs up, must not end us.
  std::signal(SIGPIPE, SIG_IGN);
  if (const auto child = vcpu::parse_libvirt_child(argc, argv))
    return vcpu::run_libvirt_child(child->out_fd, child->uri, child->period);
  if (const auto child = vcpu::parse_monitor_child(argc, argv))
    return vcpu::run_monitor_child(*child);
  return vcpu::run(argc, argv);
} catch (const std::exception& e) {
  std::fprintf(stderr, "vcpu_exporter: %s\n", e.what());
  return 1;
}
