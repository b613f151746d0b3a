// SPDX-License-Identifier: Apache-2.0
#include "tests/support/machines.h"

#include <filesystem>
#include <utility>
#include <vector>

namespace vcpu {
namespace {

namespace fs = std::filesystem;

std::string text(int number) { return std::to_string(number) + "\n"; }

// As in sysfs, where a class holds links to its devices.
void add_device(const ProcTree& tree, const std::string& of_class,
                const std::string& name,
                const std::vector<std::pair<std::string, std::string>>& files) {
  for (const auto& [file, content] : files)
    write_sys(tree, "devices/test/" + name + "/" + file, content + "\n");
  const auto root = tree.roots().sys + "/class/" + of_class;
  fs::create_directories(root);
  fs::create_directory_symlink("../../devices/test/" + name, root + "/" + name);
}

void add_policy(const ProcTree& tree, int first, const std::string& cpus,
                int khz) {
  const auto path =
      "devices/system/cpu/cpufreq/policy" + std::to_string(first) + "/";
  write_sys(tree, path + "affected_cpus", cpus + "\n");
  write_sys(tree, path + "scaling_cur_freq", text(khz));
}

// 2400 MHz, and a little more with each core.
void add_policy_of_its_own(const ProcTree& tree, int cpu, int core) {
  constexpr int kLeastKhz = 2'400'000;
  add_policy(tree, cpu, std::to_string(cpu), kLeastKhz + core * 10'000);
}

void write_interrupts(const ProcTree& tree, const std::string& rows) {
  ProcTree::write(tree.proc("interrupts"),
                  "           CPU0       CPU1\n"
                  "  1:          9          0  IR-IO-APIC    1-edge   i8042\n" +
                      rows);
}

void write_machine_checks(const ProcTree& tree) {
  write_interrupts(tree,
                   "MCE:          0          1   Machine check exceptions\n"
                   "MCP:        212        212   Machine check polls\n");
}

void write_cpuinfo(const ProcTree& tree, const std::string& flags) {
  ProcTree::write(tree.proc("cpuinfo"),
                  "processor\t: 0\nvendor_id\t: test\nflags\t\t: " + flags +
                      "\nvmx flags\t: vnmi ept vpid\nbugs\t\t: spectre_v1\n");
}

void write_release(const ProcTree& tree, const std::string& release) {
  ProcTree::write(tree.proc("sys/kernel/osrelease"), release + "\n");
}

void write_isolation(const ProcTree& tree, const std::string& isolated,
                     const std::string& nohz_full) {
  write_sys(tree, "devices/system/cpu/isolated", isolated + "\n");
  write_sys(tree, "devices/system/cpu/nohz_full", nohz_full + "\n");
}

void write_smt(const ProcTree& tree, const std::string& active,
               const std::string& control) {
  write_sys(tree, "devices/system/cpu/smt/active", active + "\n");
  write_sys(tree, "devices/system/cpu/smt/control", control + "\n");
}

void write_vulnerabilities(
    const ProcTree& tree,
    const std::vector<std::pair<std::string, std::string>>& verdicts) {
  for (const auto& [name, verdict] : verdicts)
    write_sys(tree, "devices/system/cpu/vulnerabilities/" + name,
              verdict + "\n");
}

void write_parameters(
    const ProcTree& tree, const std::string& module,
    const std::vector<std::pair<std::string, std::string>>& parameters) {
  for (const auto& [name, value] : parameters)
    write_sys(tree, "module/" + module + "/parameters/" + name, value + "\n");
}

constexpr int kXeonCores = 32;
constexpr int kXeonCoresPerPackage = 16;

}  // namespace

void write_sys(const ProcTree& tree, const std::string& name,
               const std::string& text) {
  tree.sys_file(name, text);
}

void write_cpu_file(const ProcTree& tree, int cpu, const std::string& name,
                    const std::string& text) {
  write_sys(tree, "devices/system/cpu/cpu" + std::to_string(cpu) + "/" + name,
            text);
}

void build_xeon(ProcTree& tree) {
  tree.cpus("0-63").node(0, "0-15,32-47").node(1, "16-31,48-63");
  for (int core = 0; core < kXeonCores; ++core) {
    tree.core({core, core + kXeonCores});
    const int package = core / kXeonCoresPerPackage;
    for (const int cpu : {core, core + kXeonCores}) {
      write_cpu_file(tree, cpu, "topology/physical_package_id", text(package));
      // Both threads of a core, and all of a package, count the same.
      write_cpu_file(tree, cpu, "thermal_throttle/core_throttle_count",
                     text(core == 3 ? 7 : 1));
      write_cpu_file(tree, cpu, "thermal_throttle/package_throttle_count",
                     text(package == 0 ? 20 : 5));
      add_policy_of_its_own(tree, cpu, core);
    }
  }
  add_device(tree, "hwmon", "hwmon0", {{"name", "nvme"}, {"temp1_input", "9"}});
  add_device(tree, "hwmon", "hwmon4",
             {{"name", "coretemp"},
              {"temp1_label", "Package id 0"},
              {"temp1_input", "61000"},
              {"temp2_label", "Core 0"},
              {"temp2_input", "88000"}});
  add_device(tree, "hwmon", "hwmon3",
             {{"name", "coretemp"},
              {"temp1_label", "Package id 1"},
              {"temp1_input", "58500"}});
  write_machine_checks(tree);
  write_release(tree, "6.1.0-18-amd64");
  write_isolation(tree, "2-5", "2-5");
  write_cpuinfo(tree, "fpu vme vmx smx est tpr_shadow ept vpid smep smap tme");
  write_smt(tree, "1", "on");
  write_parameters(tree, "kvm_intel",
                   {{"ept", "Y"}, {"enable_apicv", "Y"}, {"nested", "N"}});
  write_vulnerabilities(
      tree, {{"l1tf",
              "Mitigation: PTE Inversion; VMX: conditional cache flushes, SMT "
              "vulnerable"},
             {"mds", "Mitigation: Clear CPU buffers; SMT vulnerable"},
             {"meltdown", "Not affected"},
             {"srbds", "Vulnerable: No microcode"},
             {"itlb_multihit", "KVM: Mitigation: Split huge pages"}});
}

void switch_smt_off(ProcTree& tree) {
  tree.cpus("0-31").node(0, "0-15").node(1, "16-31");
  for (int core = 0; core < kXeonCores; ++core) {
    tree.core({core});
    const auto gone = tree.roots().sys + "/devices/system/cpu/cpu" +
                      std::to_string(core + kXeonCores);
    for (const char* directory : {"/topology", "/thermal_throttle"})
      fs::remove_all(gone + directory);
    fs::remove_all(tree.roots().sys + "/devices/system/cpu/cpufreq/policy" +
                   std::to_string(core + kXeonCores));
  }
  write_smt(tree, "0", "off");
}

void build_epyc(ProcTree& tree) {
  constexpr int kCores = 64;
  constexpr int kCoresPerPackage = 32;
  constexpr int kCoresPerNode = 8;
  tree.cpus("0-127");
  for (int node = 0; node < kCores / kCoresPerNode; ++node) {
    const int first = node * kCoresPerNode;
    const auto range = [](int from) {
      return std::to_string(from) + "-" +
             std::to_string(from + kCoresPerNode - 1);
    };
    tree.node(node, range(first) + "," + range(first + kCores));
  }
  for (int core = 0; core < kCores; ++core) {
    tree.core({core, core + kCores});
    for (const int cpu : {core, core + kCores}) {
      write_cpu_file(tree, cpu, "topology/physical_package_id",
                     text(core / kCoresPerPackage));
      add_policy_of_its_own(tree, cpu, core);
    }
  }
  add_device(tree, "hwmon", "hwmon2",
             {{"name", "k10temp"},
              {"temp1_label", "Tctl"},
              {"temp1_input", "48250"},
              {"temp3_label", "Tccd1"},
              {"temp3_input", "99000"}});
  add_device(
      tree, "hwmon", "hwmon10",
      {{"name", "k10temp"}, {"temp1_label", "Tctl"}, {"temp1_input", "51375"}});
  write_machine_checks(tree);
  write_release(tree, "6.8.12-4-pve");
  write_isolation(tree, "", "(null)");
  write_cpuinfo(tree, "fpu svm npt avic smep smap sme sev sev_es sev_snp");
  write_smt(tree, "1", "on");
  write_parameters(tree, "kvm_amd",
                   {{"npt", "Y"},
                    {"avic", "N"},
                    {"nested", "1"},
                    {"sev", "Y"},
                    {"sev_es", "Y"},
                    {"sev_snp", "N"}});
  write_vulnerabilities(
      tree, {{"spec_rstack_overflow", "Mitigation: Safe RET"},
             {"retbleed",
              "Mitigation: untrained return thunk; SMT enabled with STIBP "
              "protection"}});
}

void build_hybrid_desktop(ProcTree& tree) {
  tree.cpus("0-23").node(0, "0-23");
  for (int core = 0; core < 8; ++core) tree.core({2 * core, 2 * core + 1});
  for (int cpu = 16; cpu < 24; ++cpu) tree.core({cpu});
  for (int cpu = 0; cpu < 24; ++cpu) {
    write_cpu_file(tree, cpu, "topology/physical_package_id", "0\n");
    write_cpu_file(tree, cpu, "thermal_throttle/core_throttle_count", "2\n");
    write_cpu_file(tree, cpu, "thermal_throttle/package_throttle_count", "3\n");
    add_policy(tree, cpu, std::to_string(cpu),
               cpu < 16 ? 5'000'000 : 3'000'000);
  }
  write_sys(tree, "devices/cpu_core/cpus", "0-15\n");
  write_sys(tree, "devices/cpu_atom/cpus", "16-23\n");
  // coretemp is not loaded.
  add_device(tree, "thermal", "thermal_zone0",
             {{"type", "acpitz"}, {"temp", "27800"}});
  add_device(tree, "thermal", "thermal_zone1",
             {{"type", "x86_pkg_temp"}, {"temp", "71000"}});
  write_machine_checks(tree);
  write_release(tree, "6.12.3");
  write_isolation(tree, "", "");
  write_cpuinfo(tree, "fpu vmx ept smep smap");
  write_smt(tree, "1", "on");
  write_vulnerabilities(
      tree, {{"reg_file_data_sampling", "Mitigation: Clear Register File"}});
}

void build_orin(ProcTree& tree) {
  constexpr int kCpus = 12;
  constexpr int kPerCluster = 4;
  tree.cpus("0-11").node(0, "0-11");
  for (int cpu = 0; cpu < kCpus; ++cpu) {
    tree.core({cpu});
    write_cpu_file(tree, cpu, "topology/physical_package_id",
                   text(cpu / kPerCluster));
    write_cpu_file(tree, cpu, "cpu_capacity", "1024\n");
  }
  add_policy(tree, 0, "0 1 2 3", 2'201'600);
  add_policy(tree, 4, "4 5 6 7", 729'600);
  add_policy(tree, 8, "8 9 10 11", 1'190'400);
  write_sys(tree, "firmware/devicetree/base/model", "Jetson AGX Orin");
  add_device(tree, "thermal", "thermal_zone0",
             {{"type", "CPU-therm"}, {"temp", "49593"}});
  add_device(tree, "thermal", "thermal_zone1",
             {{"type", "GPU-therm"}, {"temp", "95000"}});
  write_interrupts(tree, "IPI0:   105   99   Rescheduling interrupts\n");
  write_release(tree, "5.10.120-tegra");
  write_isolation(tree, "", "");
  ProcTree::write(tree.proc("cpuinfo"),
                  "processor\t: 0\nFeatures\t: fp asimd evtstrm aes\n"
                  "CPU implementer\t: 0x41\n");
  write_vulnerabilities(
      tree, {{"meltdown", "Not affected"},
             {"spectre_v2", "Mitigation: CSV2, but not BHB"},
             {"spec_store_bypass",
              "Mitigation: Speculative Store Bypass disabled via prctl"}});
}

void build_kvm_guest(ProcTree& tree) {
  tree.cpus("0-3").node(0, "0-3");
  for (int cpu = 0; cpu < 4; ++cpu) {
    tree.core({cpu});
    write_cpu_file(tree, cpu, "topology/physical_package_id", text(cpu));
    write_cpu_file(tree, cpu, "cpu_capacity", "1024\n");
  }
  write_interrupts(tree, "MCE:  0  0  0  0   Machine check exceptions\n");
  write_release(tree, "6.1.0-18-cloud-amd64");
  write_isolation(tree, "", "(null)");
  write_cpuinfo(tree, "fpu hypervisor smep smap");
  write_smt(tree, "0", "notsupported");
  write_vulnerabilities(
      tree,
      {{"mds",
        "Vulnerable: Clear CPU buffers attempted, no microcode; SMT Host "
        "state unknown"},
       {"gather_data_sampling", "Unknown: Dependent on hypervisor status"}});
}

}  // namespace vcpu
