// SPDX-License-Identifier: Apache-2.0
#include "exporter/privileges.h"

#include <cap-ng.h>
#include <gmock/gmock.h>
#include <grp.h>
#include <gtest/gtest.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <functional>
#include <iterator>
#include <map>
#include <sstream>

namespace vcpu {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

constexpr const char* kNone = "0000000000000000";
constexpr const char* kPerfmonAlone = "0000004000000000";
const std::vector<Capability> kKeep{CAP_PERFMON};

// Runs in a process of its own, as there is no way back, and says what it
// returned.
std::string in_child(const std::function<std::string()>& function) {
  std::array<int, 2> ends{};
  EXPECT_EQ(::pipe(ends.data()), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    const std::string text = function();
    const ssize_t written = ::write(ends[1], text.data(), text.size());
    ::_exit(written == static_cast<ssize_t>(text.size()) ? 0 : 1);
  }
  ::close(ends[1]);
  std::string text;
  std::array<char, 4096> buffer{};
  for (ssize_t got = 1; got > 0;) {
    got = ::read(ends[0], buffer.data(), buffer.size());
    if (got > 0) text.append(buffer.data(), static_cast<std::size_t>(got));
  }
  ::close(ends[0]);
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
  return text;
}

std::string own_status() {
  std::ifstream file("/proc/self/status");
  return {std::istreambuf_iterator<char>(file), {}};
}

// /proc/self/status by its names, without the tabs around the values; what
// drop_privileges() said stands under "error", "user", "kept" and "changed".
using Status = std::map<std::string, std::string>;

Status parse_status(const std::string& text) {
  Status status;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    const std::size_t colon = line.find(':');
    if (colon == std::string::npos) continue;
    std::string value = line.substr(colon + 1);
    value.erase(0, value.find_first_not_of("\t "));
    value.erase(value.find_last_not_of("\t ") + 1);
    status[line.substr(0, colon)] = value;
  }
  return status;
}

Status dropped(
    const std::string& user, const std::function<void()>& before = [] {},
    const std::vector<Capability>& keep = {}) {
  return parse_status(in_child([&] {
    before();
    const PrivilegeResult result = drop_privileges(user, keep);
    std::string kept;
    for (const auto& name : result.kept) kept += name + " ";
    return own_status() + "error:" + result.error + "\nuser:" + result.user +
           "\nkept:" + kept + "\nuid:" + std::to_string(result.uid) +
           "\nchanged:" + (result.changed_user ? "yes" : "no") + "\n";
  }));
}

void expect_no_capabilities(const Status& status) {
  EXPECT_EQ(status.at("CapInh"), kNone);
  EXPECT_EQ(status.at("CapPrm"), kNone);
  EXPECT_EQ(status.at("CapEff"), kNone);
  EXPECT_EQ(status.at("CapAmb"), kNone);
  EXPECT_EQ(status.at("NoNewPrivs"), "1");
}

void expect_perfmon_alone(const Status& status) {
  EXPECT_EQ(status.at("error"), "");
  EXPECT_EQ(status.at("kept"), "CAP_PERFMON");
  EXPECT_EQ(status.at("CapPrm"), kPerfmonAlone);
  EXPECT_EQ(status.at("CapEff"), kPerfmonAlone);
  EXPECT_EQ(status.at("CapInh"), kNone);
  EXPECT_EQ(status.at("CapAmb"), kNone);
  EXPECT_EQ(status.at("NoNewPrivs"), "1");
}

void set_capability(capng_act_t action, int sets, unsigned capability) {
  capng_get_caps_process();
  capng_update(action, static_cast<capng_type_t>(sets), capability);
  ASSERT_EQ(capng_apply(CAPNG_SELECT_CAPS), 0);
  ASSERT_EQ(capng_apply(CAPNG_SELECT_AMBIENT), 0);
}

std::string four_times(uid_t id) {
  const std::string text = std::to_string(id);
  return text + "\t" + text + "\t" + text + "\t" + text;
}

class AsRoot : public testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "only root has rights to give up";
    if (own_status().find("CapEff:\t0000000000000000") != std::string::npos) {
      GTEST_SKIP() << "this root has no capabilities";
    }
    if (::getpwnam("nobody") == nullptr) GTEST_SKIP() << "no user nobody";
  }
};

TEST_F(AsRoot, BecomesTheUserThatIsNamed) {
  const passwd* daemon = ::getpwnam("daemon");
  if (daemon == nullptr) GTEST_SKIP() << "no user daemon";
  const Status status = dropped("daemon");
  EXPECT_EQ(status.at("error"), "");
  EXPECT_EQ(status.at("user"), "daemon");
  EXPECT_EQ(status.at("uid"), std::to_string(daemon->pw_uid));
  EXPECT_EQ(status.at("changed"), "yes");
  EXPECT_EQ(status.at("Uid"), four_times(daemon->pw_uid));
  EXPECT_EQ(status.at("Gid"), four_times(daemon->pw_gid));
  expect_no_capabilities(status);
  EXPECT_EQ(status.at("CapBnd"), kNone);
}

