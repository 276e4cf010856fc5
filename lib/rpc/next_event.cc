// The threads of gRPC's callback API ask for the next event a second at a time and sleep for 100 ms when
// there was none (1.51, completion_queue_cc.cc). Idle, that is four wake-ups a second; and while both sleep,
// nobody reads: a request for a freeze waits up to 100 ms for its turn in a failover. With archives the
// linker puts this in place (--wrap, cmake/MainstayDeps.cmake): they wait until there is an event; the
// queue's end is one. The other callers (the threads of the synchronous API) wait ten seconds at a time, and
// go on doing so.
#include <grpc/grpc.h>
#include <grpc/support/time.h>

extern "C" grpc_event __real_grpc_completion_queue_next(grpc_completion_queue* queue, gpr_timespec deadline,
                                                        void* reserved);
extern "C" grpc_event __wrap_grpc_completion_queue_next(grpc_completion_queue* queue, gpr_timespec deadline,
                                                        void* reserved);
extern "C" grpc_event __wrap_grpc_completion_queue_next(grpc_completion_queue* queue, gpr_timespec deadline,
                                                        void* reserved) {
  if (deadline.clock_type == GPR_CLOCK_REALTIME) {
    const gpr_timespec left = gpr_time_sub(deadline, gpr_now(GPR_CLOCK_REALTIME));
    const bool positive = gpr_time_cmp(left, gpr_time_0(GPR_TIMESPAN)) > 0;
    if (positive && gpr_time_cmp(left, gpr_time_from_millis(1000, GPR_TIMESPAN)) <= 0)
      deadline = gpr_inf_future(GPR_CLOCK_REALTIME);
  }
  return __real_grpc_completion_queue_next(queue, deadline, reserved);
}
