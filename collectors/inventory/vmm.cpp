// SPDX-License-Identifier: Apache-2.0
#include "collectors/inventory/vmm.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "collectors/base/scan.h"

namespace vcpu {
namespace {

using Arguments = std::vector<std::string>;
using Properties = std::vector<std::pair<std::string, std::string>>;

std::string_view base_name(std::string_view path) {
  return path.substr(path.rfind('/') + 1);
}

std::string lower(std::string text) {
  for (char& c : text)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return text;
}

// QEMU's "value,key=value,...": a doubled comma is a comma of the value, and
// the first part may leave its key out, which is then `implied`.
Properties parse_properties(std::string_view text, std::string_view implied) {
  Properties properties;
  std::string part;
  const auto finish = [&] {
    const auto equals = part.find('=');
    if (equals != std::string::npos) {
      properties.emplace_back(part.substr(0, equals), part.substr(equals + 1));
    } else if (properties.empty()) {
      properties.emplace_back(implied, part);
    } else {
      properties.emplace_back(part, "");
    }
    part.clear();
  };
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == ',' && i + 1 < text.size() && text[i + 1] == ',') {
      part += ',';
      ++i;
    } else if (text[i] == ',') {
      finish();
    } else {
      part += text[i];
    }
  }
  if (!part.empty()) finish();
  return properties;
}

std::string property(const Properties& properties, std::string_view key) {
  for (const auto& [name, value] : properties)
    if (name == key) return value;
  return {};
}

// "2048", "1.5G", "2097152k": bytes, in units of 2^`shift` where none is given.
std::optional<std::uint64_t> parse_size(std::string_view text, int shift) {
  constexpr std::string_view kUnits = "BKMGTPE";
  constexpr int kShiftPerUnit = 10;
  constexpr double kMost = 0x1p60;
  const auto digits = text.substr(0, text.find_first_not_of("0123456789."));
  const auto number = parse_number<double>(digits);
  auto unit = text.substr(digits.size());
  if (!unit.empty()) {
    const auto upper = unit[0] >= 'a' ? unit[0] - 'a' + 'A' : unit[0];
    const auto found = kUnits.find(static_cast<char>(upper));
    if (unit.size() != 1 || found == std::string_view::npos)
      return std::nullopt;
    shift = static_cast<int>(found) * kShiftPerUnit;
  }
  if (!number) return std::nullopt;
  const double bytes = std::ldexp(*number, shift);
  if (bytes > kMost) return std::nullopt;
  return static_cast<std::uint64_t>(bytes);
}

// QEMU's -m; given again, it sets what it names anew.
struct QemuMemory {
  std::string size;
  std::string most;

  void set(const std::string& text) {
    const auto properties = parse_properties(text, "size");
    if (auto value = property(properties, "size"); !value.empty())
      size = std::move(value);
    if (auto value = property(properties, "maxmem"); !value.empty())
      most = std::move(value);
  }

  std::optional<std::uint64_t> bytes() const {
    constexpr int kMebibytes = 20;
    const auto now = parse_size(size, kMebibytes);
    if (!now || *now == 0) return std::nullopt;
    // What has been plugged in since is not in the command line.
    if (!most.empty() && parse_size(most, 0) != now) return std::nullopt;
    return now;
  }
};

