// SPDX-License-Identifier: Apache-2.0
#include "exporter/web_handler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <prometheus/text_serializer.h>

#include <future>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace vcpu {
namespace {

using std::chrono::milliseconds;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr std::chrono::steady_clock::time_point kNow{std::chrono::hours(1)};

class FakePage final : public Page {
 public:
  std::shared_ptr<const std::string> body(TextFormat format,
                                          bool gzip) const override {
    std::string text =
        format == TextFormat::kOpenMetrics ? "openmetrics" : "text";
    if (gzip) text += " packed";
    return std::make_shared<const std::string>(std::move(text));
  }
};

class FakeScraper final : public Scraper {
 public:
  std::shared_ptr<const Page> scrape(const ScrapeRequest& request) override {
    last = request;
    return has_room ? std::make_shared<FakePage>() : nullptr;
  }
  std::vector<std::string> enabled_collectors() const override {
    return {"sched", "host", "threads"};
  }
  std::vector<std::string> known_collectors() const override {
    return {"sched", "host", "threads", "perf"};
  }
  ScrapeStatus status() override {
    ScrapeStatus status;
    status.vcpus = 4711;
    return status;
  }

  std::optional<ScrapeRequest> last;
  bool has_room = true;
};

class WebHandlerTest : public testing::Test {
 protected:
  WebHandlerTest() {
    options_.now = [] { return kNow; };
  }

  Response get(std::string path, std::string query = "",
               std::vector<Header> headers = {}) {
    return ask({"GET", std::move(path), std::move(query), std::move(headers)});
  }

  Response ask(const Request& request) {
    if (!handler_) handler_ = std::make_unique<WebHandler>(scraper_, options_);
    return handler_->handle(request);
  }

  // How long a scrape may take for a client that says so.
  milliseconds budget(const std::string& timeout) {
    get("/metrics", "", {{"X-Prometheus-Scrape-Timeout-Seconds", timeout}});
    return std::chrono::round<milliseconds>(scraper_.last->deadline - kNow);
  }

  std::vector<std::string> chosen(const std::string& query) {
    scraper_.last.reset();
    const Response response = get("/metrics", query);
    EXPECT_EQ(response.status, 200) << query << ": " << *response.body;
    return scraper_.last ? scraper_.last->collectors
                         : std::vector<std::string>{};
  }

  // The reason for which a query is refused.
  std::string refusal(const std::string& query) {
    scraper_.last.reset();
    const Response response = get("/metrics", query);
    EXPECT_EQ(response.status, 400) << query;
    EXPECT_FALSE(scraper_.last) << query;
    return *response.body;
  }

  static std::string header(const Response& response, const std::string& name) {
    return Request{"", "", "", response.headers}.header(name);
  }

