// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "collectors/catalog.h"
#include "tests/support/literal_snapshot.h"
#include "tests/support/machines.h"
#include "tests/support/text_of.h"

namespace vcpu {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::ElementsAre;
using testing::EndsWith;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::StartsWith;
using testing::UnorderedElementsAre;

class SecurityOf : public testing::Test {
 protected:
  void write_cpuinfo_of_amd() {
    ProcTree::write(tree_.proc("cpuinfo"), "flags\t\t: fpu svm sev sev_snp\n");
  }

  void collect(Snapshot snapshot = snapshot_of({})) {
    Families families;
    EXPECT_TRUE(security_->collect(snapshot, families));
    families_ = std::move(families);
  }

  // FEATURE=VALUE
  std::vector<std::string> features() const {
    return values("vcpu_host_security_feature{feature=\"");
  }

  std::vector<std::string> samples(const std::string& metric) const {
    auto found = samples_of(families_);
    std::erase_if(found, [&](const std::string& sample) {
      return !sample.starts_with(metric);
    });
    return found;
  }

  std::string reason(const std::string& source) const {
    return reason_of(families_, source);
  }

  ProcTree tree_;
  std::unique_ptr<Collector> security_ =
      make_security({.roots = tree_.roots()});
  Families families_;

 private:
  std::vector<std::string> values(const std::string& prefix) const {
    std::vector<std::string> found;
    for (const auto& sample : samples(prefix)) {
      const auto rest = sample.substr(prefix.size());
      found.push_back(rest.substr(0, rest.find('"')) + "=" + rest.back());
    }
    return found;
  }
};

TEST_F(SecurityOf, CountsVcpusWithACoreSchedulingCookie) {
  const auto vcpu = [](int index, std::optional<bool> scheduled) {
    auto thread = vcpu_thread("a", index, {}, 0, {0});
    thread.core_scheduled = scheduled;
    return thread;
  };
  const std::string metric = "vcpu_host_core_scheduled_vcpus";
  collect(snapshot_of({vm_of("a", {vcpu(0, true), vcpu(1, false)}),
                       vm_of("b", {vcpu(0, true), vcpu(1, std::nullopt)})}));
  EXPECT_THAT(samples(metric), ElementsAre(metric + " 2"));
  collect(snapshot_of({vm_of("a", {vcpu(0, false)})}));
  EXPECT_THAT(samples(metric), ElementsAre(metric + " 0"));
  collect(snapshot_of({vm_of("a", {vcpu(0, std::nullopt)})}));
  EXPECT_THAT(samples(metric), IsEmpty());
}

TEST_F(SecurityOf, SaysWhyThereIsNothingOfCookies) {
  auto vcpu = vcpu_thread("a", 0, {}, 0, {0});
  collect(snapshot_of({vm_of("a", {vcpu})}));
  EXPECT_THAT(reason("core_scheduling"), HasSubstr("CONFIG_SCHED_CORE"));
  vcpu.core_scheduled = false;
  collect(snapshot_of({vm_of("a", {vcpu})}));
  EXPECT_EQ(reason("core_scheduling"), "");
  // There is nobody to have one.
  collect(snapshot_of({}));
  EXPECT_EQ(reason("core_scheduling"), "-");
}

TEST_F(SecurityOf, AXeon) {
  build_xeon(tree_);
  collect();
  // Whether its TME is on nothing tells.
  EXPECT_THAT(
      features(),
      UnorderedElementsAre("vmx_or_svm=1", "smep=1", "smap=1", "ept_or_npt=1",
                           "apicv_or_avic=1", "nested=0", "smt=1"));
  EXPECT_THAT(
      samples("vcpu_host_vulnerability"),
      ElementsAre(
          R"(vcpu_host_vulnerability{name="itlb_multihit",status="mitigated"} 1)",
          R"(vcpu_host_vulnerability{name="l1tf",status="mitigated"} 1)",
          R"(vcpu_host_vulnerability{name="mds",status="mitigated"} 1)",
          R"(vcpu_host_vulnerability{name="meltdown",status="not_affected"} 1)",
          R"(vcpu_host_vulnerability{name="srbds",status="vulnerable"} 1)"));
  EXPECT_THAT(samples("vcpu_host_smt_vulnerable"),
              ElementsAre(R"(vcpu_host_smt_vulnerable{name="l1tf"} 1)",
                          R"(vcpu_host_smt_vulnerable{name="mds"} 1)"));
  for (const auto& source : families_.sources())
    EXPECT_EQ(source.missing_reason, "") << source.name;
  EXPECT_THAT(families_.problems(), IsEmpty());
}

TEST_F(SecurityOf, AnEpycWithMemoryEncryption) {
  build_epyc(tree_);
  collect();
  EXPECT_THAT(
      features(),
      UnorderedElementsAre("vmx_or_svm=1", "smep=1", "smap=1", "ept_or_npt=1",
                           "apicv_or_avic=0", "nested=1", "sev=1", "sev_es=1",
                           "sev_snp=0", "memory_encryption=1", "smt=1"));
}

TEST_F(SecurityOf, AnEpycWithoutSevIsEncryptedWhereItWasAskedFor) {
  build_epyc(tree_);
  for (const char* parameter : {"sev", "sev_es"})
    write_sys(tree_, std::string("module/kvm_amd/parameters/") + parameter,
              "N\n");
  ProcTree::write(tree_.proc("cmdline"), "quiet mem_encrypt=on\n");
  collect();
  EXPECT_THAT(features(), Contains("memory_encryption=1"));
  ProcTree::write(tree_.proc("cmdline"), "quiet xmem_encrypt=on\n");
  security_ = make_security({.roots = tree_.roots()});
  collect();
  EXPECT_THAT(features(), Not(Contains(StartsWith("memory_encryption"))));
}

// SNP is on without SEV's parameter: an exporter may be shown one file alone.
TEST_F(SecurityOf, IsEncryptedByEachOfItsKindsAlone) {
  write_cpuinfo_of_amd();
  write_sys(tree_, "module/kvm_amd/parameters/sev", "N\n");
  write_sys(tree_, "module/kvm_amd/parameters/sev_snp", "Y\n");
  collect();
  EXPECT_THAT(features(), AllOf(Contains("sev=0"), Contains("sev_snp=1"),
                                Contains("memory_encryption=1")));
}

TEST_F(SecurityOf, AXeonWithTrustDomains) {
  build_xeon(tree_);
  write_sys(tree_, "module/kvm_intel/parameters/tdx", "Y\n");
  collect();
  EXPECT_THAT(features(),
              AllOf(Contains("tdx=1"), Contains("memory_encryption=1")));
  write_sys(tree_, "module/kvm_intel/parameters/tdx", "N\n");
  security_ = make_security({.roots = tree_.roots()});
  collect();
  // Its TME may be on.
  EXPECT_THAT(features(), Contains("tdx=0"));
  EXPECT_THAT(features(), Not(Contains(StartsWith("memory_encryption"))));
}

TEST_F(SecurityOf, ADesktopWithoutKvm) {
  build_hybrid_desktop(tree_);
  collect();
  EXPECT_THAT(features(),
              UnorderedElementsAre("vmx_or_svm=1", "smep=1", "smap=1",
                                   "memory_encryption=0", "smt=1"));
  EXPECT_THAT(reason("kvm_parameters"), HasSubstr("neither kvm_intel"));
}

TEST_F(SecurityOf, AnArmBoardIsWithoutWhatX86Has) {
  build_orin(tree_);
  collect();
  EXPECT_THAT(features(), IsEmpty());
  EXPECT_THAT(
      samples("vcpu_host_vulnerability"),
      ElementsAre(
          R"(vcpu_host_vulnerability{name="meltdown",status="not_affected"} 1)",
          R"(vcpu_host_vulnerability{name="spec_store_bypass",status="mitigated"} 1)",
          R"(vcpu_host_vulnerability{name="spectre_v2",status="vulnerable"} 1)"));
  for (const char* source : {"cpu_flags", "kvm_parameters", "smt"})
    EXPECT_NE(reason(source), "") << source;
  EXPECT_EQ(reason("vulnerabilities"), "");
}

TEST_F(SecurityOf, AGuestThatCannotBeNoHost) {
  build_kvm_guest(tree_);
  collect();
  EXPECT_THAT(features(),
              UnorderedElementsAre("vmx_or_svm=0", "smep=1", "smap=1",
                                   "memory_encryption=0", "smt=0"));
  EXPECT_THAT(
      samples("vcpu_host_vulnerability"),
      ElementsAre(
          R"(vcpu_host_vulnerability{name="mds",status="vulnerable"} 1)"));
  EXPECT_THAT(samples("vcpu_host_smt_vulnerable"), IsEmpty());
  EXPECT_THAT(reason("vulnerabilities"), HasSubstr("does not know"));
}

TEST_F(SecurityOf, AKernelThatTellsNothing) {
  collect();
  EXPECT_THAT(samples_of(families_), IsEmpty());
  for (const char* source :
       {"cpu_flags", "kvm_parameters", "smt", "vulnerabilities"})
    EXPECT_THAT(reason(source), Not(testing::AnyOf("", "-"))) << source;
  EXPECT_THAT(families_.problems(), IsEmpty());
}

TEST_F(SecurityOf, GarbageIsAbsentAndHidesNothingElse) {
  build_xeon(tree_);
  write_sys(tree_, "module/kvm_intel/parameters/nested", "maybe\n");
  write_sys(tree_, "devices/system/cpu/smt/active", "\xff\n");
  write_sys(tree_, "devices/system/cpu/vulnerabilities/mds", "42\n");
  collect();
  EXPECT_THAT(features(),
              UnorderedElementsAre("vmx_or_svm=1", "smep=1", "smap=1",
                                   "ept_or_npt=1", "apicv_or_avic=1"));
  // Which one, and not that there is none.
  EXPECT_THAT(reason("kvm_parameters"),
              EndsWith("left out: /sys/module/kvm_intel/parameters/nested"));
  EXPECT_THAT(reason("smt"),
              EndsWith("left out: /sys/devices/system/cpu/smt/active"));
  EXPECT_EQ(samples("vcpu_host_vulnerability").size(), 4U);
  EXPECT_THAT(families_.problems(),
              ElementsAre(HasSubstr("/mds: cannot be understood")));
}

Thread last_on(int cpu) { return vcpu_thread("any", 0, {}, cpu, {cpu}); }

// CPUs 0 and 1 are a core, 2 and 3, 4 and 5; 6 has no sibling.
class SiblingPairs : public SecurityOf {
 protected:
  std::vector<std::string> pairs(std::vector<Vm> vms) {
    collect(snapshot_of(std::move(vms),
                        host_with({{0, 1}, {2, 3}, {4, 5}, {6}}, {})));
    return samples("vcpu_host_smt_");
  }

