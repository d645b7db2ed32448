// The searched half of script/bench engine: one voice, and searches of it on
// demand, by this engine or by the faiss that it is linked with.
//
//   engine_bench prepare DIR N DIMENSION NLIST   builds the voice, once
//   engine_bench run DIR [SIMD_LEVEL]            commands on standard input
//
// A command is a JSON object a line: who ("ours", "faiss"), nprobe, batch,
// frames, cold; the answer one too: microseconds a frame, ids on demand. To
// who "open" it is the milliseconds that opening the voice once more takes.
// tests/bench/engine.py sends them, and says what they mean.
#include <faiss/IndexIVF.h>
#include <faiss/IndexRefine.h>
#include <faiss/index_io.h>
#include <omp.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>

#include "client/files/npy.h"
#include "client/files/synth.h"
#include "server/engine/faiss/faiss_export.h"
#include "server/engine/search/blender.h"
#include "server/engine/search/speaker_index.h"
#include "tests/support/testing.h"

namespace timbre {
namespace {

using nlohmann::json;
using testing::FrameMatrix;

constexpr uint32_t kK = 8;
constexpr float kKFactor = 4;
constexpr uint64_t kQueries = 4000;
constexpr char kExported[] = "faiss.index";
constexpr char kQueriesFile[] = "queries.npy";
constexpr char kShapeFile[] = "shape.json";

[[noreturn]] void Fail(const absl::Status& status) {
  std::cerr << "engine_bench: " << status << "\n";
  std::exit(1);
}

template <typename T>
T OrFail(absl::StatusOr<T> value) {
  if (!value.ok()) Fail(value.status());
  return *std::move(value);
}

// Opens what Prepare made.
std::unique_ptr<SpeakerIndex> Open(const std::string& directory,
                                   const KernelTable& kernels) {
  std::ifstream file(directory + "/" + kShapeFile);
  const json shape = json::parse(file);
  BuildResult result;
  result.rows = shape["rows"];
  result.storage = ElementType::kFloat16;
  result.spec = OrFail(ParseIndexSpec(shape["factory"].get<std::string>()));
  return OrFail(testing::OpenBuilt(directory, result, shape["dimension"],
                                   Metric::kL2, kernels));
}

void Prepare(const std::string& directory, uint64_t rows, uint32_t dimension,
             uint32_t nlist) {
  std::filesystem::create_directories(directory);
  const std::string factory = "IVF" + std::to_string(nlist) + ",PQ" +
                              std::to_string(dimension / 2) + "x4fs,RFlat";
  const auto built = OrFail(testing::BuildFrames(
      directory, client::FeatureSynth(1, dimension).Next(rows),
      {.factory = factory, .storage = ElementType::kFloat16, .threads = 2}));
  std::ofstream(directory + "/" + kShapeFile)
      << json{{"rows", built.rows},
              {"dimension", dimension},
              {"factory", ToString(built.spec)}};
  const auto index = Open(directory, BestKernels());
  ByteSource source = ExportAsBuilt(index->export_input(),
                                    directory + "/" + testing::kBuiltIndex,
                                    {.nprobe = 1, .k_factor = kKFactor});
  if (const auto status = WriteToFile(source, directory + "/" + kExported);
      !status.ok()) {
    Fail(status);
  }
  // Another voice, in the order of time.
  const FrameMatrix queries = client::FeatureSynth(3, dimension).Next(kQueries);
  if (const auto status =
          client::WriteNpy(directory + "/" + kQueriesFile, queries);
      !status.ok()) {
    Fail(status);
  }
}

// Pushes everything else out of the caches. By reading: lines that were written
// to would have to go back to memory first, in somebody else's time.
class CacheEvictor {
 public:
  void Evict() {
    char sum = 0;
    for (size_t i = 0; i < memory_.size(); i += 64) {
      sum = static_cast<char>(sum + memory_[i]);
    }
    sum_ = sum;
  }

 private:
  const std::vector<char> memory_ = std::vector<char>(size_t{128} << 20, 1);
  volatile char sum_ = 0;
};

class Bench {
 public:
  Bench(const std::string& directory, const KernelTable& kernels)
      : directory_(directory),
        kernels_(kernels),
        index_(Open(directory, kernels)),
        exported_(directory + "/" + kExported),
        queries_(OrFail(client::ReadNpy(directory + "/" + kQueriesFile))),
        rates_(queries_.rows, 0.75F),
        out_(queries_.data.size()),
        ids_(queries_.rows * kK),
        distances_(queries_.rows * kK) {
    // As the server does with a voice that it uses for the first time.
    const MappedFile& frames = index_->store().file();
    frames.Prefault(0, frames.size());
  }