  FakeScraper scraper_;
  WebHandlerOptions options_;
  std::unique_ptr<WebHandler> handler_;
};

TEST_F(WebHandlerTest, ServesThePage) {
  const Response response = get("/metrics");
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(response.content_type, "text/plain; version=0.0.4; charset=utf-8");
  EXPECT_EQ(*response.body, "text");
  EXPECT_EQ(header(response, "Vary"), "Accept, Accept-Encoding");
  EXPECT_EQ(header(response, "Content-Encoding"), "");
}

TEST_F(WebHandlerTest, ServesWhatWasAskedFor) {
  const Response response =
      get("/metrics", "",
          {{"accept", "application/openmetrics-text;version=1.0.0"},
           {"ACCEPT-ENCODING", "gzip"}});
  EXPECT_EQ(response.content_type,
            "application/openmetrics-text; version=1.0.0; charset=utf-8");
  EXPECT_EQ(*response.body, "openmetrics packed");
  EXPECT_EQ(header(response, "Content-Encoding"), "gzip");
}

TEST_F(WebHandlerTest, ServesAnotherPath) {
  options_.telemetry_path = "/vcpu";
  EXPECT_EQ(get("/vcpu").status, 200);
  const Response response = get("/metrics");
  EXPECT_EQ(response.status, 404);
  EXPECT_EQ(*response.body, "nothing here; the metrics are at /vcpu\n");
}

TEST_F(WebHandlerTest, ServesMetricsAtTheRootWhereToldTo) {
  options_.telemetry_path = "/";
  EXPECT_EQ(*get("/").body, "text");
}

TEST_F(WebHandlerTest, DecodesThePath) {
  EXPECT_EQ(get("/%6Detrics").status, 200);
  EXPECT_EQ(get("/metrics%").status, 400);
  EXPECT_EQ(get("/metrics%2").status, 400);
  EXPECT_EQ(get("/metrics%zz").status, 400);
  EXPECT_EQ(get("/metrics%+1").status, 400);
  EXPECT_EQ(get("/metrics%00").status, 400);
  EXPECT_EQ(get("/metrics%20").status, 404);
  EXPECT_EQ(get("/x/../metrics").status, 404);
}

TEST_F(WebHandlerTest, AsksAllEnabledCollectors) {
  EXPECT_THAT(chosen(""), ElementsAre("host", "sched", "threads"));
  EXPECT_THAT(chosen("&&"), ElementsAre("host", "sched", "threads"));
}

TEST_F(WebHandlerTest, AsksTheChosenOnes) {
  EXPECT_THAT(chosen("collect[]=sched&collect[]=host&collect[]=sched"),
              ElementsAre("host", "sched"));
  EXPECT_THAT(chosen("collect%5B%5D=s%63hed"), ElementsAre("sched"));
  EXPECT_THAT(chosen("exclude[]=sched"), ElementsAre("host", "threads"));
  EXPECT_THAT(chosen("exclude[]=sched&exclude[]=host&exclude[]=threads"),
              IsEmpty());
}

TEST_F(WebHandlerTest, RefusesQueriesWithAReason) {
  EXPECT_EQ(refusal("collect[]=nonsense"),
            "unknown collector \"nonsense\"; enabled are: sched, host, "
            "threads\n");
  EXPECT_EQ(refusal("collect[]=perf"),
            "disabled collector \"perf\"; enabled are: sched, host, threads\n");
  EXPECT_EQ(refusal("exclude[]=nonsense"),
            "unknown collector \"nonsense\"; enabled are: sched, host, "
            "threads\n");
  EXPECT_EQ(refusal("collect[]=sched&exclude[]=host"),
            "collect[] and exclude[] cannot be combined\n");
  EXPECT_EQ(refusal("collect=sched"),
            "unknown parameter \"collect\"; there are collect[] and "
            "exclude[]\n");
  EXPECT_EQ(refusal("collect[]=%2"),
            "the parameter \"collect[]=%2\" is not percent-encoded\n");
  EXPECT_THAT(refusal("collect[]"), HasSubstr("unknown collector \"\""));
  EXPECT_THAT(refusal("collect[]=a+b"), HasSubstr("\"a b\""));
  EXPECT_THAT(refusal("collect[]=sched%00"), HasSubstr("percent-encoded"));
}

TEST_F(WebHandlerTest, EchoesNothingHarmful) {
  const std::string reason =
      refusal("collect[]=%0d%0aSet-Cookie:x%1b[31m" + std::string(3000, 'a'));
  EXPECT_EQ(reason.find_first_of("\r\x1b"), std::string::npos);
  EXPECT_EQ(reason.find('\n'), reason.size() - 1);
  EXPECT_LT(reason.size(), 500U);
  const Response response = get("/metrics", "collect[]=%3Cscript%3E");
  EXPECT_EQ(response.content_type, "text/plain; charset=utf-8");
  EXPECT_EQ(header(response, "X-Content-Type-Options"), "nosniff");
}

TEST_F(WebHandlerTest, LeavesPrometheusSomeTime) {
  EXPECT_EQ(budget("15"), milliseconds(14500));
  EXPECT_EQ(budget("1.5"), milliseconds(1000));
  EXPECT_EQ(budget("0.6"), milliseconds(300));
  EXPECT_EQ(budget("0.5"), milliseconds(250));
}

TEST_F(WebHandlerTest, IgnoresSenselessTimeouts) {
  get("/metrics");
  EXPECT_EQ(scraper_.last->deadline - kNow, milliseconds(9500));
  for (const char* senseless : {"", "x", "5s", " 5", "-1", "0", "nan", "inf",
                                "1e300", "1e999", "3601"}) {
    EXPECT_EQ(budget(senseless), milliseconds(9500)) << senseless;
  }
}

TEST_F(WebHandlerTest, CapsWhatIsInFlight) {
  options_.max_requests = 2;
  std::optional<Response> first = get("/metrics");
  const Response second = get("/metrics");
  const Response third = get("/metrics");
  EXPECT_EQ(second.status, 200);
  EXPECT_EQ(third.status, 503);
  EXPECT_EQ(*third.body,
            "too many requests in flight (2); see --web.max-requests\n");
  EXPECT_EQ(get("/-/healthy").status, 200);
  // A page is in flight until it is sent.
  first.reset();
  EXPECT_EQ(get("/metrics").status, 200);
}

TEST_F(WebHandlerTest, WaitsALittleForASlotWhereClientsCanBeDropped) {
  options_.max_requests = 1;
  options_.senders = std::make_shared<Senders>();
  std::optional<Response> first = get("/metrics");
  EXPECT_EQ(get("/metrics").status, 503);  // There is nobody to drop.
  auto second =
      std::async(std::launch::async, [&] { return get("/metrics").status; });
  first.reset();
  EXPECT_EQ(second.get(), 200);
}

TEST_F(WebHandlerTest, RefusesWhatThereIsNoRoomToScrape) {
  scraper_.has_room = false;
  const Response response = get("/metrics", "collect[]=sched");
  EXPECT_EQ(response.status, 503);
  EXPECT_EQ(*response.body,
            "too many scrapes of other collectors are waiting\n");
  EXPECT_EQ(get("/").status, 200);
}

TEST_F(WebHandlerTest, DoesNotCapWhereToldNotTo) {
  options_.max_requests = 0;
  constexpr int kMany = 100;
  std::vector<Response> held;
  held.reserve(kMany);
  for (int i = 0; i < kMany; ++i) held.push_back(get("/metrics"));
  EXPECT_EQ(held.back().status, 200);
}

TEST_F(WebHandlerTest, GivesSlotsBackAfterRefusals) {
  options_.max_requests = 1;
  refusal("collect[]=nonsense");
  refusal("collect[]=nonsense");
  EXPECT_EQ(get("/metrics").status, 200);
}

TEST_F(WebHandlerTest, LetsAPageOutliveIt) {
  const Response response = get("/metrics");
  handler_.reset();
  EXPECT_EQ(*response.body, "text");
}

TEST_F(WebHandlerTest, ServesPeople) {
  const Response response = get("/");
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(response.content_type, "text/html; charset=utf-8");
  EXPECT_THAT(*response.body, HasSubstr("4711"));
  EXPECT_TRUE(scraper_.last) << "shows how it was, not how it is";
  EXPECT_THAT(header(response, "Content-Security-Policy"),
              HasSubstr("default-src 'none'"));
}

TEST_F(WebHandlerTest, SaysThatItLives) {
  EXPECT_EQ(*get("/-/healthy").body, "OK\n");
  EXPECT_EQ(*get("/-/ready").body, "OK\n");
  EXPECT_FALSE(scraper_.last);
}

TEST_F(WebHandlerTest, RefusesOtherMethods) {
  for (const char* path : {"/metrics", "/", "/-/healthy", "/nowhere"}) {
    EXPECT_EQ(ask({"HEAD", path, "", {}}).status,
              ask({"GET", path, "", {}}).status);
    const Response response = ask({"POST", path, "", {}});
    EXPECT_EQ(response.status, 405);
    EXPECT_EQ(header(response, "Allow"), "GET, HEAD");
    EXPECT_EQ(ask({"OPTIONS", path, "", {}}).status, 405);
  }
  EXPECT_EQ(get("/-/reload").status, 405);
  EXPECT_EQ(header(get("/-/reload"), "Allow"), "POST");
}

TEST_F(WebHandlerTest, Reloads) {
  std::string problem;
  int calls = 0;
  options_.reload = [&] {
    ++calls;
    return problem;
  };
  const Response good = ask({"POST", "/-/reload", "", {}});
  EXPECT_EQ(good.status, 200);
  EXPECT_EQ(*good.body, "reloaded\n");
  problem = "vcpu.yml:3: unknown key";
  const Response bad = ask({"POST", "/-/reload", "", {}});
  EXPECT_EQ(bad.status, 500);
  EXPECT_EQ(*bad.body, "vcpu.yml:3: unknown key\n");
  get("/-/reload");
  EXPECT_EQ(calls, 2);
}

TEST_F(WebHandlerTest, CountsAnswers) {
  prometheus::Registry registry;
  options_.registry = &registry;
  get("/metrics");
  get("/metrics");
  get("/metrics", "collect[]=nonsense");
  get("/random1");
  get("/random2");
  const std::string text =
      prometheus::TextSerializer().Serialize(registry.Collect());
  const std::string name = "vcpu_exporter_http_requests_total";
  EXPECT_THAT(text, HasSubstr(name + "{code=\"200\",handler=\"metrics\"} 2"));
  EXPECT_THAT(text, HasSubstr(name + "{code=\"400\",handler=\"metrics\"} 1"));
  EXPECT_THAT(text, HasSubstr(name + "{code=\"404\",handler=\"other\"} 2"));
}

}  // namespace
}  // namespace vcpu
