// SPDX-License-Identifier: Apache-2.0
#include "collectors/libvirt/monitor_figures.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace vcpu {
namespace {

using Fields = std::vector<MonitorField>;

MonitorField number(const std::string& name, std::uint64_t value) {
  return {name, value};
}
MonitorField text(const std::string& name, const std::string& value) {
  return {name, value};
}

// As libvirt 9.0 told it of a guest under TCG with one disk.
Fields recorded() {
  return {number("vcpu.current", 1),
          number("vcpu.maximum", 1),
          number("vcpu.0.state", 1),
          number("vcpu.0.time", 17830000000),
          number("vcpu.0.wait", 0),
          number("vcpu.0.delay", 21615389),
          number("block.count", 1),
          text("block.0.name", "sda"),
          text("block.0.path", "/images/disk.img"),
          number("block.0.backingIndex", 1),
          number("block.0.rd.reqs", 2),
          number("block.0.rd.bytes", 4608),
          number("block.0.rd.times", 1386896),
          number("block.0.wr.reqs", 14163),
          number("block.0.wr.bytes", 58011648),
          number("block.0.wr.times", 3121214359),
          number("block.0.fl.reqs", 3),
          number("block.0.fl.times", 77),
          number("block.0.allocation", 36864),
          number("block.0.capacity", 4194304),
          number("block.0.physical", 4198400)};
}

MonitorFigures disk(const std::string& name, std::uint64_t reads) {
  return parse_monitor_fields(
      {text("block.0.name", name), number("block.0.rd.reqs", reads)});
}

MonitorFigures exits(const std::vector<std::uint64_t>& of_vcpus) {
  Fields fields;
  for (std::size_t i = 0; i < of_vcpus.size(); ++i)
    fields.push_back(
        number("vcpu." + std::to_string(i) + ".exits.sum", of_vcpus[i]));
  return parse_monitor_fields(fields);
}

TEST(MonitorFigures, OfADiskAreReadFromLibvirtsFields) {
  const auto figures = parse_monitor_fields(recorded());
  EXPECT_TRUE(figures.asked_qemu);
  EXPECT_TRUE(figures.vcpus.empty());
  ASSERT_EQ(figures.devices.size(), 1U);
  const BlockDevice& sda = figures.devices[0];
  EXPECT_EQ(sda.name, "sda");
  EXPECT_EQ(sda.path, "/images/disk.img");
  EXPECT_EQ(sda.read.requests, 2U);
  EXPECT_EQ(sda.read.bytes, 4608U);
  EXPECT_EQ(sda.read.ns, 1386896U);
  EXPECT_EQ(sda.write.requests, 14163U);
  EXPECT_EQ(sda.write.bytes, 58011648U);
  EXPECT_EQ(sda.write.ns, 3121214359U);
  EXPECT_EQ(sda.flush.requests, 3U);
  EXPECT_FALSE(sda.flush.bytes);
  EXPECT_EQ(sda.flush.ns, 77U);
}

// With NOWAIT, of a VM that has another job, libvirt tells no counts.
TEST(MonitorFigures, OfABusyVmAreNotThoseOfItsQemu) {
  Fields fields = recorded();
  std::erase_if(fields, [](const MonitorField& field) {
    return field.name.find(".rd.") != std::string::npos ||
           field.name.find(".wr.") != std::string::npos ||
           field.name.find(".fl.") != std::string::npos;
  });
  EXPECT_FALSE(parse_monitor_fields(fields).asked_qemu);
}

TEST(MonitorFigures, OfAVmWithoutDisksAreAnAnswerToo) {
  EXPECT_TRUE(parse_monitor_fields(
                  {number("block.count", 0), number("vcpu.current", 1)})
                  .asked_qemu);
}

TEST(MonitorFigures, OfKvmAreTheSumsByTheirNames) {
  const auto figures = parse_monitor_fields(
      {number("vcpu.0.exits.sum", 74291), number("vcpu.0.halt_wait_ns.sum", 5),
       number("vcpu.0.guest_mode.cur", 1), number("vcpu.0.exits.max", 9),
       number("vcpu.0.directed_yield_successful.sum", 3),
       number("vcpu.11.exits.sum", 1), number("vcpu.0.unheard_of.sum", 7),
       number("vcpu.2.unheard_of.sum", 7)});
  ASSERT_EQ(figures.vcpus.size(), 2U);
  EXPECT_EQ(figures.vcpus.at(0)[KvmStat::kExits], 74291U);
  EXPECT_EQ(figures.vcpus.at(0)[KvmStat::kHaltWaitNs], 5U);
  EXPECT_EQ(figures.vcpus.at(0)[KvmStat::kDirectedYieldSuccessful], 3U);
  EXPECT_FALSE(figures.vcpus.at(0)[KvmStat::kIoExits]);
  EXPECT_EQ(figures.vcpus.at(11)[KvmStat::kExits], 1U);
  EXPECT_TRUE(figures.asked_qemu);
}

TEST(MonitorFigures, OfIothreadsAreTheirPolling) {
  const auto figures = parse_monitor_fields(
      {number("iothread.count", 2), number("iothread.1.poll-max-ns", 32768),
       number("iothread.1.poll-grow", 0), number("iothread.7.poll-grow", 0)});
  ASSERT_EQ(figures.iothreads.size(), 2U);
  EXPECT_EQ(figures.iothreads[0].id, 1U);
  EXPECT_EQ(figures.iothreads[0].poll_max_ns, 32768U);
  EXPECT_EQ(figures.iothreads[1].id, 7U);
  EXPECT_FALSE(figures.iothreads[1].poll_max_ns);
}

TEST(MonitorFigures, SurviveFieldsOfNobodysMaking) {
  const auto figures = parse_monitor_fields(
      {number("", 1), number("block", 1), number("block.", 1),
       number("block..rd.reqs", 1), number("block.-1.rd.reqs", 1),
       number("block.4096.rd.reqs", 1), text("block.4096.name", "far"),
       number("block.99999999999999999999.rd.reqs", 1),
       number("vcpu.16384.exits.sum", 1), text("vcpu.0.exits.sum", "many"),
       number("block.0.name", 5), number("block.1.rd.reqs", 1),
       text("block.2.name", "vda"), number("block.2.rd.reqs", 2),
       text("block.3.name", "vda"), number("block.3.rd.reqs", 3)});
  EXPECT_TRUE(figures.vcpus.empty());
  ASSERT_EQ(figures.devices.size(), 1U);
  EXPECT_EQ(figures.devices[0].read.requests, 2U);
}

TEST(MonitorTotals, CountOnWhenADeviceIsPluggedInAgain) {
  MonitorTotals totals;
  EXPECT_EQ(totals.add(disk("vda", 100)).devices[0].read.requests, 100U);
  EXPECT_EQ(totals.add(disk("vda", 130)).devices[0].read.requests, 130U);
  EXPECT_TRUE(totals.add({}).devices.empty());
  EXPECT_EQ(totals.add(disk("vda", 4)).devices[0].read.requests, 134U);
  EXPECT_EQ(totals.add(disk("vda", 5)).devices[0].read.requests, 135U);
  EXPECT_EQ(totals.add(disk("vdb", 7)).devices[0].read.requests, 7U);
}

TEST(MonitorTotals, OfKvmHoldVcpusThatAreUnplugged) {
  MonitorTotals totals;
  EXPECT_EQ(totals.add(exits({100, 10})).kvm[KvmStat::kExits], 110U);
  const auto without = totals.add(exits({101}));
  EXPECT_EQ(without.kvm[KvmStat::kExits], 111U);
  EXPECT_EQ(without.vcpus.size(), 1U);
  const auto again = totals.add(exits({101, 4}));
  EXPECT_EQ(again.kvm[KvmStat::kExits], 115U);
  EXPECT_EQ(again.vcpus.at(1)[KvmStat::kExits], 14U);
  EXPECT_FALSE(again.kvm[KvmStat::kIoExits]);
}

}  // namespace
}  // namespace vcpu
