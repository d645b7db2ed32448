// Streams of Search, Blend and Tune as strangers may send them, through all
// that is looked at before an index is: parsing, voices, parameters, frames.
#include <array>
#include <cmath>
#include <memory>
#include <vector>

#include "server/catalog/records/speaker_name.h"
#include "server/kernels/kernels.h"
#include "server/service/contract/frame_codec.h"
#include "server/service/contract/search_params.h"
#include "server/service/contract/tune_request.h"
#include "server/service/live/voice_pin.h"
#include "server/service/transport/status_mapper.h"
#include "tests/fuzz/messages.h"
#include "timbre/rpc/status.pb.h"

namespace timbre::fuzz {
namespace {

constexpr uint32_t kLists = 7;

// One of every kind of index; no search is made, so there are no files.
Lease MakeVersion(const std::string& factory, uint32_t dimension,
                  bool measured) {
  VersionRecord record;
  record.spec = *ParseIndexSpec(factory);
  record.manifest.set_default_k(8);
  record.manifest.set_version(3);
  record.manifest.set_dimension(dimension);
  record.tuning = {.nprobe = record.spec.nlist > 0 ? 2U : 1U, .k_factor = 2};
  if (measured) record.tuning.curve = {{1, 1, 0.5F}, {kLists, 4, 0.99F}};
  return std::make_shared<const LoadedVersion>(
      LoadedVersion{std::make_shared<const VersionRecord>(record), nullptr});
}

const std::vector<Lease>& Versions() {
  static const std::vector<Lease> versions = {
      MakeVersion("Flat", 4, false),
      MakeVersion("IVF7,Flat", 4, false),
      MakeVersion("IVF7,PQ2x4fs,RFlat", 4, true),
      MakeVersion("IVF7,PQ2x4fs,Refine(SQfp16)", 8, true),
  };
  return versions;
}

// Notes a refusal, which ends the stream, in the form that leaves the server.
bool Refused(const absl::Status& status) {
  if (status.ok()) return false;
  RequireNamesField(status);
  const grpc::Status sent = ToGrpcStatus(status);
  rpc::Status details;
  Require(details.ParseFromString(sent.error_details()) &&
              details.message() == sent.error_message() &&
              details.details_size() == 2,
          "a refusal leaves with its details", status.ToString());
  return true;
}

// A client's header timbre-speaker: none, or anything.
std::string Header(Bytes& bytes) {
  const size_t length = bytes.Take<uint8_t>();
  return length < 200 ? std::string() : bytes.Text(length - 200);
}

void CheckSettings(const ResolvedSearch& search, const LoadedVersion& version) {
  const IndexSpec& spec = version.record->spec;
  const SearchSettings& settings = search.settings;
  Require(settings.k >= 1 && settings.k <= kMaxK, "k is in range");
  Require(settings.nprobe >= 1 && settings.nprobe <= std::max(1U, spec.nlist),
          "nprobe is in range");
  Require(settings.candidates >= settings.k &&
              settings.candidates <= static_cast<double>(kMaxKFactor) *
                                         std::max(settings.k, kMeasuredK),
          "the candidates are bounded");
  Require(search.nprobe.has_value() == (spec.kind != IndexKind::kFlat),
          "nprobe is there where lists are");
  Require(!search.has_budget || search.budget > absl::ZeroDuration(),
          "a latency budget is above zero");
  v1::SearchParams effective;
  FillEffective(search.effective, effective);
  Require(CheckSearchParams(effective).ok() || effective.target_recall() != 0,
          "what is reported as effective can be sent");
}

// False if `params` cannot be had of this version.
bool CheckSearch(const v1::SearchParams& params, const LoadedVersion& version) {
  const auto search = ResolveSearch(params, version);
  if (!search.ok()) {
    RequireReason(search.status(), absl::StatusCode::kFailedPrecondition,
                  "NO_MEASURED_POINTS");
    return false;
  }
  CheckSettings(*search, version);
  return true;
}

// False if the frames were refused.
bool CheckFrames(const v1::Frames& frames, uint32_t dimension,
                 FrameBatch& batch) {
  const KernelTable& kernels = BestKernels();
  if (Refused(DecodeFrames(frames, dimension, kernels, batch))) return false;
  Require(batch.data.size() == batch.rows * dimension, "frames are whole");
  for (const float x : batch.data) {
    Require(std::fabs(x) <= kMaxMagnitude, "numbers are in range");
  }
  v1::Frames again;
  EncodeFrames(batch.data.data(), batch.rows, dimension, batch.element_type,
               kernels, again);
  Require(again.data() == frames.data(), "frames survive the round trip");
  FrameBatch portable;
  Require(DecodeFrames(frames, dimension, *SupportedKernels().back(), portable)
                  .ok() &&
              portable.data == batch.data,
          "every SIMD level reads the same frames");
  return true;
}

// Pins what was named, as the catalog would: any name has one of the versions.
bool PinNamed(Bytes& bytes, VoicePin& pin) {
  for (const VoiceName& voice : pin.wanted()) {
    Require(CheckSpeakerName(voice.speaker).ok(), "a voice has a name");
  }
  if (pin.pinned()) return true;
  std::vector<Lease> leases;
  for (size_t i = 0; i < pin.wanted().size(); ++i) {
    leases.push_back(Versions()[bytes.Number(0, Versions().size() - 1)]);
  }
  return !Refused(pin.Pin(std::move(leases)));
}

void Searches(Bytes& bytes) {
  VoicePin pin;
  v1::SearchParams params;
  FrameBatch batch;
  const std::string header = Header(bytes);
  v1::SearchRequest request;
  while (!bytes.empty() && NextMessage(bytes, request)) {
    if (Refused(pin.Accept(header, request.speaker(), request.version()))) {
      return;
    }
    if (request.has_params()) {
      if (Refused(CheckSearchParams(request.params()))) return;
      params = request.params();
    }
    if (!PinNamed(bytes, pin)) return;
    const LoadedVersion& version = pin.version();
    const uint32_t dimension = version.record->manifest.dimension();
    if (!CheckFrames(request.frames(), dimension, batch)) return;
    if (!CheckSearch(params, version)) return;
  }
}

void CheckWeights(const VoicePin& pin) {
  double sum = 0;
  for (const float weight : pin.weights()) {
    Require(weight >= 0 && weight <= 1, "weights are shares");
    sum += weight;
  }
  Require(!pin.mixed() || std::fabs(sum - 1) < 1e-5, "shares are a whole");
  Require(!pin.mixed() || pin.weights().size() == pin.wanted().size(),
          "every voice has its share");
}

bool AcceptVoices(const std::string& header, const v1::BlendRequest& request,
                  VoicePin& pin) {
  if (request.voices_size() > 0) {
    return !Refused(pin.AcceptVoices(header, request.voices()));
  }
  return !Refused(pin.Accept(header, request.speaker(), request.version()));
}

bool CheckBlend(const v1::BlendParams& params, const LoadedVersion& version) {
  const auto blend = ResolveBlend(params, version);
  if (!blend.ok()) return CheckSearch(params.search(), version);
  CheckSettings(blend->search, version);
  Require(blend->index_rate >= 0 && blend->index_rate <= 1, "a rate is one");
  Require(blend->settings.alpha > 0 && blend->settings.alpha <= kMaxAlpha,
          "alpha is in range");
  return true;
}

void Blends(Bytes& bytes) {
  VoicePin pin;
  v1::BlendParams params;
  FrameBatch batch;
  std::vector<float> rates;
  const std::string header = Header(bytes);
  v1::BlendRequest request;
  while (!bytes.empty() && NextMessage(bytes, request)) {
    if (!AcceptVoices(header, request, pin)) return;
    CheckWeights(pin);
    if (Refused(DecodeElementType(request.reply_element_type(),
                                  "reply_element_type")
                    .status())) {
      return;
    }
    if (request.has_params()) {
      if (Refused(CheckBlendParams(request.params()))) return;
      params = request.params();
    }
    if (!PinNamed(bytes, pin)) return;
    for (const Lease& version : pin.leases()) {
      if (!CheckBlend(params, *version)) return;
    }
    const uint32_t dimension = pin.version().record->manifest.dimension();
    if (!CheckFrames(request.frames(), dimension, batch)) return;
    if (Refused(DecodeRates(request.frame_index_rates(), batch.rows, 0.5F,
                            rates))) {
      return;
    }
    Require(rates.size() == batch.rows, "every frame has its rate");
    for (const float rate : rates) {
      Require(rate >= 0 && rate <= 1, "rates are in range");
    }
  }
}

void Tunes(Bytes& bytes) {
  FrameBatch batch;
  v1::TuneRequest first;
  v1::TuneRequest request;
  for (bool begun = false; !bytes.empty() && NextMessage(bytes, request);
       begun = true) {
    if (!begun) first = request;
    if (Refused(begun ? CheckLaterTuneRequest(request, first)
                      : CheckFirstTuneRequest(request))) {
      return;
    }
    Require(CheckSpeakerName(first.speaker()).ok() && first.k() <= kMaxK,
            "what is tuned is in range");
    if (!CheckFrames(request.frames(), 4, batch)) return;
  }
}

// Requests of unary calls: no more than parsed.
void Others(Bytes& bytes) {
  v1::ListSpeakersRequest list;
  v1::ReadFramesRequest read;
  v1::ExportRequest exported;
  NextMessage(bytes, list);
  NextMessage(bytes, read);
  NextMessage(bytes, exported);
}

}  // namespace
}  // namespace timbre::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  timbre::fuzz::Bytes bytes(data, size);
  switch (bytes.Take<uint8_t>() % 4) {
    case 0:
      timbre::fuzz::Searches(bytes);
      break;
    case 1:
      timbre::fuzz::Blends(bytes);
      break;
    case 2:
      timbre::fuzz::Tunes(bytes);
      break;
    default:
      timbre::fuzz::Others(bytes);
      break;
  }
  return 0;
}