// Every option of QEMU takes exactly one argument, but for these
// (qemu-options.hx, from 2.9 on).
bool is_qemu_flag(std::string_view option) {
  constexpr std::array<std::string_view, 53> kFlags{"S",
                                                    "alt-grab",
                                                    "async-teardown",
                                                    "audio-help",
                                                    "ctrl-grab",
                                                    "daemonize",
                                                    "enable-fips",
                                                    "enable-kvm",
                                                    "enable-hax",
                                                    "enable-sync-profile",
                                                    "full-screen",
                                                    "g3beige",
                                                    "h",
                                                    "help",
                                                    "curses",
                                                    "jitdump",
                                                    "localtime",
                                                    "mem-prealloc",
                                                    "no-acpi",
                                                    "no-fd-bootchk",
                                                    "no-frame",
                                                    "no-hpet",
                                                    "no-kvm",
                                                    "no-kvm-irqchip",
                                                    "no-kvm-pit",
                                                    "no-kvm-pit-reinjection",
                                                    "no-quit",
                                                    "no-reboot",
                                                    "no-shutdown",
                                                    "no-user-config",
                                                    "nodefaults",
                                                    "nodefconfig",
                                                    "nographic",
                                                    "old-param",
                                                    "only-migratable",
                                                    "perfmap",
                                                    "portrait",
                                                    "preconfig",
                                                    "rtc-td-hack",
                                                    "s",
                                                    "sdl",
                                                    "semihosting",
                                                    "show-cursor",
                                                    "singlestep",
                                                    "snapshot",
                                                    "tdf",
                                                    "usb",
                                                    "version",
                                                    "virtfs_synth",
                                                    "win2k-hack",
                                                    "xen-attach",
                                                    "xen-create",
                                                    "xen-domid-restrict"};
  return std::find(kFlags.begin(), kFlags.end(), option) != kFlags.end();
}

bool is_qemu(std::string_view program) {
  // A wrapper of Nix hides the program behind a dot.
  if (program.starts_with(".")) program.remove_prefix(1);
  return program.starts_with("qemu-system-") || program == "qemu-kvm" ||
         program == "kvm" || program == "qemu";
}

void set_machine(VmIdentity& vm, const std::string& text) {
  const auto properties = parse_properties(text, "type");
  if (const auto type = property(properties, "type"); !type.empty())
    vm.machine = type;
  if (const auto accel = property(properties, "accel"); !accel.empty())
    vm.accel = accel;
}

void set_option(VmIdentity& vm, std::string_view option,
                const std::string& value) {
  if (option == "name") {
    // All -name options are one: a later one may be about the threads only.
    auto guest = property(parse_properties(value, "guest"), "guest");
    if (!guest.empty()) vm.name = std::move(guest);
  } else if (option == "uuid") {
    vm.uuid = lower(value);
  } else if (option == "id") {
    vm.proxmox_vmid = value;
  } else if (option == "smbios") {
    const auto properties = parse_properties(value, "type");
    // Proxmox gives the uuid here only.
    if (vm.uuid.empty()) vm.uuid = lower(property(properties, "uuid"));
    if (property(properties, "manufacturer") == "KubeVirt") vm.kubevirt = true;
  } else if (option == "machine" || option == "M") {
    set_machine(vm, value);
  } else if (option == "accel") {
    // A second one is for where the first does not work: "kvm:tcg", again.
    if (!vm.accel.empty()) vm.accel += ':';
    vm.accel += property(parse_properties(value, "accel"), "accel");
  }
}

std::optional<VmIdentity> identify_qemu(const Arguments& argv) {
  VmIdentity vm;
  QemuMemory memory;
  for (std::size_t i = 1; i < argv.size(); ++i) {
    std::string_view option = argv[i];
    if (!option.starts_with("-") || option == "-") continue;
    option.remove_prefix(option.starts_with("--") ? 2 : 1);
    if (option == "enable-kvm") vm.accel = "kvm";
    if (is_qemu_flag(option)) continue;
    if (++i >= argv.size()) break;
    if (option == "m") memory.set(argv[i]);
    set_option(vm, option, argv[i]);
  }
  vm.memory_bytes = memory.bytes();
  if (vm.machine == "none") return std::nullopt;
  // QEMU's own default, by the name it was called by.
  if (vm.accel.empty())
    vm.accel = base_name(argv[0]).ends_with("kvm") ? "kvm" : "tcg";
  // "kvm:tcg" is a wish; the threads' names will tell what came of it.
  if (vm.accel.find(':') != std::string::npos) vm.accel.clear();
  return vm;
}

