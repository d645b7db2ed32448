// Files that the server streams.
#ifndef TIMBRE_CLIENT_CLI_DOWNLOAD_H_
#define TIMBRE_CLIENT_CLI_DOWNLOAD_H_

#include <string>

#include "client/cpp/client.h"

namespace timbre::cli {

// Writes an export of `voice` to `path`, which appears whole or not at all.
absl::Status Download(client::Client& client, const client::VoiceRef& voice,
                      v1::ExportFormat format, const std::string& path);

}  // namespace timbre::cli

#endif  // TIMBRE_CLIENT_CLI_DOWNLOAD_H_
