// The limit of a round trip: two processes that bounce BYTES over a loopback
// socket, each asleep until the other has written. Prints the median in
// microseconds. tests/bench/serving.py runs it.
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;

constexpr int kRounds = 20'000;

void Check(bool good) {
  if (!good) {
    std::perror("socket_floor");
    std::exit(1);
  }
}

// False at the end of the connection.
bool Receive(int socket, std::vector<char>& bytes) {
  const auto size = static_cast<ssize_t>(bytes.size());
  return recv(socket, bytes.data(), bytes.size(), MSG_WAITALL) == size;
}

void Send(int socket, const std::vector<char>& bytes) {
  for (size_t sent = 0; sent < bytes.size();) {
    const ssize_t n =
        send(socket, bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
    Check(n > 0);
    sent += static_cast<size_t>(n);
  }
}

void SendAtOnce(int socket) {
  const int on = 1;
  Check(setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) == 0);
}

}  // namespace

int main(int argc, char** argv) {
  const long size = argc == 2 ? std::atol(argv[1]) : 0;
  if (size <= 0) {
    std::cerr << "socket_floor BYTES\n";
    return 2;
  }
  std::vector<char> bytes(static_cast<size_t>(size));
  const int listener = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof(address);
  auto* const any = reinterpret_cast<sockaddr*>(&address);
  Check(bind(listener, any, length) == 0 && listen(listener, 1) == 0 &&
        getsockname(listener, any, &length) == 0);
  const pid_t child = fork();
  Check(child >= 0);
  if (child == 0) {
    const int peer = accept(listener, nullptr, nullptr);
    Check(peer >= 0);
    SendAtOnce(peer);
    while (Receive(peer, bytes)) Send(peer, bytes);
    return 0;
  }
  const int own = socket(AF_INET, SOCK_STREAM, 0);
  Check(connect(own, any, length) == 0);
  SendAtOnce(own);
  std::vector<double> times;
  for (int i = 0; i < kRounds; ++i) {
    const auto start = Clock::now();
    Send(own, bytes);
    Check(Receive(own, bytes));
    times.push_back(
        std::chrono::duration<double, std::micro>(Clock::now() - start)
            .count());
  }
  close(own);
  waitpid(child, nullptr, 0);
  std::nth_element(times.begin(), times.begin() + kRounds / 2, times.end());
  std::cout << times[kRounds / 2] << std::endl;
  return 0;
}
