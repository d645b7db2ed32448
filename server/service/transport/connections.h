// What each connection brings, counted where its calls are handled.
#ifndef TIMBRE_SERVER_SERVICE_TRANSPORT_CONNECTIONS_H_
#define TIMBRE_SERVER_SERVICE_TRANSPORT_CONNECTIONS_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>

#include "absl/base/thread_annotations.h"
#include "absl/strings/string_view.h"
#include "server/base/mutex.h"

namespace timbre {

// Thread-safe; every function costs a few nanoseconds.
class ConnectionUse {
 public:
  struct Counts {
    uint64_t message_bytes = 0;
    uint64_t messages = 0;
    uint64_t calls_begun = 0;
    uint64_t calls_ended = 0;
    uint64_t calls_cut_short = 0;  // of those that ended
  };

  void CallBegan() { Add(calls_begun_, 1); }
  void MessageCame(size_t bytes) {
    Add(message_bytes_, bytes);
    Add(messages_, 1);
  }
  // `cut_short`: the client took it back before it was answered, at once.
  void CallEnded(bool cut_short) {
    if (cut_short) Add(calls_cut_short_, 1);
    Add(calls_ended_, 1);
  }
  Counts counts() const;

  // Two connections have this key: what belongs to which cannot be told.
  void Share() { shared_.store(true, std::memory_order_relaxed); }
  bool shared() const { return shared_.load(std::memory_order_relaxed); }

 private:
  static void Add(std::atomic<uint64_t>& counter, uint64_t value) {
    counter.fetch_add(value, std::memory_order_relaxed);
  }

  std::atomic<uint64_t> message_bytes_{0};
  std::atomic<uint64_t> messages_{0};
  std::atomic<uint64_t> calls_begun_{0};
  std::atomic<uint64_t> calls_ended_{0};
  std::atomic<uint64_t> calls_cut_short_{0};
  std::atomic<bool> shared_{false};
};

// Finds a call's connection by what gRPC calls its peer, which is all that gRPC
// says of it. Clients of Unix sockets have no addresses: they share one entry.
// Thread-safe.
class Connections {
 public:
  // The key of a connection from `peer`, as ServerContext::peer has it.
  static std::string KeyOf(absl::string_view peer);

  // A new connection. If there is one with that key, which a client may have
  // to two addresses of the server, they share a use.
  std::shared_ptr<ConnectionUse> Add(const std::string& key);
  bool Has(const std::string& key);
  // It has gone, unless another one is in its place.
  void Remove(const std::string& key, const ConnectionUse* use);
  // Never null: a connection that has just gone has a use too.
  std::shared_ptr<ConnectionUse> Find(absl::string_view peer);

 private:
  Mutex mutex_;
  std::unordered_map<std::string, std::shared_ptr<ConnectionUse>> uses_
      ABSL_GUARDED_BY(mutex_);
};

}  // namespace timbre

#endif  // TIMBRE_SERVER_SERVICE_TRANSPORT_CONNECTIONS_H_
