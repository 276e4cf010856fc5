// Rows of a statement as families: metrics.h.
#include <algorithm>
#include <cmath>
#include <unordered_set>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "lib/engine/postgres/metrics.h"

namespace mainstay::engine::postgres {
namespace {

using metrics::Family;
using metrics::LabelText;
using metrics::Type;

Type TypeOf(MetricUse use) {
  return use == MetricUse::kCounter   ? Type::kCounter
         : use == MetricUse::kUntyped ? Type::kUntyped
                                      : Type::kGauge;
}

// As PostgreSQL writes numbers and truths -> as Prometheus reads them. Our own statements give nothing else.
absl::string_view ValueText(absl::string_view text) {
  if (text == "t") return "1";
  if (text == "f") return "0";
  if (text == "Infinity") return "+Inf";
  if (text == "-Infinity") return "-Inf";
  return text;
}

// Row by row; the second row with the same labels is left out: a family with both cannot be read.
class RowLabels {
 public:
  explicit RowLabels(int rows) : several_(rows > 1) {}
  bool Fresh(const LabelText& labels) { return !several_ || seen_.insert(labels.text()).second; }

 private:
  const bool several_;
  std::unordered_set<std::string> seen_;
};

std::vector<Family> SettingFamilies(const Rows& rows, const std::string& server) {
  std::vector<Family> out;
  out.reserve(static_cast<size_t>(rows.size()));
  LabelText labels;
  if (!server.empty()) labels.Add("server", server);
  SettingMetric m;
  for (int i = 0; i < rows.size(); ++i) {
    if (!ToSettingMetric(rows.text(i, 0), rows.text(i, 1), rows.text(i, 2), rows.text(i, 3), &m)) continue;
    out.push_back({.name = m.name, .help = m.help, .type = Type::kGauge, .lines = {}});
    out.back().Add(labels, m.value);
  }
  return out;
}

struct ValueColumn {
  int column = 0;
  Family family;
};

}  // namespace

std::vector<Family> ToFamilies(const MetricCollector& collector,
                               const std::vector<const MetricColumn*>& columns, const Rows& rows,
                               const std::string& server) {
  const std::string label = collector.server_label ? server : "";
  if (std::string(collector.name) == "settings") return SettingFamilies(rows, label);
  std::vector<Family> out;
  std::vector<int> at;
  for (size_t i = 0; i < columns.size(); ++i) {
    const MetricColumn& c = *columns[i];
    if (c.use == MetricUse::kLabel || c.use == MetricUse::kHidden) continue;
    out.push_back({.name = c.name, .help = c.help, .type = TypeOf(c.use), .lines = {}});
    at.push_back(static_cast<int>(i));
  }
  RowLabels seen(rows.size());
  LabelText labels;
  for (int row = 0; row < rows.size(); ++row) {
    labels.Clear();
    for (size_t i = 0; i < columns.size(); ++i) {
      if (columns[i]->use == MetricUse::kLabel)
        labels.Add(columns[i]->name, rows.view(row, static_cast<int>(i)));
    }
    if (!label.empty()) labels.Add("server", label);
    if (!seen.Fresh(labels)) continue;
    for (size_t i = 0; i < out.size(); ++i) {
      if (!rows.null(row, at[i])) out[i].Add(labels, ValueText(rows.view(row, at[i])));
    }
  }
  out.erase(std::remove_if(out.begin(), out.end(), [](const Family& f) { return f.samples == 0; }),
            out.end());
  return out;
}

namespace {

// An own query's columns, found in its answer by name.
class OwnRows {
 public:
  OwnRows(const Rows& rows, bool* ok) : rows_(rows), names_(rows.names()), ok_(ok) {}

  int Column(const std::string& name) const {
    const auto it = std::find(names_.begin(), names_.end(), name);
    return it == names_.end() ? -1 : static_cast<int>(it - names_.begin());
  }

