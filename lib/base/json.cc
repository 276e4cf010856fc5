#include "lib/base/json.h"

#include <cmath>

#include "absl/strings/str_cat.h"
#include "lib/base/strings.h"

namespace mainstay {
namespace {

// Looks at brackets outside of strings only: enough to bound the recursion of everything that follows.
int MaxDepth(absl::string_view text) {
  int depth = 0, most = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\')
        ++i;
      else if (c == '"')
        in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '{' || c == '[') {
      most = std::max(most, ++depth);
    } else if (c == '}' || c == ']') {
      --depth;
    }
  }
  return most;
}

// The sax handler of the library that keeps the first error instead of throwing it.
class ErrorFinder : public nlohmann::json_sax<Json> {
 public:
  bool null() override { return true; }
  bool boolean(bool) override { return true; }
  bool number_integer(int64_t) override { return true; }
  bool number_unsigned(uint64_t) override { return true; }
  bool number_float(double, const std::string&) override { return true; }
  bool string(std::string&) override { return true; }
  bool binary(Json::binary_t&) override { return true; }
  bool start_object(std::size_t) override { return true; }
  bool key(std::string&) override { return true; }
  bool end_object() override { return true; }
  bool start_array(std::size_t) override { return true; }
  bool end_array() override { return true; }
  bool parse_error(std::size_t position, const std::string&, const Json::exception&) override {
    at = position;
    return false;
  }
  std::size_t at = 0;
};

template <typename J>
std::string Dump(const J& json) {
  return json.dump(-1, ' ', false, J::error_handler_t::replace);
}

std::string Show(const Json& value) {
  if (value.is_object()) return "an object";
  if (value.is_array()) return absl::StrCat("an array of ", value.size());
  return Cut(Dump(value), 80);
}

}  // namespace

absl::StatusOr<Json> ParseJson(absl::string_view text, size_t max_bytes) {
  if (text.size() > max_bytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("JSON has ", text.size(), " bytes, more than the ", max_bytes, " allowed"));
  }
  if (const int depth = MaxDepth(text); depth > kMaxJsonDepth) {
    return absl::InvalidArgumentError(
        absl::StrCat("JSON is nested ", depth, " deep, more than the ", kMaxJsonDepth, " allowed"));
  }
  Json json = Json::parse(text.begin(), text.end(), nullptr, /*allow_exceptions=*/false);
  if (json.is_discarded()) {
    ErrorFinder finder;
    Json::sax_parse(text.begin(), text.end(), &finder);
    return absl::InvalidArgumentError(
        absl::StrCat("not JSON: error at byte ", finder.at, " of ", text.size()));
  }
  return json;
}

std::string DumpJson(const Json& json) { return Dump(json); }
std::string DumpJson(const OrderedJson& json) { return Dump(json); }

const Json* JsonView::Find(absl::string_view key) const {
  if (!value_->is_object()) return nullptr;
  const auto it = value_->find(std::string(key));
  return it == value_->end() || it->is_null() ? nullptr : &*it;
}

std::string JsonView::PathOf(absl::string_view key) const {
  return path_.empty() ? std::string(key) : absl::StrCat(path_, ".", key);
}

bool JsonView::Has(absl::string_view key) const { return Find(key) != nullptr; }

absl::Status JsonView::Wrong(absl::string_view key, absl::string_view want) const {
  if (!value_->is_object()) {
    return absl::InvalidArgumentError(absl::StrCat(path_, ": want an object, got ", Show(*value_)));
  }
  const Json* v = Find(key);
  return absl::InvalidArgumentError(
      absl::StrCat(PathOf(key), ": want ", want, ", got ", v == nullptr ? "nothing" : Show(*v)));
}

absl::StatusOr<std::string> JsonView::String(absl::string_view key, size_t max_bytes) const {
  const Json* v = Find(key);
  if (v == nullptr || !v->is_string()) return Wrong(key, "a string");
  const auto& s = v->get_ref<const std::string&>();
  if (s.size() > max_bytes) return Wrong(key, absl::StrCat("a string of at most ", max_bytes, " bytes"));
  return s;
}

