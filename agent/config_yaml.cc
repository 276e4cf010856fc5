// YAML and single texts into mainstay.v1.AgentConfig by reflection. yaml-cpp throws: nothing leaves this
// file.
#include <yaml-cpp/yaml.h>

#include <set>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "agent/config_schema.h"
#include "google/protobuf/duration.pb.h"
#include "lib/base/strings.h"
#include "mainstay/v1/config.pb.h"

namespace mainstay::agent::schema {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::Reflection;

constexpr size_t kMaxFileBytes = 256 * 1024;
constexpr size_t kMaxText = 4096;
constexpr size_t kMaxList = 256;

bool IsScalar(const FieldDescriptor* f) {
  return !f->is_repeated() && (f->message_type() == nullptr || IsDuration(f));
}

std::vector<std::string> FieldNames(const Descriptor* type) {
  std::vector<std::string> names;
  names.reserve(static_cast<size_t>(type->field_count()));
  for (int i = 0; i < type->field_count(); ++i) names.push_back(type->field(i)->name());
  return names;
}

std::string Join(const std::string& parent, const std::string& key) {
  return parent.empty() ? key : parent + "." + key;
}

// Reads one document into one message, collecting problems.
class Reader {
 public:
  Reader(const Source& source, Trace* trace) : source_(source), trace_(trace) {}

  void Mapping(Message* message, const std::string& path, const YAML::Node& node) {
    if (!node.IsMap()) {
      return Problem(node, path, "", "is no mapping",
                     "write its settings indented under it, as 'key: value'");
    }
    std::set<std::string> seen;
    for (const auto& entry : node) {
      if (!entry.first.IsScalar()) {
        Problem(entry.first, path, "", "has a key that is no text", "write 'key: value'");
        continue;
      }
      const std::string key = entry.first.Scalar();
      const FieldDescriptor* field = message->GetDescriptor()->FindFieldByName(key);
      if (field == nullptr) {
        Unknown(entry.first, message->GetDescriptor(), path, key);
      } else if (!seen.insert(key).second) {
        Problem(entry.first, Join(path, key), "", "is given twice", "keep one of them");
      } else {
        Field(message, field, Join(path, key), entry.second, entry.first);
      }
    }
  }

  void Field(Message* message, const FieldDescriptor* field, const std::string& path, const YAML::Node& node,
             const YAML::Node& where) {
    Mark(path, where);
    if (node.IsNull()) return;  // "key:" with nothing after it: not set
    if (field->is_map()) return Map(message, field, path, node);
    if (field->is_repeated()) return List(message, field, path, node);
    if (!IsScalar(field))
      return Mapping(message->GetReflection()->MutableMessage(message, field), path, node);
    if (!node.IsScalar())
      return Problem(where, path, "", "must be a single value", absl::StrCat("write ", Syntax(field)));
    Scalar(message, field, path, node.Scalar(), where);
  }

  void Scalar(Message* message, const FieldDescriptor* field, const std::string& path,
              const std::string& text, const YAML::Node& where) {
    const std::string wrong = SetScalar(message, field, text);
    if (!wrong.empty()) return Problem(where, path, text, wrong, absl::StrCat("write ", Syntax(field)));
    Origin(path, where);
  }

  void Mark(const std::string& path, const YAML::Node& where) {
    if (source_.file) trace_->line[path] = where.Mark().line + 1;
  }

 private:
  void Origin(const std::string& path, const YAML::Node& where) {
    trace_->origin[path] =
        source_.file ? absl::StrCat(source_.name, ":", where.Mark().line + 1) : source_.name;
  }

  void Problem(const YAML::Node& where, const std::string& path, const std::string& value,
               const std::string& message, const std::string& remedy) {
    const int line = source_.file && where.IsDefined() ? where.Mark().line + 1 : 0;
    trace_->problems.push_back({line, source_.name, path, Cut(value, 80), message, remedy});
  }

  void Unknown(const YAML::Node& where, const Descriptor* type, const std::string& path,
               const std::string& key) {
    std::string remedy = "remove it";
    std::string near = Nearest(key, FieldNames(type));
    for (const std::string& name : FieldNames(type)) {
      if (near.empty() && absl::StartsWith(name, key + "_")) near = name;  // password -> password_file
    }
    if (!near.empty()) {
      remedy = absl::StrCat("did you mean ", Join(path, near), "?");
    } else {
      // Right name, wrong place?
      ForEachField(v1::AgentConfig::descriptor(), [&](const std::string& leaf, const FieldDescriptor* f) {
        if (f->name() == key) remedy = absl::StrCat("did you mean ", leaf, "?");
      });
    }
    Problem(where, Join(path, Cut(key, 80)), "", "is unknown", remedy);
  }

