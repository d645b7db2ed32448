#include "server/service/probes/reflection.h"

#include <gmock/gmock.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/descriptor.pb.h>

#include <string>
#include <vector>

#include "timbre/v1/retrieval.pb.h"

namespace timbre {
namespace {

using grpc::reflection::v1::ServerReflectionRequest;
using grpc::reflection::v1::ServerReflectionResponse;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::UnorderedElementsAre;

std::vector<std::string> FilesIn(const ServerReflectionResponse& response) {
  std::vector<std::string> names;
  for (const std::string& bytes :
       response.file_descriptor_response().file_descriptor_proto()) {
    google::protobuf::FileDescriptorProto file;
    EXPECT_TRUE(file.ParseFromString(bytes));
    names.push_back(file.name());
  }
  return names;
}

TEST(Reflect, ListsTheServicesThatItIsGiven) {
  ServerReflectionRequest request;
  request.set_host("here");
  request.set_list_services("");
  const auto response = Reflect(request, {"b.B", "a.A"});
  EXPECT_EQ(response.valid_host(), "here");
  EXPECT_EQ(response.original_request().SerializeAsString(),
            request.SerializeAsString());
  ASSERT_EQ(response.list_services_response().service_size(), 2);
  EXPECT_EQ(response.list_services_response().service(0).name(), "b.B");
}

TEST(Reflect, AFileComesWithAllThatItImportsOnce) {
  ServerReflectionRequest request;
  request.set_file_containing_symbol("timbre.v1.Retrieval.Blend");
  // Compiles elsewhere, from nothing but the answer.
  const auto response = Reflect(request, {});
  google::protobuf::DescriptorPool pool;
  const auto& files =
      response.file_descriptor_response().file_descriptor_proto();
  for (int i = files.size(); i-- > 0;) {
    google::protobuf::FileDescriptorProto file;
    ASSERT_TRUE(file.ParseFromString(files[i]));
    EXPECT_NE(pool.BuildFile(file), nullptr) << file.name();
  }
  EXPECT_NE(pool.FindServiceByName("timbre.v1.Retrieval"), nullptr);
  EXPECT_THAT(FilesIn(response),
              Contains("timbre/v1/retrieval.proto").Times(1));
}

TEST(Reflect, FindsFilesByNameAndTheOlderServiceBySymbol) {
  ServerReflectionRequest request;
  request.set_file_by_filename("grpc/reflection/v1/reflection.proto");
  EXPECT_THAT(FilesIn(Reflect(request, {})),
              ElementsAre("grpc/reflection/v1/reflection.proto"));
  request.set_file_containing_symbol(
      "grpc.reflection.v1alpha.ServerReflection");
  EXPECT_THAT(FilesIn(Reflect(request, {})),
              UnorderedElementsAre("grpc/reflection/v1/reflection.proto",
                                   "grpc/reflection/v1alpha/reflection.proto"));
}

TEST(Reflect, SaysWhatItDoesNotKnow) {
  ServerReflectionRequest request;
  const auto error = [&request] {
    return Reflect(request, {}).error_response();
  };
  EXPECT_EQ(error().error_code(), 3);
  request.set_file_by_filename("no\nfile");
  EXPECT_EQ(error().error_code(), 5);
  EXPECT_THAT(error().error_message(), HasSubstr("no\\x0afile"));
  request.set_file_containing_symbol("no.Symbol");
  EXPECT_EQ(error().error_code(), 5);
  request.set_all_extension_numbers_of_type("no.Type");
  EXPECT_EQ(error().error_code(), 5);
  request.mutable_file_containing_extension()->set_containing_type(
      "timbre.v1.Frames");
  request.mutable_file_containing_extension()->set_extension_number(100);
  EXPECT_EQ(error().error_code(), 5);
}

TEST(Reflect, AMessageWithoutExtensionsHasNone) {
  ServerReflectionRequest request;
  request.set_all_extension_numbers_of_type("timbre.v1.Frames");
  const auto response = Reflect(request, {});
  EXPECT_EQ(response.all_extension_numbers_response().base_type_name(),
            "timbre.v1.Frames");
  EXPECT_EQ(response.all_extension_numbers_response().extension_number_size(),
            0);
}

}  // namespace
}  // namespace timbre
