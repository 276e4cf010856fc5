// The Sentinel port without an agent: serves the view that standard input tells.
//
//   redis_sentinel_tool ADDRESS NAME[,NAME...] [PASSWORD_FILE]
//
// Prints the address that it listens on. Each line of input is a view: "EPOCH PRIMARY REPLICAS PEERS",
// addresses as host:port, lists with commas, "-" for none; an address with "!" behind it does not answer.
// Ends with its input.
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <csignal>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <sstream>
#include <string>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "lib/sentinel/server.h"

namespace {

namespace sentinel = mainstay::sentinel;

sentinel::Address ToAddress(absl::string_view text, bool* answers) {
  *answers = !absl::EndsWith(text, "!");
  if (!*answers) text.remove_suffix(1);
  const size_t colon = text.rfind(':');
  uint32_t port = 0;
  if (colon == absl::string_view::npos || !absl::SimpleAtoi(text.substr(colon + 1), &port)) return {};
  return {std::string(text.substr(0, colon)), static_cast<uint16_t>(port)};
}

sentinel::View ToView(const std::string& line) {
  std::istringstream words(line);
  std::string primary;
  std::string replicas;
  std::string peers;
  sentinel::View v;
  words >> v.epoch >> primary >> replicas >> peers;
  bool answers = false;
  if (primary != "-") v.primary = ToAddress(primary, &answers);
  if (replicas != "-") {
    for (const absl::string_view one : absl::StrSplit(replicas, ',')) {
      sentinel::ReplicaView r;
      r.address = ToAddress(one, &answers);
      r.reachable = r.link_up = answers;
      v.replicas.push_back(r);
    }
  }
  if (peers != "-") {
    for (const absl::string_view one : absl::StrSplit(peers, ',')) {
      sentinel::PeerView p;
      p.address = ToAddress(one, &answers);
      p.reachable = answers;
      p.id = sentinel::IdOf("peers", std::string(one));
      v.peers.push_back(p);
    }
  }
  v.voters = static_cast<int>(v.peers.size()) + 1;
  return v;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3 && argc != 4) {
    fprintf(stderr, "usage: redis_sentinel_tool ADDRESS NAME[,NAME...] [PASSWORD_FILE]\n");
    return 2;
  }
  signal(SIGPIPE, SIG_IGN);
  boost::asio::io_context loop;
  sentinel::Server::Options options;
  options.address = argv[1];
  options.identity.names = absl::StrSplit(argv[2], ',');
  options.identity.id = sentinel::IdOf(argv[2], argv[1]);
  if (argc == 4) {
    options.identity.passwords = [path = std::string(argv[3])]() -> absl::StatusOr<std::vector<std::string>> {
      std::ifstream in(path);
      std::vector<std::string> out;
      for (std::string line; std::getline(in, line);) out.push_back(line);
      if (out.empty()) return absl::NotFoundError(path + " cannot be read");
      return out;
    };
  }
  auto server = sentinel::Server::Start(loop, options);
  if (!server.ok()) {
    fprintf(stderr, "%s\n", std::string(server.status().message()).c_str());
    return 1;
  }
  std::cout << (*server)->address() << std::endl;
  std::thread input([&] {
    for (std::string line; std::getline(std::cin, line);) {
      boost::asio::post(loop, [&server, line] {
        (*server)->Publish(ToView(line));
        std::cout << "published" << std::endl;
      });
    }
    loop.stop();
  });
  loop.run();
  input.join();
  return 0;
}
