// The schema and its values as texts, by reflection.
#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "agent/config_schema.h"
#include "google/protobuf/duration.pb.h"
#include "mainstay/v1/config.pb.h"

namespace mainstay::agent::schema {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::EnumDescriptor;

// "LOCK_CONFIGMAP" of enum Lock -> "configmap".
std::string ShortName(const EnumDescriptor* type, const std::string& value) {
  const std::string lower = absl::AsciiStrToLower(value);
  const std::string prefix = absl::AsciiStrToLower(type->name()) + "_";
  return absl::StartsWith(lower, prefix) ? lower.substr(prefix.size()) : lower;
}

std::string ScalarText(const Message& m, const FieldDescriptor* f) {
  const auto* r = m.GetReflection();
  if (IsDuration(f)) {
    const auto& d = static_cast<const google::protobuf::Duration&>(r->GetMessage(m, f));
    return FormatDurationText(std::chrono::seconds(d.seconds()) + std::chrono::nanoseconds(d.nanos()));
  }
  switch (f->cpp_type()) {
    case FieldDescriptor::CPPTYPE_STRING:
      return r->GetString(m, f);
    case FieldDescriptor::CPPTYPE_ENUM:
      return ShortName(f->enum_type(), r->GetEnum(m, f)->name());
    case FieldDescriptor::CPPTYPE_BOOL:
      return r->GetBool(m, f) ? "true" : "false";
    case FieldDescriptor::CPPTYPE_INT32:
      return absl::StrCat(r->GetInt32(m, f));
    case FieldDescriptor::CPPTYPE_UINT32:
      return absl::StrCat(r->GetUInt32(m, f));
    case FieldDescriptor::CPPTYPE_UINT64:
      return f->options().GetExtension(v1::size) ? FormatSize(r->GetUInt64(m, f))
                                                 : absl::StrCat(r->GetUInt64(m, f));
    default:
      return "";
  }
}

std::string YamlScalar(const Message& m, const FieldDescriptor* f) {
  const std::string text = ScalarText(m, f);
  return f->cpp_type() == FieldDescriptor::CPPTYPE_STRING ? QuoteYaml(text) : text;
}

// A list in one line: ["a", "b"], [{name: "a", peer: "x"}]; of its mappings only what is set.
std::string FlowList(const Message& m, const FieldDescriptor* f) {
  const auto* r = m.GetReflection();
  std::vector<std::string> items;
  for (int i = 0; i < r->FieldSize(m, f); ++i) {
    if (f->message_type() == nullptr) {
      items.push_back(QuoteYaml(r->GetRepeatedString(m, f, i)));
      continue;
    }
    const Message& item = r->GetRepeatedMessage(m, f, i);
    std::vector<const FieldDescriptor*> set;
    item.GetReflection()->ListFields(item, &set);
    std::vector<std::string> parts;
    parts.reserve(set.size());
    for (const FieldDescriptor* part : set) {
      // In flow style a plain ':' or '-' may mean something else: quote always.
      parts.push_back(
          absl::StrCat(part->name(), ": ",
                       part->is_repeated() ? FlowList(item, part) : AlwaysQuoteYaml(ScalarText(item, part))));
    }
    items.push_back(absl::StrCat("{", absl::StrJoin(parts, ", "), "}"));
  }
  return absl::StrCat("[", absl::StrJoin(items, ", "), "]");
}

std::vector<std::pair<std::string, std::string>> SortedMap(const Message& m, const FieldDescriptor* f) {
  std::vector<std::pair<std::string, std::string>> out;
  const auto* r = m.GetReflection();
  for (int i = 0; i < r->FieldSize(m, f); ++i) {
    const Message& entry = r->GetRepeatedMessage(m, f, i);
    out.emplace_back(entry.GetReflection()->GetString(entry, f->message_type()->map_key()),
                     entry.GetReflection()->GetString(entry, f->message_type()->map_value()));
  }
  std::sort(out.begin(), out.end());
  return out;
}

void FlattenInto(const Message& m, const std::string& parent, std::vector<Leaf>* out) {
  const Descriptor* type = m.GetDescriptor();
  for (int i = 0; i < type->field_count(); ++i) {
    const FieldDescriptor* f = type->field(i);
    const std::string path = parent.empty() ? f->name() : absl::StrCat(parent, ".", f->name());
    if (f->is_map()) {
      for (const auto& [key, value] : SortedMap(m, f))
        out->push_back({absl::StrCat(path, ".", key), f, value});
    } else if (f->is_repeated()) {
      out->push_back({path, f, FlowList(m, f)});
    } else if (f->message_type() != nullptr && !IsDuration(f)) {
      FlattenInto(m.GetReflection()->GetMessage(m, f), path, out);
    } else {
      out->push_back({path, f, ScalarText(m, f)});
    }
  }
}

class Printer {
 public:
  explicit Printer(const std::map<std::string, std::string>* origin) : origin_(origin) {}

