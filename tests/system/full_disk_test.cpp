#include "ledger.hpp"
#include "system_fixture.hpp"

#include "troupe/consumer.hpp"
#include "troupe/producer.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <fstream>
#include <future>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace troupe::test {

namespace {

/// A file system in memory of a fixed size. Only root may make one.
class small_file_system {
public:
  small_file_system(std::filesystem::path at, const std::string& size) : at_(std::move(at)) {
    std::filesystem::create_directories(at_);
    if (::mount("tmpfs", at_.c_str(), "tmpfs", 0, ("size=" + size).c_str()) != 0)
      failure_ = std::strerror(errno);
  }
  ~small_file_system() {
    if (failure_.empty())
      ::umount2(at_.c_str(), MNT_DETACH);
  }
  small_file_system(const small_file_system&) = delete;
  small_file_system& operator=(const small_file_system&) = delete;

  /// Why there is none; empty when there is.
  const std::string& failure() const { return failure_; }
  const std::filesystem::path& path() const { return at_; }
  /// Takes what room is left.
  void fill() const {
    const auto fd = ::open((at_ / "ballast").c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    const std::string zeros(4096, '\0');
    while (::write(fd, zeros.data(), zeros.size()) > 0)
      ;
    const auto why = errno;
    ::close(fd);
    if (why != ENOSPC)
      throw std::runtime_error("the file system does not become full");
  }

private:
  std::filesystem::path at_;
  std::string failure_;
};

/// True when a program has taken all that was written to its standard input, and waits for more.
bool waits_for_input(const process& program) {
  const auto proc = "/proc/" + std::to_string(program.pid());
  const auto in = ::open((proc + "/fd/0").c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  int unread = 1;
  const auto known = ::ioctl(in, FIONREAD, &unread);
  ::close(in);
  std::string stat;
  std::getline(std::ifstream{proc + "/stat"}, stat);
  // The state of its first thread stands behind the name in parentheses.
  const auto state = stat.rfind(") ");
  long call = -1;
  std::ifstream{proc + "/syscall"} >> call;
  // A thread that sleeps on a futex waits for another thread of its own, and may still hold a line.
  return known == 0 && unread == 0 && call != SYS_futex && state != std::string::npos &&
         stat.compare(state + 2, 1, "S") == 0;
}

/// What must hold wherever the space ends.
class full_disk_test : public testing::Test {
protected:
  void start(const std::filesystem::path& data, std::vector<std::string> options = {}) {
    node_.emplace(data, std::move(options));
    node_->start();
    client_.emplace(connect(*node_));
    must(client_->create_topic("big", {.queues = 2}));
    must(client_->create_topic("other", {.queues = 1}));
    must(client_->create_group("readers"));
  }
  std::string state() { return must(client_->node_status()).state; }

  /// Publishes until not even a small message is taken; the refusal.
  error publish_until_full() {
    const auto large = publish_until_refused(64 << 10);
    EXPECT_EQ(large.code, errc::no_space) << to_string(large);
    return publish_until_refused(100);
  }
  error publish_until_refused(std::size_t size) {
    auto to = must(producer::open(*client_, {.topic = "big", .timeout = 3s}));
    for (int round = 0; round < 1000; ++round)
      if (auto refused = publish_some(to, size))
        return refused;
    return {errc::internal, "it never becomes full"};
  }
  /// A few messages at once; a refusal, when there is one.
  error publish_some(producer& to, std::size_t size) {
    std::vector<std::pair<label, std::future<result<receipt>>>> answers;
    for (int i = 0; i < 16; ++i, ++serial_) {
      const label what{0, serial_, static_cast<std::uint32_t>(serial_ % 5), serial_};
      answers.emplace_back(what, to.send_async(to_message(what, size)));
    }
    error refused;
    for (auto& [what, answer] : answers) {
      const auto said = answer.get();
      books_.answered(what, said);
      if (!said && refused.code != errc::no_space)
        refused = said.error();
    }
    return refused;
  }
  void expect_refusal(const error& why) {
    EXPECT_EQ(why.code, errc::no_space) << to_string(why);
    EXPECT_NE(why.reason.find("shard 0"), std::string::npos) << why.reason;
    EXPECT_NE(why.hint.find("retention"), std::string::npos) << why.hint;
    EXPECT_EQ(state(), "full");
  }
  /// Consumers take everything and settle it, durably.
  void consume_everything(const std::string& group) {
    books_.expect_exactly_once(read_by_consumer(*client_, "big", group));
    EXPECT_TRUE(eventually([&] { return all_settled(*client_, group); }));
  }
  /// Something waits to be published, with more patience than this test.
  std::future<result<receipt>> publish_later() {
    patient_.emplace(must(producer::open(*client_, {.topic = "other", .timeout = 10min})));
    return patient_->send_async(message{.body = "at last"});
  }
  void expect_published(std::future<result<receipt>>& waiting) {
    ASSERT_EQ(waiting.wait_for(60s), std::future_status::ready) << "publishing does not resume";
    const auto answer = waiting.get();
    EXPECT_TRUE(answer) << to_string(answer.error());
    EXPECT_TRUE(eventually([&] { return state() == "running"; })) << state();
  }
  /// The last line of a sender's errors says that so many were sent and none was accepted, why, and what to
  /// do.
  static void expect_all_refused(const std::string& errors, std::uint64_t sent) {
    const auto end = errors.find_last_not_of('\n');
    ASSERT_NE(end, std::string::npos);
    const auto last = errors.rfind('\n', end) + 1;
    const auto told = nlohmann::json::parse(errors.substr(last, end + 1 - last), nullptr, false);
    ASSERT_TRUE(told.is_object()) << errors;
    EXPECT_EQ(told.value("error", ""), "no_space") << errors;
    EXPECT_EQ(told.value("failed", std::uint64_t{0}), sent) << errors;
    EXPECT_EQ(told.value("accepted", std::uint64_t{1}), 0u) << errors;
    EXPECT_NE(told.value("hint", "").find("retention"), std::string::npos) << errors;
  }
  std::uint64_t stored_in(const std::string& topic) {
    std::uint64_t messages = 0;
    for (const auto& q : must(client_->describe_topic(topic)).queues)
      messages += q.next.value - q.first.value;
    return messages;
  }
  /// A sender that has sent three messages, and waits for more.
  process begin_to_send(const std::string& timeout) {
    auto sender = start_troupe(*node_, {"--json", "--timeout", timeout, "send", "other", "--lines", "-"},
                               {.keep_input = true});
    EXPECT_TRUE(sender.write("a\nb\nc\n"));
    EXPECT_TRUE(eventually([&] { return waits_for_input(sender); })) << sender.errors();
    return sender;
  }
  void finish() {
    patient_.reset();
    client_.reset();
    EXPECT_EQ(node_->stop(), 0) << node_->log();
    const auto verified = node_->verify();
    EXPECT_EQ(verified.status, 0) << verified.out << verified.err;
  }

  temporary_directory dir_;
  std::optional<node_process> node_;
  std::optional<client> client_;
  std::optional<producer> patient_;
  ledger books_;
  std::uint64_t serial_ = 0;
};

} // namespace

TEST_F(full_disk_test, a_full_file_system_stops_publishing_and_nothing_else_until_a_topic_is_deleted) {
  // A fresh shard takes 64 MiB of it, its reserve.
  small_file_system disk{dir_ / "disk", "112m"};
  if (!disk.failure().empty())
    GTEST_SKIP() << "no file system of this test's own: mounting a tmpfs says " << disk.failure()
                 << " (it takes root)";
  start(disk.path() / "data");
  expect_refusal(publish_until_full());
  disk.fill();
  EXPECT_EQ(state(), "full");
  ASSERT_GT(books_.acknowledged(), 100u);
  consume_everything("readers");

  // The command line says it too.
  const auto told = [&] {
    auto program = start_troupe(*node_, {"--json", "--timeout", "2s", "send", "other", "no room for this"});
    EXPECT_EQ(program.wait(), 1);
    return nlohmann::json::parse(program.errors(), nullptr, false);
  }();
  ASSERT_TRUE(told.is_object());
  EXPECT_EQ(told.value("error", ""), "no_space") << told;
  EXPECT_NE(told.value("reason", ""), "") << told;
  EXPECT_NE(told.value("hint", ""), "") << told;

  node_->kill();
  node_->start();
  EXPECT_TRUE(eventually([&] { return client_->node_status().has_value(); }));
  EXPECT_EQ(state(), "full");
  EXPECT_TRUE(all_settled(*client_, "readers")) << "settles on a full disk were not durable";
  consume_everything("second");

  auto waiting = publish_later();
  EXPECT_EQ(state(), "full");
  must(client_->delete_topic("big"));
  expect_published(waiting);
  finish();
}

TEST_F(full_disk_test, a_used_up_budget_stops_publishing_and_nothing_else_until_retention_makes_room) {
  start(dir_ / "data", {"--disk-budget", "128MiB"});
  expect_refusal(publish_until_full());
  EXPECT_NE(must(client_->node_status()).disk_budget, 0u);
  consume_everything("readers");
  EXPECT_LE(std::filesystem::file_size(dir_ / "data" / "shard-0" / "data.mdb"), 128u << 20);

  node_->kill();
  node_->start();
  EXPECT_TRUE(eventually([&] { return client_->node_status().has_value(); }));
  EXPECT_EQ(state(), "full");
  EXPECT_TRUE(all_settled(*client_, "readers")) << "settles beyond the budget were not durable";

  auto impatient = must(producer::open(*client_, {.topic = "other", .timeout = 1s}));
  EXPECT_EQ(impatient.send(message{.body = "too early"}).error().code, errc::no_space);
  auto waiting = publish_later();
  EXPECT_EQ(state(), "full");
  must(client_->set_topic("big", {.queues = 2, .retention_bytes = 1u << 20}));
  expect_published(waiting);
  const auto after_refusals = impatient.send(message{.body = "room again"});
  EXPECT_TRUE(after_refusals) << to_string(after_refusals.error());
  EXPECT_LE(std::filesystem::file_size(dir_ / "data" / "shard-0" / "data.mdb"), 128u << 20);
  finish();
}

TEST_F(full_disk_test, a_limit_on_the_size_of_files_is_a_full_disk_too) {
  start(dir_ / "data");
  const auto set_limit = [&](rlim_t bytes) {
    const rlimit limit{bytes, RLIM_INFINITY};
    ASSERT_EQ(::prlimit(node_->pid(), RLIMIT_FSIZE, &limit, nullptr), 0);
  };
  set_limit(std::filesystem::file_size(dir_ / "data" / "shard-0" / "data.mdb") + (12u << 20));
  expect_refusal(publish_until_full());
  consume_everything("readers");
  auto waiting = publish_later();
  set_limit(RLIM_INFINITY);
  expect_published(waiting);
  finish();
}

TEST_F(full_disk_test, many_messages_sent_to_a_full_node_are_all_counted_as_refused) {
  start(dir_ / "data", {"--disk-budget", "128MiB"});
  expect_refusal(publish_until_full());
  std::string lines;
  for (int i = 0; i < 50; ++i)
    lines += "line " + std::to_string(i) + "\n";
  for (const auto* how : {"--durability=durable", "--durability=buffered", "--one-way"}) {
    SCOPED_TRACE(how);
    auto sender = start_troupe(*node_, {"--json", "--timeout", "2s", "send", "other", "--lines", "-", how},
                               {.input = lines});
    EXPECT_EQ(sender.wait(60s), 1) << sender.errors();
    expect_all_refused(sender.errors(), 50);
  }
  EXPECT_EQ(stored_in("other"), 0u);
  finish();
}

TEST_F(full_disk_test, sending_to_a_full_node_ends_by_a_signal_with_what_was_refused_counted) {
  start(dir_ / "data", {"--disk-budget", "128MiB"});
  expect_refusal(publish_until_full());
  auto sender = begin_to_send("3s");
  sender.signal(SIGINT);
  EXPECT_EQ(sender.wait(60s), 1) << sender.errors();
  expect_all_refused(sender.errors(), 3);

  auto patient = begin_to_send("10m");
  patient.signal(SIGINT);
  patient.signal(SIGTERM); // two different ones: of two equal ones that wait the system keeps one
  const auto status = patient.wait(60s);
  EXPECT_TRUE(status == 128 + SIGINT || status == 128 + SIGTERM) << patient.errors();
  EXPECT_EQ(stored_in("other"), 0u);
  finish();
}

} // namespace troupe::test