TEST_F(AsRoot, WithoutANameBecomesTheServiceUserOrNobody) {
  const passwd* service = ::getpwnam(kServiceUser);
  const passwd* expected =
      service == nullptr ? ::getpwnam(kFallbackUser) : service;
  const std::string uids = four_times(expected->pw_uid);
  const Status status = dropped("");
  EXPECT_EQ(status.at("error"), "");
  EXPECT_EQ(status.at("Uid"), uids);
  expect_no_capabilities(status);
  EXPECT_EQ(status.at("CapBnd"), kNone);
}

TEST_F(AsRoot, LosesItsGroups) {
  const Status status = dropped("nobody", [] {
    const std::array<gid_t, 3> groups{0, 1, 4};
    ASSERT_EQ(::setgroups(groups.size(), groups.data()), 0);
  });
  EXPECT_EQ(status.at("error"), "");
  EXPECT_EQ(status.at("Groups"), std::to_string(::getpwnam("nobody")->pw_gid));
}

TEST_F(AsRoot, LosesInheritableAndAmbientCapabilities) {
  const auto before = [] {
    set_capability(CAPNG_ADD, CAPNG_INHERITABLE | CAPNG_AMBIENT, CAP_CHOWN);
  };
  const Status raised = parse_status(in_child([&] {
    before();
    return own_status();
  }));
  ASSERT_EQ(raised.at("CapAmb"), "0000000000000001");
  const Status status = dropped("nobody", before);
  EXPECT_EQ(status.at("error"), "");
  expect_no_capabilities(status);
}

TEST_F(AsRoot, KeepsWhatIsNamedAndNothingElse) {
  const Status status = dropped(
      "nobody",
      [] {
        set_capability(CAPNG_ADD, CAPNG_INHERITABLE | CAPNG_AMBIENT,
                       CAP_PERFMON);
      },
      kKeep);
  expect_perfmon_alone(status);
  EXPECT_EQ(status.at("CapBnd"), kNone);
  EXPECT_EQ(status.at("changed"), "yes");
  EXPECT_EQ(status.at("Uid"), four_times(::getpwnam("nobody")->pw_uid));
}

// Root in a container that was not given it.
TEST_F(AsRoot, KeepsNothingWhereThatIsNotThere) {
  const Status status = dropped(
      "nobody",
      [] {
        set_capability(CAPNG_DROP, CAPNG_EFFECTIVE | CAPNG_PERMITTED,
                       CAP_PERFMON);
      },
      kKeep);
  EXPECT_EQ(status.at("error"), "");
  EXPECT_EQ(status.at("kept"), "");
  expect_no_capabilities(status);
}

TEST_F(AsRoot, WhatItKeepsIsNotInherited) {
  const std::string text = in_child([] {
    std::string said = drop_privileges("nobody", kKeep).error;
    FILE* const child =
        ::popen("grep -E 'Cap(Prm|Eff)' /proc/self/status", "r");
    for (int c = 0; (c = std::fgetc(child)) != EOF;)
      said += static_cast<char>(c);
    ::pclose(child);
    return said;
  });
  EXPECT_EQ(text,
            std::string("CapPrm:\t") + kNone + "\nCapEff:\t" + kNone + "\n");
}

TEST_F(AsRoot, CannotComeBack) {
  const std::string text = in_child([] {
    const PrivilegeResult result = drop_privileges("nobody");
    const bool back = ::setuid(0) == 0 || ::seteuid(0) == 0;
    return result.error + (back ? "came back" : "stayed");
  });
  EXPECT_EQ(text, "stayed");
}

TEST_F(AsRoot, SecondCallFindsNothingLeft) {
  const std::string text = in_child([] {
    const PrivilegeResult first = drop_privileges("nobody");
    const PrivilegeResult second = drop_privileges("no_such_user");
    return first.error + second.error + second.user +
           (second.changed_user ? " changed" : " unchanged");
  });
  EXPECT_EQ(text, "nobody unchanged");
}

TEST_F(AsRoot, RefusesAUserThatDoesNotExist) {
  const Status status = dropped("no_such\tuser");
  EXPECT_EQ(status.at("error"),
            "user \"no_such\\x09user\" does not exist; create it or name "
            "another with --user");
  EXPECT_EQ(status.at("changed"), "no");
}

TEST_F(AsRoot, RefusesRoot) {
  EXPECT_THAT(dropped("root").at("error"), HasSubstr("is root; name one"));
}

