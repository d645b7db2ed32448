// Whether an object store keeps the promises that publication rests on.
#ifndef TIMBRE_SERVER_OBJECTS_SELF_TEST_H_
#define TIMBRE_SERVER_OBJECTS_SELF_TEST_H_

#include "absl/status/status.h"
#include "server/objects/object_store.h"

namespace timbre {

// Writes an object of its own, self-test/<random>, under conditions that hold
// and that do not, and removes it. There are servers that answer If-Match with
// 200 whatever is there: two writers would lose each other's versions.
// FAILED_PRECONDITION (STORE_UNFIT): it does not honour them; other errors are
// those of the store. Thread-safe.
absl::Status ProveConditions(ObjectStore& store, const Patience& patience);

}  // namespace timbre

#endif  // TIMBRE_SERVER_OBJECTS_SELF_TEST_H_
