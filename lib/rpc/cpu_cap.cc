// gRPC 1.51 sizes its thread pools by the node's CPUs, not the container's: 53 threads on a 64-core machine.
// And its timers live in two lists a CPU, each of which wakes a thread once a second, timers or none.
// With archives the linker puts these in place of its count and of the CPU that a thread runs on
// (--wrap, cmake/MainstayDeps.cmake). Both, always: what is kept for each CPU is as long as the count and is
// indexed by the other, which in gRPC's own form asks the machine and not the count.
extern "C" unsigned __wrap_gpr_cpu_num_cores();
extern "C" unsigned __wrap_gpr_cpu_current_cpu();
extern "C" unsigned __wrap_gpr_cpu_num_cores() { return 1; }
extern "C" unsigned __wrap_gpr_cpu_current_cpu() { return 0; }
