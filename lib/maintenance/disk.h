// A member's disk: the data directory of its broker, and the note that the agent keeps beside it, on the same
// volume: an id of the disk, how its data began, which cluster they were seen in, what this agent is in the
// middle of.
//
// Without a note there is a new disk. Data without a note were there before Mainstay: they count.
//
// Thread rules: one thread. Errors: those of lib/base/file.h; a damaged note is kDataLoss and nothing is
// done.
#ifndef MAINSTAY_LIB_MAINTENANCE_DISK_H_
#define MAINSTAY_LIB_MAINTENANCE_DISK_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "lib/maintenance/facts.h"

namespace mainstay::maintenance {

struct Note {
  std::string disk;
  Begun begun = Begun::kNo;
  std::string marker;
  std::string wish, wish_start;  // a wish to restart, and the run that it is about: over when that run ended
  bool drained = false;          // this agent drained it
  friend bool operator==(const Note&, const Note&) = default;
};
std::string EncodeNote(const Note& note);
absl::StatusOr<Note> DecodeNote(absl::string_view text);

class Disk {
 public:
  // `data`: RabbitMQ's own directory (RABBITMQ_MNESIA_DIR); `note`: a file on the same volume.
  Disk(std::string data, std::string note) : data_(std::move(data)), note_path_(std::move(note)) {}

  // Reads the note, or makes one.
  absl::Status Open();
  const Note& note() const { return note_; }
  absl::Status Write(const Note& note);

  // Whether there is anything that RabbitMQ itself would not take for blank.
  absl::StatusOr<bool> HasData() const;
  // Nodes that ran when this one stopped; empty: not known.
  absl::StatusOr<std::vector<std::string>> AtShutdown() const;
  // Removes the data and makes this another disk. Only while no broker runs.
  absl::Status Wipe();
  absl::Status MarkForceBoot();

 private:
  const std::string data_, note_path_;
  Note note_;
};

}  // namespace mainstay::maintenance

#endif  // MAINSTAY_LIB_MAINTENANCE_DISK_H_
