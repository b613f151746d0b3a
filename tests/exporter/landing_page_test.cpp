// SPDX-License-Identifier: Apache-2.0
#include "exporter/landing_page.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>

namespace vcpu {
namespace {

using testing::HasSubstr;
using testing::Not;

LandingPage example() {
  LandingPage page{"0.1.0", "/metrics", "https://example.org/docs", {}};
  page.status.domains = 12;
  page.status.vcpus = 345;
  page.status.collectors = {{"sched", true, true, ""},
                            {"numa", true, false, "cannot read node1"},
                            {"perf", false, false, ""},
                            {"host", true, false, ""}};
  page.status.sources = {{"schedstat", ""}, {"libvirt", "no daemon"}};
  return page;
}

TEST(LandingPage, LinksWhatThereIs) {
  const std::string html = landing_page(example());
  for (const char* target :
       {"/metrics", "/-/healthy", "/-/ready", "https://example.org/docs"}) {
    EXPECT_THAT(html, HasSubstr("href=\"" + std::string(target) + "\""));
  }
}

TEST(LandingPage, SaysHowThingsAre) {
  const std::string html = landing_page(example());
  EXPECT_THAT(html, HasSubstr("0.1.0"));
  EXPECT_THAT(html, HasSubstr("<dd>12</dd>"));
  EXPECT_THAT(html, HasSubstr("<dd>345</dd>"));
  const auto row = [](const char* name, const char* style, const char* word,
                      const char* note) {
    return "<th scope=\"row\">" + std::string(name) +
           "</th><td><span class=\"state " + style + "\">" + word +
           "</span></td><td>" + note + "</td>";
  };
  EXPECT_THAT(html, HasSubstr(row("sched", "good", "ok", "")));
  EXPECT_THAT(html,
              HasSubstr(row("numa", "bad", "failed", "cannot read node1")));
  EXPECT_THAT(html, HasSubstr(row("perf", "idle", "disabled", "")));
  EXPECT_THAT(html, HasSubstr(row("host", "idle", "not yet run", "")));
  EXPECT_THAT(html, HasSubstr(row("schedstat", "good", "available", "")));
  EXPECT_THAT(html, HasSubstr(row("libvirt", "idle", "missing", "no daemon")));
}

TEST(LandingPage, IsWholeWithoutCollectors) {
  const std::string html = landing_page({});
  EXPECT_THAT(html, HasSubstr("<p>None.</p>"));
  EXPECT_THAT(html, Not(HasSubstr("<table>")));
  EXPECT_THAT(html, HasSubstr("</html>"));
}

TEST(LandingPage, LoadsNothing) {
  const std::string html = landing_page(example());
  for (const char* loader :
       {"<script", "<link", "<img", "src=", "url(", "@import"}) {
    EXPECT_THAT(html, Not(HasSubstr(loader)));
  }
}

TEST(LandingPage, EscapesHostileStringsEverywhere) {
  const std::string hostile = "\"'><script>alert(1)</script>&\n\x01\x7f";
  LandingPage page{hostile, hostile, hostile, {}};
  page.status.collectors = {{hostile, true, false, hostile}};
  page.status.sources = {{hostile, hostile}};
  const std::string html = landing_page(page);
  EXPECT_THAT(html, Not(HasSubstr("<script")));
  EXPECT_THAT(html, Not(HasSubstr("\"'>")));
  EXPECT_EQ(html.find_first_of("\x01\x7f"), std::string::npos);
  // As many tags as without them.
  LandingPage tame{"v", "p", "d", {}};
  tame.status.collectors = {{"c", true, false, "x"}};
  tame.status.sources = {{"s", "r"}};
  const std::string tame_html = landing_page(tame);
  for (const char mark : {'<', '>', '"'}) {
    EXPECT_EQ(std::count(html.begin(), html.end(), mark),
              std::count(tame_html.begin(), tame_html.end(), mark))
        << mark;
  }
}

TEST(HtmlEscape, KeepsTextAndUtf8) {
  EXPECT_EQ(html_escape("a<b>&\"c\"'d'"),
            "a&lt;b&gt;&amp;&quot;c&quot;&#39;d&#39;");
  EXPECT_EQ(html_escape("gr\xc3\xbc\xc3\x9f"), "gr\xc3\xbc\xc3\x9f");
  EXPECT_EQ(html_escape(std::string("a\0b\r\nc", 6)), "abc");
}

}  // namespace
}  // namespace vcpu
