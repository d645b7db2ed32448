#include "server/objects/self_test.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "server/base/errors.h"
#include "server/base/random_id.h"
#include "server/base/status_macros.h"

namespace timbre {
namespace {

// Of a write whose condition does not hold.
absl::Status MustRefuse(const absl::StatusOr<std::string>& put,
                        absl::string_view what) {
  if (absl::IsFailedPrecondition(put.status())) return absl::OkStatus();
  if (!put.ok()) return put.status();
  return MakeError(
      absl::StatusCode::kFailedPrecondition, "STORE_UNFIT",
      absl::StrCat("the object store wrote an object under a condition that "
                   "did not hold (",
                   what,
                   "): with several writers versions would be lost; it must "
                   "support conditional writes"));
}

absl::Status Prove(ObjectStore& store, const std::string& key,
                   const Patience& patience) {
  const auto put = [&](absl::string_view bytes, const Condition& condition) {
    return store.Put(key, bytes, condition, patience);
  };
  TIMBRE_RETURN_IF_ERROR(
      MustRefuse(put("0", Condition::Etag("d41d8cd98f00b204e9800998ecf8427e")),
                 "If-Match on an object that does not exist"));
  TIMBRE_ASSIGN_OR_RETURN(const std::string first,
                          put("1", Condition::Absent()));
  TIMBRE_RETURN_IF_ERROR(
      MustRefuse(put("2", Condition::Absent()),
                 "If-None-Match: * on an object that exists"));
  TIMBRE_RETURN_IF_ERROR(put("3", Condition::Etag(first)).status());
  TIMBRE_RETURN_IF_ERROR(MustRefuse(put("4", Condition::Etag(first)),
                                    "If-Match with an ETag from before"));
  return absl::OkStatus();
}

}  // namespace

absl::Status ProveConditions(ObjectStore& store, const Patience& patience) {
  const std::string key = absl::StrCat("self-test/", RandomId());
  absl::Status proven = Prove(store, key, patience);
  store.Delete(key, patience).IgnoreError();
  return proven;
}

}  // namespace timbre