  void Map(Message* message, const FieldDescriptor* field, const std::string& path, const YAML::Node& node) {
    if (!node.IsMap())
      return Problem(node, path, "", "is no mapping", "write 'name: value' lines indented under it");
    if (node.size() > kMaxList)
      return Problem(node, path, "", absl::StrCat("has more than ", kMaxList, " entries"), "remove some");
    std::set<std::string> seen;
    for (const auto& entry : node) {
      if (!entry.first.IsScalar() || !entry.second.IsScalar()) {
        Problem(entry.first, path, "", "has an entry that is no 'name: value'", "write single values");
        continue;
      }
      const std::string key = entry.first.Scalar();
      if (!seen.insert(key).second) {
        Problem(entry.first, Join(path, key), "", "is given twice", "keep one of them");
        continue;
      }
      MapEntry(message, field, key, entry.second.Scalar(), Join(path, key), entry.first);
    }
  }

 public:
  void MapEntry(Message* message, const FieldDescriptor* field, const std::string& key,
                const std::string& value, const std::string& path, const YAML::Node& where) {
    if (value.size() > kMaxText) return Problem(where, path, value, "is too long", "shorten it");
    const Reflection* reflection = message->GetReflection();
    const FieldDescriptor* key_field = field->message_type()->map_key();
    const FieldDescriptor* value_field = field->message_type()->map_value();
    Mark(path, where);
    Origin(path, where);
    for (int i = 0; i < reflection->FieldSize(*message, field); ++i) {
      Message* entry = reflection->MutableRepeatedMessage(message, field, i);
      if (entry->GetReflection()->GetString(*entry, key_field) == key) {
        return entry->GetReflection()->SetString(entry, value_field, value);
      }
    }
    Message* entry = reflection->AddMessage(message, field);
    entry->GetReflection()->SetString(entry, key_field, key);
    entry->GetReflection()->SetString(entry, value_field, value);
  }

 private:
  void List(Message* message, const FieldDescriptor* field, const std::string& path, const YAML::Node& node) {
    if (!node.IsSequence()) return Problem(node, path, "", "is no list", "write '- item' lines under it");
    if (node.size() > kMaxList)
      return Problem(node, path, "", absl::StrCat("has more than ", kMaxList, " entries"), "remove some");
    const Reflection* reflection = message->GetReflection();
    reflection->ClearField(message, field);
    Origin(path, node);
    for (size_t i = 0; i < node.size(); ++i) {
      const std::string item = absl::StrCat(path, "[", i, "]");
      Mark(item, node[i]);
      if (field->message_type() != nullptr) {
        Mapping(reflection->AddMessage(message, field), item, node[i]);
      } else if (!node[i].IsScalar()) {
        Problem(node[i], item, "", "must be a single value", "write a text");
      } else if (node[i].Scalar().size() > kMaxText) {
        Problem(node[i], item, node[i].Scalar(), "is too long", "shorten it");
      } else {
        reflection->AddString(message, field, node[i].Scalar());
      }
    }
  }

  // "" or what is wrong.
  static std::string SetScalar(Message* m, const FieldDescriptor* f, const std::string& text);

  const Source& source_;
  Trace* trace_;
};

std::string SetEnum(Message* m, const FieldDescriptor* f, const std::string& text) {
  const auto* type = f->enum_type();
  const std::vector<std::string> names = EnumNames(type);
  for (const std::string& name : names) {
    if (name != text) continue;
    for (int i = 0; i < type->value_count(); ++i) {
      if (absl::EndsWith(absl::AsciiStrToLower(type->value(i)->name()), "_" + name)) {
        m->GetReflection()->SetEnum(m, f, type->value(i));
        return "";
      }
    }
  }
  const std::string near = Nearest(text, names);
  return near.empty() ? "is unknown" : absl::StrCat("is unknown (did you mean ", near, "?)");
}

std::string SetDuration(Message* m, const FieldDescriptor* f, const std::string& text) {
  const auto d = ParseDurationText(text);
  uint64_t bare = 0;
  if (absl::SimpleAtoi(text, &bare) && bare != 0)
    return absl::StrCat("has no unit (did you mean ", text, "s?)");
  if (!d) return "is no length of time";
  auto* out = static_cast<google::protobuf::Duration*>(m->GetReflection()->MutableMessage(m, f));
  out->set_seconds(d->count() / 1000000000);
  out->set_nanos(static_cast<int32_t>(d->count() % 1000000000));
  return "";
}

std::string Reader::SetScalar(Message* m, const FieldDescriptor* f, const std::string& text) {
  const Reflection* r = m->GetReflection();
  if (text.size() > kMaxText) return "is too long";
  if (IsDuration(f)) return SetDuration(m, f, text);
  switch (f->cpp_type()) {
    case FieldDescriptor::CPPTYPE_STRING:
      for (char c : text) {
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) return "holds a control character";
      }
      r->SetString(m, f, text);
      return "";
    case FieldDescriptor::CPPTYPE_ENUM:
      return SetEnum(m, f, text);
    case FieldDescriptor::CPPTYPE_BOOL: {
      bool value = false;
      if (text == "on" || text == "off") {
        value = text == "on";
      } else if (!absl::SimpleAtob(text, &value)) {
        return "is neither true nor false";
      }
      r->SetBool(m, f, value);
      return "";
    }
    case FieldDescriptor::CPPTYPE_INT32: {
      int32_t value = 0;
      if (!absl::SimpleAtoi(text, &value)) return "is no whole number";
      r->SetInt32(m, f, value);
      return "";
    }
    case FieldDescriptor::CPPTYPE_UINT32: {
      uint32_t value = 0;
      if (!absl::SimpleAtoi(text, &value)) return "is no whole number";
      r->SetUInt32(m, f, value);
      return "";
    }
    case FieldDescriptor::CPPTYPE_UINT64: {
      const auto value = ParseSize(text);
      if (!value) return "is no size";
      r->SetUInt64(m, f, *value);
      return "";
    }
    default:
      return "has a type that the configuration cannot hold";
  }
}

