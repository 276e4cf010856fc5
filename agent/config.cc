#include "agent/config.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "agent/config_check.h"
#include "agent/config_schema.h"
#include "lib/base/file.h"
#include "mainstay/v1/config.pb.h"

namespace mainstay::agent {
namespace {

using schema::Trace;

constexpr size_t kMaxFileBytes = 256 * 1024;
constexpr char kPrefix[] = "MAINSTAY_";
// Not settings, but ours.
constexpr const char* kOtherVariables[] = {"MAINSTAY_ADDRESS", "MAINSTAY_CONFIG"};

std::string Variable(const std::string& path) {
  return kPrefix + absl::AsciiStrToUpper(absl::StrReplaceAll(path, {{".", "_"}}));
}

void ApplyPresets(v1::AgentConfig* message, Trace* trace) {
  schema::ForEachField(v1::AgentConfig::descriptor(),
                       [&](const std::string& path, const schema::FieldDescriptor* field) {
                         const std::string preset = schema::Preset(field);
                         if (!preset.empty())
                           schema::SetPath(message, path, preset, {.name = "default"}, trace);
                       });
}

using PresetList = std::initializer_list<std::pair<const char*, const char*>>;

// For all that nobody set.
void ApplyList(PresetList list, const char* name, v1::AgentConfig* message, Trace* trace) {
  for (const auto& [path, value] : list) {
    const auto it = trace->origin.find(path);
    if (it == trace->origin.end() || it->second == "default") {
      schema::SetPath(message, path, value, {.name = name}, trace);
    }
  }
}

// Redis takes over by the lease alone, so that is what a node's death costs: shorter than PostgreSQL's.
void ApplyRedis(v1::AgentConfig* message, Trace* trace) {
  if (message->profile() == v1::AgentConfig::PROFILE_FAST) {
    ApplyList({{"durability", "async"},
               {"election.lease", "2.2s"},
               {"election.validity", "1.4s"},
               {"election.fence", "700ms"},
               {"election.renew", "400ms"},
               {"election.suspicion", "900ms"},
               {"election.heartbeat", "250ms"},
               {"election.freeze_wait", "300ms"},
               {"election.sync_patience", "500ms"},
               {"probe.interval", "250ms"},
               {"probe.timeout", "500ms"},
               {"probe.hung_after", "1s"}},
              "profile fast of redis", message, trace);
    return;
  }
  ApplyList({{"durability", "async"},
             {"election.lease", "8s"},
             {"election.validity", "6s"},
             {"election.fence", "1.9s"},
             {"election.freeze_wait", "500ms"}},
            "redis", message, trace);
}

// The fast profile, for all that nobody set.
void ApplyProfile(v1::AgentConfig* message, Trace* trace) {
  if (message->engine() == v1::AgentConfig::ENGINE_REDIS) return ApplyRedis(message, trace);
  if (message->profile() != v1::AgentConfig::PROFILE_FAST) return;
  ApplyList({{"election.lease", "3s"},
             {"election.validity", "2s"},
             {"election.fence", "900ms"},
             {"election.renew", "500ms"},
             {"election.suspicion", "1s"},
             {"election.heartbeat", "250ms"},
             {"election.freeze_wait", "500ms"},
             {"election.sync_patience", "500ms"},
             {"probe.interval", "250ms"},
             {"probe.timeout", "500ms"},
             {"probe.hung_after", "2s"}},
            "profile fast", message, trace);
}

void ApplyEnvironment(v1::AgentConfig* message, const char* const* environment, Trace* trace,
                      std::vector<std::string>* warnings) {
  if (environment == nullptr) return;
  std::map<std::string, std::string> paths;  // variable -> path
  std::vector<std::string> variables;
  std::vector<std::pair<std::string, std::string>> maps;
  schema::ForEachField(v1::AgentConfig::descriptor(),
                       [&](const std::string& path, const schema::FieldDescriptor* field) {
                         paths[Variable(path)] = path;
                         variables.push_back(Variable(path));
                         if (field->is_map()) maps.emplace_back(Variable(path) + "_", path + ".");
                       });
  for (; *environment != nullptr; ++environment) {
    const std::pair<std::string, std::string> item =
        absl::StrSplit(absl::string_view(*environment), absl::MaxSplits('=', 1));
    const std::string& name = item.first;
    if (!absl::StartsWith(name, kPrefix)) continue;
    std::string path;
    if (const auto it = paths.find(name); it != paths.end()) path = it->second;
    for (const auto& [prefix, parent] : maps) {
      if (path.empty() && absl::StartsWith(name, prefix))
        path = parent + absl::AsciiStrToLower(name.substr(prefix.size()));
    }
    if (!path.empty()) {
      schema::SetPath(message, path, item.second, {.name = "environment " + name}, trace);
      continue;
    }
    // Kubernetes puts variables of its own into every container (MAINSTAY_PG_SERVICE_HOST): unknown ones are
    // no error.
    const std::string near = schema::Nearest(name, variables);
    const bool ours =
        std::find(std::begin(kOtherVariables), std::end(kOtherVariables), name) != std::end(kOtherVariables);
    if (!ours && !near.empty())
      warnings->push_back(absl::StrCat("environment ", name, " is no setting; did you mean ", near, "?"));
  }
}

void ApplyFlags(v1::AgentConfig* message, const ConfigSource& source, Trace* trace) {
  for (const auto& [path, value] : source.flags) {
    schema::SetPath(message, path, value, {.name = absl::StrCat("flag --set ", path)}, trace);
  }
}

// Line and origin of a path; of its nearest parent when it was not set itself.
void Locate(const Trace& trace, ConfigProblem* problem) {
  std::string path = problem->path;
  const auto origin = trace.origin.find(path);
  if (origin != trace.origin.end()) problem->origin = origin->second;
  const bool from_file = origin == trace.origin.end() || absl::StrContains(origin->second, ":");
  while (from_file) {
    if (const auto it = trace.line.find(path); it != trace.line.end()) {
      problem->line = it->second;
      break;
    }
    const size_t cut = path.find_last_of(".[");
    if (cut == std::string::npos) break;
    path.resize(cut);
  }
  // "mainstay.yaml:12" -> "mainstay.yaml", the line is kept apart.
  if (problem->line > 0 && origin != trace.origin.end())
    problem->origin = origin->second.substr(0, origin->second.rfind(':'));
}

LoadedConfig Load(const std::string* text, const std::string& name, const ConfigSource& source,
                  const char* const* environment) {
  auto message = std::make_shared<v1::AgentConfig>();
  Trace trace;
  LoadedConfig out;
  ApplyPresets(message.get(), &trace);
  if (text != nullptr) schema::ReadYaml(message.get(), *text, {.name = name, .file = true}, &trace);
  ApplyEnvironment(message.get(), environment, &trace, &out.warnings);
  ApplyFlags(message.get(), source, &trace);
  ApplyProfile(message.get(), &trace);
  const auto add = [&](const std::string& path, const std::string& value, const std::string& what,
                       const std::string& remedy) {
    // A value that could not even be read has been told already.
    for (const ConfigProblem& p : trace.problems) {
      if (p.path == path) return;
    }
    ConfigProblem problem{0, name, path, value, what, remedy};
    Locate(trace, &problem);
    trace.problems.push_back(std::move(problem));
  };
  // A text that is no YAML, or no file at all, was not read: whatever it lacks need not be told.
  const bool unread = std::any_of(trace.problems.begin(), trace.problems.end(),
                                  [](const auto& p) { return p.path.empty() && p.value.empty(); });
  if (!unread) CheckConfig(*message, add);
  out.config = ConvertConfig(message);
  const std::string timing = unread ? "" : election::CheckTiming(out.config.settings);
  for (absl::string_view line : absl::StrSplit(timing, '\n', absl::SkipEmpty())) {
    ConfigProblem problem{0, name, "election", "", std::string(line), ""};
    Locate(trace, &problem);
    problem.path.clear();  // the line names its settings itself
    trace.problems.push_back(std::move(problem));
  }
  out.problems = std::move(trace.problems);
  std::stable_sort(out.problems.begin(), out.problems.end(),
                   [](const ConfigProblem& a, const ConfigProblem& b) { return a.line < b.line; });
  out.origin = std::move(trace.origin);
  return out;
}

// Follows symbolic links, unlike ReadFile of lib/base: a mounted ConfigMap is one.
absl::StatusOr<std::string> ReadConfigFile(const std::string& path) {
  UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd.valid()) return ErrnoStatus(errno, "cannot open", path);
  struct stat st = {};
  if (fstat(fd.get(), &st) != 0) return ErrnoStatus(errno, "cannot stat", path);
  if (!S_ISREG(st.st_mode)) return absl::FailedPreconditionError(absl::StrCat(path, " is no file; give one"));
  std::string text(kMaxFileBytes + 1, '\0');
  size_t size = 0;
  while (size < text.size()) {
    const ssize_t n = read(fd.get(), text.data() + size, text.size() - size);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return ErrnoStatus(errno, "cannot read", path);
    if (n == 0) break;
    size += static_cast<size_t>(n);
  }
  text.resize(size);  // too long a text is refused by ReadYaml
  return text;
}

}  // namespace

