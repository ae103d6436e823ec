#include "system_fixture.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <csignal>
#include <fstream>
#include <thread>
#include <utility>

namespace troupe::test {

namespace {

constexpr std::string_view ready = "trouped ready on ";

} // namespace

bool eventually(const std::function<bool()>& condition, std::chrono::milliseconds deadline) {
  const auto end = std::chrono::steady_clock::now() + deadline;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end)
      return condition();
    std::this_thread::sleep_for(5ms); // check-allow: between two looks at a condition of another process
  }
  return true;
}

node_process::node_process(std::filesystem::path data, std::vector<std::string> options,
                           std::filesystem::path program)
    : data_(std::move(data)), options_(std::move(options)), program_(std::move(program)) {}

void node_process::begin(process_options how) {
  auto arguments = options_;
  arguments.insert(arguments.end(),
                   {"--data", data_.string(), "--listen", address_.empty() ? "127.0.0.1:0" : address_});
  running_ = std::make_unique<process>(program_, std::move(arguments), std::move(how));
}

void node_process::start(process_options how) {
  begin(std::move(how));
  const auto line = running_->read_until(ready, 60s);
  if (!line) {
    running_->signal(SIGKILL);
    running_->wait();
    throw std::runtime_error("the node did not start: " + running_->errors());
  }
  address_ = line->substr(ready.size(), line->find(' ', ready.size()) - ready.size());
}

void node_process::kill() {
  running_->signal(SIGKILL);
  if (!running_->wait(60s))
    throw std::runtime_error("the node does not end by SIGKILL");
}

std::optional<int> node_process::stop() {
  running_->signal(SIGTERM);
  const auto status = running_->wait(30s);
  // Its event for an actor system that does not end.
  EXPECT_EQ(log().find("slow_end"), std::string::npos) << log();
  return status;
}

std::size_t node_process::open_files() const {
  const std::filesystem::directory_iterator files{"/proc/" + std::to_string(pid()) + "/fd"};
  return static_cast<std::size_t>(std::distance(files, std::filesystem::directory_iterator{}));
}

std::uint64_t node_process::anonymous_memory() const {
  std::ifstream status{"/proc/" + std::to_string(running_->pid()) + "/status"};
  for (std::string word; status >> word;)
    if (word == "RssAnon:") {
      std::uint64_t kilobytes = 0;
      status >> kilobytes;
      return kilobytes * 1024;
    }
  throw std::runtime_error("the node has no RssAnon in /proc");
}

finished node_process::verify() const {
  return run(TROUPE_TROUPED, {"--data", data_.string(), "--verify"}, {}, 120s);
}

client_options quick_options(const node_process& node, milliseconds timeout) {
  client_options options;
  options.address = node.address();
  options.timeout = timeout;
  options.min_backoff = 10ms;
  options.max_backoff = 100ms;
  return options;
}

client connect(const node_process& node, milliseconds timeout) {
  return must(client::connect(quick_options(node, timeout)));
}

process start_troupe(const node_process& node, std::vector<std::string> arguments, process_options options) {
  arguments.insert(arguments.begin(), {"--node", node.address()});
  return process{TROUPE_CLI, std::move(arguments), std::move(options)};
}

bool all_settled(client& c, const std::string& group) {
  const auto info = must(c.describe_group(group));
  return !info.queues.empty() && std::ranges::all_of(info.queues, [](const subscription_info& q) {
    return q.floor == q.next && q.leased == 0 && q.retrying == 0;
  });
}

std::uint64_t leased(client& c, const std::string& group) {
  std::uint64_t sum = 0;
  for (const auto& q : must(c.describe_group(group)).queues)
    sum += q.leased;
  return sum;
}

} // namespace troupe::test
