#include "agent/sidecar/start_memory.h"

#include <link.h>
#include <malloc.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>

namespace mainstay::agent {
namespace {

// Never a segment that was ever writable (relocated constants among them): what was written is in no file.
// Text relocations would be such writes, too; the program and glibc have none, others say so (DT_TEXTREL).
bool HasTextRelocations(const dl_phdr_info& object) {
  for (int i = 0; i < object.dlpi_phnum; ++i) {
    const ElfW(Phdr)& p = object.dlpi_phdr[i];
    if (p.p_type != PT_DYNAMIC) continue;
    for (const auto* d = reinterpret_cast<const ElfW(Dyn)*>(object.dlpi_addr + p.p_vaddr);
         d->d_tag != DT_NULL; ++d) {
      if (d->d_tag == DT_TEXTREL) return true;
      if (d->d_tag == DT_FLAGS && (d->d_un.d_val & DF_TEXTREL) != 0) return true;
    }
  }
  return false;
}

int GiveBack(dl_phdr_info* object, size_t, void* sum) {
  if (std::strstr(object->dlpi_name, "vdso") != nullptr || HasTextRelocations(*object)) return 0;
  const uintptr_t page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  for (int i = 0; i < object->dlpi_phnum; ++i) {
    const ElfW(Phdr)& p = object->dlpi_phdr[i];
    if (p.p_type != PT_LOAD || (p.p_flags & PF_W) != 0) continue;
    // Whole pages of this segment only: its last page may be the first one of a writable neighbour.
    const uintptr_t begin = (object->dlpi_addr + p.p_vaddr + page - 1) / page * page;
    const uintptr_t end = (object->dlpi_addr + p.p_vaddr + p.p_memsz) / page * page;
    if (end <= begin) continue;
    if (madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED) == 0)
      *static_cast<size_t*>(sum) += end - begin;
  }
  return 0;
}

}  // namespace

size_t GiveBackStartMemory() {
  malloc_trim(0);
  size_t sum = 0;
  dl_iterate_phdr(&GiveBack, &sum);
  return sum;
}

}  // namespace mainstay::agent
