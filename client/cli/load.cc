// timbre load SCENARIO
#include <chrono>
#include <cstdlib>
#include <iostream>
#include <memory>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "client/cli/command.h"
#include "client/cli/search_options.h"
#include "client/load/report.h"
#include "client/load/scenario.h"
#include "server/base/errors.h"
#include "server/base/status_macros.h"

namespace timbre::cli {
namespace {

struct LoadArguments {
  Common common;  // --json is a file here
  std::string command;
  std::string json_file;
  std::string html_file;
  load::ScenarioOptions scenario;
  std::string arrivals = "constant";
  std::string rpc = "blend";
  std::chrono::nanoseconds budget{0};
};

// The same for values of std::chrono.
void AddNanoseconds(CLI::App& app, const std::string& name,
                    std::chrono::nanoseconds& value, const std::string& text,
                    absl::Duration least = absl::ZeroDuration()) {
  AddDuration(
      app, name, absl::FromChrono(value), text,
      [&value](absl::Duration given) {
        value = absl::ToChronoNanoseconds(given);
      },
      least);
}

// By default all threads of a process that wait for gRPC share one epoll set,
// and a thread that builds a voice takes the answers of live streams from their
// sockets too, at its own priority. With poll each waits for its own sockets.
void PollSeparately() {
  constexpr int kKeepWhatIsSet = 0;
  setenv("GRPC_POLL_STRATEGY", "poll", kKeepWhatIsSet);
}

absl::Status RunScenario(const std::string& name, LoadArguments& a) {
  PollSeparately();
  load::ScenarioOptions& scenario = a.scenario;
  scenario.server = a.common.server;
  scenario.timeout = a.common.timeout;
  scenario.group.name = name == "offline" || name == "idle" ? name : "live";
  scenario.group.poisson = a.arrivals == "poisson";
  scenario.group.method =
      a.rpc == "search" ? load::Method::kSearch : load::Method::kBlend;
  if (a.budget.count() > 0) {
    auto& budget =
        *scenario.group.params.mutable_search()->mutable_latency_budget();
    budget.set_seconds(a.budget.count() / 1'000'000'000);
    budget.set_nanos(static_cast<int>(a.budget.count() % 1'000'000'000));
  }
  scenario.say = [](const std::string& text) {
    std::cerr << "load: " << text << "\n";
  };
  absl::StatusOr<load::Report> report =
      name == "mixed"  ? load::RunMixed(scenario)
      : name == "step" ? load::RunStep(scenario)
                       : load::RunSingle(name, scenario);
  TIMBRE_RETURN_IF_ERROR(report.status());
  report->command = a.command;
  std::cout << load::ToText(*report);
  TIMBRE_RETURN_IF_ERROR(
      WriteText(a.json_file, load::ToJson(*report).dump(1) + "\n"));
  TIMBRE_RETURN_IF_ERROR(WriteText(a.html_file, load::ToHtml(*report)));
  return load::CheckAnswered(*report);
}

void AddTarget(CLI::App& app, LoadArguments& a) {
  AddServerOptions(app, a.common);
  app.add_option("--metrics", a.scenario.metrics,
                 "HOST:PORT of the server's metrics; default: as it says");
  app.add_option("--json", a.json_file, "write every figure to this file");
  app.add_option("--html", a.html_file, "write a page with plots");
  load::VoiceOptions& voices = a.scenario.voices;
  app.add_option("--speaker", voices.speakers,
                 "convert to this voice (may be repeated); else to load-00, "
                 "load-01 ..., which are built where they are missing, and "
                 "stay");
  app.add_option("--voices", voices.count, "how many of those")
      ->check(CLI::Range(1, 10'000))
      ->capture_default_str();
  app.add_option("--voice_frames", voices.frames,
                 "of each; default 20000, or whatever is there")
      ->check(CLI::Range(1, 10'000'000));
  app.add_option("--dimension", voices.dimension,
                 "of each; default 256, or whatever is there")
      ->check(CLI::Range(2, 4096));
  app.add_option("--zipf", a.scenario.zipf,
                 "voice i is as frequent as 1 / i^zipf; 0: all alike")
      ->check(CLI::Range(0.0, 10.0))
      ->capture_default_str();
}

void AddRunOptions(CLI::App& app, LoadArguments& a) {
  load::Group& group = a.scenario.group;
  app.add_option("--streams", group.streams, "how many at once")
      ->check(CLI::Range(1, 1'000'000))
      ->capture_default_str();
  app.add_option("--frames", group.frames, "of a message")
      ->check(CLI::Range(1, 1'000'000))
      ->capture_default_str();
  app.add_option("--connections", a.scenario.connections,
                 "streams take them in turn")
      ->check(CLI::Range(1, 10'000))
      ->capture_default_str();
  AddNanoseconds(app, "--duration", a.scenario.duration,
                 "of the measurement, 100 ms at least",
                 absl::Milliseconds(100));
  AddNanoseconds(app, "--warm_up", a.scenario.warm_up,
                 "before it, not measured");
  app.add_option("--seed", a.scenario.seed, "of schedule and voices")
      ->capture_default_str();
  app.add_option("--rpc", a.rpc, "blend or search")
      ->check(CLI::IsMember({"blend", "search"}))
      ->capture_default_str();
  AddSearchParams(app, *group.params.mutable_search());
  AddNanoseconds(app, "--latency_budget", a.budget,
                 "the server may degrade answers to keep it; 0: never");
  app.add_flag("--new_streams", group.new_streams,
               "every message is a stream of its own");
}

void AddOpenLoop(CLI::App& app, LoadArguments& a, const std::string& period) {
  load::Group& group = a.scenario.group;
  AddNanoseconds(app, period, group.period, "between two messages of a stream");
  app.add_option("--arrivals", a.arrivals, "constant or poisson")
      ->check(CLI::IsMember({"constant", "poisson"}))
      ->capture_default_str();
  group.late_after = group.period;
  AddNanoseconds(app, "--late_after", group.late_after,
                 "answers that take longer count as late");
}

// A scenario with its defaults; what else it takes is added by the caller.
CLI::App& AddScenario(CLI::App& load, int* exit_code, const std::string& name,
                      const std::string& text,
                      const std::shared_ptr<LoadArguments>& arguments) {
  CLI::App& app = *load.add_subcommand(name, text);
  AddTarget(app, *arguments);
  AddRunOptions(app, *arguments);
  SetBody(app, exit_code, arguments->common,
          [arguments, name] { return RunScenario(name, *arguments); });
  return app;
}

std::shared_ptr<LoadArguments> Arguments(const std::string& command,
                                         std::chrono::nanoseconds period) {
  auto arguments = std::make_shared<LoadArguments>();
  arguments->command = command;
  arguments->scenario.group.period = period;
  return arguments;
}

}  // namespace

void AddLoad(CLI::App& app, int* exit_code, const std::string& command) {
  using std::chrono::milliseconds;
  CLI::App& load = *app.add_subcommand(
      "load",
      "Put load on a server and measure it. Latency counts from the time at\n"
      "which a message was due, not from when it could be sent.");
  load.require_subcommand(1);

  auto live = Arguments(command, milliseconds(250));
  live->scenario.group.streams = 100;
  AddOpenLoop(AddScenario(load, exit_code, "live",
                          "Conversions in real time: open loop.", live),
              *live, "--period");

  auto offline = Arguments(command, milliseconds(0));
  offline->scenario.group.streams = 2;
  offline->scenario.group.frames = 1000;
  AddScenario(load, exit_code, "offline",
              "Recordings: large messages, closed loop.", offline)
      .add_option("--in_flight", offline->scenario.group.in_flight,
                  "messages under way, a stream")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();

  auto idle = Arguments(command, milliseconds(2000));
  AddOpenLoop(AddScenario(load, exit_code, "idle",
                          "Streams that pause between messages.", idle),
              *idle, "--gap");

  auto mixed = Arguments(command, milliseconds(250));
  mixed->scenario.group.streams = 100;
  CLI::App& mix = AddScenario(
      load, exit_code, "mixed",
      "Live alone, then beside offline, builds and voices being opened.",
      mixed);
  AddOpenLoop(mix, *mixed, "--period");
  mix.add_option("--offline_streams", mixed->scenario.offline_streams,
                 "of 1,000-frame messages")
      ->capture_default_str();
  mix.add_option("--build_frames", mixed->scenario.build_frames,
                 "of the voice load-build, built again and again; at the end "
                 "all of that name is removed")
      ->capture_default_str();
  mix.add_option("--cold_voices", mixed->scenario.cold_voices,
                 "the last so many voices, first used then (a server that has "
                 "opened them keeps them)")
      ->capture_default_str();

  auto step = Arguments(command, milliseconds(250));
  step->scenario.group.streams = 100;
  step->scenario.duration = std::chrono::seconds(10);
  CLI::App& steps = AddScenario(
      load, exit_code, "step",
      "Live with more and more streams, until the objective breaks.", step);
  AddOpenLoop(steps, *step, "--period");
  AddNanoseconds(steps, "--objective", step->scenario.objective, "of p99");
  steps
      .add_option("--step", step->scenario.step,
                  "times the streams of the step before")
      ->check(CLI::Range(1.01, 10.0))
      ->capture_default_str();
}

}  // namespace timbre::cli
