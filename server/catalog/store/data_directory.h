// Whose a directory is: told before anything in it is touched.
#ifndef TIMBRE_SERVER_CATALOG_STORE_DATA_DIRECTORY_H_
#define TIMBRE_SERVER_CATALOG_STORE_DATA_DIRECTORY_H_

#include <string>

#include "absl/status/status.h"
#include "server/base/file_system.h"

namespace timbre {

// Makes `directory`, created where it does not exist, one of Timbre's: its
// FORMAT is on the disk when this returns OK. It was one before, with FORMAT or
// as servers left it that wrote none, or it was empty: but for lost+found and
// .snapshot of its volume, and a FORMAT that was not finished.
// FAILED_PRECONDITION for every other directory, in which nothing is created or
// removed then, and for one of another format.
absl::Status ClaimDataDirectory(const std::string& directory,
                                FileSystem& files);

// Removes what servers that ended left in a directory that was claimed: their
// entries of DIR/staging, and a FORMAT that was not finished, by their names.
// Says in the log what it could not remove, and what is not theirs.
void RemoveLeftovers(const std::string& directory, FileSystem& files);

}  // namespace timbre

#endif  // TIMBRE_SERVER_CATALOG_STORE_DATA_DIRECTORY_H_
