#include "launched_node.hpp"

#include <csignal>
#include <stdexcept>

namespace troupe::test {

namespace {

std::vector<std::string> arguments(const std::filesystem::path& data, std::vector<std::string> more) {
  std::vector<std::string> all{"--data", data.string()};
  bool listens = false;
  for (const auto& argument : more)
    listens = listens || argument.starts_with("--listen");
  if (!listens)
    all.insert(all.end(), {"--listen", "127.0.0.1:0"});
  all.insert(all.end(), more.begin(), more.end());
  return all;
}

} // namespace

launched_node::launched_node(const std::filesystem::path& data, std::vector<std::string> more,
                             process_options options)
    : child_(TROUPE_TROUPED, arguments(data, std::move(more)), std::move(options)) {
  const std::string before = "trouped ready on ";
  auto line = child_.read_line();
  if (!line || !line->starts_with(before))
    throw std::runtime_error("trouped did not get ready: " + line.value_or("") + "\n" + child_.errors());
  ready_ = *line;
  address_ = ready_.substr(before.size(), ready_.find(' ', before.size()) - before.size());
}

std::uint16_t launched_node::port() const {
  return static_cast<std::uint16_t>(std::stoul(address_.substr(address_.rfind(':') + 1)));
}

std::optional<int> launched_node::terminate(std::chrono::milliseconds deadline) {
  child_.signal(SIGTERM);
  return child_.wait(deadline);
}

void launched_node::kill() {
  child_.signal(SIGKILL);
  child_.wait();
}

} // namespace troupe::test
