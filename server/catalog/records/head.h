// The head of a speaker in an object store, and what may become of it.
//
// All functions are pure and thread-safe: whoever wants a change reads the
// head, asks Grant what it becomes, writes that under the condition that nobody
// has written in between, and begins anew where somebody has.
#ifndef TIMBRE_SERVER_CATALOG_RECORDS_HEAD_H_
#define TIMBRE_SERVER_CATALOG_RECORDS_HEAD_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "timbre/storage/head.pb.h"

namespace timbre {

// What this server writes.
inline constexpr uint32_t kHeadFormat = 1;
// What it reads.
inline constexpr size_t kMaxHeadBytes = 64 << 20;

// The object of a head: a line with its digest, then the message.
std::string SerializeHead(const storage::Head& head);
// DATA_LOSS where it is damaged, of another speaker, or not what Timbre writes;
// one of a newer format only has to have a digest and the fields of this one.
absl::StatusOr<storage::Head> ParseHead(absl::string_view bytes,
                                        absl::string_view speaker);

// Of one without versions, which no object need stand for.
storage::Head EmptyHead(absl::string_view speaker);
// Null: it is not there.
const storage::HeadVersion* FindVersion(const storage::Head& head,
                                        uint64_t number);

// The changes that there are.
struct PublishVersion {
  storage::HeadVersion version;  // without a number, which is given now
  bool keep_inactive = false;
  uint64_t deletions = 0;  // of the head when the build began
  // Those that stay, the active one included; 0: all.
  uint32_t keep_versions = 0;
};
struct ActivateVersion {
  uint64_t number = 0;
};
struct DeleteVersion {
  uint64_t number = 0;
};
struct DeleteSpeaker {};
struct ApplyTuning {
  uint64_t number = 0;
  storage::Tuning tuning;
  uint32_t source = 0;
};

using HeadChange = std::variant<PublishVersion, ActivateVersion, DeleteVersion,
                                DeleteSpeaker, ApplyTuning>;

struct Wish {
  std::string nonce;  // of this wish alone, 16 random bytes
  // The changes of the oldest head over which it may have been written already,
  // without an answer.
  std::optional<uint64_t> sent_over;
  HeadChange change;
};

struct Granted {
  storage::Head head;
  // False: it is so already, by this wish or by somebody else's, and nothing is
  // to be written.
  bool changed = true;
  // The version of the wish, of one that is published the number given; with
  // a request_id that was published before, that version. 0: none.
  uint64_t number = 0;
};

// What `head` becomes by `wish`. NOT_FOUND: no such speaker or version;
// FAILED_PRECONDITION (VERSION_ACTIVE): it is active; ABORTED
// (SPEAKER_DELETED, VERSION_DELETED): meanwhile; FAILED_PRECONDITION
// (STORE_NEWER): a newer server has written it; UNKNOWN (OUTCOME_UNKNOWN): it
// was sent so long ago that its nonce may be forgotten.
absl::StatusOr<Granted> Grant(const storage::Head& head, const Wish& wish);

}  // namespace timbre

#endif  // TIMBRE_SERVER_CATALOG_RECORDS_HEAD_H_
