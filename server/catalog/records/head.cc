#include "server/catalog/records/head.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "server/base/checksum.h"
#include "server/base/errors.h"
#include "server/base/status_macros.h"
#include "server/catalog/records/file_names.h"
#include "server/catalog/records/retention.h"
#include "server/catalog/records/voice_errors.h"

namespace timbre {
namespace {

using storage::Head;
using storage::HeadVersion;

constexpr char kFirstWord[] = "timbre-head ";
constexpr int kNonces = 64;  // fits in a few hundred bytes

bool HasNonce(const Head& head, const std::string& nonce) {
  return std::find(head.nonces().begin(), head.nonces().end(), nonce) !=
         head.nonces().end();
}

// Of a head, or of one that may be changed; null: it is not there.
template <typename Versions>
auto* FindIn(Versions& versions, uint64_t number) {
  const auto found = std::find_if(
      versions.begin(), versions.end(),
      [&](const HeadVersion& version) { return version.number() == number; });
  return found == versions.end() ? nullptr : &*found;
}

void Drop(Head& head, uint64_t number) {
  auto& versions = *head.mutable_versions();
  const auto dropped = std::remove_if(
      versions.begin(), versions.end(),
      [&](const HeadVersion& v) { return v.number() == number; });
  versions.erase(dropped, versions.end());
}

absl::Status NotOurs(absl::string_view speaker, absl::string_view why) {
  return absl::DataLossError(
      absl::StrCat("the head of voice \"", speaker, "\" ", why));
}

// Its versions are told apart, and those that it refers to are there.
absl::Status Check(const Head& head, absl::string_view speaker) {
  if (head.speaker() != speaker) return NotOurs(speaker, "is another's");
  if (head.format() == 0) return NotOurs(speaker, "has no format");
  uint64_t last = 0;
  for (const HeadVersion& version : head.versions()) {
    if (version.number() <= last || version.number() > kMaxVersion) {
      return NotOurs(speaker, "has versions out of order");
    }
    if (version.blob().empty()) return NotOurs(speaker, "has an unnamed blob");
    last = version.number();
  }
  if (head.last_version() < last) return NotOurs(speaker, "forgot a version");
  const uint64_t active = head.active_version();
  if (active != 0 && FindVersion(head, active) == nullptr) {
    return NotOurs(speaker, "has an active version that is not there");
  }
  return absl::OkStatus();
}

using Changed = absl::StatusOr<Granted>;

Granted AsItIs(const Head& head, uint64_t number) {
  return {.head = head, .changed = false, .number = number};
}

// By blob or request_id.
const HeadVersion* FindRequested(const Head& head,
                                 const HeadVersion& published) {
  const std::string& request_id = published.manifest().request_id();
  for (const HeadVersion& version : head.versions()) {
    if (version.blob() == published.blob() ||
        (!request_id.empty() &&
         version.manifest().request_id() == request_id)) {
      return &version;
    }
  }
  return nullptr;
}

Changed Become(const Head& head, const PublishVersion& change) {
  if (head.deletions() != change.deletions) {
    return SpeakerDeleted(head.speaker());
  }
  Granted granted{.head = head, .number = head.last_version() + 1};
  HeadVersion& added = *granted.head.add_versions();
  added = change.version;
  added.set_number(granted.number);
  granted.head.set_last_version(granted.number);
  if (!change.keep_inactive) granted.head.set_active_version(granted.number);
  std::vector<uint64_t> numbers;
  for (const HeadVersion& version : granted.head.versions()) {
    numbers.push_back(version.number());
  }
  for (const uint64_t surplus :
       SurplusVersions(numbers, granted.head.active_version(), granted.number,
                       change.keep_versions)) {
    Drop(granted.head, surplus);
  }
  return granted;
}

absl::Status CheckThere(const Head& head, uint64_t number) {
  if (head.versions().empty()) return NoSpeaker(head.speaker());
  return FindVersion(head, number) == nullptr
             ? NoVersion(head.speaker(), number)
             : absl::OkStatus();
}

Changed Become(const Head& head, const ActivateVersion& change) {
  TIMBRE_RETURN_IF_ERROR(CheckThere(head, change.number));
  if (head.active_version() == change.number) {
    return AsItIs(head, change.number);
  }
  Granted granted{.head = head, .number = change.number};
  granted.head.set_active_version(change.number);
  return granted;
}

Changed Become(const Head& head, const DeleteVersion& change) {
  TIMBRE_RETURN_IF_ERROR(CheckThere(head, change.number));
  if (head.active_version() == change.number) {
    return VersionActive(head.speaker(), change.number);
  }
  Granted granted{.head = head, .number = change.number};
  Drop(granted.head, change.number);
  return granted;
}

Changed Become(const Head& head, const DeleteSpeaker&) {
  if (head.versions().empty()) return NoSpeaker(head.speaker());
  Granted granted{.head = head};
  granted.head.clear_versions();
  granted.head.set_active_version(0);
  granted.head.set_deletions(head.deletions() + 1);
  return granted;
}

Changed Become(const Head& head, const ApplyTuning& change) {
  Granted granted{.head = head, .number = change.number};
  HeadVersion* const version =
      FindIn(*granted.head.mutable_versions(), change.number);
  if (version == nullptr) return VersionDeleted(head.speaker(), change.number);
  *version->mutable_tuning() = change.tuning;
  version->set_tuning_source(change.source);
  return granted;
}

// Of the version that a wish is about; of one to publish 0 where it is not
// there.
struct NumberOf {
  uint64_t operator()(const PublishVersion& change) const {
    const HeadVersion* const there = FindRequested(head, change.version);
    return there == nullptr ? 0 : there->number();
  }
  uint64_t operator()(const DeleteSpeaker&) const { return 0; }
  template <typename Change>
  uint64_t operator()(const Change& change) const {
    return change.number;
  }