std::string ConfigProblem::ToString() const {
  std::string out = origin.empty() ? "configuration" : origin;
  if (line > 0) absl::StrAppend(&out, ":", line);
  if (!path.empty()) absl::StrAppend(&out, ": ", path);
  if (!value.empty()) absl::StrAppend(&out, " = ", schema::QuoteYaml(value));
  // A sentence that begins with a capital letter or a formula stands alone; "is unknown" goes on after the
  // value.
  absl::StrAppend(
      &out,
      path.empty() || message.empty() || !std::islower(static_cast<unsigned char>(message[0])) ? ": " : " ",
      message);
  if (!remedy.empty()) absl::StrAppend(&out, "; ", remedy);
  return out;
}

std::string LoadedConfig::Problems() const {
  std::string out;
  for (const ConfigProblem& p : problems) absl::StrAppend(&out, p.ToString(), "\n");
  return out;
}

LoadedConfig LoadConfigText(const std::string& text, const std::string& name, const ConfigSource& source,
                            const char* const* environment) {
  return Load(&text, name, source, environment);
}

LoadedConfig LoadConfig(const ConfigSource& source, const char* const* environment) {
  if (source.file.empty()) return Load(nullptr, "", source, environment);
  const absl::StatusOr<std::string> text = ReadConfigFile(source.file);
  if (text.ok()) return Load(&*text, source.file, source, environment);
  const ConfigProblem problem{0, source.file, "", "", std::string(text.status().message()), ""};
  LoadedConfig out;
  out.problems.push_back(problem);
  return out;
}