absl::StatusOr<int64_t> JsonView::Int(absl::string_view key, int64_t min, int64_t max) const {
  const Json* v = Find(key);
  const bool fits = v != nullptr && v->is_number_integer() &&
                    (!v->is_number_unsigned() || v->get<uint64_t>() <= static_cast<uint64_t>(INT64_MAX));
  if (!fits || v->get<int64_t>() < min || v->get<int64_t>() > max) {
    return Wrong(key, absl::StrCat("a whole number from ", min, " to ", max));
  }
  return v->get<int64_t>();
}

absl::StatusOr<uint64_t> JsonView::Uint(absl::string_view key, uint64_t max) const {
  const Json* v = Find(key);
  const bool fits =
      v != nullptr && v->is_number_integer() && (v->is_number_unsigned() || v->get<int64_t>() >= 0);
  if (!fits || v->get<uint64_t>() > max) return Wrong(key, absl::StrCat("a whole number from 0 to ", max));
  return v->get<uint64_t>();
}

absl::StatusOr<bool> JsonView::Bool(absl::string_view key) const {
  const Json* v = Find(key);
  if (v == nullptr || !v->is_boolean()) return Wrong(key, "true or false");
  return v->get<bool>();
}

absl::StatusOr<double> JsonView::Number(absl::string_view key) const {
  const Json* v = Find(key);
  if (v == nullptr || !v->is_number() || !std::isfinite(v->get<double>())) return Wrong(key, "a number");
  return v->get<double>();
}

absl::StatusOr<JsonView> JsonView::Object(absl::string_view key) const {
  const Json* v = Find(key);
  if (v == nullptr || !v->is_object()) return Wrong(key, "an object");
  return JsonView(v, PathOf(key));
}

absl::StatusOr<std::vector<JsonView>> JsonView::Array(absl::string_view key, size_t max_size) const {
  const Json* v = Find(key);
  if (v == nullptr || !v->is_array() || v->size() > max_size) {
    return Wrong(key, absl::StrCat("an array of at most ", max_size));
  }
  std::vector<JsonView> out;
  out.reserve(v->size());
  for (size_t i = 0; i < v->size(); ++i) out.emplace_back(&(*v)[i], absl::StrCat(PathOf(key), "[", i, "]"));
  return out;
}

absl::StatusOr<std::vector<std::string>> JsonView::Strings(absl::string_view key, size_t max_size,
                                                           size_t max_bytes) const {
  auto items = Array(key, max_size);
  if (!items.ok()) return items.status();
  std::vector<std::string> out;
  out.reserve(items->size());
  for (const JsonView& item : *items) {
    if (!item.json().is_string() || item.json().get_ref<const std::string&>().size() > max_bytes) {
      return absl::InvalidArgumentError(absl::StrCat(item.path(), ": want a string of at most ", max_bytes,
                                                     " bytes, got ", Show(item.json())));
    }
    out.push_back(item.json().get<std::string>());
  }
  return out;
}

absl::StatusOr<std::string> JsonView::StringOr(absl::string_view key, size_t max_bytes,
                                               absl::string_view otherwise) const {
  return value_->is_object() && !Has(key) ? absl::StatusOr<std::string>(std::string(otherwise))
                                          : String(key, max_bytes);
}

absl::StatusOr<int64_t> JsonView::IntOr(absl::string_view key, int64_t min, int64_t max,
                                        int64_t otherwise) const {
  return value_->is_object() && !Has(key) ? absl::StatusOr<int64_t>(otherwise) : Int(key, min, max);
}

absl::StatusOr<bool> JsonView::BoolOr(absl::string_view key, bool otherwise) const {
  return value_->is_object() && !Has(key) ? absl::StatusOr<bool>(otherwise) : Bool(key);
}

}  // namespace mainstay
