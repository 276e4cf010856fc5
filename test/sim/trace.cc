// What people read of a run: each row of the core's table with member and time, each fault, each change of a
// database.
#include <cstdarg>

#include "test/sim/world.h"

namespace mainstay::sim {

using election::DbState;
using election::Verdict;

void World::Trace(int m, const char* format, ...) {
  if (trace_ == nullptr) return;
  std::fprintf(trace_, "%10.4f %s ", static_cast<double>(now_) / 1e9, m < 0 ? "-" : nodes_[m].name.c_str());
  va_list args;
  va_start(args, format);
  std::vfprintf(trace_, format, args);
  va_end(args);
  std::fputc('\n', trace_);
}

void World::TraceEvent(int m, const election::Event& e) {
  static const char* const kOps[] = {"found",    "follow", "freeze", "promote",    "reopen",
                                     "set-sync", "stop",   "kill",   "checkpoint", "remember"};
  static const char* const kOutcomes[] = {"ok", "conflict", "not-found", "unknown", "unreadable"};
  static const char* const kStore[] = {"read", "create", "update"};
  if (const auto* s = std::get_if<election::StoreDone>(&e)) {
    if (s->op == election::StoreOp::kUpdate && s->outcome == election::StoreOutcome::kOk && !tell_write_[m])
      return;
    const std::string what =
        s->record ? " holder=" + s->record->holder + " epoch=" + std::to_string(s->record->epoch) : "";
    Trace(m, "  <- %s %s %s%s", kStore[static_cast<int>(s->op)], kOutcomes[static_cast<int>(s->outcome)],
          s->version.c_str(), what.c_str());
  } else if (const auto* d = std::get_if<election::EngineDone>(&e)) {
    Trace(m, "  <- engine %s %s %s", kOps[static_cast<int>(d->op)], d->ok ? "ok" : "FAILED",
          d->detail.c_str());
  } else if (const auto* f = std::get_if<election::FreezeAnswered>(&e)) {
    Trace(m, "  <- %s %s at lineage %lld offset %llu %s", f->from.c_str(),
          f->frozen ? "froze" : "did not freeze", static_cast<long long>(f->position.lineage),
          static_cast<unsigned long long>(f->position.offset), f->refusal.c_str());
  } else if (const auto* a = std::get_if<election::FreezeAsked>(&e)) {
    Trace(m, "  <- %s asks to freeze for epoch %lld", a->from.c_str(), static_cast<long long>(a->epoch));
  } else if (std::get_if<election::AdminAsked>(&e) != nullptr) {
    Trace(m, "  <- an administrator asks (kind %d)",
          static_cast<int>(std::get<election::AdminAsked>(e).kind));
  }
}

void World::TraceAction(int m, const election::Action& a) {
  static const char* const kOps[] = {"found",    "follow", "freeze", "promote",    "reopen",
                                     "set-sync", "stop",   "kill",   "checkpoint", "remember"};
  if (const auto* d = std::get_if<election::Decision>(&a)) {
    Trace(m, "[%s] %s (%s)", d->row, d->sentence, d->facts.c_str());
  } else if (const auto* e = std::get_if<election::Engine>(&a)) {
    std::string names;
    for (const auto& n : e->sync.names) names += n;
    Trace(m, "  -> engine %s epoch %lld leader %s k=%d names={%s}", kOps[static_cast<int>(e->op)],
          static_cast<long long>(e->epoch), e->leader.name.c_str(), e->sync.k, names.c_str());
  } else if (const auto* u = std::get_if<election::UpdateLock>(&a)) {
    // Plain renewals are not worth a line.
    tell_write_[m] = record_ == nullptr || record_->epoch != u->record.epoch ||
                     record_->change != u->record.change || record_->holder != u->record.holder;
    if (!tell_write_[m]) return;
    std::string voters;
    for (const auto& n : u->record.voters) voters += n;
    Trace(m, "  -> update if %s: holder=%s epoch=%lld V={%s} q=%d%s", u->if_version.c_str(),
          u->record.holder.c_str(), static_cast<long long>(u->record.epoch), voters.c_str(), u->record.freeze,
          u->record.release.released ? " released" : "");
  } else if (const auto* c = std::get_if<election::CreateLock>(&a)) {
    Trace(m, "  -> create: holder=%s epoch=%lld", c->record.holder.c_str(),
          static_cast<long long>(c->record.epoch));
  } else if (std::get_if<election::ReadLock>(&a) != nullptr) {
    Trace(m, "  -> read");
  } else if (const auto* r = std::get_if<election::AnswerAdmin>(&a)) {
    Trace(m, "  -> admin %s: %s", r->id.c_str(), r->message.c_str());
  } else if (const auto* f = std::get_if<election::AnswerFreeze>(&a)) {
    Trace(m, "  -> answers %s: %s %s", f->to.c_str(), f->answer.frozen ? "frozen" : "not frozen",
          f->answer.refusal.c_str());
  }
}

std::string World::StateText(int m) const {
  const Node& n = nodes_[m];
  const Database& d = n.db;
  char out[900];
  std::snprintf(
      out, sizeof out,
      "%s: %s phase=%s lead=%d epoch=%lld blocked=\"%s\" problem=\"%s\" engine=%s | db %s%s%s%s%s "
      "log %d/%llu epoch %lld k=%d names=%x conn_to=%d/%lld rx=%d | "
      "memory max=%lld promised=%lld detached=%d lineage=%lld held=%lld fenced=%d",
      n.name.c_str(),
      !n.node_up       ? "NODE DOWN"
      : !n.agent_up    ? "AGENT DOWN"
      : n.agent_paused ? "PAUSED"
                       : "up",
      n.settings ? ToString(n.state.phase) : "-", n.state.lead, static_cast<long long>(n.state.open_epoch),
      n.state.attempt.verdict.c_str(), n.state.lock_problem.c_str(),
      n.engine.active ? std::to_string(static_cast<int>(n.engine.op.op)).c_str() : "-",
      d.exists ? "" : "EMPTY ", d.broken ? "BROKEN " : "", d.running ? "runs" : "stopped",
      d.writable ? " WRITABLE" : "", d.paused ? " PAUSED" : "", d.log.branch,
      static_cast<unsigned long long>(d.log.end), static_cast<long long>(d.epoch), d.cfg.k, d.cfg.names,
      d.conn_to, static_cast<long long>(d.conn_epoch), d.rx, static_cast<long long>(n.durable.max_epoch),
      static_cast<long long>(n.durable.promised), n.durable.detached,
      static_cast<long long>(n.durable.lineage), static_cast<long long>(n.durable.held), n.durable.fenced);
  return out;
}

void World::PrintStates(FILE* out) const {
  if (present_ && record_ != nullptr) {
    std::string voters, members;
    for (const auto& v : record_->voters) voters += v;
    for (const auto& v : record_->members) members += v.name;
    std::fprintf(out,
                 "  record v%llu%s: holder=%s (%s) epoch=%lld base=%lld change=%lld durability=%s V={%s} "
                 "q=%d members={%s}%s%s%s\n",
                 static_cast<unsigned long long>(version_), damaged_ ? " DAMAGED" : "",
                 record_->holder.c_str(), record_->holder_name.c_str(),
                 static_cast<long long>(record_->epoch), static_cast<long long>(record_->base),
                 static_cast<long long>(record_->change), ToString(record_->durability), voters.c_str(),
                 record_->freeze, members.c_str(), record_->paused ? " paused" : "",
                 record_->release.released ? " released" : "", record_->pending ? " pending" : "");
  } else {
    std::fprintf(out, "  no record\n");
  }
  for (int m = 0; m < plan_.members; m++) std::fprintf(out, "  %s\n", StateText(m).c_str());
}

// Kept with the data: whose history they are of.
Epoch World::Reign(int m) const {
  const Database& d = nodes_[m].db;
  if (plan_.volatile_data == 0 || !d.exists || d.unopened || d.writable) return 0;
  return d.lost_end && d.log.end < d.reign_from ? 1 : d.reign;
}

// What the engine's probe of this database says now.
election::DbReport World::Report(int m) {
  const Node& n = nodes_[m];
  const Database& d = n.db;
  election::DbReport r;
  r.at = Local(m, now_);
  r.empty = !d.exists;
  r.unopened = d.unopened;
  r.rolled_back = d.exists && d.rolled_back;
  r.reign = Reign(m);
  r.state = d.running ? DbState::kRunning : d.dead ? DbState::kDead : DbState::kStopped;
  if (d.exists) {
    r.system_id = "s" + std::to_string(d.system);
    r.data_nonce = "d" + std::to_string(d.nonce);
    r.offset = d.log.end;
    r.timeline = static_cast<uint32_t>(d.log.branch);
  }
  if (!d.running) return r;
  r.writable = d.writable;
  r.verdict = Verdict::kOk;
  if (d.paused) {
    r.verdict = now_ - d.paused_at > (plan_.fast != 0 ? 1 : 4) * kSec ? Verdict::kHung : Verdict::kUnknown;
    return r;
  }
  if (!d.writable && !logs_.Contains(d.log, d.consistent)) r.state = DbState::kStarting;
  if (d.rx) {
    r.streaming_from = nodes_[d.conn_to].name;
    r.streaming_epoch = d.conn_epoch;
  }
  r.stream_at = d.rx_at < 0 ? MonoTime() : Local(m, d.rx_at);
  if (d.writable) {
    for (int s = 0; s < plan_.members; s++) {
      const Database::Sender& t = d.tx[s];
      if (!t.up || t.epoch != d.cfg.epoch) continue;
      r.standbys.push_back({nodes_[s].name, t.streaming, t.flushed});
    }
  }
  return r;
}

}  // namespace mainstay::sim
