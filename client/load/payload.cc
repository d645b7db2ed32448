#include "client/load/payload.h"

#include "client/files/synth.h"

namespace timbre::load {
namespace {

constexpr uint64_t kForeignVoice = 9001;

// SearchRequest and BlendRequest have the same fields under the same numbers
// as far as they are used here, but for the params.
template <typename Request>
grpc::Slice Header(const client::VoiceRef& voice, const auto& params) {
  Request request;
  request.set_speaker(voice.speaker);
  request.set_version(voice.version);
  *request.mutable_params() = params;
  return grpc::Slice(request.SerializeAsString());
}

grpc::Slice FramesSlice(const client::FrameMatrix& frames) {
  v1::BlendRequest request;
  request.mutable_frames()->set_dimension(frames.columns);
  request.mutable_frames()->set_data(frames.data.data(),
                                     frames.data.size() * sizeof(float));
  return grpc::Slice(request.SerializeAsString());
}

}  // namespace

static_assert(int{v1::SearchRequest::kFramesFieldNumber} ==
              int{v1::BlendRequest::kFramesFieldNumber});

Payload::Payload(const Group& group, uint32_t dimension, uint32_t variants) {
  client::FeatureSynth synth(kForeignVoice, dimension);
  for (uint32_t i = 0; i < variants; ++i) {
    frames_.push_back(synth.Next(group.frames));
    slices_.push_back(FramesSlice(frames_.back()));
  }
  for (const client::VoiceRef& voice : group.voices) {
    headers_.push_back(
        group.method == Method::kBlend
            ? Header<v1::BlendRequest>(voice, group.params)
            : Header<v1::SearchRequest>(voice, group.params.search()));
  }
}

// Messages of protobuf may be concatenated: their fields are merged.
grpc::ByteBuffer Payload::First(uint32_t stream, uint32_t variant) const {
  const grpc::Slice both[] = {headers_[stream], slices_[variant]};
  return grpc::ByteBuffer(both, 2);
}

grpc::ByteBuffer Payload::Later(uint32_t variant) const {
  return grpc::ByteBuffer(&slices_[variant], 1);
}

}  // namespace timbre::load