  json Run(const json& command) {
    if (command["who"] == "open") return TimeOpening();
    const size_t frames = command["frames"];
    const size_t batch = command["batch"];
    const bool cold = command["cold"];
    const bool ours = command["who"] == "ours";
    nprobe_ = command["nprobe"];
    if (!ours) PrepareFaiss();
    std::chrono::nanoseconds total{0};
    for (size_t first = 0; first < frames; first += batch) {
      const size_t count = std::min(batch, frames - first);
      if (cold) evictor_.Evict();
      const auto start = std::chrono::steady_clock::now();
      if (ours) {
        SearchOurs(first, count);
      } else {
        faiss_->search(static_cast<int64_t>(count), queries_.row(first), kK,
                       &distances_[first * kK], &ids_[first * kK]);
      }
      total += std::chrono::steady_clock::now() - start;
    }
    json answer = {{"us", 1e-3 * static_cast<double>(total.count()) /
                              static_cast<double>(frames)}};
    if (command.value("ids", false)) {
      answer["ids"] = std::vector<int64_t>(
          ids_.begin(),
          ids_.begin() + static_cast<std::ptrdiff_t>(frames * kK));
    }
    return answer;
  }

 private:
  json TimeOpening() const {
    const auto start = std::chrono::steady_clock::now();
    const auto index = Open(directory_, kernels_);
    const std::chrono::duration<double, std::milli> time =
        std::chrono::steady_clock::now() - start;
    return {{"ms", time.count()}};
  }

  // Search and blend, as the server does them.
  void SearchOurs(size_t first, size_t count) {
    const SearchSettings settings{
        .k = kK,
        .nprobe = nprobe_,
        .candidates = static_cast<uint32_t>(kK * kKFactor)};
    const size_t n = index_->dimension();
    const absl::Status status =
        index_->Search(queries_.row(first), count, settings, search_,
                       [&](const FoundTile& tile) {
                         const size_t at = first + tile.first;
                         Blend(*index_, queries_.row(at), tile.count,
                               {kK, tile.ids, tile.distances}, &rates_[at], {},
                               blend_, &out_[at * n], totals_);
                         std::copy_n(tile.ids, tile.count * kK, &ids_[at * kK]);
                       });
    if (!status.ok()) Fail(status);
  }

  void PrepareFaiss() {
    if (faiss_ == nullptr) {
      omp_set_num_threads(1);
      faiss_.reset(faiss::read_index(exported_.c_str()));
    }
    auto* const refine = dynamic_cast<faiss::IndexRefine*>(faiss_.get());
    refine->k_factor = kKFactor;
    dynamic_cast<faiss::IndexIVF*>(refine->base_index)->nprobe = nprobe_;
  }

  const std::string directory_;
  const KernelTable& kernels_;
  const std::unique_ptr<SpeakerIndex> index_;
  const std::string exported_;
  std::unique_ptr<faiss::Index> faiss_;
  const FrameMatrix queries_;
  const std::vector<float> rates_;
  std::vector<float> out_;
  std::vector<int64_t> ids_;
  std::vector<float> distances_;
  uint32_t nprobe_ = 1;
  SearchScratch search_;
  BlendScratch blend_;
  BlendTotals totals_;
  CacheEvictor evictor_;
};

int Main(int argc, char** argv) {
  const std::vector<std::string> args(argv + 1, argv + argc);
  if (args.size() == 5 && args[0] == "prepare") {
    Prepare(args[1], std::stoull(args[2]),
            static_cast<uint32_t>(std::stoul(args[3])),
            static_cast<uint32_t>(std::stoul(args[4])));
    return 0;
  }
  if (args.size() < 2 || args[0] != "run") {
    std::cerr << "engine_bench prepare DIR N DIMENSION NLIST | run DIR "
                 "[SIMD_LEVEL]\n";
    return 2;
  }
  const KernelTable* const kernels =
      args.size() > 2 ? FindKernels(args[2]) : &BestKernels();
  if (kernels == nullptr) Fail(absl::NotFoundError("no such SIMD level"));
  Bench bench(args[1], *kernels);
  std::cout << json{{"simd_level", std::string(kernels->name)}} << std::endl;
  for (std::string line; std::getline(std::cin, line);) {
    std::cout << bench.Run(json::parse(line)) << std::endl;
  }
  return 0;
}

}  // namespace
}  // namespace timbre

int main(int argc, char** argv) { return timbre::Main(argc, argv); }
