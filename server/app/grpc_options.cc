#include "server/app/grpc_options.h"

#include <algorithm>
#include <cstdint>

namespace timbre {
namespace {

constexpr int kReadBytes = 64 << 10;
constexpr int kFrameBytes = 64 << 10;  // more than a window lets through

constexpr uint64_t kFewBytes = uint64_t{64} << 20;

int MillisecondsOrMax(absl::Duration duration) {
  const int64_t ms = absl::ToInt64Milliseconds(duration);
  return ms > INT32_MAX ? INT32_MAX : static_cast<int>(ms);
}

}  // namespace

uint64_t MaxReceivedBytes(const Config& config) {
  return std::max(kFewBytes, 4 * config.max_message_bytes);
}

void SetGrpcOptions(const Config& config, grpc::ServerBuilder& builder) {
  // gRPC 1.51 looks at a message's size when it has all of it. ParseMessage
  // does as well, and refuses it with the details that gRPC's own refusal
  // lacks.
  builder.SetMaxReceiveMessageSize(-1);
  builder.SetMaxSendMessageSize(-1);
  // gRPC inflates a compressed message whole before it looks at its size:
  // ParseMessage does it.
  builder.AddChannelArgument(GRPC_ARG_ENABLE_PER_MESSAGE_DECOMPRESSION, 0);
  // What gRPC holds before calls_ sees it.
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS,
                             static_cast<int>(config.max_calls));
  // A thread that has begun to read a connection parses at least this much
  // before it looks at another.
  builder.AddChannelArgument(GRPC_ARG_TCP_MAX_READ_CHUNK_SIZE, kReadBytes);
  builder.AddChannelArgument(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS,
                             MillisecondsOrMax(kPeerSilence));
  // gRPC's probe would let a connection have many megabytes under way, which
  // are read in one go: a build's frames would hold up live ones for that
  // long.
  builder.AddChannelArgument(GRPC_ARG_HTTP2_BDP_PROBE,
                             config.adaptive_window ? 1 : 0);
  // For a message that comes in several HTTP/2 frames gRPC sends a window
  // update of its own before the message is answered, and wakes the client;
  // for one that comes in one frame, below half a window (32 KB), the answer
  // mostly carries it.
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MAX_FRAME_SIZE, kFrameBytes);
  // A silent peer is pinged after 20 s and gone after 20 more.
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, 20'000);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 20'000);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  // Clients may ping every 10 s, with some slack for their clocks.
  builder.AddChannelArgument(
      GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 5'000);
  if (config.max_connection_age != absl::InfiniteDuration()) {
    builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_AGE_MS,
                               MillisecondsOrMax(config.max_connection_age));
    builder.AddChannelArgument(
        GRPC_ARG_MAX_CONNECTION_AGE_GRACE_MS,
        MillisecondsOrMax(config.max_connection_age_grace));
  }
}

}  // namespace timbre
