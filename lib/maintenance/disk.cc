#include "lib/maintenance/disk.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <system_error>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "lib/base/file.h"
#include "lib/base/json.h"
#include "lib/base/random.h"
#include "lib/base/result.h"
#include "lib/engine/rabbitmq/parse.h"
#include "lib/maintenance/words.h"

namespace mainstay::maintenance {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxNote = 16 * 1024;
constexpr size_t kMaxNodesFile = 64 * 1024;

// What RabbitMQ makes before it decides whether it is blank (rabbit_mnesia:is_virgin_node/0 of 3.10 to 4.2).
bool CountsForNothing(const std::string& name) {
  static constexpr std::array<const char*, 8> kNames = {
      "cluster_nodes.config", "nodes_running_at_shutdown", "node-type.txt", "quorum", "coordination",
      "feature_flags",        "enabled_feature_flags",     "lost+found"};
  return std::find(kNames.begin(), kNames.end(), name) != kNames.end();
}

absl::Status Failed(const char* what, const std::string& path, const std::error_code& error) {
  return ErrnoStatus(error.value(), what, path);
}

}  // namespace

std::string EncodeNote(const Note& note) {
  return DumpJson(OrderedJson{{"v", 1},
                              {"disk", note.disk},
                              {"begun", WordOf(kBegunWords, note.begun)},
                              {"marker", note.marker},
                              {"wish", note.wish},
                              {"wish_start", note.wish_start},
                              {"drained", note.drained}});
}

absl::StatusOr<Note> DecodeNote(absl::string_view text) {
  MAINSTAY_ASSIGN_OR_RETURN(const Json json, ParseJson(text, kMaxNote));
  const JsonView in(&json, "note");
  MAINSTAY_RETURN_IF_ERROR(in.Int("v", 1, 1).status());
  Note out;
  MAINSTAY_ASSIGN_OR_RETURN(out.disk, in.String("disk", kMaxText));
  if (out.disk.empty()) return in.Wrong("disk", "an id");
  MAINSTAY_RETURN_IF_ERROR(ReadWord(in, "begun", kBegunWords, &out.begun, "no, found or join"));
  MAINSTAY_ASSIGN_OR_RETURN(out.marker, in.StringOr("marker", kMaxText, ""));
  MAINSTAY_ASSIGN_OR_RETURN(out.wish, in.StringOr("wish", kMaxText, ""));
  MAINSTAY_ASSIGN_OR_RETURN(out.wish_start, in.StringOr("wish_start", kMaxText, ""));
  MAINSTAY_ASSIGN_OR_RETURN(out.drained, in.BoolOr("drained", false));
  return out;
}

absl::Status Disk::Open() {
  const absl::StatusOr<std::string> text = ReadFile(note_path_, kMaxNote);
  if (absl::IsNotFound(text.status())) {
    MAINSTAY_RETURN_IF_ERROR(MakeDirs(DirName(note_path_), 0700));
    return Write(Note{.disk = RandomHex(8)});
  }
  if (!text.ok()) return text.status();
  absl::StatusOr<Note> note = DecodeNote(*text);
  if (!note.ok())
    return absl::DataLossError(
        absl::StrCat(note_path_, ": ", note.status().message(),
                     "; put the former text back, or remove the file: the disk then counts as another one, "
                     "with data that were there before"));
  note_ = *std::move(note);
  return absl::OkStatus();
}

absl::Status Disk::Write(const Note& note) {
  if (note == note_) return absl::OkStatus();
  MAINSTAY_RETURN_IF_ERROR(AtomicWriteFile(note_path_, EncodeNote(note) + "\n"));
  note_ = note;
  return absl::OkStatus();
}

absl::StatusOr<bool> Disk::HasData() const {
  std::error_code error;
  for (fs::directory_iterator it(data_, error), end; !error && it != end; it.increment(error))
    if (!CountsForNothing(it->path().filename().string())) return true;
  if (error && error != std::errc::no_such_file_or_directory) return Failed("listing", data_, error);
  return false;
}

absl::StatusOr<std::vector<std::string>> Disk::AtShutdown() const {
  const absl::StatusOr<std::string> text = ReadFile(data_ + "/nodes_running_at_shutdown", kMaxNodesFile);
  if (absl::IsNotFound(text.status())) return std::vector<std::string>();
  if (!text.ok()) return text.status();
  return engine::rabbitmq::ParseNodesFile(*text);
}

absl::Status Disk::Wipe() {
  std::error_code error;
  // The files that RabbitMQ keeps beside its directory go with it.
  for (const char* suffix : {"-feature_flags", "-plugins-expand", ""}) {
    fs::remove_all(data_ + suffix, error);
    if (error) return Failed("removing", data_ + suffix, error);
  }
  MAINSTAY_RETURN_IF_ERROR(SyncDir(DirName(data_)));
  return Write(Note{.disk = RandomHex(8)});
}

absl::Status Disk::MarkForceBoot() { return AtomicWriteFile(data_ + "/force_load", ""); }

}  // namespace mainstay::maintenance
