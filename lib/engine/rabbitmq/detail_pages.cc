#include "lib/engine/rabbitmq/detail_pages.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "lib/base/strings.h"

namespace mainstay::engine::rabbitmq {
namespace {

constexpr char kPrefix[] = "/metrics/";
constexpr const char* kNames[] = {"per-object", "detailed", "memory-breakdown"};
constexpr size_t kMostFilters = 32;
constexpr size_t kLongestFamily = 64;
constexpr size_t kLongestName = 255;

bool IsFamily(const std::string& text) {
  return !text.empty() && text.size() <= kLongestFamily &&
         std::all_of(text.begin(), text.end(), [](char c) { return (c >= 'a' && c <= 'z') || c == '_'; });
}

bool IsName(const std::string& text) {
  return !text.empty() && text.size() <= kLongestName && std::none_of(text.begin(), text.end(), [](char c) {
    return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
  });
}

std::string PageName(const std::string& path) { return path.substr(std::string(kPrefix).size()); }

// What the page says of itself, then what the plugin said.
http::Response Render(const std::string& page, const metrics::Snapshot& snapshot) {
  metrics::Writer w;
  w.Family("mainstay_rabbitmq_page_up", metrics::Type::kGauge,
           "1 when rabbitmq_prometheus answered this scrape of its page; else nothing of it is here.");
  w.Sample({{"page", page}}, snapshot.up ? 1 : 0);
  const bool cut =
      snapshot.families.size() == 1 && snapshot.text != nullptr &&
      std::any_of(snapshot.families[0]->begin(), snapshot.families[0]->end(), [](const auto& f) {
        return f.name == "mainstay_rabbitmq_relay_cut" && f.lines.find(" 1\n") != std::string::npos;
      });
  w.Family("mainstay_rabbitmq_page_cut", metrics::Type::kGauge,
           "1 when the page was too long and its end is missing here.");
  w.Sample({{"page", page}}, cut ? 1 : 0);
  if (snapshot.text != nullptr) w.Raw(*snapshot.text);
  return {.status = 200,
          .content_type = metrics::ContentType(metrics::Format::kText),
          .body = w.Finish(),
          .headers = {},
          .compress = true};
}

}  // namespace

absl::StatusOr<std::string> DetailTarget(const http::Request& request) {
  if (!DetailPages::Takes(request.path)) return absl::InvalidArgumentError("no page of rabbitmq_prometheus");
  if (request.query.size() > kMostFilters)
    return absl::InvalidArgumentError(absl::StrCat("more than ", kMostFilters, " filters"));
  std::string out = request.path;
  char before = '?';
  for (const auto& [key, value] : request.query) {
    const bool family = key == "family";
    if (!family && key != "vhost" && key != "queue")
      return absl::InvalidArgumentError(
          absl::StrCat("no filter ", Cut(key, 40), "; there are family, vhost and queue"));
    if (family ? !IsFamily(value) : !IsName(value))
      return absl::InvalidArgumentError(absl::StrCat("the filter ", key, " is no name"));
    out += before;
    absl::StrAppend(&out, key, "=", http::Encode(value));
    before = '&';
  }
  return out;
}

bool DetailPages::Takes(const std::string& path) {
  return std::any_of(std::begin(kNames), std::end(kNames),
                     [&](const char* name) { return path == absl::StrCat(kPrefix, name); });
}

// Null: too many others are being fetched.
DetailPages::Page* DetailPages::Find(const std::string& target, MonoTime now) {
  const auto found = pages_.find(target);
  if (found != pages_.end()) {
    found->second.used = now;
    return &found->second;
  }
  if (pages_.size() >= options_.pages) {
    auto oldest = pages_.end();
    for (auto it = pages_.begin(); it != pages_.end(); ++it) {
      const bool idle = *it->second.asked == 0;
      if (idle && (oldest == pages_.end() || it->second.used < oldest->second.used)) oldest = it;
    }
    if (oldest == pages_.end()) return nullptr;
    pages_.erase(oldest);  // its thread does nothing: it ends at once
  }
  RelayOptions relay = options_.relay;
  relay.target = target;
  relay.max_body = options_.max_body;
  Page page;
  page.scraper =
      std::make_unique<metrics::Scraper>(std::make_shared<Relay>(std::move(relay)),
                                         metrics::Scraper::Options{.rest_after = std::chrono::seconds(1)});
  page.asked = std::make_shared<std::atomic<int>>(0);
  page.used = now;
  return &pages_.emplace(target, std::move(page)).first->second;
}

void DetailPages::Answer(const http::Request& request, MonoTime now, const http::Reply& reply) {
  const absl::StatusOr<std::string> target = DetailTarget(request);
  if (!target.ok())
    return reply({.status = 400, .body = absl::StrCat(target.status().message(), "\n"), .headers = {}});
  Page* page = Find(*target, now);
  if (page == nullptr) {
    return reply({.status = 503,
                  .body = "too many different pages are being fetched\n",
                  .headers = {{"Retry-After", "1"}}});
  }
  ++*page->asked;
  const MonoTime deadline = metrics::ScrapeDeadline(request.scrape_timeout, now, options_.patience);
  page->scraper->Scrape(deadline, [reply, asked = page->asked,
                                   name = PageName(request.path)](const metrics::SnapshotPtr& snapshot) {
    reply(Render(name, *snapshot));
    --*asked;
  });
}

}  // namespace mainstay::engine::rabbitmq
