// RabbitMQ's end-to-end probe, judge and relay of metrics without an agent, for tests and benchmarks.
//
//   rabbit_probe_tool AMQP_PORT PLUGIN_PORT USER_FILE PASSWORD_FILE VHOST [CA_FILE SERVER_NAME [CERT KEY]]
//
// Says "http PORT": there are /metrics, the pages below it, and /state. Then, for each line of standard
// input, one line of JSON:
//   check MS        one check of the probe, at most so long
//   hurry           the next one connects without waiting
//   fresh           the next one tries a second connection, too
//   fact NAME VALUE process, running, draining 0|1; boot WORD; silent SECONDS: what control would have told
#include <csignal>
#include <cstdio>
#include <ctime>
#include <iostream>
#include <mutex>
#include <sstream>
#include <string>
#include <thread>

#include "absl/strings/str_cat.h"
#include "agent/face_metrics.h"
#include "lib/amqp/probe.h"
#include "lib/base/strings.h"
#include "lib/engine/rabbitmq/detail_pages.h"
#include "lib/engine/rabbitmq/probe_metrics.h"
#include "lib/engine/rabbitmq/relay.h"
#include "lib/http/server.h"

namespace {

using namespace mainstay;  // NOLINT: a program of one file
namespace rabbitmq = mainstay::engine::rabbitmq;

struct Known {  // between the thread that checks and the loop
  std::mutex mutex;
  rabbitmq::Facts facts;
  rabbitmq::ProbeInstruments instruments;

  rabbitmq::Facts Now() {
    rabbitmq::Facts out = facts;
    out.now = BootClock().Now();
    return out;
  }
};

double CpuMs() {
  struct timespec t = {};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) * 1e3 + static_cast<double>(t.tv_nsec) / 1e6;
}

void Text(std::string* out, const char* key, const std::string& value) {
  absl::StrAppend(out, ",\"", key, "\":");
  AppendJsonString(out, value);
}

void Millis(std::string* out, const char* key, std::optional<Duration> d) {
  if (d) absl::StrAppend(out, ",\"", key, "\":", std::chrono::duration<double, std::milli>(*d).count());
}

std::string Show(const amqp::Result& r, const amqp::Verdict& v, const amqp::Probe& probe, double cpu) {
  std::string out =
      absl::StrCat("{\"ok\":", r.ok() ? "true" : "false", ",\"skipped\":", r.skipped ? "true" : "false",
                   ",\"blocked\":", r.blocked.on ? "true" : "false",
                   ",\"paused\":", r.paused ? "true" : "false", ",\"fresh\":", r.fresh ? "true" : "false",
                   ",\"code\":", r.trouble.code, ",\"stale_nacks\":", r.stale_nacks, ",\"in_row\":", v.in_row,
                   ",\"connections\":", probe.connections(), ",\"cpu_ms\":", cpu);
  Text(&out, "failure", amqp::ToString(r.trouble.failure));
  Text(&out, "earlier", amqp::ToString(r.earlier.failure));
  Text(&out, "earlier_text", r.earlier.text);
  Text(&out, "step", amqp::ToString(r.step));
  Text(&out, "text", r.trouble.text);
  Text(&out, "reason", r.blocked.text);
  Text(&out, "state", amqp::ToString(v.state));
  Text(&out, "sentence", amqp::Sentence(v, BootClock().Now()));
  Text(&out, "version", probe.server_version());
  Millis(&out, "took_ms", r.ended - r.began);
  Millis(&out, "opened_ms", r.opened);
  Millis(&out, "confirmed_ms", r.confirmed);
  Millis(&out, "delivered_ms", r.delivered);
  return out + "}";
}

void SetFact(rabbitmq::Facts* f, const std::string& name, const std::string& value) {
  const bool on = value == "1";
  if (name == "process") f->process = on;
  if (name == "running") f->running = on;
  if (name == "draining") f->draining = on;
  if (name == "silent") {
    f->silence = std::chrono::seconds(std::stoi(value));
    f->failed_tries = f->silence > Duration::zero() ? 9 : 0;
    f->answered = BootClock().Now() - f->silence;
  }
  for (const rabbitmq::BootState b : rabbitmq::kBootStates)
    if (name == "boot" && value == rabbitmq::ToString(b)) f->boot = b;
}

amqp::ProbeOptions Options(int argc, char** argv) {
  amqp::ProbeOptions o;
  o.endpoint.port = static_cast<uint16_t>(std::stoi(argv[1]));
  o.endpoint.vhost = argv[5];
  o.endpoint.name = "mainstay-probe@test";
  o.login = [user = std::string(argv[3]), password = std::string(argv[4])] {
    return amqp::ReadLogin(user, password);
  };
  if (argc >= 8) {
    o.endpoint.tls.emplace();
    o.endpoint.tls->ca = argv[6];
    o.endpoint.tls->server_name = argv[7];
    if (argc == 10) o.endpoint.tls->cert = argv[8];
    if (argc == 10) o.endpoint.tls->key = argv[9];
  }
  o.fresh_every = Duration::zero();
  return o;
}

