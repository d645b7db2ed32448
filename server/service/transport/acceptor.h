// Accepts connections and hands them to gRPC.
#ifndef TIMBRE_SERVER_SERVICE_TRANSPORT_ACCEPTOR_H_
#define TIMBRE_SERVER_SERVICE_TRANSPORT_ACCEPTOR_H_

#include <grpcpp/grpcpp.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "server/base/file_system.h"
#include "server/base/listening_socket.h"
#include "server/metrics/server_metrics.h"
#include "server/service/transport/connection_guard.h"

namespace timbre {

// gRPC 1.51 stops to listen for ever when the process runs out of descriptors
// once, knows no limit of connections, and gives nobody a handle to one. So the
// sockets that listen are ours: one thread accepts, counts, and passes on.
//
// In this order: Register, Listen, (server built), Start, Stop, (server shut
// down).
class Acceptor {
 public:
  struct Options {
    // Those beyond are closed at once. There must be so many descriptors.
    size_t max_connections = 0;
    uint64_t max_message_bytes = 0;  // that gRPC receives
    absl::Duration user_timeout;     // as ListenOn has it
  };

  Acceptor(const Options& options, ServerMetrics& metrics);
  ~Acceptor();

  void Register(grpc::ServerBuilder& builder);
  // Connections wait until Start. Errors are those of ListenOn.
  absl::Status Listen(const std::string& address);
  // RESOURCE_EXHAUSTED, INTERNAL: no descriptors are left.
  absl::Status Start();
  // No longer listens; connections live on, unguarded.
  void Stop();

  // What Options::max_connections may be: leaves a part of the process's
  // descriptors to files, pipes and voices.
  static size_t MaxConnections();

  int port() const { return port_; }  // of the first TCP address, or 0
  // Thread-safe, like the next.
  Connections& connections() { return guard_.connections(); }
  PollerBeats& beats() { return guard_.beats(); }
  size_t open() const { return guard_.open(); }

 private:
  absl::Status Watch(int fd);
  void Run();
  void AcceptFrom(int listening);
  // Closes `fd` where there is no room.
  bool HasRoom(int fd);
  void AcceptFailed(int error);
  // Whether epoll_ tells of new connections.
  void Listening(bool on);
  int PauseMs() const;

  // Constant after Start.
  const Options options_;
  ServerMetrics& metrics_;
  std::unique_ptr<grpc::experimental::ExternalConnectionAcceptor> grpc_;
  std::vector<ListeningSocket> sockets_;
  int port_ = 0;
  FileDescriptor epoll_;
  FileDescriptor stop_;  // an eventfd
  std::thread thread_;

  // Of the thread.
  ConnectionGuard guard_;
  absl::Time look_at_ = absl::InfiniteFuture();
  absl::Time accept_again_ = absl::InfiniteFuture();
  absl::Duration back_off_ = absl::ZeroDuration();
  absl::Time make_room_again_ = absl::InfinitePast();
};

}  // namespace timbre

#endif  // TIMBRE_SERVER_SERVICE_TRANSPORT_ACCEPTOR_H_