bool ConfigChange::needs_restart() const {
  return std::any_of(items.begin(), items.end(), [](const Item& i) { return !i.reloadable; });
}

std::string ConfigChange::ToString() const {
  std::string out;
  for (const Item& i : items) {
    absl::StrAppend(
        &out, i.path, ": ", i.before.empty() ? "\"\"" : i.before, " -> ", i.after.empty() ? "\"\"" : i.after,
        i.reloadable ? " (in effect)" : " (needs a restart of the agent; the database goes on)", "\n");
  }
  return out;
}

ConfigChange Compare(const Config& before, const Config& after) {
  ConfigChange change;
  if (!before.message || !after.message) return change;
  std::map<std::string, schema::Leaf> old_leaves;
  for (schema::Leaf& leaf : schema::Flatten(*before.message)) old_leaves[leaf.path] = leaf;
  for (const schema::Leaf& leaf : schema::Flatten(*after.message)) {
    const auto it = old_leaves.find(leaf.path);
    const std::string was = it == old_leaves.end() ? "" : it->second.text;
    if (it == old_leaves.end() || was != leaf.text)
      change.items.push_back({leaf.path, was, leaf.text, schema::IsReloadable(leaf.field)});
    if (it != old_leaves.end()) old_leaves.erase(it);
  }
  for (const auto& [path, leaf] : old_leaves)
    change.items.push_back({path, leaf.text, "", schema::IsReloadable(leaf.field)});
  return change;
}

namespace {

// Copies the reloadable fields of `from`, in all depths.
void CopyReloadable(const google::protobuf::Message& from, google::protobuf::Message* to) {
  const auto* type = from.GetDescriptor();
  const auto* reflection = from.GetReflection();
  for (int i = 0; i < type->field_count(); ++i) {
    const auto* field = type->field(i);
    if (schema::IsReloadable(field)) {
      // Merging one field by reflection: a message of the same type with nothing else in it.
      std::unique_ptr<google::protobuf::Message> only(from.New());
      only->CopyFrom(from);
      for (int j = 0; j < type->field_count(); ++j) {
        if (j != i) reflection->ClearField(only.get(), type->field(j));
      }
      reflection->ClearField(to, field);
      to->MergeFrom(*only);
    } else if (field->message_type() != nullptr && !field->is_repeated() &&
               reflection->HasField(from, field) &&
               field->message_type()->full_name() != "google.protobuf.Duration") {
      CopyReloadable(reflection->GetMessage(from, field), reflection->MutableMessage(to, field));
    }
  }
}

}  // namespace

Config ApplyReload(const Config& before, const Config& after) {
  auto message = std::make_shared<v1::AgentConfig>(*before.message);
  CopyReloadable(*after.message, message.get());
  Config out = ConvertConfig(message);
  out.settings.identity = before.settings.identity;
  return out;
}

std::string PrintConfig(const Config& config, const std::map<std::string, std::string>* origin) {
  return config.message ? schema::FormatYaml(*config.message, origin) : "";
}

}  // namespace mainstay::agent
