#include "process.hpp"
#include "temporary_directory.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

/// The demo on a small history whose result is known, and on ones where something is wrong: a comparison that
/// cannot fail proves nothing.
namespace troupe::test {

namespace {

using testing::HasSubstr;
using testing::Not;

constexpr auto demo = TROUPE_SOURCE_DIR "/scripts/demo";
constexpr auto compare = TROUPE_SOURCE_DIR "/examples/inventory/compare";

/// Three generations of a log. `old` was installed before it begins; `gone` came and went; `tool` was
/// upgraded twice.
constexpr auto oldest = "2024-01-01 10:00:00 startup archives install\n"
                        "2024-01-01 10:00:00 install tool:amd64 <none> 1.0\n"
                        "2024-01-01 10:00:00 status half-installed tool:amd64 1.0\n"
                        "2024-01-01 10:00:01 status unpacked tool:amd64 1.0\n"
                        "2024-01-01 10:00:02 configure tool:amd64 1.0 <none>\n"
                        "2024-01-01 10:00:02 status installed tool:amd64 1.0\n"
                        "2024-01-01 10:00:03 install gone:all <none> 5\n"
                        "2024-01-01 10:00:03 status installed gone:all 5\n";
constexpr auto older = "2024-02-01 10:00:00 upgrade tool:amd64 1.0 2.0\n"
                       "2024-02-01 10:00:01 status installed tool:amd64 2.0\n"
                       "2024-02-01 10:00:02 conffile /etc/tool.conf keep\n"
                       "2024-02-01 10:00:03 remove gone:all 5 <none>\n"
                       "2024-02-01 10:00:04 status config-files gone:all 5\n"
                       "2024-02-01 10:00:05 purge gone:all 5 <none>\n"
                       "2024-02-01 10:00:06 status not-installed gone:all <none>\n";
constexpr auto newest = "2024-03-01 10:00:00 upgrade tool:amd64 2.0 3.0\n"
                        "2024-03-01 10:00:01 status installed tool:amd64 3.0\n"
                        "2024-03-01 10:00:02 trigproc lib:amd64 7 <none>\n"
                        "2024-03-01 10:00:03 status installed lib:amd64 7\n";
constexpr auto installed = "tool:amd64 installed 3.0\nlib:amd64 installed 7\nold:amd64 installed 1\n";

void write(const std::filesystem::path& to, const std::string& text) { std::ofstream(to) << text; }

class demo_run : public testing::Test {
protected:
  void SetUp() override {
    std::filesystem::create_directory(place_ / "log");
    write(place_ / "log/dpkg.log.2", oldest);
    ASSERT_EQ(run("/bin/gzip", {(place_ / "log/dpkg.log.2").string()}).status, 0);
    write(place_ / "log/dpkg.log.1", older);
    write(place_ / "log/dpkg.log", newest);
    write(place_ / "log/dpkg.log.old", "not one of dpkg's\n");
    std::filesystem::create_directory(place_ / "tmp");
  }
  finished show(const std::string& machine) {
    write(place_ / "installed", machine);
    auto said = run(demo,
                    {"--bin", TROUPE_BIN_DIR, "--logs", (place_ / "log").string(), "--installed",
                     (place_ / "installed").string()},
                    {.environment = {{"TMPDIR", (place_ / "tmp").string()}}}, std::chrono::seconds(120));
    EXPECT_TRUE(std::filesystem::is_empty(place_ / "tmp")) << "it leaves nothing behind";
    return said;
  }
  temporary_directory place_;
};

class comparison : public testing::Test {
protected:
  finished of(const std::string& inventory, const std::string& machine, const std::string& history) {
    write(place_ / "a", inventory);
    write(place_ / "b", machine);
    write(place_ / "c", history);
    return run(compare, {(place_ / "a").string(), (place_ / "b").string(), (place_ / "c").string()});
  }
  temporary_directory place_;
};

} // namespace

TEST_F(demo_run, finds_the_known_answer_in_a_small_history) {
  auto said = show(installed);
  EXPECT_EQ(said.status, 0) << said.out << said.err;
  EXPECT_THAT(said.out, HasSubstr("17 events of 3 packages"));
  EXPECT_THAT(said.out,
              HasSubstr("compared 3 packages with dpkg-query: 3 agree (1 of them removed since); 1 more"));
  EXPECT_THAT(said.out, testing::ContainsRegex("install +2"));
  EXPECT_THAT(said.out, testing::ContainsRegex("upgrade +2"));
  EXPECT_THAT(said.out, testing::ContainsRegex("remove +1"));
  EXPECT_THAT(said.out, testing::ContainsRegex("purge +1"));
  EXPECT_THAT(said.out, testing::EndsWith("OK\n"));
  EXPECT_THAT(said.out, Not(HasSubstr("differs")));
}

TEST_F(demo_run, says_what_differs_when_the_machine_is_not_as_its_history) {
  auto said = show("tool:amd64 installed 2.0\nlib:amd64 installed 7\n");
  EXPECT_EQ(said.status, 1) << said.out << said.err;
  EXPECT_THAT(
      said.out,
      HasSubstr("differs: tool:amd64: the inventory says installed 3.0, dpkg-query says installed 2.0"));
  EXPECT_THAT(said.out, testing::EndsWith("NOT OK: see what differs above\n"));
}

TEST_F(demo_run, says_so_when_there_is_no_history) {
  std::filesystem::create_directory(place_ / "empty");
  auto said = run(demo, {"--bin", TROUPE_BIN_DIR, "--logs", (place_ / "empty").string()});
  EXPECT_EQ(said.status, 1);
  EXPECT_THAT(said.err, HasSubstr("no package history"));
  EXPECT_EQ(run(demo, {"--colour"}).status, 2);
}

TEST_F(comparison, agrees_when_all_three_say_the_same) {
  auto said = of("a:all installed 1\nb:all not-installed <none>\n", "a:all installed 1\n",
                 "a:all installed 1\nb:all not-installed <none>\n");
  EXPECT_EQ(said.status, 0) << said.out;
  EXPECT_THAT(said.out, HasSubstr("2 agree (1 of them removed since); 0 more"));
}

TEST_F(comparison, finds_every_kind_of_wrong_inventory) {
  const std::string machine = "a:all installed 1\n";
  const std::string history = "a:all installed 1\nb:all not-installed <none>\n";
  const std::string rest = "b:all not-installed <none>\n";
  struct wrong {
    std::string inventory;
    const char* says;
  };
  for (const auto& [inventory, says] :
       {wrong{"a:all installed 2\n" + rest,
              "a:all: the inventory says installed 2, dpkg-query says installed 1"},
        wrong{"a:all unpacked 1\n" + rest, "a:all: the inventory says unpacked 1"},
        wrong{"a:all not-installed <none>\n" + rest, "a:all"},
        wrong{rest, "a:all: the log speaks of it, the inventory does not"},
        wrong{"", "a:all: the log speaks of it, the inventory does not"},
        wrong{"a:all installed 1\nb:all installed 3\n",
              "b:all: the inventory says installed 3, dpkg-query does not know it"},
        wrong{"a:all installed 1\n" + rest + "c:all installed 1\n",
              "c:all: the inventory has it, the log does not"}}) {
    auto said = of(inventory, machine, history);
    EXPECT_EQ(said.status, 1) << inventory;
    EXPECT_THAT(said.out, HasSubstr(says)) << inventory;
    EXPECT_THAT(said.out, Not(HasSubstr("the log itself disagrees"))) << inventory;
  }
}

TEST_F(comparison, names_a_difference_also_when_the_log_is_to_blame) {
  auto said = of("a:all installed 1\n", "a:all installed 2\n", "a:all installed 1\n");
  EXPECT_EQ(said.status, 1);
  EXPECT_THAT(said.out, HasSubstr("the log itself disagrees with dpkg-query"));
}

TEST_F(comparison, follows_a_package_to_its_new_architecture_and_no_other) {
  const std::string log = "a:i386 half-installed 1\na:amd64 installed 2\n";
  auto said = of(log, "a:amd64 installed 2\n", log);
  EXPECT_EQ(said.status, 0) << said.out;
  EXPECT_THAT(said.out, HasSubstr("1 changed their architecture"));
  const std::string alone = "a:i386 half-installed 1\nb:amd64 installed 2\n";
  EXPECT_EQ(of(alone, "b:amd64 installed 2\n", alone).status, 1);
}

} // namespace troupe::test
