// timbred's command line.
#ifndef TIMBRE_SERVER_APP_FLAGS_H_
#define TIMBRE_SERVER_APP_FLAGS_H_

#include "absl/status/statusor.h"
#include "server/app/config.h"

namespace timbre {

// Parses the command line; handles --help and --version and exits for them.
// INVALID_ARGUMENT with the flag, its value and the accepted range.
absl::StatusOr<Config> ParseFlags(int argc, char** argv);

}  // namespace timbre

#endif  // TIMBRE_SERVER_APP_FLAGS_H_
