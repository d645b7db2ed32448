// HTTP requests by libcurl: one thread moves the bytes of all of them, over
// connections that are kept.
#ifndef TIMBRE_SERVER_OBJECTS_HTTP_CLIENT_H_
#define TIMBRE_SERVER_OBJECTS_HTTP_CLIENT_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "server/base/mutex.h"
#include "server/objects/object_store.h"

namespace timbre {

struct HttpRequest {
  std::string method;
  std::string url;
  // Besides those that HTTP itself needs; names in lower case.
  std::map<std::string, std::string> headers;
  absl::string_view body;  // not copied: outlives the answer
  // What the body of an answer below 300 may have; more is an error.
  size_t max_answer_bytes = 1 << 20;
  // Sent once at most: over a connection of its own.
  bool once = false;
  // Given up when no byte has moved for so long.
  absl::Duration stall_timeout = absl::InfiniteDuration();
};

struct HttpAnswer {
  int status = 0;
  std::map<std::string, std::string> headers;  // names in lower case
  std::string body;
};

// Thread-safe.
class HttpClient {
 public:
  struct Options {
    // PEM file of the authorities to trust; empty: those of the system.
    std::string ca_file;
    // At most so many at once; the others wait, in their order.
    size_t max_requests = 128;
  };
  // No answer at all: UNAVAILABLE where nothing was sent, UNKNOWN where the
  // request may have been acted on, CANCELLED (may have been, too),
  // OUT_OF_RANGE where the answer is too large. On the client's thread: quick.
  using Done = std::function<void(absl::StatusOr<HttpAnswer>)>;

  // INTERNAL: there are no descriptors left.
  static absl::StatusOr<std::unique_ptr<HttpClient>> Create(Options options);
  // Ends what is under way, CANCELLED.
  ~HttpClient();
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  void Start(HttpRequest request, Patience patience, Done done);
  // Waits for it; not from Done.
  absl::StatusOr<HttpAnswer> Send(HttpRequest request,
                                  const Patience& patience);

 private:
  struct Transfer;
  struct MultiFree {
    void operator()(void* multi) const;
  };

  HttpClient(Options options, void* multi);
  void Run();
  // Begins what waits, as far as `max_requests` allows.
  void BeginSome();
  void FinishSome();
  // What took too long, or nobody waits for.
  void GiveUpSome();
  void Finish(Transfer* transfer, int code);
  std::chrono::milliseconds UntilNextLook() const;

  const Options options_;
  const std::unique_ptr<void, MultiFree> multi_;
  std::list<std::unique_ptr<Transfer>> running_;  // of the thread alone
  Mutex mutex_;
  std::list<std::unique_ptr<Transfer>> waiting_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace timbre

#endif  // TIMBRE_SERVER_OBJECTS_HTTP_CLIENT_H_
