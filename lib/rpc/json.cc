#include "lib/rpc/json.h"

#include <cmath>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/duration.pb.h"
#include "google/protobuf/timestamp.pb.h"
#include "lib/base/strings.h"
#include "lib/base/wall_clock.h"

namespace mainstay::rpc {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

std::string SnakeUpper(const std::string& camel) {  // "DbState" -> "DB_STATE_"
  std::string out;
  for (size_t i = 0; i < camel.size(); ++i) {
    if (i > 0 && absl::ascii_isupper(static_cast<unsigned char>(camel[i]))) out.push_back('_');
    out.push_back(absl::ascii_toupper(static_cast<unsigned char>(camel[i])));
  }
  return out + "_";
}

class JsonWriter {
 public:
  explicit JsonWriter(bool pretty) : pretty_(pretty) {}
  std::string Take() { return std::move(out_); }

  void Value(const Message& m) {
    const std::string& type = m.GetDescriptor()->full_name();
    if (type == "google.protobuf.Duration") {
      const auto& d = static_cast<const google::protobuf::Duration&>(m);
      return Number(static_cast<double>(d.seconds()) + d.nanos() / 1e9);
    }
    if (type == "google.protobuf.Timestamp") {
      const auto& t = static_cast<const google::protobuf::Timestamp&>(m);
      return AppendJsonString(&out_, FormatUtcMillis(t.seconds() * 1000 + t.nanos() / 1000000));
    }
    Open('{');
    for (int i = 0; i < m.GetDescriptor()->field_count(); ++i) {
      const FieldDescriptor* f = m.GetDescriptor()->field(i);
      if (f->has_presence() && !m.GetReflection()->HasField(m, f)) continue;
      Item();
      AppendJsonString(&out_, f->name());
      out_ += pretty_ ? ": " : ":";
      f->is_repeated() ? List(m, f) : Scalar(m, f, -1);
    }
    Close('}');
  }

 private:
  void Open(char c) {
    out_.push_back(c);
    ++depth_;
    empty_ = true;
  }
  void Close(char c) {
    --depth_;
    if (!empty_) NewLine();
    out_.push_back(c);
    empty_ = false;
  }
  void Item() {
    if (!empty_) out_.push_back(',');
    empty_ = false;
    NewLine();
  }
  void NewLine() {
    if (!pretty_) return;
    out_.push_back('\n');
    out_.append(static_cast<size_t>(depth_) * 2, ' ');
  }
  void Number(double v) {
    if (!std::isfinite(v)) v = 0;
    absl::StrAppendFormat(&out_, "%.9g", v);
  }

  void List(const Message& m, const FieldDescriptor* f) {
    Open('[');
    for (int i = 0; i < m.GetReflection()->FieldSize(m, f); ++i) {
      Item();
      Scalar(m, f, i);
    }
    Close(']');
  }

  // Element `i` of a list; -1: the single value.
  void Scalar(const Message& m, const FieldDescriptor* f, int i) {
    const Reflection* r = m.GetReflection();
    const bool one = i < 0;
    switch (f->cpp_type()) {
      case FieldDescriptor::CPPTYPE_MESSAGE:
        return Value(one ? r->GetMessage(m, f) : r->GetRepeatedMessage(m, f, i));
      case FieldDescriptor::CPPTYPE_STRING:
        return AppendJsonString(&out_, one ? r->GetString(m, f) : r->GetRepeatedString(m, f, i));
      case FieldDescriptor::CPPTYPE_BOOL:
        out_ += (one ? r->GetBool(m, f) : r->GetRepeatedBool(m, f, i)) ? "true" : "false";
        return;
      case FieldDescriptor::CPPTYPE_ENUM:
        return AppendJsonString(&out_, EnumText(one ? r->GetEnum(m, f) : r->GetRepeatedEnum(m, f, i)));
      case FieldDescriptor::CPPTYPE_INT32:
        return absl::StrAppend(&out_, one ? r->GetInt32(m, f) : r->GetRepeatedInt32(m, f, i));
      case FieldDescriptor::CPPTYPE_INT64:
        return absl::StrAppend(&out_, one ? r->GetInt64(m, f) : r->GetRepeatedInt64(m, f, i));
      case FieldDescriptor::CPPTYPE_UINT32:
        return absl::StrAppend(&out_, one ? r->GetUInt32(m, f) : r->GetRepeatedUInt32(m, f, i));
      case FieldDescriptor::CPPTYPE_UINT64:
        return absl::StrAppend(&out_, one ? r->GetUInt64(m, f) : r->GetRepeatedUInt64(m, f, i));
      case FieldDescriptor::CPPTYPE_DOUBLE:
        return Number(one ? r->GetDouble(m, f) : r->GetRepeatedDouble(m, f, i));
      case FieldDescriptor::CPPTYPE_FLOAT:
        return Number(one ? r->GetFloat(m, f) : r->GetRepeatedFloat(m, f, i));
    }
  }

  const bool pretty_;
  std::string out_;
  int depth_ = 0;
  bool empty_ = true;
};

}  // namespace

std::string EnumText(const google::protobuf::EnumValueDescriptor* value) {
  std::string name = value->name();
  const std::string prefix = SnakeUpper(value->type()->name());
  if (absl::StartsWith(name, prefix)) name = name.substr(prefix.size());
  name = absl::AsciiStrToLower(name);
  return name == "unspecified" ? "unknown" : name;
}

std::string MessageToJson(const Message& message, bool pretty) {
  JsonWriter writer(pretty);
  writer.Value(message);
  return writer.Take();
}

}  // namespace mainstay::rpc
