// SPDX-License-Identifier: Apache-2.0
#include "collectors/libvirt/domain_xml.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "collectors/libvirt/protocol.h"

namespace vcpu {

// For the matchers below.
static bool operator==(const LibvirtCell& a, const LibvirtCell& b) {
  return a.vcpus == b.vcpus && a.nodes == b.nodes;
}

namespace {

using testing::ElementsAre;
using testing::IsEmpty;

std::string domain(const std::string& cells, const std::string& tuning) {
  return "<domain type='kvm' id='1'>\n  <name>a</name>\n  <cpu "
         "mode='host-passthrough'>\n    <topology sockets='2'/><numa>" +
         cells + "</numa>\n  </cpu>\n  " + tuning + "</domain>\n";
}

const std::string kTwoCells =
    "<cell id='0' cpus='0-1' memory='1' unit='KiB'/>"
    "<cell id='1' cpus='2-3' memory='1' unit='KiB'><distances>"
    "<sibling id='0' value='20'/></distances></cell>";

std::vector<LibvirtCell> cells(const std::string& xml) {
  const auto parsed = parse_numa_cells(xml);
  EXPECT_TRUE(parsed) << xml;
  return parsed ? *parsed : std::vector<LibvirtCell>{};
}

bool refused(const std::string& xml) { return !parse_numa_cells(xml); }

TEST(DomainXml, HasTheNodesThatEachCellIsBoundTo) {
  EXPECT_THAT(cells(domain(kTwoCells,
                           "<numatune><memory mode='strict' nodeset='0-1'/>"
                           "<memnode cellid='0' mode='strict' nodeset='1'/>"
                           "<memnode cellid='1' mode='strict' nodeset='0'/>"
                           "</numatune>")),
              ElementsAre(LibvirtCell{{0, 1}, {1}}, LibvirtCell{{2, 3}, {0}}));
}

TEST(DomainXml, TakesTheVmsNodesForCellsWithoutTheirOwn) {
  EXPECT_THAT(
      cells(domain(kTwoCells,
                   "<numatune><memory nodeset='2,4-5'/>"
                   "<memnode cellid='1' nodeset='0'/></numatune>")),
      ElementsAre(LibvirtCell{{0, 1}, {2, 4, 5}}, LibvirtCell{{2, 3}, {0}}));
}

TEST(DomainXml, OnlyStrictBinds) {
  for (const std::string mode :
       {"interleave", "preferred", "restrictive", "of the future"}) {
    EXPECT_THAT(cells(domain(kTwoCells, "<numatune><memory mode='" + mode +
                                            "' nodeset='0'/></numatune>")),
                ElementsAre(LibvirtCell{{0, 1}, {}}, LibvirtCell{{2, 3}, {}}));
    EXPECT_THAT(cells(domain(kTwoCells,
                             "<numatune><memory nodeset='0'/><memnode "
                             "cellid='0' nodeset='1' mode='" +
                                 mode + "'/></numatune>")),
                ElementsAre(LibvirtCell{{0, 1}, {}}, LibvirtCell{{2, 3}, {0}}));
  }
}

TEST(DomainXml, PlacementByNumadNamesNoNodes) {
  EXPECT_THAT(cells(domain(kTwoCells,
                           "<numatune><memory mode='strict' placement='auto' "
                           "nodeset='0'/></numatune>")),
              ElementsAre(LibvirtCell{{0, 1}, {}}, LibvirtCell{{2, 3}, {}}));
}

TEST(DomainXml, NumbersCellsThatHaveNoIdAndOrdersThoseThatHave) {
  EXPECT_THAT(cells(domain("<cell cpus='0'/><cell cpus='1'/>",
                           "<numatune><memnode cellid='1' nodeset='3'/>"
                           "</numatune>")),
              ElementsAre(LibvirtCell{{0}, {}}, LibvirtCell{{1}, {3}}));
  EXPECT_THAT(
      cells(domain("<cell id='1' cpus='1'/><cell id='0' cpus='0'/>", "")),
      ElementsAre(LibvirtCell{{0}, {}}, LibvirtCell{{1}, {}}));
}

TEST(DomainXml, ACellMayHaveMemoryAlone) {
  EXPECT_THAT(cells(domain("<cell id='0' memory='1'/>", "")),
              ElementsAre(LibvirtCell{{}, {}}));
}

TEST(DomainXml, HasNoCellsWhereTheVmHasNone) {
  EXPECT_THAT(cells("<domain/>"), IsEmpty());
  EXPECT_THAT(cells("<?xml version='1.0'?><domain><numatune><memory "
                    "nodeset='0'/></numatune></domain>"),
              IsEmpty());
  // Only where they belong.
  EXPECT_THAT(cells("<domain><metadata><cpu><numa><cell id='0' cpus='0'/>"
                    "</numa></cpu></metadata></domain>"),
              IsEmpty());
}

TEST(DomainXml, RefusesWhatIsNoDomain) {
  for (const std::string xml :
       {"", "no xml", "<domain>", "<domain><cpu></domain>", "<network/>",
        "<domain", "<a><domain/></a>"})
    EXPECT_TRUE(refused(xml)) << xml;
}

TEST(DomainXml, RefusesCellsThatCannotBe) {
  for (const std::string cell :
       {"<cell id='0' cpus='x'/>", "<cell id='-1' cpus='0'/>",
        "<cell id='x' cpus='0'/>", "<cell id='1024' cpus='0'/>",
        "<cell id='0' cpus='3-1'/>", "<cell id='0' cpus='0-99999999999'/>",
        "<cell id='0' cpus='16384'/>",
        "<cell id='0' cpus='0'/><cell id='0' cpus='1'/>"})
    EXPECT_TRUE(refused(domain(cell, ""))) << cell;
  for (const std::string tuning :
       {"<memory nodeset='x'/>", "<memory nodeset='1024'/>",
        "<memnode cellid='x' nodeset='0'/>", "<memnode nodeset='0'/>",
        "<memnode cellid='0' nodeset='^0'/>"})
    EXPECT_TRUE(
        refused(domain(kTwoCells, "<numatune>" + tuning + "</numatune>")))
        << tuning;
}

TEST(DomainXml, RefusesEntitiesOfItsOwn) {
  const std::string bomb =
      "<!DOCTYPE domain [<!ENTITY a 'lol'><!ENTITY b '&a;&a;'>"
      "<!ENTITY file SYSTEM 'file:///etc/passwd'>]>";
  EXPECT_TRUE(refused(bomb + "<domain>&b;&file;</domain>"));
  EXPECT_TRUE(
      refused("<!DOCTYPE domain SYSTEM 'http://127.0.0.1/x.dtd'>"
              "<domain/>"));
  // The five that XML has, and numbers, are no one's own.
  EXPECT_THAT(cells("<domain><cpu><numa><cell id='&#48;' cpus='0'/></numa>"
                    "</cpu><title>&lt;&amp;&gt;&quot;&apos;</title></domain>"),
              ElementsAre(LibvirtCell{{0}, {}}));
}

TEST(DomainXml, DepthAndLengthDoNotHurt) {
  std::string deep = "<domain>";
  std::string end = "</domain>";
  for (int i = 0; i < 200000; ++i) {
    deep += "<a>";
    end.insert(0, "</a>");
    if (end.size() > 100000) break;
  }
  const auto depth = (end.size() - 9) / 4;
  std::string balanced = "<domain>";
  for (std::size_t i = 0; i < depth; ++i) balanced += "<a>";
  EXPECT_THAT(cells(balanced + end), IsEmpty());
  EXPECT_TRUE(refused(deep));
  const std::string longest(kMaxDomainXmlBytes - 17, ' ');
  EXPECT_THAT(cells("<domain>" + longest + "</domain>"), IsEmpty());
  EXPECT_TRUE(refused("<domain>" + longest + " </domain>"));
}

TEST(DomainXml, RandomDamageNeverHurts) {
  const auto whole =
      domain(kTwoCells,
             "<numatune><memory mode='strict' nodeset='0-1'/><memnode "
             "cellid='0' mode='strict' nodeset='1'/></numatune>");
  std::mt19937 random(20260303);
  for (int round = 0; round < 3000; ++round) {
    std::string damaged = whole;
    for (int edits = 0; edits < 3; ++edits)
      damaged[random() % damaged.size()] = "<>&;'\"/![]-0\0\xff"[random() % 14];
    const auto parsed = parse_numa_cells(damaged);
    EXPECT_TRUE(!parsed || parsed->size() <= 2U) << damaged;
  }
}

LibvirtMetadata metadata(const std::string& inside) {
  const auto parsed = parse_metadata("<domain>" + inside + "</domain>");
  EXPECT_TRUE(parsed) << inside;
  return parsed ? *parsed : LibvirtMetadata{};
}

TEST(DomainXml, HasTitleAndMetadataByNamespaceAndPath) {
  EXPECT_THAT(
      metadata(
          "<title>Web &amp; shop</title><metadata>"
          "<n:instance xmlns:n='http://nova/1.1'><n:name> web </n:name>"
          "<n:flavor name='m1'><n:memory>2048</n:memory></n:flavor>"
          "<n:owner><n:user uuid='f6a2'>ann</n:user></n:owner></n:instance>"
          "<app xmlns='http://a.b'><k/><k>v</k></app><bare>b</bare>"
          "</metadata>"),
      ElementsAre(
          std::pair("title", "Web & shop"),
          std::pair("{http://nova/1.1}instance/name", "web"),
          std::pair("{http://nova/1.1}instance/flavor@name", "m1"),
          std::pair("{http://nova/1.1}instance/flavor/memory", "2048"),
          std::pair("{http://nova/1.1}instance/owner/user@uuid", "f6a2"),
          std::pair("{http://nova/1.1}instance/owner/user", "ann"),
          std::pair("{http://a.b}app/k", "v"), std::pair("{}bare", "b")));
}

TEST(DomainXml, MetadataAreCapped) {
  std::string many;
  for (int i = 0; i < 1000; ++i) many += "<k>v</k>";
  EXPECT_EQ(metadata("<metadata>" + many + "</metadata>").size(), kMaxMetadata);
  EXPECT_THAT(metadata("<title>" + std::string(1025, 't') + "</title>"),
              IsEmpty());
  EXPECT_EQ(metadata("<title>" + std::string(1024, 't') + "</title>").size(),
            1U);
  std::string begins;
  std::string ends;
  for (int i = 0; i < 100000; ++i) {
    begins += "<d>";
    ends += "</d>";
  }
  EXPECT_THAT(metadata("<metadata>" + begins + "x" + ends + "</metadata>"),
              IsEmpty());
  const std::string name(300, 'n');
  EXPECT_THAT(metadata("<metadata><" + name + ">v</" + name + "></metadata>"),
              IsEmpty());
}

TEST(DomainXml, MetadataOfADocumentWithEntitiesAreRefused) {
  EXPECT_FALSE(
      parse_metadata("<!DOCTYPE d [<!ENTITY a 'b'>]><domain><title>"
                     "&a;</title></domain>"));
  EXPECT_FALSE(parse_metadata("<domain><title>"));
  EXPECT_FALSE(parse_metadata(""));
}

TEST(LibvirtView, KnowsWhyADomainIsInItsState) {
  EXPECT_EQ(libvirt_state_reason("running", 1), "booted");
  EXPECT_EQ(libvirt_state_reason("running", 12), "");
  EXPECT_EQ(libvirt_state_reason("paused", 5), "ioerror");
  EXPECT_EQ(libvirt_state_reason("paused", 13), "postcopy_failed");
  EXPECT_EQ(libvirt_state_reason("crashed", 1), "panicked");
  EXPECT_EQ(libvirt_state_reason("blocked", 0), "unknown");
  EXPECT_EQ(libvirt_state_reason("blocked", 1), "");
}

}  // namespace
}  // namespace vcpu
