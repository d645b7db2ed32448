// Options that `timbre search` and `timbre blend` share.
#ifndef TIMBRE_CLIENT_CLI_SEARCH_OPTIONS_H_
#define TIMBRE_CLIENT_CLI_SEARCH_OPTIONS_H_

#include "client/cli/command.h"

namespace timbre::cli {

// Adds --k, --nprobe, --k_factor and --target_recall.
void AddSearchParams(CLI::App& command, v1::SearchParams& params);

// Adds the speaker, --version and those of AddSearchParams.
void AddSearchOptions(CLI::App& command, client::VoiceRef& voice,
                      v1::SearchParams& params);

}  // namespace timbre::cli

#endif  // TIMBRE_CLIENT_CLI_SEARCH_OPTIONS_H_
