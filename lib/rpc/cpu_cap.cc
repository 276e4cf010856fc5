// gRPC 1.51 sizes its thread pools by the node's CPUs, not the container's: 53 threads on a 64-core machine.
// And its timers live in two lists a CPU, each of which wakes a thread once a second, timers or none.
// With archives the linker puts this in place of its count (--wrap=gpr_cpu_num_cores,
// cmake/MainstayDeps.cmake); gpr_cpu_current_cpu copes with CPUs above it.
extern "C" unsigned __wrap_gpr_cpu_num_cores();
extern "C" unsigned __wrap_gpr_cpu_num_cores() { return 1; }
