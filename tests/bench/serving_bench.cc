// The client's half of script/bench serving.
//
//   serving_bench start PORT_FILE SPEAKER QUERIES COMMAND...
//       starts COMMAND, a timbred that writes PORT_FILE, blends one frame with
//       SPEAKER as soon as it answers, and stops it; prints the milliseconds
//       from the start to the answer.
//   serving_bench blend SERVER SPEAKER QUERIES
//       blends on demand, over one stream. A command is a JSON object a line:
//       nprobe, batch (frames a message), messages, whole (each over a stream
//       of its own, cut and pipelined), pause_s (before each); the answer one
//       too: us, microseconds a frame of wall time; median_us and cpu_us, of a
//       message: its wall time, and the client's processor time.
//
// tests/bench/serving.py runs it.
#include <signal.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>
#include <numeric>
#include <string>
#include <thread>
#include <vector>

#include "client/cpp/client.h"
#include "client/files/npy.h"

namespace timbre {
namespace {

using client::FrameMatrix;
using nlohmann::json;
using Clock = std::chrono::steady_clock;

constexpr auto kStartTimeout = std::chrono::seconds(30);

double Microseconds(Clock::duration duration) {
  return std::chrono::duration<double, std::micro>(duration).count();
}

// Of this process, all threads.
double CpuMicroseconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto micros = [](const timeval& time) {
    return 1e6 * static_cast<double>(time.tv_sec) +
           static_cast<double>(time.tv_usec);
  };
  return micros(usage.ru_utime) + micros(usage.ru_stime);
}

[[noreturn]] void Fail(const std::string& what) {
  std::cerr << "serving_bench: " << what << "\n";
  std::exit(1);
}

template <typename T>
T OrFail(absl::StatusOr<T> value) {
  if (!value.ok()) Fail(value.status().ToString());
  return *std::move(value);
}

FrameMatrix Rows(const FrameMatrix& frames, size_t first, size_t count) {
  FrameMatrix some{std::vector<float>(count * frames.columns), count,
                   frames.columns};
  for (size_t i = 0; i < count; ++i) {
    std::copy_n(frames.row((first + i) % frames.rows), frames.columns,
                some.row(i));
  }
  return some;
}

// A server of its own, for as long as this lives.
class Server {
 public:
  explicit Server(const std::vector<std::string>& command) {
    std::vector<char*> argv;
    for (const std::string& word : command) {
      argv.push_back(const_cast<char*>(word.c_str()));
    }
    argv.push_back(nullptr);
    if (posix_spawn(&pid_, argv[0], nullptr, nullptr, argv.data(), environ) !=
        0) {
      Fail("cannot start " + command[0]);
    }
  }
  ~Server() {
    kill(pid_, SIGTERM);
    waitpid(pid_, nullptr, 0);
  }

 private:
  pid_t pid_ = 0;
};

// The port from the file that the server renames into place.
absl::StatusOr<std::string> WaitForPort(const std::string& port_file) {
  const auto deadline = Clock::now() + kStartTimeout;
  while (Clock::now() < deadline) {
    std::ifstream file(port_file);
    for (std::string line; std::getline(file, line);) {
      if (line.rfind("grpc=", 0) == 0) return line.substr(5);
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return absl::DeadlineExceededError("no port in " + port_file);
}

// Milliseconds. Failures end the server too.
absl::StatusOr<double> Start(const std::string& port_file,
                             const std::string& speaker,
                             const FrameMatrix& queries,
                             const std::vector<std::string>& command) {
  std::filesystem::remove(port_file);
  const FrameMatrix one = Rows(queries, 0, 1);
  const auto start = Clock::now();
  const Server server(command);
  const auto port = WaitForPort(port_file);
  if (!port.ok()) return port.status();
  client::Client client("127.0.0.1:" + *port);
  const auto answer = client.Blend({speaker}, {}, one);
  if (!answer.ok()) return answer.status();
  return std::chrono::duration<double, std::milli>(Clock::now() - start)
      .count();
}

json Blend(client::Client& client, client::BlendStream& stream,
           const FrameMatrix& queries, const json& command) {
  client::BlendOptions options;
  options.params.emplace().mutable_search()->set_nprobe(command["nprobe"]);
  const size_t batch = command["batch"];
  const size_t messages = command["messages"];
  const bool whole = command.value("whole", false);
  const std::chrono::duration<double> pause(command.value("pause_s", 0.0));
  std::vector<double> times;
  const double cpu_before = CpuMicroseconds();
  for (size_t i = 0; i < messages; ++i) {
    const FrameMatrix frames = Rows(queries, i * batch, batch);
    if (pause.count() > 0) std::this_thread::sleep_for(pause);
    const auto start = Clock::now();
    if (whole) {
      OrFail(client.Blend({command["speaker"]}, options, frames));
    } else {
      OrFail(stream.Blend(frames, options));
    }
    times.push_back(Microseconds(Clock::now() - start));
  }
  const double cpu = CpuMicroseconds() - cpu_before;
  const double sum = std::accumulate(times.begin(), times.end(), 0.0);
  std::sort(times.begin(), times.end());
  return {{"us", sum / static_cast<double>(batch * messages)},
          {"median_us", times[times.size() / 2]},
          {"cpu_us", cpu / static_cast<double>(messages)}};
}

int Main(const std::vector<std::string>& args) {
  if (args.size() >= 5 && args[0] == "start") {
    const auto queries = OrFail(client::ReadNpy(args[3]));
    std::cout << json{{"ms", OrFail(Start(args[1], args[2], queries,
                                          {args.begin() + 4, args.end()}))}}
              << std::endl;
    return 0;
  }
  if (args.size() != 4 || args[0] != "blend") {
    std::cerr << "serving_bench start PORT_FILE SPEAKER QUERIES COMMAND... | "
                 "blend SERVER SPEAKER QUERIES\n";
    return 2;
  }
  const auto queries = OrFail(client::ReadNpy(args[3]));
  client::Client client(args[1]);
  client::BlendStream stream = client.OpenBlend({args[2]});
  for (std::string line; std::getline(std::cin, line);) {
    std::cout << Blend(client, stream, queries, json::parse(line)) << std::endl;
  }
  return 0;
}

}  // namespace
}  // namespace timbre

int main(int argc, char** argv) {
  return timbre::Main({argv + 1, argv + argc});
}
