#include "test/conformance/kube_server.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/random.h"

namespace mainstay::kube {
namespace {

// One line from `fd`; "" at its end.
std::string ReadLine(int fd) {
  std::string line;
  char c = 0;
  while (read(fd, &c, 1) == 1 && c != '\n') line += c;
  return line;
}

}  // namespace

ApiServer* ApiServer::Get(std::string* why) {
  static std::string problem;
  static const std::unique_ptr<ApiServer> server = []() -> std::unique_ptr<ApiServer> {
    std::unique_ptr<ApiServer> s(new ApiServer);
    if (!s->Start(&problem)) return nullptr;
    return s;
  }();
  *why = problem;
  return server.get();
}

bool ApiServer::Start(std::string* why) {
  int in[2];
  int out[2];
  if (pipe2(in, O_CLOEXEC) != 0 || pipe2(out, O_CLOEXEC) != 0) abort();
  pid_ = fork();
  if (pid_ == 0) {
    dup2(in[0], 0);
    dup2(out[1], 1);
    execl("/usr/bin/python3", "python3", "test/kube/apiserver.py", "run", nullptr);
    _exit(127);
  }
  close(in[0]);
  close(out[1]);
  input_ = in[1];
  const std::string line = ReadLine(out[0]);
  close(out[0]);
  described_ = Json::parse(line, nullptr, /*allow_exceptions=*/false);
  if (described_.is_object()) return true;
  *why =
      "no API server here: test/kube/apiserver.py says above why. Its programs are built by ./dev kube "
      "build, or name a folder with etcd and kube-apiserver in KUBEBUILDER_ASSETS";
  return false;
}

ApiServer::~ApiServer() {
  if (input_ >= 0) close(input_);
  if (pid_ > 0) waitpid(pid_, nullptr, 0);
}

std::unique_ptr<Client> ApiServer::Admin() const {
  const auto config = LoadKubeconfig(Text("kubeconfig"));
  if (!config.ok()) {
    fprintf(stderr, "%s\n", config.status().ToString().c_str());
    abort();
  }
  auto client = Client::Create(*config, {.rate = 1000, .burst = 1000});
  if (!client.ok()) {
    fprintf(stderr, "%s\n", client.status().ToString().c_str());
    abort();
  }
  return *std::move(client);
}

std::string FreshName() { return "t-" + RandomHex(6); }

}  // namespace mainstay::kube
