// SPDX-License-Identifier: Apache-2.0
#include "exporter/landing_page.h"

#include <algorithm>

namespace vcpu {
namespace {

// Colours: at least 4.5 to 1 against their background, in both schemes.
constexpr std::string_view kStyle = R"css(
:root {
  color-scheme: light dark;
  --page: #f6f7f9; --card: #ffffff; --line: #dfe3e8;
  --text: #1b2430; --soft: #566272; --link: #0b5cad;
  --good: #14692f; --good-fill: #e0f3e5;
  --bad: #a1260d; --bad-fill: #fde8e3;
  --idle: #566272; --idle-fill: #eceff3;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #12161c; --card: #1a2029; --line: #2d3642;
    --text: #e6eaf0; --soft: #9ba8b8; --link: #7db8f7;
    --good: #7fd99a; --good-fill: #17341f;
    --bad: #ff9d85; --bad-fill: #43201a;
    --idle: #9ba8b8; --idle-fill: #262e39;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--page); color: var(--text);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif;
}
header, main { max-width: 60rem; margin: 0 auto; padding: 0 1.25rem; }
header { padding-top: 2.5rem; }
h1 { margin: 0; font-size: 1.75rem; letter-spacing: -0.01em; }
h1 small { font-size: 1rem; font-weight: 400; color: var(--soft); }
h2 { margin: 2.25rem 0 0.75rem; font-size: 1.125rem; }
p { margin: 0.35rem 0 0; color: var(--soft); }
a { color: var(--link); }
a:focus-visible { outline: 3px solid var(--link); outline-offset: 2px; }
nav ul {
  display: flex; flex-wrap: wrap; gap: 0.6rem;
  margin: 1.25rem 0 0; padding: 0; list-style: none;
}
nav a {
  display: block; padding: 0.4rem 0.9rem; border: 1px solid var(--line);
  border-radius: 0.5rem; background: var(--card); text-decoration: none;
}
nav a:hover { border-color: var(--link); }
dl { display: flex; flex-wrap: wrap; gap: 1rem; margin: 1.5rem 0 0; }
dl div {
  flex: 1 1 10rem; padding: 0.9rem 1.1rem; border: 1px solid var(--line);
  border-radius: 0.75rem; background: var(--card);
}
dt { color: var(--soft); font-size: 0.875rem; }
dd { margin: 0; font-size: 1.75rem; font-variant-numeric: tabular-nums; }
.table {
  overflow-x: auto; border: 1px solid var(--line); border-radius: 0.75rem;
  background: var(--card);
}
table { width: 100%; border-collapse: collapse; }
th, td {
  padding: 0.55rem 0.9rem; text-align: left; vertical-align: top;
  border-top: 1px solid var(--line);
}
thead th {
  border-top: 0; color: var(--soft); font-size: 0.875rem; font-weight: 400;
}
tbody th { width: 24%; font: 0.9375rem/1.6 ui-monospace, monospace; }
td:nth-child(2) { width: 16%; min-width: 7.5rem; }
td:last-child { overflow-wrap: anywhere; }
.state {
  display: inline-block; padding: 0 0.6rem; border-radius: 1rem;
  font-size: 0.875rem; white-space: nowrap;
}
.good { color: var(--good); background: var(--good-fill); }
.bad { color: var(--bad); background: var(--bad-fill); }
.idle { color: var(--idle); background: var(--idle-fill); }
footer { padding: 2rem 0 3rem; font-size: 0.875rem; color: var(--soft); }
)css";

struct State {
  const char* style;
  const char* word;
};

State state_of(const ScrapeStatus::Collector& collector) {
  if (!collector.enabled) return {"idle", "disabled"};
  if (collector.success) return {"good", "ok"};
  if (collector.problem.empty()) return {"idle", "not yet run"};
  return {"bad", "failed"};
}

State state_of(const ScrapeStatus::Source& source) {
  if (source.missing_reason.empty()) return {"good", "available"};
  return {"idle", "missing"};
}

std::string link(std::string_view target, std::string_view text) {
  return "<li><a href=\"" + html_escape(target) + "\">" + html_escape(text) +
         "</a></li>\n";
}

std::string fact(std::string_view name, int value) {
  return "<div><dt>" + std::string(name) + "</dt><dd>" + std::to_string(value) +
         "</dd></div>\n";
}

std::string row(std::string_view name, State state, std::string_view note) {
  return "<tr><th scope=\"row\">" + html_escape(name) +
         "</th><td><span class=\"state " + state.style + "\">" + state.word +
         "</span></td><td>" + html_escape(note) + "</td></tr>\n";
}

std::string table(std::string_view id, std::string_view title,
                  std::string_view last_column, std::string_view rows) {
  std::string text;
  text.append("<section aria-labelledby=\"").append(id).append("\">\n");
  text.append("<h2 id=\"").append(id).append("\">").append(title);
  text.append("</h2>\n");
  if (rows.empty()) return text + "<p>None.</p>\n</section>\n";
  text.append("<div class=\"table\"><table>\n<thead><tr>");
  text.append(R"(<th scope="col">Name</th><th scope="col">State</th>)");
  text.append(R"(<th scope="col">)").append(last_column).append("</th>");
  text.append("</tr></thead>\n<tbody>\n").append(rows);
  return text.append("</tbody>\n</table></div>\n</section>\n");
}

std::string collector_table(const ScrapeStatus& status) {
  std::string rows;
  for (const auto& collector : status.collectors) {
    rows += row(collector.name, state_of(collector), collector.problem);
  }
  return table("collectors", "Collectors", "Problem", rows);
}

std::string source_table(const ScrapeStatus& status) {
  std::string rows;
  for (const auto& source : status.sources) {
    rows += row(source.name, state_of(source), source.missing_reason);
  }
  return table("sources", "Sources", "Reason", rows);
}

std::string head() {
  std::string text =
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n"
      "<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, "
      "initial-scale=1\">\n"
      "<title>vcpu_exporter</title>\n<style>";
  return text.append(kStyle).append("</style>\n</head>\n<body>\n");
}

std::string banner(const LandingPage& page) {
  return "<header>\n<h1>vcpu_exporter <small>" + html_escape(page.version) +
         "</small></h1>\n"
         "<p>How long each virtual CPU of this machine waits for a physical "
         "one, and why.</p>\n"
         "<nav aria-label=\"Pages\"><ul>\n" +
         link(page.telemetry_path, "Metrics") + link("/-/healthy", "Healthy") +
         link("/-/ready", "Ready") +
         link(page.documentation_url, "Documentation") + "</ul></nav>\n" +
         "</header>\n";
}

}  // namespace

std::string html_escape(std::string_view text) {
  std::string escaped;
  escaped.reserve(text.size());
  for (const char c : text) {
    switch (c) {
      case '&':
        escaped += "&amp;";
        break;
      case '<':
        escaped += "&lt;";
        break;
      case '>':
        escaped += "&gt;";
        break;
      case '"':
        escaped += "&quot;";
        break;
      case '\'':
        escaped += "&#39;";
        break;
      default:
        const auto byte = static_cast<unsigned char>(c);
        if (byte >= 0x20 && byte != 0x7f) escaped += c;
    }
  }
  return escaped;
}

std::string landing_page(const LandingPage& page) {
  const ScrapeStatus& status = page.status;
  return head() + banner(page) + "<main>\n<dl>\n" +
         fact("Virtual machines", status.domains) +
         fact("vCPUs", status.vcpus) + "</dl>\n" + collector_table(status) +
         source_table(status) +
         "<footer>The state is that of a scrape that this page made.</footer>\n"
         "</main>\n</body>\n</html>\n";
}

}  // namespace vcpu