  void Add(const QueryColumn& c, int row, const LabelText& labels, Family* family) {
    const int column = Column(c.column);
    if (column < 0) {
      *ok_ = false;
      return;
    }
    if (rows_.null(row, column)) return;
    const std::string text = rows_.text(row, column);
    if (c.use == QueryUse::kHistogram) return AddHistogram(c, row, labels, family);
    double value = 0;
    bool good = true;
    if (c.use == QueryUse::kMapped) {
      const auto it = c.mapping.find(text);
      good = it != c.mapping.end();
      if (good) value = it->second;
    } else if (c.use == QueryUse::kDuration) {
      const auto ms = ParseGoDuration(text);
      good = ms.has_value();
      value = ms.value_or(0);
    } else if (text == "t" || text == "f") {
      value = text == "t" ? 1 : 0;
    } else {
      good = absl::SimpleAtod(text, &value) && !(c.use == QueryUse::kCounter && std::isnan(value));
    }
    if (good) {
      family->AddNumber(labels, value);
    } else {
      *ok_ = false;
    }
  }

 private:
  void AddHistogram(const QueryColumn& c, int row, const LabelText& labels, Family* family) {
    const auto part = [&](const char* suffix) { return Column(c.column + suffix); };
    const auto bounds = ParseNumbers(rows_.text(row, Column(c.column)));
    const auto counts = ParseNumbers(rows_.text(row, part("_bucket")));
    double sum = 0, count = 0;
    if (!bounds || !counts || counts->size() < bounds->size() ||
        !std::is_sorted(bounds->begin(), bounds->end()) ||
        !absl::SimpleAtod(rows_.text(row, part("_sum")), &sum) ||
        !absl::SimpleAtod(rows_.text(row, part("_count")), &count)) {
      *ok_ = false;
      return;
    }
    for (size_t i = 0; i < bounds->size(); ++i) {
      LabelText with = labels;
      std::string le;
      metrics::AppendNumber(&le, (*bounds)[i]);
      with.Add("le", le);
      family->AddNumber(with, (*counts)[i], "_bucket");
    }
    LabelText all = labels;
    all.Add("le", "+Inf");
    family->AddNumber(all, count, "_bucket");
    family->AddNumber(labels, sum, "_sum");
    family->AddNumber(labels, count, "_count");
  }

  const Rows& rows_;
  const std::vector<std::string> names_;
  bool* const ok_;
};

}  // namespace

std::vector<Family> ToFamilies(const UserQuery& query, const Rows& rows, const std::string& database,
                               bool* ok) {
  *ok = true;
  const bool told = std::any_of(query.columns.begin(), query.columns.end(), [](const QueryColumn& c) {
    return c.use == QueryUse::kLabel && c.name == "datname";
  });
  OwnRows own(rows, ok);
  std::vector<Family> out;
  std::vector<const QueryColumn*> values;
  for (const QueryColumn& c : query.columns) {
    if (c.use == QueryUse::kLabel || c.use == QueryUse::kDiscard) continue;
    out.push_back({.name = c.name,
                   .help = c.help,
                   .type = c.use == QueryUse::kCounter     ? Type::kCounter
                           : c.use == QueryUse::kHistogram ? Type::kHistogram
                                                           : Type::kGauge,
                   .lines = {}});
    values.push_back(&c);
  }
  RowLabels seen(rows.size());
  LabelText labels;
  for (int row = 0; row < rows.size(); ++row) {
    labels.Clear();
    for (const QueryColumn& c : query.columns) {
      const int column = c.use == QueryUse::kLabel ? own.Column(c.column) : -1;
      if (column >= 0) labels.Add(c.name, rows.view(row, column));
    }
    if (!database.empty() && !told) labels.Add("datname", database);
    if (!seen.Fresh(labels)) continue;
    for (size_t i = 0; i < out.size(); ++i) own.Add(*values[i], row, labels, &out[i]);
  }
  return out;
}

}  // namespace mainstay::engine::postgres