void Answer(Known* known, const agent::MetricsPage& page, rabbitmq::DetailPages* details,
            const http::Server* server, const http::Request& request, const http::Reply& reply) {
  const MonoTime now = BootClock().Now();
  if (request.path == "/metrics")
    return page.Answer(request, rpc::StatusView(), now, server->counters(), reply);
  if (rabbitmq::DetailPages::Takes(request.path)) return details->Answer(request, now, reply);
  const std::lock_guard<std::mutex> lock(known->mutex);
  const rabbitmq::Judgement j = rabbitmq::Judge(known->Now());
  reply({.status = j.ready.ok ? 200 : 503,
         .body = absl::StrCat(rabbitmq::ToString(j.state), "\n", rabbitmq::Verbose(j)),
         .headers = {}});
}

void Lines(amqp::Probe* probe, const amqp::ProbeOptions& options, Known* known) {
  for (std::string line; std::getline(std::cin, line);) {
    std::istringstream words(line);
    std::string word, name, value;
    words >> word >> name >> value;
    std::string out = "{}";
    if (word == "hurry") probe->Hurry();
    if (word == "fact") {
      const std::lock_guard<std::mutex> lock(known->mutex);
      SetFact(&known->facts, name, value);
    }
    if (word == "fresh") {  // a probe of its own: it begins with a connection
      amqp::ProbeOptions o = options;
      o.fresh_every = Duration(1);
      amqp::Probe other(o);
      const amqp::Result r = other.Check(BootClock().Now() + std::chrono::seconds(10));
      out = Show(r, amqp::Fold({}, r), other, 0);
      other.Close(BootClock().Now() + std::chrono::seconds(1));
    }
    if (word == "check") {
      const double cpu = CpuMs();
      const amqp::Result r = probe->Check(BootClock().Now() + std::chrono::milliseconds(std::stoi(name)));
      const double spent = CpuMs() - cpu;
      const std::lock_guard<std::mutex> lock(known->mutex);
      known->instruments.Observe(r);
      known->facts.amqp = amqp::Fold(known->facts.amqp, r);
      out = Show(r, known->facts.amqp, *probe, spent);
    }
    std::cout << out << std::endl;
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 6 && argc != 8 && argc != 10) {
    fprintf(
        stderr,
        "usage: rabbit_probe_tool AMQP_PORT PLUGIN_PORT USER_FILE PASSWORD_FILE VHOST [CA_FILE SERVER_NAME "
        "[CERT KEY]]\n");
    return 2;
  }
  signal(SIGPIPE, SIG_IGN);
  Known known;
  boost::asio::io_context loop;
  rabbitmq::RelayOptions relay;
  relay.port = static_cast<uint16_t>(std::stoi(argv[2]));
  metrics::Scraper scraper(std::make_shared<rabbitmq::Relay>(relay), {});
  rabbitmq::DetailPages details({.relay = relay});
  agent::MetricsPage::Sources sources;
  sources.loop = &loop;
  sources.scraper = &scraper;
  sources.patience = rabbitmq::Relay::kPatience;
  sources.more = [&](const rpc::StatusView&, MonoTime, metrics::Writer& w) {
    const std::lock_guard<std::mutex> lock(known.mutex);
    const rabbitmq::Facts facts = known.Now();
    rabbitmq::WriteNodeMetrics(facts, rabbitmq::Judge(facts), w);
    known.instruments.Write(w);
  };
  const agent::MetricsPage page(sources);
  std::unique_ptr<http::Server> server;
  http::Server::Options http_options;
  http_options.address = "127.0.0.1:0";
  http_options.max_answer_bytes = http_options.max_pending_bytes = 10 << 20;
  auto started =
      http::Server::Start(loop, http_options, [&](const http::Request& r, const http::Reply& reply) {
        Answer(&known, page, &details, server.get(), r, reply);
      });
  if (!started.ok()) {
    fprintf(stderr, "%s\n", started.status().ToString().c_str());
    return 1;
  }
  server = *std::move(started);
  const std::string address = server->address();
  std::cout << "http " << address.substr(address.rfind(':') + 1) << std::endl;
  std::thread turns([&loop] { loop.run(); });
  const amqp::ProbeOptions options = Options(argc, argv);
  amqp::Probe probe(options);
  Lines(&probe, options, &known);
  probe.Close(BootClock().Now() + std::chrono::seconds(1));
  loop.stop();
  turns.join();
  return 0;
}
