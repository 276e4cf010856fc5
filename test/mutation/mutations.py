"""The mutations that mutate.py tries: name, file, the exact text, what it becomes, what that breaks, and the profiles of the
simulation that look for it when no scenario does."""

ELECTION = "lib/election/"


def _m(name, file, old, new, breaks, *profiles):
    return {"name": name, "file": ELECTION + file, "old": old, "new": new, "breaks": breaks,
            "profiles": list(profiles) or ["quorum3", "swarm", "everything"]}


# Not here, because nothing could be seen of them (tried on 2026-11-24): renewing for a hung database (the row primary.hung
# kills it in the same step), a holder that answers a freeze inside its permission (the engine refuses to freeze a primary),
# a foreign holder told by its name alone (one member's incarnations share a shim, they never run together), giving up after a
# crash with too few voters alive (the next holder is then the same member: slower, never unsafe).
MUTATIONS = [
    # ---- timing ----
    _m("permit-from-answer", "effects.cc", "Mistake(M::kRespTime) ? c.now : sent_at;", "c.now;",
       "the permission counts from before the request was sent", "lease2"),
    _m("candidates-wait-h", "facts.cc", "if (Mistake(M::kTooShort)) wait = s.set->validity / 2;", "wait = s.set->validity / 2;",
       "candidates wait for L", "lease2"),
    _m("late-expiry", "rows_holder.cc", "return c.s.lead && c.now >= GiveUpAt(c.s); }",
       "return c.s.lead && c.now >= GiveUpAt(c.s) + c.set().fence; }", "the holder stops when its permission ends", "lease2"),
    _m("no-probation", "rows_candidate.cc", "s.probation = s.lock == LockView::kAbsent && !sync &&",
       "s.probation = false && !sync &&", "who made a missing record holds it for L first (R4)", "delete2"),
    _m("watch-is-enough", "rows_replica.cc", "return s.read_at >= since && !s.must_read;", "return !s.must_read;",
       "a silent watch makes no takeover: the lock is looked at again", "quorum3", "lease2"),
    _m("one-is-silent", "takeover.cc", "const MonoTime blind = std::max(s.seen_at, StreamAt(s)) + s.set->suspicion;",
       "const MonoTime blind = std::min(s.seen_at, StreamAt(s)) + s.set->suspicion;",
       "suspicion needs the silence of lock and stream"),
    # ---- the holder ----
    _m("stepdown-early", "rows_holder.cc",
       "return EngineIdle(s) && (s.db.state == DbState::kStopped || s.db.state == DbState::kDead) && !s.db.writable;",
       "return true;", "a stepdown is over when every process is gone", "release2", "swarm"),
    _m("release-complete", "rows_holder.cc", "r.release.complete = s.stopped_complete;", "r.release.complete = true;",
       "a release says where the log ends only after a clean stop", "short3", "quorum3"),
    _m("recreate-with-voters", "rows_holder.cc", "(s.view->durability == Durability::kAsync || !c.set().database);", "true;",
       "with a sync set a missing record is not made again by the holder (Q4)", "lock", "swarm"),
    _m("open-while-uncertain", "rows_open.cc", "         !s.sync_uncertain;  //", "         true;  //",
       "no opening while a change of the voters may still land", "sync", "again3", "quorum3", "quorum2"),
    _m("open-unfenced", "rows_open.cc",
       "return c.set().database && FenceStands(c) && s.db_known && !s.db.empty && EngineIdle(s) && !s.db.writable &&",
       "return c.set().database && c.s.lead && s.db_known && !s.db.empty && EngineIdle(s) && !s.db.writable &&",
       "the fence is armed before the database opens", "lease2", "swarm"),
    _m("fenced-opens", "rows_open.cc", "return (c.s.memory.fenced || c.s.shutdown || second) && c.set().database &&",
       "return (c.s.shutdown || second) && c.set().database &&", "a member that was fenced meanwhile opens nothing", "people", "everything"),
    _m("resume-same-epoch", "rows_replica.cc",
       "if (!running && s.view->epoch != s.tried_epoch) r.epoch = std::max(s.view->epoch, s.memory.max_epoch) + 1;",
       "r.epoch = s.view->epoch;", "a reign that lapsed begins anew under a higher epoch", "swarm", "lease2"),
    _m("own-name-async", "rows_replica.cc",
       "return HeldInSync(c) && NobodyTookOver(c);", "return known && c.set().database;",
       "a lapsed asynchronous reign is held for L first (R5)", "late2", "delete2", "lease2"),
    _m("resume-unasked", "rows_replica.cc", "return HeldInSync(c) && NobodyTookOver(c);", "return HeldInSync(c);",
       "a former primary goes on at once only when its voters say that nobody took over", "restore"),
    _m("half-the-promises", "ingest_peers.cc", "if (s.promise_from.size() < s.promise_needed) return;",
       "if (s.promise_from.size() * 2 < s.promise_needed) return;", "failsafe needs every candidate's promise", "lease2", "swarm"),
    # ---- candidates ----
    _m("one-fewer", "judge.cc", "const bool enough = static_cast<int32_t>(counted.size()) >= need && need > 0;",
       "const bool enough = static_cast<int32_t>(counted.size()) + 1 >= need && need > 0;", "q voters are frozen (Q2)"),
    _m("unfrozen-counts", "judge.cc", "if (a.frozen && OnLineage(s, a.position)) counted.push_back(&a);",
       "if (OnLineage(s, a.position)) counted.push_back(&a);", "only frozen voters count"),
    _m("shortest-leads", "judge.cc",
       "  if (a.position.offset != b.position.offset) return a.position.offset > b.position.offset;\n  auto priority",
       "  if (a.position.offset != b.position.offset) return a.position.offset < b.position.offset;\n  auto priority",
       "the longest log leads (Q3)"),
    _m("lost-without-all", "judge.cc", "const bool needs_all = SyncMode(s) || NeverOpened(s);",
       "const bool needs_all = NeverOpened(s);", "a lost record is made again only with every known member", "lock", "everything"),
    _m("yields-for-ever", "judge.cc", "if (WaitedEnough(s, *best, by_lineage, counted))", "if (false)",
       "who does not go is not waited for for ever"),
    _m("paused-takeover", "takeover.cc", "if (r.paused && !wanted) return std::nullopt;", "", "pause keeps everybody still", "people"),
    _m("primary-says-so", "takeover.cc", "      if (p.report.leads) return false;\n", "",
       "no suspicion while the primary says that it leads", "swarm", "quorum3"),
    _m("broken-promise", "takeover.cc", "if (now < s.promised_until || s.foreign) return false;", "if (s.foreign) return false;",
       "who promised the holder to keep still does", "lease2", "swarm"),
    _m("incomplete-is-complete", "takeover.cc",
       "return r.release.released && r.release.complete && mine.offset >= r.release.final.offset;",
       "return r.release.released && mine.offset >= r.release.final.offset;", "a release without an end proves nothing", "quorum3", "sync"),
    _m("stale-freeze", "rows_candidate.cc", "return s.version != s.attempt.version || s.lock == LockView::kUnread;", "return false;",
       "a freeze is void when the lock changed (S5)"),
    _m("older-promise", "ingest_peers.cc", 'if (e.epoch < m.promised) return "already promised to epoch " + std::to_string(m.promised);',
       "", "promises never fall"),
    # ---- followers ----
    _m("follow-the-old", "rows_replica.cc", "if (s.view->epoch < s.memory.promised && !Mistake(M::kNoSup)) return false;", "",
       "who froze streams from nobody of a lower epoch (Q1)", "again3"),
    _m("no-raise", "rows_primary.cc", "if (PeerFresh(s, p, c.now) && p.report.promised > s.view->epoch &&",
       "if (p.report.promised < 0 &&", "an abandoned takeover is raised over, else its members never follow again"),
    _m("older-record", "ingest.cc", "if (r.epoch < m.record_epoch || (r.epoch == m.record_epoch && r.change < m.record_change))",
       "if (false)", "a record older than one that was seen is not believed", "restore", "lock"),
    # ---- the sync set ----
    _m("sets-touch", "sync.cc", "return k + q > Size(Union(voters, names));", "return k + q >= Size(Union(voters, names));",
       "k + q > |V u N| (S1)"),
    _m("lacking-voter", "sync.cc", "return lacking < q;", "return lacking <= q;",
       "voters have everything acknowledged so far (S3)"),
    _m("freeze-less", "sync.cc", "const int32_t q = Size(target) - k + 1;", "const int32_t q = std::max(1, Size(target) - k);",
       "q = n - k + 1"),
    _m("loose-start", "sync.cc", "if (!r.voters.empty()) {  // R7", "if (false) {  // R7",
       "a primary is reopened no looser than the record (R7)", "quorum2"),
    _m("mute-is-gone", "ingest.cc", "if (s.open_epoch == 0 || mute) return;", "if (s.open_epoch == 0) return;",
       "a database that does not answer keeps its sync set", "pauses", "swarm"),
]
