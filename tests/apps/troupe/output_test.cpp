#include "output.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sys/socket.h>

#include <array>

namespace troupe::cli {

namespace {

/// A socket that keeps each write apart.
class written : public testing::Test {
protected:
  ~written() override {
    for (int end : ends_)
      close(end);
  }
  /// What every write so far was given.
  std::vector<std::string> writes() {
    std::vector<std::string> all;
    std::string buffer(1 << 18, '\0');
    for (ssize_t n = 0; (n = recv(ends_[1], buffer.data(), buffer.size(), MSG_DONTWAIT)) > 0;)
      all.push_back(buffer.substr(0, static_cast<std::size_t>(n)));
    return all;
  }
  static std::array<int, 2> connected() {
    std::array<int, 2> ends{};
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends.data()), 0);
    return ends;
  }

  const std::array<int, 2> ends_ = connected();
  output aut_{ends_[0]};
};

} // namespace

TEST_F(written, many_lines_go_out_in_few_writes_of_whole_lines) {
  const auto line = std::string(100, 'x') + "\n";
  for (int i = 0; i < 1000; ++i)
    aut_.text(line);
  EXPECT_FALSE(aut_.flush());
  const auto all = writes();
  ASSERT_EQ(all.size(), 2u);
  for (const auto& one : all)
    EXPECT_EQ(one.size() % line.size(), 0u);
}

TEST_F(written, a_line_longer_than_the_buffer_is_one_write_and_one_that_is_not_ended_waits) {
  aut_.text("a");
  aut_.text(std::string(100'000, 'b') + "\nc");
  const auto all = writes();
  ASSERT_EQ(all.size(), 1u);
  EXPECT_EQ(all[0].size(), 100'002u);
  EXPECT_FALSE(aut_.flush());
  EXPECT_THAT(writes(), testing::ElementsAre("c"));
}

TEST_F(written, nothing_is_written_until_it_is_flushed) {
  aut_.line({{"a", 1}});
  EXPECT_THAT(writes(), testing::IsEmpty());
  EXPECT_FALSE(aut_.flush());
  EXPECT_THAT(writes(), testing::ElementsAre("{\"a\":1}\n"));
}

} // namespace troupe::cli
