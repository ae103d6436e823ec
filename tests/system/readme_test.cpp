#include "cli_fixture.hpp"

#include <fstream>

/// What README.md shows is what compiles and what runs.
namespace troupe::test {

namespace {

std::string content(const std::filesystem::path& file) {
  std::ifstream in(file);
  EXPECT_TRUE(in) << file;
  std::ostringstream all;
  all << in.rdbuf();
  return all.str();
}

const std::filesystem::path source = TROUPE_SOURCE_DIR;

class readme : public cli {};

} // namespace

TEST_F(readme, quotes_its_examples_as_they_are_compiled) {
  std::istringstream lines(content(source / "README.md"));
  int quoted = 0;
  std::string file;
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("<!-- ") && line.ends_with(" -->")) {
      file = line.substr(5, line.size() - 9);
    } else if (line == "```cpp") {
      ASSERT_NE(file, "") << "a block of code without <!-- FILE --> before it";
      std::string code;
      while (std::getline(lines, line) && line != "```")
        code += line + "\n";
      EXPECT_EQ(code, content(source / file)) << "README.md and " << file << " differ";
      file.clear();
      ++quoted;
    }
  }
  EXPECT_EQ(quoted, 2);
}

TEST_F(readme, its_tour_of_the_command_line_works_as_written) {
  std::istringstream lines(content(source / "README.md"));
  int ran = 0;
  for (std::string line; std::getline(lines, line);) {
    constexpr std::string_view prompt = "    $ ";
    if (!line.starts_with(prompt) || line.starts_with("    $ trouped"))
      continue;
    auto command = line.substr(prompt.size());
    // What is not installed everywhere stands for something that is.
    if (auto at = command.find("jq .body"); at != std::string::npos)
      command.replace(at, 8, "grep -o '\"body\":.*'");
    if (auto at = command.find("--exec"); at != std::string::npos)
      command.replace(at, command.find("ops'", at) + 4 - at, "--exec 'test -n \"$TROUPE_ID\"' --max 5");
    auto said = run("/bin/sh", {"-c", command},
                    {.environment = {{"TROUPE_NODE", address_},
                                     {"PATH", std::string(TROUPE_BIN_DIR) + ":/usr/bin:/bin"}}},
                    std::chrono::seconds(60));
    EXPECT_EQ(said.status, 0) << command << "\n" << said.err;
    EXPECT_NE(said.out + said.err, "") << command;
    ++ran;
    if (command.starts_with("troupe node drain")) {
      EXPECT_EQ(node_->wait(), 0);
    }
  }
  EXPECT_GE(ran, 10);
}

TEST_F(readme, every_folder_and_script_that_it_names_exists) {
  auto text = content(source / "README.md");
  int named = 0;
  for (std::size_t at = 0; (at = text.find("](", at)) != std::string::npos;) {
    at += 2;
    auto target = text.substr(at, text.find(')', at) - at);
    if (target.find(' ') != std::string::npos)
      continue; // a lambda in the code
    EXPECT_TRUE(std::filesystem::exists(source / target)) << target;
    ++named;
  }
  EXPECT_GT(named, 10);
}

} // namespace troupe::test
