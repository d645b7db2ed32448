// How the head of a speaker in an object store is read and changed.
//
// A head is the only object that changes, and one conditional write of it the
// only moment at which a change happens. Thread-safe; the functions wait for
// the network; errors are those of the store, but for what is said here.
#ifndef TIMBRE_SERVER_CATALOG_STORE_HEAD_CHANGE_H_
#define TIMBRE_SERVER_CATALOG_STORE_HEAD_CHANGE_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "server/catalog/records/head.h"
#include "server/objects/object_store.h"

namespace timbre {

// "heads/", under which nothing else lies, and the key of a speaker's.
inline constexpr char kHeadsPrefix[] = "heads/";
std::string HeadKey(absl::string_view speaker);

// A head as it was read.
struct KnownHead {
  storage::Head head;
  std::string etag;  // empty: there is no object, and the head is EmptyHead
};

// DATA_LOSS: see ParseHead.
absl::StatusOr<KnownHead> ReadHead(ObjectStore& store,
                                   const std::string& speaker,
                                   const Patience& patience);

struct ChangedHead {
  KnownHead now;
  bool changed = false;  // by this call; see Granted
  uint64_t number = 0;   // see Granted
};

// Has `change` happen once, whatever others write meanwhile and whichever
// answers are lost, or says why not: errors of Grant; UNAVAILABLE: it was not
// done, and will not be; UNKNOWN (OUTCOME_UNKNOWN): it may have been done,
// which could not be found out until `patience` was over. That has an end.
absl::StatusOr<ChangedHead> ChangeHead(ObjectStore& store,
                                       const std::string& speaker,
                                       HeadChange change,
                                       const Patience& patience);

}  // namespace timbre

#endif  // TIMBRE_SERVER_CATALOG_STORE_HEAD_CHANGE_H_
