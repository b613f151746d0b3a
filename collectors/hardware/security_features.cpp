// SPDX-License-Identifier: Apache-2.0
#include "collectors/hardware/security_features.h"

#include <array>
#include <map>
#include <optional>
#include <string>

#include "collectors/base/file.h"
#include "collectors/base/scan.h"
#include "collectors/kernel/cpuinfo.h"
#include "collectors/kernel/switch.h"

namespace vcpu {
namespace {

using Known = std::optional<bool>;

bool is_word_of(std::string_view text, std::string_view wanted) {
  for (auto word = take_word(text); !word.empty(); word = take_word(text))
    if (word == wanted) return true;
  return false;
}

bool asked_for_sme(const Roots& roots) {
  const auto cmdline = read_file(roots.proc + "/cmdline");
  return cmdline && is_word_of(*cmdline, "mem_encrypt=on");
}

Result<Cpuinfo> first_cpu(const Roots& roots) {
  const auto text = read_file(roots.proc + "/cpuinfo", kFirstCpuBytes);
  if (!text) return text.error();
  return parse_cpuinfo(*text);
}

class Finder {
 public:
  explicit Finder(const Roots& roots) : roots_(roots) {
    auto cpu = first_cpu(roots);
    if (!cpu && !is_gone(cpu.error()))
      features_.problems.push_back(cpu.error().message());
    if (cpu) cpu_ = *std::move(cpu);
  }

  SecurityFeatures find() {
    add_flags();
    add_kvm();
    add("memory_encryption", memory_encryption());
    const auto smt = read_switch("/devices/system/cpu/smt/active");
    add("smt", smt);
    features_.smt = smt.has_value();
    return std::move(features_);
  }

 private:
  void add(std::string_view feature, Known value) {
    if (value) features_.known.emplace_back(feature, *value);
  }

  Known read_switch(const std::string& file) {
    const auto value = read_as(roots_.sys + file, parse_switch);
    if (value) return *value;
    // A word that is new to us is no failure.
    if (value.error().code == std::errc::bad_message)
      features_.strange.push_back(file);
    else if (!is_gone(value.error()))
      features_.problems.push_back(value.error().message());
    return {};
  }

  // One of the two modules' parameters; a CPU is not both.
  Known parameter(const char* intel, const char* amd) {
    const auto of = [&](const std::string& module, const char* name) {
      return name == nullptr
                 ? Known()
                 : read_switch("/module/" + module + "/parameters/" + name);
    };
    const auto found = of("kvm_intel", intel);
    return found ? found : of("kvm_amd", amd);
  }

  bool has(std::string_view flag) const { return cpu_.flags.contains(flag); }

  void add_flags() {
    features_.flags = cpu_.x86;
    if (!cpu_.x86) return;
    add("vmx_or_svm", has("vmx") || has("svm"));
    add("smep", has("smep"));
    add("smap", has("smap"));
  }

  void add_kvm() {
    struct Parameter {
      const char* feature;
      const char* intel;
      const char* amd;
    };
    constexpr std::array<Parameter, 7> kParameters{
        {{"ept_or_npt", "ept", "npt"},
         {"apicv_or_avic", "enable_apicv", "avic"},
         {"nested", "nested", "nested"},
         {"sev", nullptr, "sev"},
         {"sev_es", nullptr, "sev_es"},
         {"sev_snp", nullptr, "sev_snp"},
         {"tdx", "tdx", nullptr}}};
    for (const auto& [feature, intel, amd] : kParameters) {
      const auto value = parameter(intel, amd);
      features_.kvm = features_.kvm || value;
      add(feature, value);
    }
  }

  Known memory_encryption() const {
    // It may be what could not be read.
    if (!cpu_.x86 || !features_.problems.empty()) return {};
    for (const auto& [feature, on] : features_.known)
      if (on && (feature.starts_with("sev") || feature == "tdx")) return true;
    if (has("sme") && asked_for_sme(roots_)) return true;
    if (has("sme") || has("sev") || has("tme")) return {};
    return false;
  }

  const Roots& roots_;
  Cpuinfo cpu_;
  SecurityFeatures features_;
};

}  // namespace

SecurityFeatures read_security_features(const Roots& roots) {
  return Finder(roots).find();
}

}  // namespace vcpu