// The value of --option VALUE or --option=VALUE.
std::string long_option(const Arguments& argv, std::string_view option) {
  for (std::size_t i = 1; i < argv.size(); ++i) {
    const std::string_view argument = argv[i];
    if (argument == option && i + 1 < argv.size()) return argv[i + 1];
    if (argument.starts_with(option) && argument.size() > option.size() &&
        argument[option.size()] == '=') {
      return std::string(argument.substr(option.size() + 1));
    }
  }
  return {};
}

VmIdentity identify_firecracker(const Arguments& argv) {
  VmIdentity vm{Vmm::kFirecracker, long_option(argv, "--id"), "", "kvm", ""};
  // Firecracker's own default.
  if (vm.name.empty()) vm.name = "anonymous-instance";
  return vm;
}

// Cloud Hypervisor knows no name: the API socket's is the nearest thing. Where
// that is one name for all (Kata's clh-api.sock), its directory tells them
// apart.
std::string name_of_socket(std::string_view socket) {
  if (socket.starts_with("fd=")) return {};
  if (socket.starts_with("path=")) socket.remove_prefix(5);
  socket = socket.substr(0, socket.find(','));
  auto stem = base_name(socket);
  const auto directory = socket.substr(
      0, socket.size() > stem.size() ? socket.size() - stem.size() - 1 : 0);
  stem = stem.substr(0, stem.rfind('.'));
  constexpr std::array<std::string_view, 4> kGeneric{"clh-api", "api", "ch-api",
                                                     "cloud-hypervisor"};
  const bool generic =
      std::find(kGeneric.begin(), kGeneric.end(), stem) != kGeneric.end();
  return std::string(generic ? base_name(directory) : stem);
}

// Where zones (--memory-zone) make it up, or more can be plugged in, it is not
// told.
std::optional<std::uint64_t> cloud_hypervisor_memory(const std::string& text) {
  const auto properties = parse_properties(text, "size");
  const auto size = parse_size(property(properties, "size"), 0);
  if (!size || *size == 0) return std::nullopt;
  const auto pluggable = property(properties, "hotplug_size");
  if (!pluggable.empty() && parse_size(pluggable, 0) != 0U) return std::nullopt;
  return size;
}

VmIdentity identify_cloud_hypervisor(const Arguments& argv) {
  const auto platform =
      parse_properties(long_option(argv, "--platform"), "num_pci_segments");
  return {Vmm::kCloudHypervisor,
          name_of_socket(long_option(argv, "--api-socket")),
          lower(property(platform, "uuid")),
          "kvm",
          "",
          cloud_hypervisor_memory(long_option(argv, "--memory"))};
}

}  // namespace

std::string_view to_string(Vmm vmm) {
  switch (vmm) {
    case Vmm::kFirecracker:
      return "firecracker";
    case Vmm::kCloudHypervisor:
      return "cloud-hypervisor";
    case Vmm::kQemu:
      break;
  }
  return "qemu";
}

std::optional<VmIdentity> identify_vmm(const Arguments& argv) {
  if (argv.empty()) return std::nullopt;
  const auto program = base_name(argv[0]);
  if (is_qemu(program)) return identify_qemu(argv);
  // A release's binary is firecracker-v1.7.0-x86_64; firecracker-containerd
  // and firecracker-ctr are none.
  if (program.starts_with("firecracker") &&
      !program.starts_with("firecracker-c")) {
    return identify_firecracker(argv);
  }
  if (program.starts_with("cloud-hypervisor"))
    return identify_cloud_hypervisor(argv);
  return std::nullopt;
}

Arguments split_command_line(std::string_view text) {
  Arguments argv;
  while (!text.empty()) {
    const auto end = text.find('\0');
    argv.emplace_back(text.substr(0, end));
    if (end == std::string_view::npos) break;
    text.remove_prefix(end + 1);
  }
  return argv;
}

}  // namespace vcpu
