#include "lib/engine/rabbitmq/relay.h"

#include <array>
#include <optional>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "lib/base/strings.h"

namespace mainstay::engine::rabbitmq {
namespace {

using metrics::Type;

constexpr PluginAnswer kAnswers[] = {PluginAnswer::kOk, PluginAnswer::kUnreachable, PluginAnswer::kSilent,
                                     PluginAnswer::kRefused, PluginAnswer::kUnreadable};

Fetched Problem(PluginAnswer answer, const std::string& text) {
  return {.answer = answer, .problem = Cut(text, 300), .text = "", .cut = false};
}

// The value of the first sample of a family without labels, or with whatever labels.
std::optional<double> ValueOf(absl::string_view text, absl::string_view name) {
  for (size_t at = 0; (at = text.find(name, at)) != absl::string_view::npos; at += name.size()) {
    if (at != 0 && text[at - 1] != '\n') continue;
    absl::string_view line = text.substr(at, text.find('\n', at) - at);
    line.remove_prefix(name.size());
    if (line.empty() || (line[0] != ' ' && line[0] != '{')) continue;
    double value = 0;
    if (absl::SimpleAtod(line.substr(line.rfind(' ') + 1), &value)) return value;
  }
  return std::nullopt;
}

// Names of rabbitmq_exporter, which ends with RabbitMQ 3, that published alerts ask for.
void AddExporterNames(const std::string& text, metrics::FamilyList* list) {
  const std::array<const char*, 3> pairs[] = {
      {"rabbitmq_node_mem_used", "rabbitmq_process_resident_memory_bytes", "Memory used in bytes."},
      {"rabbitmq_node_mem_limit", "rabbitmq_resident_memory_limit_bytes",
       "Point at which the memory alarm will go off."}};
  for (const auto& [ours, theirs, help] : pairs) {
    metrics::Family& f = list->Append(ours, Type::kGauge, help);
    if (const auto value = ValueOf(text, theirs)) f.AddNumber(metrics::LabelText(), *value);
  }
}

}  // namespace

const char* ToString(PluginAnswer answer) {
  switch (answer) {
    case PluginAnswer::kOk:
      return "ok";
    case PluginAnswer::kUnreachable:
      return "unreachable";
    case PluginAnswer::kSilent:
      return "silent";
    case PluginAnswer::kRefused:
      return "refused";
    case PluginAnswer::kUnreadable:
      return "unreadable";
  }
  return "ok";
}

Fetched JudgeFetched(absl::StatusOr<http::GetAnswer> answer, size_t max_body) {
  if (!answer.ok()) {
    const absl::StatusCode code = answer.status().code();
    const PluginAnswer what = code == absl::StatusCode::kUnavailable        ? PluginAnswer::kUnreachable
                              : code == absl::StatusCode::kDeadlineExceeded ? PluginAnswer::kSilent
                                                                            : PluginAnswer::kUnreadable;
    return Problem(what, std::string(answer.status().message()));
  }
  if (answer->status != 200) {
    return Problem(PluginAnswer::kRefused, absl::StrCat("rabbitmq_prometheus answers ", answer->status, ": ",
                                                        Cut(answer->body, 200)));
  }
  if (!absl::StartsWith(answer->content_type, "text/plain"))
    return Problem(PluginAnswer::kUnreadable,
                   absl::StrCat("rabbitmq_prometheus sends ", Cut(answer->content_type, 100)));
  Fetched out;
  out.text = std::move(answer->body);
  out.cut = answer->cut;
  if (out.cut) {
    out.text.resize(out.text.rfind('\n') == std::string::npos ? 0 : out.text.rfind('\n') + 1);
    absl::StrAppend(&out.text, "# mainstay: cut here, the rest is over ", max_body, " bytes\n");
  } else if (!out.text.empty() && out.text.back() != '\n') {
    out.text.push_back('\n');
  }
  return out;
}

Fetched Relay::Fetch(MonoTime deadline) const {
  http::GetRequest request;
  request.address = options_.address;
  request.port = options_.port;
  request.target = options_.target;
  request.max_body = options_.max_body;
  request.headers.emplace_back("Accept", "text/plain; version=0.0.4");
  if (options_.authorization) {
    absl::StatusOr<std::string> value = options_.authorization();
    if (!value.ok()) return Problem(PluginAnswer::kRefused, std::string(value.status().message()));
    request.headers.emplace_back("Authorization", *std::move(value));
  }
  return JudgeFetched(http::Get(request, deadline), options_.max_body);
}

metrics::SnapshotPtr Relay::Show(Fetched fetched, MonoTime began, MonoTime last_ok) {
  const bool ok = fetched.answer == PluginAnswer::kOk;
  metrics::FamilyList list;
  metrics::LabelText none;
  list.Append("mainstay_rabbitmq_plugin_up", Type::kGauge,
              "1 when rabbitmq_prometheus answered this scrape; else none of its families are here.")
      .AddNumber(none, ok ? 1 : 0);
  metrics::Family& states =
      list.Append("mainstay_rabbitmq_plugin_answer", Type::kGauge,
                  "What rabbitmq_prometheus answered this scrape; 1 for the one that it is.");
  for (const PluginAnswer a : kAnswers) {
    metrics::LabelText label;
    label.Add("state", ToString(a));
    states.AddNumber(label, a == fetched.answer ? 1 : 0);
  }
  list.Append("mainstay_rabbitmq_relay_cut", Type::kGauge,
              "1 when the answer of rabbitmq_prometheus was too long and its end is missing here.")
      .AddNumber(none, fetched.cut ? 1 : 0);
  list.Append("mainstay_rabbitmq_relay_bytes", Type::kGauge, "Size of what rabbitmq_prometheus answered.")
      .AddNumber(none, static_cast<double>(fetched.text.size()));
  AddExporterNames(fetched.text, &list);
  auto out = std::make_shared<metrics::Snapshot>();
  out->up = ok;
  out->problem = std::move(fetched.problem);
  out->began = began;
  out->took = BootClock().Now() - began;
  out->families.push_back(std::make_shared<const std::vector<metrics::Family>>(list.Take()));
  out->collectors.push_back({.name = "plugin", .scope = "", .ok = ok, .took = out->took, .at = last_ok});
  if (ok) out->text = std::make_shared<const std::string>(std::move(fetched.text));
  return out;
}

metrics::SnapshotPtr Relay::Collect(MonoTime deadline) {
  const MonoTime began = BootClock().Now();
  Fetched fetched = Fetch(deadline);
  if (fetched.answer == PluginAnswer::kOk) last_ok_ = began;
  return Show(std::move(fetched), began, last_ok_);
}

metrics::SnapshotPtr Relay::Late() const {
  return Show(Problem(PluginAnswer::kSilent, "rabbitmq_prometheus did not answer in time"), BootClock().Now(),
              MonoTime());
}

}  // namespace mainstay::engine::rabbitmq
