#include "server/service/methods.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/service/live/handlers.h"
#include "server/service/probes/handlers.h"
#include "server/service/upload/handlers.h"
#include "server/service/voices/handlers.h"

namespace timbre {
namespace {

struct Method {
  std::string name;
  Call::HandlerFactory factory;
};

struct Service {
  std::string name;
  CallServer::ServiceKind kind;
  std::vector<Method> methods;
};

// `make` of every call, with what else it wants.
template <typename Make, typename... Parts>
Call::HandlerFactory With(Make make, Parts&... parts) {
  return [make, &parts...](Call& call) { return make(call, parts...); };
}

std::vector<Service> Table(ServiceContext& context, ProgressTicker& ticker,
                           Health& health) {
  using enum CallServer::ServiceKind;
  return {
      {"timbre.v1.Retrieval",
       kWork,
       {{"Build", With(NewBuildHandler, context, ticker)},
        {"Search", With(NewSearchHandler, context)},
        {"Blend", With(NewBlendHandler, context)}}},
      {"timbre.v1.Catalog",
       kWork,
       {{"ListSpeakers", With(NewListSpeakersHandler, context)},
        {"GetSpeaker", With(NewGetSpeakerHandler, context)},
        {"ActivateVersion", With(NewActivateVersionHandler, context)},
        {"DeleteVersion", With(NewDeleteVersionHandler, context)},
        {"DeleteSpeaker", With(NewDeleteSpeakerHandler, context)},
        {"ReadFrames", With(NewReadFramesHandler, context)},
        {"Export", With(NewExportHandler, context)},
        {"Tune", With(NewTuneHandler, context)},
        {"Verify", With(NewVerifyHandler, context)},
        {"GetServerInfo", With(NewGetServerInfoHandler, context)}}},
      {"grpc.health.v1.Health",
       kProbe,
       {{"Check", With(NewHealthCheckHandler, health)},
        {"Watch", With(NewHealthWatchHandler, health)}}},
      {"grpc.reflection.v1.ServerReflection",
       kWork,
       {{"ServerReflectionInfo", With(NewReflectionHandler, context)}}},
      {"grpc.reflection.v1alpha.ServerReflection",
       kWork,
       {{"ServerReflectionInfo", With(NewReflectionHandler, context)}}},
  };
}

absl::StatusOr<std::vector<Call::HandlerFactory>> InOrder(
    std::vector<Method> methods,
    const google::protobuf::ServiceDescriptor& service) {
  if (methods.size() != static_cast<size_t>(service.method_count())) {
    return absl::InternalError(
        absl::StrCat(service.full_name(), " has ", service.method_count(),
                     " methods, and ", methods.size(), " handlers"));
  }
  std::vector<Call::HandlerFactory> factories;
  for (int i = 0; i < service.method_count(); ++i) {
    const std::string& name = service.method(i)->name();
    const auto found = std::find_if(
        methods.begin(), methods.end(),
        [&name](const Method& method) { return method.name == name; });
    if (found == methods.end()) {
      return absl::InternalError(
          absl::StrCat(service.full_name(), ".", name, " has no handler"));
    }
    factories.push_back(std::move(found->factory));
  }
  return factories;
}

}  // namespace

absl::StatusOr<std::vector<ServedService>> ServicesOf(ServiceContext& context,
                                                      ProgressTicker& ticker,
                                                      Health& health) {
  std::vector<ServedService> services;
  for (Service& service : Table(context, ticker, health)) {
    const google::protobuf::ServiceDescriptor* const descriptor =
        google::protobuf::DescriptorPool::generated_pool()->FindServiceByName(
            service.name);
    if (descriptor == nullptr) {
      return absl::InternalError(
          absl::StrCat(service.name, " is no service of the protos"));
    }
    auto factories = InOrder(std::move(service.methods), *descriptor);
    if (!factories.ok()) return factories.status();
    services.push_back({.descriptor = descriptor,
                        .kind = service.kind,
                        .factories = *std::move(factories)});
  }
  return services;
}

}  // namespace timbre