// Walks `path` down to the message that holds the leaf. Null: unknown.
const FieldDescriptor* Find(Message** message, const std::string& path, std::string* map_key) {
  const std::vector<std::string> parts = absl::StrSplit(path, '.');
  for (size_t i = 0; i < parts.size(); ++i) {
    const FieldDescriptor* f = (*message)->GetDescriptor()->FindFieldByName(parts[i]);
    if (f == nullptr) return nullptr;
    if (f->is_map() && i + 1 < parts.size()) {
      *map_key = absl::StrJoin(parts.begin() + static_cast<std::ptrdiff_t>(i) + 1, parts.end(), ".");
      return f;
    }
    if (i + 1 == parts.size()) return f;
    if (f->is_repeated() || f->message_type() == nullptr || IsDuration(f)) return nullptr;
    *message = (*message)->GetReflection()->MutableMessage(*message, f);
  }
  return nullptr;
}

void AddParseProblem(const Source& source, const std::string& path, const YAML::Exception& e, Trace* trace) {
  const int line = source.file && !e.mark.is_null() ? e.mark.line + 1 : 0;
  trace->problems.push_back({line, source.name, path, "", absl::StrCat("is no YAML: ", Cut(e.msg, 200)),
                             "check indentation, quotes and brackets near that line"});
}

}  // namespace

void SetPath(Message* root, const std::string& path, const std::string& text, const Source& source,
             Trace* trace) {
  Message* message = root;
  std::string map_key;
  const FieldDescriptor* field = Find(&message, path, &map_key);
  const auto problem = [&](const char* what, const std::string& remedy) {
    trace->problems.push_back({0, source.name, Cut(path, 120), Cut(text, 80), what, remedy});
  };
  if (field == nullptr) {
    std::vector<std::string> paths;
    ForEachField(root->GetDescriptor(),
                 [&](const std::string& leaf, const FieldDescriptor*) { paths.push_back(leaf); });
    const std::string near = Nearest(path, paths);
    return problem("is unknown",
                   near.empty() ? "see `mainstay config docs`" : absl::StrCat("did you mean ", near, "?"));
  }
  if (text.size() > kMaxFileBytes) return problem("is too long", "use the file");
  Reader reader(source, trace);
  try {
    if (!map_key.empty()) return reader.MapEntry(message, field, map_key, text, path, YAML::Node());
    if (IsScalar(field)) return reader.Scalar(message, field, path, text, YAML::Node());
    const YAML::Node node = YAML::Load(text);
    reader.Field(message, field, path, node, node);
  } catch (const YAML::Exception& e) {
    AddParseProblem(source, path, e, trace);
  }
}

void ReadYaml(Message* root, const std::string& text, const Source& source, Trace* trace) {
  if (text.size() > kMaxFileBytes) {
    trace->problems.push_back(
        {0, source.name, "", "", absl::StrCat("is longer than ", kMaxFileBytes, " bytes"), "shorten it"});
    return;
  }
  try {
    const YAML::Node node = YAML::Load(text);
    if (node.IsNull()) return;  // an empty file
    Reader(source, trace).Mapping(root, "", node);
  } catch (const YAML::Exception& e) {
    AddParseProblem(source, "", e, trace);
  }
}

}  // namespace mainstay::agent::schema
