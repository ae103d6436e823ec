#pragma once

#include "launched_node.hpp"
#include "temporary_directory.hpp"

#include "troupe/client.hpp"
#include "troupe/producer.hpp"

#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

/// What the tests of the daemon `trouped` share.
namespace troupe::test {

namespace fs = std::filesystem;

inline std::string read_file(const fs::path& file) {
  std::ifstream in{file, std::ios::binary};
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

inline void write_file(const fs::path& file, const std::string& text) {
  std::ofstream{file, std::ios::binary} << text;
}

struct trouped_test : testing::Test {
  temporary_directory scratch;
  fs::path data = scratch / "data";

  client connect(const launched_node& node, tls_files tls = {}) {
    client_options options;
    options.address = node.address();
    options.tls = std::move(tls);
    auto made = client::connect(options);
    if (!made)
      throw std::runtime_error(to_string(made.error()));
    return *made;
  }
  finished trouped(std::vector<std::string> arguments, process_options options = {}) {
    return run(TROUPE_TROUPED, std::move(arguments), std::move(options));
  }
  /// Publishes messages with these bodies, durably.
  void publish(client& c, const std::string& topic, const std::vector<std::string>& bodies) {
    auto p = producer::open(c, {.topic = topic});
    ASSERT_TRUE(p) << to_string(p.error());
    for (const auto& body : bodies) {
      auto sent = p->send(message{.body = body});
      ASSERT_TRUE(sent) << to_string(sent.error());
    }
  }
};

} // namespace troupe::test
