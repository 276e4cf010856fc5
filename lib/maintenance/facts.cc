#include "lib/maintenance/facts.h"

#include <algorithm>
#include <array>

#include "lib/base/json.h"
#include "lib/base/result.h"
#include "lib/maintenance/words.h"

namespace mainstay::maintenance {
namespace {

constexpr size_t kMaxCritical = 64;  // sent: enough for people; one is enough to say no

constexpr std::array<const char*, 5> kBrokers = {"unknown", "stopped", "starting", "paused", "ready"};

constexpr char kNewer[] = "a known word (is that agent newer than this one?)";

absl::Status ReadDisk(const JsonView& in, MemberFacts* out) {
  MAINSTAY_ASSIGN_OR_RETURN(out->disk, in.String("disk", kMaxText));
  MAINSTAY_ASSIGN_OR_RETURN(out->blank, in.Bool("blank"));
  MAINSTAY_RETURN_IF_ERROR(ReadWord(in, "begun", kBegunWords, &out->begun, kNewer));
  MAINSTAY_ASSIGN_OR_RETURN(out->marker, in.StringOr("marker", kMaxText, ""));
  MAINSTAY_ASSIGN_OR_RETURN(out->at_shutdown, in.Strings("at_shutdown", kMaxMembers, kMaxText));
  return absl::OkStatus();
}

absl::Status ReadBroker(const JsonView& in, MemberFacts* out) {
  MAINSTAY_RETURN_IF_ERROR(ReadWord(in, "broker", kBrokers, &out->broker, kNewer));
  MAINSTAY_ASSIGN_OR_RETURN(out->start, in.StringOr("start", kMaxText, ""));
  MAINSTAY_ASSIGN_OR_RETURN(out->cluster_id, in.StringOr("cluster_id", kMaxText, ""));
  MAINSTAY_ASSIGN_OR_RETURN(out->nodes, in.Strings("nodes", kMaxMembers, kMaxText));
  MAINSTAY_ASSIGN_OR_RETURN(out->running, in.Strings("running", kMaxMembers, kMaxText));
  MAINSTAY_ASSIGN_OR_RETURN(out->partitions, in.Strings("partitions", kMaxMembers, kMaxText));
  MAINSTAY_ASSIGN_OR_RETURN(out->draining, in.Bool("draining"));
  MAINSTAY_ASSIGN_OR_RETURN(out->alarm, in.Bool("alarm"));
  return absl::OkStatus();
}

}  // namespace

const char* ToString(Broker broker) { return WordOf(kBrokers, broker); }

std::string EncodeFacts(const MemberFacts& f) {
  std::vector<std::string> critical = f.critical;
  if (critical.size() > kMaxCritical) critical.resize(kMaxCritical);
  return DumpJson(OrderedJson{{"v", 1},
                              {"name", f.name},
                              {"node", f.node},
                              {"disk", f.disk},
                              {"blank", f.blank},
                              {"begun", WordOf(kBegunWords, f.begun)},
                              {"marker", f.marker},
                              {"at_shutdown", f.at_shutdown},
                              {"broker", ToString(f.broker)},
                              {"start", f.start},
                              {"cluster_id", f.cluster_id},
                              {"nodes", f.nodes},
                              {"running", f.running},
                              {"partitions", f.partitions},
                              {"draining", f.draining},
                              {"alarm", f.alarm},
                              {"wish", f.wish},
                              {"critical_known", f.critical_known},
                              {"critical", critical},
                              {"seen_founding", f.seen_founding}});
}

absl::StatusOr<MemberFacts> DecodeFacts(absl::string_view text) {
  MAINSTAY_ASSIGN_OR_RETURN(const Json json, ParseJson(text, kMaxFactsBytes));
  const JsonView in(&json, "facts");
  MAINSTAY_RETURN_IF_ERROR(in.Int("v", 1, 1).status());
  MemberFacts out;
  MAINSTAY_ASSIGN_OR_RETURN(out.name, in.String("name", kMaxText));
  MAINSTAY_ASSIGN_OR_RETURN(out.node, in.String("node", kMaxText));
  MAINSTAY_RETURN_IF_ERROR(ReadDisk(in, &out));
  MAINSTAY_RETURN_IF_ERROR(ReadBroker(in, &out));
  MAINSTAY_ASSIGN_OR_RETURN(out.wish, in.StringOr("wish", kMaxText, ""));
  MAINSTAY_ASSIGN_OR_RETURN(out.critical_known, in.Bool("critical_known"));
  MAINSTAY_ASSIGN_OR_RETURN(out.critical, in.Strings("critical", kMaxCritical, kMaxText));
  MAINSTAY_ASSIGN_OR_RETURN(out.seen_founding, in.StringOr("seen_founding", kMaxText, ""));
  return out;
}

const MemberFacts* View::Find(const std::string& name) const {
  const auto it =
      std::find_if(members.begin(), members.end(), [&](const MemberFacts& m) { return m.name == name; });
  return it == members.end() ? nullptr : &*it;
}

}  // namespace mainstay::maintenance
