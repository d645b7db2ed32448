#include "tests/objects/scripted_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <utility>

#include "absl/strings/str_cat.h"

namespace timbre {
namespace {

// Bound to a port of loopback.
int Bound(int& port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  auto* const generic = reinterpret_cast<sockaddr*>(&address);
  bind(fd, generic, size);
  getsockname(fd, generic, &size);
  port = ntohs(address.sin_port);
  return fd;
}

// Appends what comes until `enough`; false: the other end is gone.
template <typename Enough>
bool ReadUntil(int connection, std::string& data, Enough enough) {
  while (!enough()) {
    char buffer[65536];
    const ssize_t got = recv(connection, buffer, sizeof(buffer), 0);
    if (got <= 0) return false;
    data.append(buffer, static_cast<size_t>(got));
  }
  return true;
}

size_t LengthIn(const std::string& head) {
  const size_t at = head.find("Content-Length: ");
  return at == std::string::npos ? 0
                                 : strtoul(head.c_str() + at + 16, nullptr, 10);
}

}  // namespace

std::string Answer(int status, const std::string& body,
                   const std::string& headers) {
  return absl::StrCat("HTTP/1.1 ", status, " Said\r\n", headers,
                      "Content-Length: ", body.size(), "\r\n\r\n", body);
}

std::string DeadUrl() {
  int port = 0;
  const int fd = Bound(port);
  close(fd);
  return absl::StrCat("http://127.0.0.1:", port);
}

ScriptedServer::ScriptedServer(Script script) : script_(std::move(script)) {
  listener_ = Bound(port_);
  listen(listener_, 128);
  acceptor_ = std::thread([this] { Accept(); });
}

ScriptedServer::~ScriptedServer() {
  shutdown(listener_, SHUT_RDWR);
  acceptor_.join();
  std::vector<std::thread> threads;
  {
    const MutexLock lock(mutex_);
    stopping_ = true;
    for (const int connection : connections_) shutdown(connection, SHUT_RDWR);
    threads.swap(threads_);
  }
  for (std::thread& thread : threads) thread.join();
  close(listener_);
}

std::string ScriptedServer::host() const {
  return absl::StrCat("127.0.0.1:", port_);
}

std::string ScriptedServer::url() const {
  return absl::StrCat("http://", host());
}

std::vector<ScriptedServer::Request> ScriptedServer::requests() const {
  const MutexLock lock(mutex_);
  return requests_;
}

void ScriptedServer::Accept() {
  while (true) {
    const int connection = accept(listener_, nullptr, nullptr);
    if (connection < 0) return;
    const MutexLock lock(mutex_);
    connections_.push_back(connection);
    threads_.emplace_back([this, connection] { Serve(connection); });
  }
}

void ScriptedServer::Serve(int connection) {
  std::string data;
  while (true) {
    size_t end = 0;
    if (!ReadUntil(connection, data, [&] {
          end = data.find("\r\n\r\n");
          return end != std::string::npos;
        })) {
      break;
    }
    Request request{.head = data.substr(0, end)};
    const size_t total = end + 4 + LengthIn(request.head);
    if (!ReadUntil(connection, data, [&] { return data.size() >= total; })) {
      break;
    }
    request.body = data.substr(end + 4, total - end - 4);
    data.erase(0, total);
    const size_t space = request.head.find(' ');
    request.method = request.head.substr(0, space);
    request.target = request.head.substr(
        space + 1, request.head.find(' ', space + 1) - space - 1);
    {
      const MutexLock lock(mutex_);
      request.number = static_cast<int>(requests_.size());
      requests_.push_back(request);
    }
    const std::string answer = script_(request);
    if (answer == kSilence) continue;
    if (answer.empty()) break;
    send(connection, answer.data(), answer.size(), MSG_NOSIGNAL);
    // Cut before its end.
    if (answer.find("\r\n\r\n") + 4 + LengthIn(answer) > answer.size()) break;
  }
  const MutexLock lock(mutex_);
  std::erase(connections_, connection);
  close(connection);
}

}  // namespace timbre