// Root in a container that was given no rights.
TEST_F(AsRoot, SaysWhichRightIsMissing) {
  const Status no_user = dropped("nobody", [] {
    set_capability(CAPNG_DROP, CAPNG_EFFECTIVE | CAPNG_PERMITTED, CAP_SETUID);
  });
  EXPECT_THAT(no_user.at("error"),
              StartsWith("cannot become user \"nobody\":"));
  EXPECT_THAT(no_user.at("error"), HasSubstr("start with CAP_SETUID"));
  EXPECT_EQ(no_user.at("changed"), "no");
  const Status no_bounds = dropped("nobody", [] {
    set_capability(CAPNG_DROP, CAPNG_EFFECTIVE | CAPNG_PERMITTED, CAP_SETPCAP);
  });
  EXPECT_NE(no_bounds.at("error"), "");
}

void become_ordinary() {
  if (::geteuid() == 0) {
    ASSERT_EQ(::setresuid(12345, 12345, 12345), 0);
  }
}

// As the SystemCallFilter of our unit does.
void forbid_capset() {
  const auto number = static_cast<std::uint32_t>(offsetof(seccomp_data, nr));
  std::array<sock_filter, 4> filter{{
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, number),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_capset, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  }};
  const sock_fprog program{filter.size(), filter.data()};
  ASSERT_EQ(::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
  ASSERT_EQ(::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0);
}

TEST(NotRoot, NeedsNoCapsetWithoutCapabilities) {
  const Status status = dropped("", [] {
    become_ordinary();
    forbid_capset();
  });
  EXPECT_EQ(status.at("error"), "");
  expect_no_capabilities(status);
}

TEST_F(AsRoot, SaysWhenCapabilitiesCannotBeGivenUp) {
  const Status status = dropped("", [] {
    ::prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0);
    become_ordinary();
    forbid_capset();
  });
  EXPECT_EQ(status.at("error"),
            "cannot give up the capabilities: Operation not permitted");
}

TEST(NotRoot, KeepsItsUserAndLosesItsCapabilities) {
  const Status status = dropped("no_such_user", [] {
    if (::geteuid() == 0) {
      ::prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0);
      ASSERT_EQ(::setresuid(12345, 12345, 12345), 0);
      set_capability(CAPNG_ADD, CAPNG_EFFECTIVE, CAP_NET_RAW);
    }
  });
  EXPECT_EQ(status.at("error"), "");
  EXPECT_EQ(status.at("changed"), "no");
  if (::geteuid() == 0) {
    EXPECT_EQ(status.at("Uid"), four_times(12345));
    EXPECT_EQ(status.at("user"), "12345");
  }
  expect_no_capabilities(status);
}

// As systemd starts a unit that has AmbientCapabilities=.
void become_ordinary_with_ambient() {
  ::prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0);
  ASSERT_EQ(::setresuid(12345, 12345, 12345), 0);
  capng_clear(CAPNG_SELECT_CAPS);
  for (const unsigned capability : {CAP_BPF, CAP_PERFMON}) {
    const int all =
        CAPNG_EFFECTIVE | CAPNG_PERMITTED | CAPNG_INHERITABLE | CAPNG_AMBIENT;
    capng_update(CAPNG_ADD, static_cast<capng_type_t>(all), capability);
  }
  ASSERT_EQ(capng_apply(CAPNG_SELECT_CAPS), 0);
  ASSERT_EQ(capng_apply(CAPNG_SELECT_AMBIENT), 0);
  ASSERT_THAT(own_status(), HasSubstr("CapAmb:\t000000c000000000"));
}

TEST_F(AsRoot, AnOrdinaryUserGivesUpWhatIsAmbient) {
  const Status status = dropped("", become_ordinary_with_ambient);
  EXPECT_EQ(status.at("error"), "");
  expect_no_capabilities(status);
}

TEST_F(AsRoot, AnOrdinaryUserKeepsOneOfTheAmbient) {
  expect_perfmon_alone(dropped("", become_ordinary_with_ambient, kKeep));
}

TEST(NotRoot, NeedsNoCapsetWhereItHoldsButWhatItKeeps) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root has rights to keep";
  const Status status = dropped(
      "",
      [] {
        become_ordinary_with_ambient();
        capng_clear(CAPNG_SELECT_ALL);
        capng_update(
            CAPNG_ADD,
            static_cast<capng_type_t>(CAPNG_EFFECTIVE | CAPNG_PERMITTED),
            CAP_PERFMON);
        ASSERT_EQ(capng_apply(CAPNG_SELECT_CAPS), 0);
        forbid_capset();
      },
      kKeep);
  expect_perfmon_alone(status);
}

}  // namespace
}  // namespace vcpu
