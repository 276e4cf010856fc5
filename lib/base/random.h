// Randomness for identities and versions, from the kernel (getrandom). Never used by the election core.
//
// Thread rules: thread-safe. Errors: none; a kernel without randomness ends the process, as nothing would be
// safe.
#ifndef MAINSTAY_LIB_BASE_RANDOM_H_
#define MAINSTAY_LIB_BASE_RANDOM_H_

#include <cstddef>
#include <cstdint>
#include <string>

namespace mainstay {

std::string RandomBytes(size_t n);
std::string RandomHex(size_t n_bytes);  // 2 * n_bytes characters
uint64_t RandomUint64();
// RFC 9562 version 7: begins with the wall clock's milliseconds, so that ids sort by time; 74 bits are
// random.
std::string UuidV7();

}  // namespace mainstay

#endif  // MAINSTAY_LIB_BASE_RANDOM_H_
