#include "client/cli/search_options.h"

namespace timbre::cli {

void AddSearchParams(CLI::App& command, v1::SearchParams& params) {
  command.add_option_function<uint32_t>(
      "--k", [&params](uint32_t k) { params.set_k(k); },
      "neighbours per frame, 1..1024; 0 or left out: 8");
  command.add_option_function<uint32_t>(
      "--nprobe", [&params](uint32_t n) { params.set_nprobe(n); },
      "lists visited: more are more accurate and slower; 0 or left out: the "
      "version's default");
  command.add_option_function<float>(
      "--k_factor", [&params](float f) { params.set_k_factor(f); },
      "k * k_factor candidates are re-ranked exactly, 1..1000; 0 or left out: "
      "the version's default");
  command.add_option_function<float>(
      "--target_recall", [&params](float r) { params.set_target_recall(r); },
      "instead of nprobe and k_factor: the cheapest setting that is known to "
      "reach it");
}

void AddSearchOptions(CLI::App& command, client::VoiceRef& voice,
                      v1::SearchParams& params) {
  command.add_option("speaker", voice.speaker, "the voice")->required();
  command.add_option("--version", voice.version, "default: the active one");
  AddSearchParams(command, params);
}

}  // namespace timbre::cli