  static std::vector<std::string> mixed(int count) {
    return {"vcpu_host_smt_pairs 3",
            "vcpu_host_smt_mixed_pairs " + std::to_string(count)};
  }
};

TEST_F(SiblingPairs, AreMixedWhereTwoVmsRanOnTheTwo) {
  EXPECT_EQ(pairs({vm_of("a", {last_on(0), last_on(2)}),
                   vm_of("b", {last_on(1), last_on(6)})}),
            mixed(1));
  EXPECT_EQ(pairs({vm_of("a", {last_on(0), last_on(2), last_on(5)}),
                   vm_of("b", {last_on(1), last_on(3), last_on(4)})}),
            mixed(3));
}

TEST_F(SiblingPairs, AreNotMixedByOneVmOrOnOneOfThem) {
  EXPECT_EQ(pairs({}), mixed(0));
  EXPECT_EQ(pairs({vm_of("a", {last_on(0), last_on(1)})}), mixed(0));
  EXPECT_EQ(pairs({vm_of("a", {last_on(0)}), vm_of("b", {last_on(0)})}),
            mixed(0));
}

TEST_F(SiblingPairs, AreMixedWhereOneVmRanOnBothAndAnotherToo) {
  EXPECT_EQ(pairs({vm_of("a", {last_on(2), last_on(3)}),
                   vm_of("b", {last_on(2), last_on(3)})}),
            mixed(1));
  EXPECT_EQ(
      pairs({vm_of("a", {last_on(2), last_on(3)}), vm_of("b", {last_on(3)})}),
      mixed(1));
}

TEST_F(SiblingPairs, AreWithoutVcpusOfWhichTheCpuIsUnknown) {
  auto unknown = last_on(0);
  unknown.cpu.reset();
  EXPECT_EQ(pairs({vm_of("a", {unknown}), vm_of("b", {last_on(1)})}), mixed(0));
}

TEST_F(SiblingPairs, AreAbsentWithoutSmt) {
  collect(snapshot_of({}, host_with({{0}, {1}}, {})));
  EXPECT_THAT(samples("vcpu_host_smt_"), IsEmpty());
}

// This machine, whatever it is.
TEST(SecurityHere, IsToldWithoutProblems) {
  Families families;
  EXPECT_TRUE(make_security({})->collect(snapshot_of({}), families));
  EXPECT_THAT(families.problems(), IsEmpty());
  for (const char* source :
       {"cpu_flags", "kvm_parameters", "smt", "vulnerabilities"})
    EXPECT_NE(reason_of(families, source), "-") << source;
  if (reason_of(families, "vulnerabilities").empty()) {
    EXPECT_THAT(samples_of(families),
                Contains(StartsWith("vcpu_host_vulnerability")));
  }
}

}  // namespace
}  // namespace vcpu
