// What an API server, a proxy in its place, or people hand to the Kubernetes client and store. Also used by
// the replay test.
#ifndef MAINSTAY_TEST_FUZZ_KUBE_FUZZ_H_
#define MAINSTAY_TEST_FUZZ_KUBE_FUZZ_H_

#include <string>

#include "lib/base/strings.h"
#include "lib/kube/config.h"
#include "lib/kube/http.h"
#include "lib/kube/object.h"
#include "lib/lease/kube_store_text.h"
#include "test/fuzz/fail.h"

namespace mainstay {

// The answer, whole and in pieces: the same outcome.
inline void FuzzKubeHttp(const std::string& bytes) {
  constexpr size_t kMax = 4096;
  kube::ResponseDecoder whole(kMax);
  const bool good = whole.Feed(bytes).ok();
  if (whole.body()->size() > kMax) FuzzFailed("http", "a body beyond its bound", bytes);
  kube::ResponseDecoder pieces(kMax);
  bool good_too = true;
  size_t step = 1 + Fnv1a64(bytes) % 7;
  for (size_t at = 0; at < bytes.size() && good_too && !pieces.done(); at += step)
    good_too = pieces.Feed(bytes.substr(at, step)).ok();
  if (good && !good_too) FuzzFailed("http", "good as a whole, bad in pieces", bytes);
  if (good && whole.done()) {
    if (!pieces.done() || *pieces.body() != *whole.body() || pieces.code() != whole.code())
      FuzzFailed("http", "another answer in pieces", bytes);
    (void)whole.retry_after();
    (void)whole.Header("Location");
  }
  kube::ResponseDecoder stream(kMax, true);
  (void)stream.Feed(bytes);
  (void)stream.End();
}

inline void FuzzKubeWatch(const std::string& bytes) {
  kube::LineSplitter splitter(1024);
  for (size_t at = 0; at < bytes.size(); at += 100) {
    if (!splitter.Feed(bytes.substr(at, 100)).ok()) return;
    while (const auto line = splitter.Next()) {
      if (line->empty() || line->size() > 1024 || line->find('\n') != std::string::npos)
        FuzzFailed("watch", "a line that is none", *line);
      const auto event = kube::ParseWatchEvent(*line);
      if (!event.ok()) {
        if (event.status().message().size() > 4096) FuzzFailed("watch", "a long problem", *line);
      } else if (event->type != kube::WatchEvent::Type::kError &&
                 kube::MetaText(event->object, "resourceVersion").empty()) {
        FuzzFailed("watch", "an event without a version", *line);
      }
    }
  }
}

inline void FuzzKubeConfig(const std::string& text) {
  const auto c = kube::ParseKubeconfig(text, "/dir", "", "fuzz");
  if (!c.ok()) {
    if (c.status().message().size() > 4096) FuzzFailed("kubeconfig", "a long problem", text);
    return;
  }
  if (c->host.empty() || c->port == 0) FuzzFailed("kubeconfig", "no server", text);
  for (const std::string& s : {c->host, c->path_prefix}) {
    if (s.find_first_of("\r\n ") != std::string::npos)
      FuzzFailed("kubeconfig", "a header could be broken", text);
  }
  if (!c->ca.file.empty() && c->ca.file[0] != '/') FuzzFailed("kubeconfig", "a relative path", text);
}

// An object as the server has it, then as we leave it; a failure.
inline void FuzzKubeObject(const std::string& text) {
  const kube::Error error = kube::ParseFailure(500, text, "fuzz");
  if (error.message.size() > 2048 || error.message.find('\n') != std::string::npos)
    FuzzFailed("object", "a message that is no line", error.message);
  const auto parsed = ParseJson(text, 64 * 1024);
  if (!parsed.ok()) return;
  (void)lease::VersionOf(*parsed);
  (void)lease::FromConfigMap(*parsed);
  if (parsed->is_object()) (void)lease::FromLease(*parsed);
  const lease::Document document{DumpJson(*parsed), "7", "state"};
  Json config_map = *parsed;
  lease::PutIntoConfigMap(document, &config_map);
  if (!(lease::FromConfigMap(config_map) == document)) FuzzFailed("object", "a document is lost", text);
  Json lock = *parsed;
  lease::PutIntoLease(document, 0, &lock);
  if (lease::FromLease(lock).leader != document.leader) FuzzFailed("object", "a leader is lost", text);
  lease::StateRef ref;
  if (lease::Express(text, "k", document.leader, &ref)) {
    std::string back;
    if (!lease::Join(ref, document.leader, &back) || back != text)
      FuzzFailed("object", "a state is lost", text);
  }
}

}  // namespace mainstay

#endif  // MAINSTAY_TEST_FUZZ_KUBE_FUZZ_H_
