#include "server/service/transport/connections.h"

#include "absl/strings/match.h"

namespace timbre {

ConnectionUse::Counts ConnectionUse::counts() const {
  const auto read = [](const std::atomic<uint64_t>& counter) {
    return counter.load(std::memory_order_relaxed);
  };
  return {.message_bytes = read(message_bytes_),
          .messages = read(messages_),
          .calls_begun = read(calls_begun_),
          .calls_ended = read(calls_ended_),
          .calls_cut_short = read(calls_cut_short_)};
}

// gRPC percent-encodes peers as URIs, "ipv6:%5B::1%5D:80", and the scope of a
// link-local address twice. What follows the address proper is left out but
// for the port, which tells connections apart.
std::string Connections::KeyOf(absl::string_view peer) {
  if (absl::StartsWith(peer, "unix")) return "unix";
  if (!absl::StartsWith(peer, "ipv6:")) return std::string(peer);
  std::string key = "ipv6:";
  bool in_scope = false;
  for (size_t i = key.size(); i < peer.size(); ++i) {
    if (peer[i] != '%' || i + 2 >= peer.size()) {
      if (!in_scope) key += peer[i];
      continue;
    }
    const absl::string_view code = peer.substr(i + 1, 2);
    if (code == "25") in_scope = true;
    if (code == "5D" || code == "5d") in_scope = false;
    i += 2;
  }
  return key;
}

std::shared_ptr<ConnectionUse> Connections::Add(const std::string& key) {
  const MutexLock lock(mutex_);
  std::shared_ptr<ConnectionUse>& use = uses_[key];
  if (use == nullptr) {
    use = std::make_shared<ConnectionUse>();
  } else {
    use->Share();
  }
  return use;
}

bool Connections::Has(const std::string& key) {
  const MutexLock lock(mutex_);
  return key != "unix" && uses_.contains(key);
}

void Connections::Remove(const std::string& key, const ConnectionUse* use) {
  const MutexLock lock(mutex_);
  const auto it = uses_.find(key);
  if (key != "unix" && it != uses_.end() && it->second.get() == use) {
    uses_.erase(it);
  }
}

std::shared_ptr<ConnectionUse> Connections::Find(absl::string_view peer) {
  const std::string key = KeyOf(peer);
  const MutexLock lock(mutex_);
  const auto it = uses_.find(key);
  return it != uses_.end() ? it->second : std::make_shared<ConnectionUse>();
}

}  // namespace timbre
