// An HTTP server that answers what a test says, byte by byte.
#ifndef TIMBRE_TESTS_OBJECTS_SCRIPTED_SERVER_H_
#define TIMBRE_TESTS_OBJECTS_SCRIPTED_SERVER_H_

#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "server/base/mutex.h"

namespace timbre {

class ScriptedServer {
 public:
  struct Request {
    std::string method;
    std::string target;  // path and query
    std::string head;    // all lines, as they came
    std::string body;
    int number = 0;  // of all, from 0
  };
  // What is sent, as it is; kClose and kSilence: nothing.
  using Script = std::function<std::string(const Request&)>;
  inline static const std::string kClose;
  inline static const std::string kSilence = "silence";

  explicit ScriptedServer(Script script);
  // Nobody waits for an answer any more.
  ~ScriptedServer();

  std::string url() const;   // "http://127.0.0.1:PORT"
  std::string host() const;  // without "http://"
  std::vector<Request> requests() const;

 private:
  void Accept();
  void Serve(int connection);

  const Script script_;
  int listener_ = -1;
  int port_ = 0;
  mutable Mutex mutex_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<Request> requests_ ABSL_GUARDED_BY(mutex_);
  std::vector<int> connections_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::thread> threads_ ABSL_GUARDED_BY(mutex_);
  std::thread acceptor_;
};

// "HTTP/1.1 200 ..." with what a body needs.
std::string Answer(int status, const std::string& body = "",
                   const std::string& headers = "");

// A port of loopback that nobody listens at.
std::string DeadUrl();

}  // namespace timbre

#endif  // TIMBRE_TESTS_OBJECTS_SCRIPTED_SERVER_H_
