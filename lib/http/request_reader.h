// One request after the other out of bytes as they come: no I/O, no clock. For the server and its fuzz
// target.
//
//   RequestReader reader({.header = 8192, .body = 65536});
//   switch (reader.Feed(&bytes)) {          // takes what it can use off the front of `bytes`
//     case kMore:  read some more into `bytes`; when reader.TakeContinue(), first tell the client to go on
//     case kDone:  Request request = reader.Take(); answer; Feed again: what was pipelined is still in
//     `bytes` case kBad:   reader.status(), reader.problem(); the connection is of no more use
//   }
//
// Strict where leniency was ever exploited: Content-Length beside chunks, two lengths, another transfer
// coding than `chunked` are refused. Bounds: Limits; `bytes` never needs to be longer than header + one read.
// Errors: 400, 411 never (that is the handler's), 413, 431, 501. Thread rules: one thread at a time.
#ifndef MAINSTAY_LIB_HTTP_REQUEST_READER_H_
#define MAINSTAY_LIB_HTTP_REQUEST_READER_H_

#include <memory>
#include <string>

#include "lib/http/server.h"

namespace mainstay::http {

class RequestReader {
 public:
  struct Limits {
    size_t header = 8192;
    size_t body = 64 * 1024;
  };
  enum class Progress : uint8_t { kMore, kDone, kBad };

  explicit RequestReader(Limits limits);
  ~RequestReader();
  RequestReader(const RequestReader&) = delete;
  RequestReader& operator=(const RequestReader&) = delete;

  Progress Feed(std::string* bytes);
  // True once when the client waits for "100 Continue" before it sends the body.
  bool TakeContinue();
  Request Take();  // after kDone; the reader begins anew
  // Of the request that was taken or is bad, as far as it was read:
  unsigned version() const { return version_; }  // 10 or 11
  bool keep_alive() const { return keep_alive_; }
  int status() const { return status_; }
  const std::string& problem() const { return problem_; }
  // Something of the next request was read already.
  bool begun() const;

 private:
  struct Impl;
  Progress Bad(int status, std::string problem);
  Progress Judge();

  const Limits limits_;
  std::unique_ptr<Impl> impl_;  // null between requests: an idle connection costs nothing
  unsigned version_ = 11;
  bool keep_alive_ = false;
  int status_ = 400;
  std::string problem_;
};

}  // namespace mainstay::http

#endif  // MAINSTAY_LIB_HTTP_REQUEST_READER_H_
