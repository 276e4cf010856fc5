// gzip for answers. Small memory (40 KiB while it works), fast level: a page of metrics shrinks to a tenth.
//
// Thread rules: pure. Errors: none; what cannot be compressed stays as it is.
#ifndef MAINSTAY_LIB_HTTP_GZIP_H_
#define MAINSTAY_LIB_HTTP_GZIP_H_

#include <optional>
#include <string>

namespace mainstay::http {

// The header Accept-Encoding takes gzip ("gzip", "*", no "q=0").
bool AcceptsGzip(const std::string& accept_encoding);
// Absent: it would not be shorter.
std::optional<std::string> Gzip(const std::string& plain);

}  // namespace mainstay::http

#endif  // MAINSTAY_LIB_HTTP_GZIP_H_
