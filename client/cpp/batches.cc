#include "client/cpp/batches.h"

#include "absl/strings/ascii.h"
#include "server/base/half.h"

namespace timbre::client {

void NameSpeaker(const std::string& speaker, grpc::ClientContext& context) {
  const bool sendable = !speaker.empty() &&
                        std::all_of(speaker.begin(), speaker.end(), [](char c) {
                          const auto byte = static_cast<unsigned char>(c);
                          return absl::ascii_islower(byte) ||
                                 absl::ascii_isdigit(byte) || c == '.' ||
                                 c == '_' || c == '-';
                        });
  if (sendable) context.AddMetadata("timbre-speaker", speaker);
}

void NameVoices(const std::vector<WeightedVoice>& voices,
                v1::BlendRequest& request) {
  for (const WeightedVoice& each : voices) {
    v1::VoiceWeight& message = *request.add_voices();
    message.set_speaker(each.voice.speaker);
    message.set_version(each.voice.version);
    message.set_weight(each.weight);
  }
}

void FillFrames(const FrameMatrix& frames, uint64_t first, uint64_t count,
                v1::Frames& message) {
  message.set_dimension(frames.columns);
  message.set_element_type(v1::ELEMENT_TYPE_FLOAT32);
  message.set_data(frames.row(first), count * frames.columns * sizeof(float));
}

bool AppendFrames(const v1::Frames& message, std::vector<float>& out) {
  if (message.element_type() == v1::ELEMENT_TYPE_FLOAT32) {
    AppendBytes(message.data(), out);
    return true;
  }
  if (message.element_type() != v1::ELEMENT_TYPE_FLOAT16) return false;
  std::vector<uint16_t> halves;
  AppendBytes(message.data(), halves);
  for (const uint16_t half : halves) out.push_back(HalfToFloat(half));
  return true;
}

}  // namespace timbre::client
