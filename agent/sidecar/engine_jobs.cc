// What the jobs of the engine's worker are: their names, deadlines, effects on the database, and their
// execution.
#include <string>
#include <utility>

#include "agent/sidecar/engine_runner.h"

namespace mainstay::agent {

using election::EngineDone;
using election::EngineOp;

const char* ToString(EngineOp op) {
  switch (op) {
    case EngineOp::kFound:
      return "found";
    case EngineOp::kFollow:
      return "follow";
    case EngineOp::kFreeze:
      return "freeze";
    case EngineOp::kPromote:
      return "promote";
    case EngineOp::kReopen:
      return "reopen";
    case EngineOp::kSetSync:
      return "set_sync";
    case EngineOp::kStop:
      return "stop";
    case EngineOp::kKill:
      return "kill";
    case EngineOp::kCheckpoint:
      return "checkpoint";
    case EngineOp::kRemember:
      return "remember";
  }
  return "?";
}

Duration EngineDeadlines::Of(EngineOp op) const {
  switch (op) {
    case EngineOp::kFound:
      return found;
    case EngineOp::kFollow:
      return follow;
    case EngineOp::kFreeze:
      return freeze;
    case EngineOp::kPromote:
      return promote;
    case EngineOp::kReopen:
      return reopen;
    case EngineOp::kSetSync:
      return set_sync;
    case EngineOp::kStop:
      return stop;
    case EngineOp::kKill:
      return kill;
    case EngineOp::kCheckpoint:
      return checkpoint;
    case EngineOp::kRemember:
      return remember;
  }
  return remember;
}

// An operation during which the database ends as a part of it.
bool EngineRunner::ExpectsExit(const Job& job) {
  if (job.kind == Kind::kTask) return job.task != EngineTask::kReload;
  if (job.kind != Kind::kOp) return false;
  switch (job.op.op) {
    case EngineOp::kFound:
    case EngineOp::kFollow:
    case EngineOp::kReopen:
    case EngineOp::kStop:
    case EngineOp::kKill:
      return true;
    case EngineOp::kFreeze:
    case EngineOp::kPromote:
    case EngineOp::kSetSync:
    case EngineOp::kCheckpoint:
    case EngineOp::kRemember:
      return false;
  }
  return false;
}

// An operation that may start the database at any moment, whatever was known of it before.
bool EngineRunner::MayStart(const Job& job) {
  if (job.kind == Kind::kTask) return job.task != EngineTask::kReload;
  if (job.kind != Kind::kOp) return false;
  switch (job.op.op) {
    case EngineOp::kFound:
    case EngineOp::kFollow:
    case EngineOp::kFreeze:
    case EngineOp::kPromote:
    case EngineOp::kReopen:
      return true;
    case EngineOp::kSetSync:
    case EngineOp::kStop:
    case EngineOp::kKill:
    case EngineOp::kCheckpoint:
    case EngineOp::kRemember:
      return false;
  }
  return true;
}

EngineRunner::Outcome EngineRunner::Execute(engine::Engine* engine, const Job& job) {
  Outcome out;
  switch (job.kind) {
    case Kind::kProbe:
      out.report = engine->Probe(job.deadline);
      break;
    case Kind::kOp:
      ExecuteOp(engine, job, &out);
      break;
    case Kind::kTask:
      switch (job.task) {
        case EngineTask::kReload:
          out.status = engine->Reload(job.deadline);
          break;
        case EngineTask::kRestart:
          out.status = engine->Restart(job.deadline);
          break;
        case EngineTask::kReinit:
          out.status = engine->Reinit(job.deadline);
          break;
      }
      break;
  }
  return out;
}

void EngineRunner::ExecuteOp(engine::Engine* engine, const Job& job, Outcome* out) {
  const election::Engine& op = job.op;
  EngineDone& done = out->done;
  done.id = op.id;
  done.op = op.op;
  const auto end = [&](absl::StatusOr<engine::LogEnd> result) {
    out->status = result.status();
    if (!result.ok()) return;
    done.offset = result->offset;
    done.timeline = result->timeline;
    done.complete = result->complete;
    done.reign = result->reign;
  };
  switch (op.op) {
    case EngineOp::kFound: {
      absl::StatusOr<std::string> id = engine->Found(job.deadline);
      out->status = id.status();
      if (id.ok()) done.system_id = *std::move(id);
      break;
    }
    case EngineOp::kFollow:
      out->status = engine->Follow(op.leader, op.epoch, job.cluster_id, job.deadline);
      break;
    case EngineOp::kFreeze:
      end(engine->Freeze(op.memory, job.deadline));
      break;
    case EngineOp::kPromote:
      end(engine->Promote(op, job.deadline));
      break;
    case EngineOp::kReopen:
      end(engine->Reopen(op, job.deadline));
      break;
    case EngineOp::kSetSync:
      end(engine->SetSync(op, job.deadline));
      break;
    case EngineOp::kStop:
      end(engine->Stop(job.deadline));
      break;
    case EngineOp::kKill:
      out->status = engine->Kill(job.deadline);
      break;
    case EngineOp::kCheckpoint:
      out->status = engine->Checkpoint(job.deadline);
      break;
    case EngineOp::kRemember:
      out->status = engine->SaveMemory(op.memory);
      break;
  }
  done.ok = out->status.ok();
  if (!done.ok) done.detail = std::string(out->status.message());
}

}  // namespace mainstay::agent