  void Print(const Message& m, const std::string& parent, const std::string& indent) {
    const Descriptor* type = m.GetDescriptor();
    for (int i = 0; i < type->field_count(); ++i) {
      const FieldDescriptor* f = type->field(i);
      const std::string path = parent.empty() ? f->name() : absl::StrCat(parent, ".", f->name());
      if (f->is_map()) {
        const auto entries = SortedMap(m, f);
        Line(absl::StrCat(indent, f->name(), entries.empty() ? ": {}" : ":"), entries.empty() ? path : "");
        for (const auto& [key, value] : entries) {
          Line(absl::StrCat(indent, "  ", QuoteYaml(key), ": ", QuoteYaml(value)),
               absl::StrCat(path, ".", key));
        }
      } else if (f->is_repeated()) {
        Line(absl::StrCat(indent, f->name(), ": ", FlowList(m, f)), path);
      } else if (f->message_type() != nullptr && !IsDuration(f)) {
        Line(absl::StrCat(indent, f->name(), ":"), "");
        Print(m.GetReflection()->GetMessage(m, f), path, indent + "  ");
      } else {
        Line(absl::StrCat(indent, f->name(), ": ", YamlScalar(m, f)), path);
      }
    }
  }
  std::string Finish() { return std::move(out_); }

 private:
  void Line(std::string text, const std::string& path) {
    if (origin_ != nullptr && !path.empty()) {
      const auto it = origin_->find(path);
      if (text.size() < 48) text.resize(48, ' ');
      absl::StrAppend(&text, "  # ", it == origin_->end() ? "default" : it->second);
    }
    absl::StrAppend(&out_, text, "\n");
  }

  const std::map<std::string, std::string>* origin_;
  std::string out_;
};

}  // namespace

bool IsDuration(const FieldDescriptor* f) {
  return f->message_type() != nullptr && f->message_type()->full_name() == "google.protobuf.Duration";
}

void ForEachField(const Descriptor* type,
                  const std::function<void(const std::string&, const FieldDescriptor*)>& visit) {
  for (int i = 0; i < type->field_count(); ++i) {
    const FieldDescriptor* f = type->field(i);
    if (f->is_repeated() || f->message_type() == nullptr || IsDuration(f)) {
      visit(f->name(), f);
      continue;
    }
    ForEachField(f->message_type(), [&](const std::string& path, const FieldDescriptor* leaf) {
      visit(absl::StrCat(f->name(), ".", path), leaf);
    });
  }
}

std::vector<Leaf> Flatten(const Message& root) {
  std::vector<Leaf> out;
  FlattenInto(root, "", &out);
  return out;
}

bool IsReloadable(const FieldDescriptor* field) { return field->options().GetExtension(v1::reloadable); }
std::string Help(const FieldDescriptor* field) { return field->options().GetExtension(v1::help); }
std::string Preset(const FieldDescriptor* field) { return field->options().GetExtension(v1::preset); }

std::vector<std::string> EnumNames(const EnumDescriptor* type) {
  std::vector<std::string> out;
  for (int i = 0; i < type->value_count(); ++i) {
    const std::string name = ShortName(type, type->value(i)->name());
    if (name != "unspecified") out.push_back(name);
  }
  return out;
}

std::string Syntax(const FieldDescriptor* f) {
  if (f->is_map()) return "a mapping of name: value";
  if (f->is_repeated()) return f->message_type() == nullptr ? "a list of texts" : "a list of mappings";
  if (IsDuration(f)) return "a length of time such as 500ms, 10s or 1m30s";
  switch (f->cpp_type()) {
    case FieldDescriptor::CPPTYPE_ENUM:
      return absl::StrJoin(EnumNames(f->enum_type()), " or ");
    case FieldDescriptor::CPPTYPE_BOOL:
      return "true or false";
    case FieldDescriptor::CPPTYPE_UINT64:
      return "a size such as 64MB or 10GB";
    case FieldDescriptor::CPPTYPE_INT32:
    case FieldDescriptor::CPPTYPE_UINT32:
      return "a whole number";
    default:
      return "a text without control characters";
  }
}

std::string FormatYaml(const Message& root, const std::map<std::string, std::string>* origin) {
  Printer printer(origin);
  printer.Print(root, "", "");
  return printer.Finish();
}

}  // namespace mainstay::agent::schema
