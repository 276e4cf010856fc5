// Reading and writing mainstay.v1.AgentConfig by reflection: paths, texts, YAML. Used by config.cc only (and
// its tests).
//
// A path is "election.lease", of a map "postgresql.parameters.work_mem", of a list the list itself
// ("members"). Thread rules: none.
#ifndef MAINSTAY_AGENT_CONFIG_SCHEMA_H_
#define MAINSTAY_AGENT_CONFIG_SCHEMA_H_

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "agent/config.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/message.h"

namespace mainstay::agent::schema {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

// What was set by whom: path -> line (0: not in the file), and where from.
struct Trace {
  std::map<std::string, std::string> origin;
  std::map<std::string, int> line;
  std::vector<ConfigProblem> problems;
};

// Where a text comes from.
struct Source {
  std::string name;   // "mainstay.yaml", "environment MAINSTAY_NAME", "flag --set name"
  bool file = false;  // lines are meaningful
};

// Sets one leaf from text: a scalar as it is, a list or a map as YAML. Problems go to `trace`.
void SetPath(Message* root, const std::string& path, const std::string& text, const Source& source,
             Trace* trace);
// Reads a whole YAML document.
void ReadYaml(Message* root, const std::string& text, const Source& source, Trace* trace);

// Every leaf field of the schema, in order; maps and lists count as one.
void ForEachField(const google::protobuf::Descriptor* type,
                  const std::function<void(const std::string& path, const FieldDescriptor*)>& visit);
// Every leaf of a message that has a value, in order; a map's entries each, a list as one.
struct Leaf {
  std::string path;
  const FieldDescriptor* field = nullptr;
  std::string text;  // as it would be written
};
std::vector<Leaf> Flatten(const Message& root);

bool IsDuration(const FieldDescriptor* field);
bool IsReloadable(const FieldDescriptor* field);
std::string Help(const FieldDescriptor* field);
std::string Preset(const FieldDescriptor* field);
// "10s", "64MB", "quorum", "true or false"; how a value of this field is written.
std::string Syntax(const FieldDescriptor* field);
std::vector<std::string> EnumNames(const google::protobuf::EnumDescriptor* type);

std::string FormatYaml(const Message& root, const std::map<std::string, std::string>* origin);
// A YAML scalar that reads back as `text`.
std::string QuoteYaml(const std::string& text);
std::string AlwaysQuoteYaml(const std::string& text);

// The nearest of `words` to `word`, "" when none is near.
std::string Nearest(const std::string& word, const std::vector<std::string>& words);

// "64MB" -> bytes; "" in *problem when fine.
std::optional<uint64_t> ParseSize(const std::string& text);
std::string FormatSize(uint64_t bytes);
std::optional<Duration> ParseDurationText(const std::string& text);
std::string FormatDurationText(Duration d);  // exact, reads back the same

}  // namespace mainstay::agent::schema

#endif  // MAINSTAY_AGENT_CONFIG_SCHEMA_H_
