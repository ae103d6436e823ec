#include "troupe/client.hpp"

#include "temporary_directory.hpp"

#include <gmock/gmock.h>

#include <fstream>

namespace troupe {
namespace {

using testing::HasSubstr;

TEST(client_with_tls, is_told_which_of_its_files_is_none_before_anything_is_sent) {
  test::temporary_directory scratch;
  const auto file = (scratch / "letter.pem").string();
  std::ofstream{file} << "dear all\n";
  client_options options;
  options.address = "127.0.0.1:1";
  options.tls = {file, file, file};
  auto refused = client::connect(options);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, errc::invalid_argument);
  EXPECT_THAT(refused.error().reason, HasSubstr(file));
  options.tls.certificate = (scratch / "missing.pem").string();
  refused = client::connect(options);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, errc::invalid_argument);
  EXPECT_THAT(refused.error().reason, HasSubstr("missing.pem"));
}

} // namespace
} // namespace troupe