  const Head& head;
};

}  // namespace

std::string SerializeHead(const Head& head) {
  const std::string message = head.SerializeAsString();
  return absl::StrCat(kFirstWord, DigestOf(message), "\n", message);
}

absl::StatusOr<Head> ParseHead(absl::string_view bytes,
                               absl::string_view speaker) {
  const size_t end = bytes.find('\n');
  absl::string_view line = bytes.substr(0, end);
  if (end == absl::string_view::npos ||
      !absl::ConsumePrefix(&line, kFirstWord)) {
    return NotOurs(speaker, "is not one of Timbre's");
  }
  bytes.remove_prefix(end + 1);
  if (line != DigestOf(bytes)) return NotOurs(speaker, "is damaged");
  Head head;
  if (!head.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    return NotOurs(speaker, "is no message");
  }
  TIMBRE_RETURN_IF_ERROR(Check(head, speaker));
  return head;
}

Head EmptyHead(absl::string_view speaker) {
  Head head;
  head.set_format(kHeadFormat);
  head.set_speaker(std::string(speaker));
  return head;
}

const HeadVersion* FindVersion(const Head& head, uint64_t number) {
  return FindIn(head.versions(), number);
}

absl::StatusOr<Granted> Grant(const Head& head, const Wish& wish) {
  const uint64_t number = std::visit(NumberOf{head}, wish.change);
  // A version is known by its blob for as long as it is there.
  const bool is_published =
      std::holds_alternative<PublishVersion>(wish.change) && number != 0;
  if (is_published || HasNonce(head, wish.nonce)) return AsItIs(head, number);
  if (wish.sent_over && head.changes() > *wish.sent_over + kNonces) {
    return MakeError(
        absl::StatusCode::kUnknown, "OUTCOME_UNKNOWN",
        absl::StrCat("voice \"", head.speaker(), "\" was changed ",
                     head.changes() - *wish.sent_over,
                     " times since; whether by this request is not known"));
  }
  if (head.format() > kHeadFormat) {
    return MakeError(
        absl::StatusCode::kFailedPrecondition, "STORE_NEWER",
        absl::StrCat("voice \"", head.speaker(),
                     "\": a newer server wrote "
                     "format ",
                     head.format(), " of its head; this one writes ",
                     kHeadFormat, " and leaves it as it is"));
  }
  TIMBRE_ASSIGN_OR_RETURN(
      Granted granted,
      std::visit([&](const auto& change) { return Become(head, change); },
                 wish.change));
  if (!granted.changed) return granted;
  granted.head.set_changes(head.changes() + 1);
  auto& nonces = *granted.head.mutable_nonces();
  nonces.Add(std::string(wish.nonce));
  if (nonces.size() > kNonces) {
    nonces.erase(nonces.begin(), nonces.end() - kNonces);
  }
  return granted;
}

}  // namespace timbre
