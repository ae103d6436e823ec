#pragma once

#include "process.hpp"
#include "temporary_directory.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <memory>
#include <sstream>
#include <string>
#include <vector>

namespace troupe::test {

using nlohmann::json;
using testing::HasSubstr;
using testing::Not;

/// Lines of an output that must all be JSON objects.
inline std::vector<json> objects(const std::string& text) {
  std::vector<json> all;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    auto object = json::parse(line, nullptr, false);
    EXPECT_TRUE(object.is_object()) << line;
    all.push_back(std::move(object));
  }
  return all;
}

/// The command line without a node.
class cli_usage : public testing::Test {
protected:
  static finished troupe(std::vector<std::string> arguments, const std::string& input = {}) {
    return run(TROUPE_CLI, std::move(arguments), {.input = input}, std::chrono::seconds(60));
  }
  /// Runs what must be refused with this code, and looks whether it says what, why and what to do, for people
  /// and for programs, and nothing on stdout.
  static void refused(int code, std::vector<std::string> arguments, const std::string& why,
                      const std::string& input = {}) {
    auto said = troupe(arguments, input);
    auto line = testing::PrintToString(arguments);
    EXPECT_EQ(said.status, code) << line << said.err;
    EXPECT_EQ(said.out, "") << line;
    EXPECT_THAT(said.err, HasSubstr(why)) << line;
    EXPECT_THAT(said.err, testing::StartsWith("troupe: ")) << line;
    arguments.insert(arguments.begin(), "--json");
    auto told = troupe(arguments, input);
    EXPECT_EQ(told.status, code) << line << told.err;
    EXPECT_EQ(told.out, "") << line;
    auto errors = objects(told.err);
    ASSERT_FALSE(errors.empty()) << line;
    EXPECT_TRUE(errors.front().contains("error")) << line;
    EXPECT_THAT(errors.front().value("reason", ""), HasSubstr(why)) << line;
  }
};

/// The command line with a node of its own for each suite.
class cli : public cli_usage {
protected:
  static void SetUpTestSuite() {
    place_ = std::make_unique<temporary_directory>();
    start_node();
  }
  /// On the suite's data; again after it ended.
  static void start_node() {
    node_ = std::make_unique<process>(
        TROUPE_TROUPED,
        std::vector<std::string>{"--data", (place_->path() / "data").string(), "--listen", "127.0.0.1:0"});
    auto ready = node_->read_until("trouped ready on ");
    ASSERT_TRUE(ready) << node_->errors();
    std::istringstream words(*ready);
    for (int i = 0; i < 4; ++i)
      words >> address_;
  }
  static void TearDownTestSuite() {
    if (node_) {
      node_->signal(SIGTERM);
      EXPECT_EQ(node_->wait(), 0) << node_->errors();
    }
    node_.reset();
    place_.reset();
  }
  /// With the node's address.
  static std::vector<std::string> at_node(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"--node", address_});
    return arguments;
  }
  static finished troupe(std::vector<std::string> arguments, const std::string& input = {}) {
    return cli_usage::troupe(at_node(std::move(arguments)), input);
  }
  static void refused(int code, std::vector<std::string> arguments, const std::string& why,
                      const std::string& input = {}) {
    cli_usage::refused(code, at_node(std::move(arguments)), why, input);
  }
  /// What must work; its output.
  static std::string works(std::vector<std::string> arguments, const std::string& input = {}) {
    auto line = testing::PrintToString(arguments);
    auto said = troupe(std::move(arguments), input);
    EXPECT_EQ(said.status, 0) << line << said.err;
    return said.out;
  }
  static std::vector<json> works_json(std::vector<std::string> arguments, const std::string& input = {}) {
    arguments.insert(arguments.begin(), "--json");
    return objects(works(std::move(arguments), input));
  }
  /// A topic of its own for a test.
  static std::string new_topic(const std::string& name, std::vector<std::string> options = {}) {
    options.insert(options.begin(), {"topic", "create", name});
    works(std::move(options));
    return name;
  }

  inline static std::unique_ptr<temporary_directory> place_;
  inline static std::unique_ptr<process> node_;
  inline static std::string address_;
};

} // namespace troupe::test
