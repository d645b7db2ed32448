// What the tests of failing files share: voices of a few frames, and what a
// catalogue says of them.
#ifndef TIMBRE_TESTS_CATALOG_FAILING_FILES_H_
#define TIMBRE_TESTS_CATALOG_FAILING_FILES_H_

#include <filesystem>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "server/catalog/catalog.h"
#include "tests/support/faulty_file_system.h"
#include "tests/support/testing.h"

namespace timbre::testing {

inline absl::StatusOr<std::unique_ptr<Catalog>> OpenCatalog(
    const std::string& root, FileSystem& files = FileSystem::Posix()) {
  return Catalog::Open(
      {.data_dir = root + "/data", .kernels = &BestKernels(), .files = &files});
}

// A build from the first file to the publication, under a request's id.
inline absl::Status PublishVoice(Catalog& catalog, uint64_t seed,
                                 bool keep_inactive = false,
                                 const std::string& speaker = "alice") {
  const std::string request = absl::StrCat("request-", seed);
  const auto earlier = catalog.FindRequest(speaker, request);
  if (!earlier.ok()) return earlier.status();
  if (*earlier) return absl::OkStatus();
  const auto staging = catalog.Stage(speaker);
  if (!staging.ok()) return staging.status();
  const auto built =
      BuildFrames((*staging)->directory(), Speech(48, 16, seed),
                  {.factory = "IVF4,PQ8x4fs,RFlat", .files = &catalog.files()});
  if (!built.ok()) return built.status();
  storage::Manifest manifest;
  manifest.set_frames(built->rows);
  manifest.set_dimension(16);
  manifest.set_metric("l2");
  manifest.set_storage(built->storage == ElementType::kFloat16 ? "float16"
                                                               : "float32");
  manifest.set_index_factory(ToString(built->spec));
  manifest.set_default_k(8);
  manifest.set_default_nprobe(2);
  manifest.set_default_k_factor(4);
  manifest.set_keep_inactive(keep_inactive);
  manifest.set_request_id(request);
  return catalog.Publish(**staging, manifest, [] { return false; }).status();
}

// Null: it is not open.
inline Lease FindLoaded(Catalog& catalog, const std::string& speaker,
                        uint64_t version) {
  MemoryBudget::Visit visit(catalog.budget());
  const VoiceName voice{speaker, version};
  const std::vector<Lease> leases = catalog.FindAllLoaded(
      {&voice, 1}, visit, [](const LoadedVersion&) { return true; });
  return leases.empty() ? nullptr : leases.front();
}

// The version that PublishVoice made of `seed`.
inline absl::StatusOr<uint64_t> VersionOf(Catalog& catalog, uint64_t seed) {
  const auto found =
      catalog.FindRequest("alice", absl::StrCat("request-", seed));
  if (!found.ok()) return found.status();
  if (!*found) return absl::NotFoundError("no such version");
  return (*found)->version;
}

// All that callers see of the voice, each version opened and searched, without
// the versions' numbers: those of publications that failed are not used again.
inline std::string Describe(Catalog& catalog) {
  const auto info = catalog.GetSpeaker("alice");
  if (absl::IsNotFound(info.status())) return "none";
  if (!info.ok()) return info.status().ToString();
  std::string text;
  for (const VersionInfo& version : info->versions) {
    if (!version.damage.ok()) return version.damage.ToString();
    const auto lease = catalog.Acquire("alice", version.version);
    if (!lease.ok()) return lease.status().ToString();
    const SpeakerIndex& index = *(*lease)->index;
    std::vector<float> row(index.dimension());
    SearchScratch scratch;
    int64_t id = -1;
    float distance = 0;
    const absl::Status found = index.Search(
        index.store().Row(7, row.data()), 1,
        {.k = 1, .nprobe = 4, .candidates = 8}, scratch, &id, &distance);
    if (!found.ok() || id != 7) return "searches go wrong";
    const auto& record = *(*lease)->record;
    absl::StrAppend(&text, record.manifest.request_id(), " ",
                    record.manifest.digest(), " nprobe ", record.tuning.nprobe,
                    version.active ? " active" : "", "\n");
  }
  return text;
}

// What a start makes of what lies below `root`.
inline std::string DescribeDisk(const std::string& root) {
  const auto catalog = OpenCatalog(root);
  return catalog.ok() ? Describe(**catalog) : catalog.status().ToString();
}

inline void CopyTree(const std::string& from, const std::string& to) {
  std::filesystem::copy(from, to, std::filesystem::copy_options::recursive);
}

inline size_t OpenDescriptors() {
  return ListDirectory("/proc/self/fd")->size();
}

}  // namespace timbre::testing

#endif  // TIMBRE_TESTS_CATALOG_FAILING_FILES_H_
