#include "ledger.hpp"

#include "system_fixture.hpp"

#include "troupe/batch.hpp"
#include "troupe/consumer.hpp"
#include "troupe/data_directory.hpp"
#include "troupe/shard.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <sstream>

namespace troupe::test {

message to_message(const label& what, std::size_t size) {
  message m;
  m.order_key = "key-" + std::to_string(what.key);
  m.body = std::to_string(what.producer) + ' ' + std::to_string(what.serial) + ' ' +
           std::to_string(what.key) + ' ' + std::to_string(what.key_serial) + ' ';
  m.body.resize(std::max(size, m.body.size()), '.');
  return m;
}

label label_of(std::string_view body) {
  label what;
  std::istringstream in{std::string{body.substr(0, 100)}};
  if (!(in >> what.producer >> what.serial >> what.key >> what.key_serial))
    throw std::runtime_error("a message that nobody sent: " + std::string{body.substr(0, 100)});
  return what;
}

std::string to_string(const place& p) {
  return "queue " + std::to_string(p.queue) + " offset " + std::to_string(p.offset) + " id " +
         troupe::to_string(p.id);
}

void ledger::answered(const label& what, const result<receipt>& answer) {
  std::lock_guard guard{mutex_};
  if (answer) {
    told_[what] = {answer->queue, answer->offset.value, answer->id};
  } else {
    ++failed_;
    if (first_failure_.empty())
      first_failure_ = troupe::to_string(answer.error());
  }
}

std::uint64_t ledger::acknowledged() const {
  std::lock_guard guard{mutex_};
  return told_.size();
}

std::uint64_t ledger::failed() const {
  std::lock_guard guard{mutex_};
  return failed_;
}

std::string ledger::first_failure() const {
  std::lock_guard guard{mutex_};
  return first_failure_;
}

bool ledger::covered_by(const std::set<label>& seen) const {
  std::lock_guard guard{mutex_};
  return std::ranges::all_of(told_, [&](const auto& entry) { return seen.contains(entry.first); });
}

void ledger::expect_exactly_once(const std::vector<found_message>& all) const {
  std::lock_guard guard{mutex_};
  // A broken run has thousands of differences; the first few say enough.
  std::vector<std::string> wrong;
  auto complain = [&](const label& what, const std::string& text) {
    if (wrong.size() < 10)
      wrong.push_back("message " + std::to_string(what.producer) + "/" + std::to_string(what.serial) + " " +
                      text);
  };
  auto found = all;
  std::ranges::sort(found, {}, [](const found_message& f) { return f.where; });
  std::map<label, place> places;
  std::set<message_id> ids;
  std::map<std::uint32_t, std::uint64_t> next;
  std::map<std::pair<std::uint32_t, std::uint32_t>, found_message> last_of_key;
  for (const auto& f : found) {
    if (auto [first, fresh] = places.emplace(f.what, f.where); !fresh)
      complain(f.what, "is there twice: " + to_string(first->second) + " and " + to_string(f.where));
    if (!ids.insert(f.where.id).second)
      complain(f.what, "shares its id: " + to_string(f.where));
    if (auto& expected = next[f.where.queue]; f.where.offset != expected)
      complain(f.what, "at " + to_string(f.where) + " follows offset " + std::to_string(expected) + " - 1");
    else
      ++expected;
    auto [last, first_of_key] = last_of_key.emplace(std::pair{f.what.producer, f.what.key}, f);
    if (!first_of_key && last->second.where.queue != f.where.queue)
      complain(f.what, "is in another queue than its key: " + to_string(f.where));
    if (!first_of_key && last->second.what.key_serial >= f.what.key_serial)
      complain(f.what, "is out of order: behind number " + std::to_string(last->second.what.key_serial) +
                           " of its key, its own is " + std::to_string(f.what.key_serial));
    last->second = f;
  }
  for (const auto& [what, where] : told_)
    if (auto at = places.find(what); at == places.end())
      complain(what, "is lost; it was acknowledged at " + to_string(where));
    else if (at->second != where)
      complain(what, "is at " + to_string(at->second) + ", its receipt said " + to_string(where));
  EXPECT_EQ(wrong, std::vector<std::string>{});
  EXPECT_LE(places.size(), told_.size() + failed_) << "more messages than were sent";
}

std::vector<found_message> read_by_consumer(client& c, const std::string& topic, const std::string& group) {
  std::uint64_t expected = 0;
  for (const auto& q : must(c.describe_topic(topic)).queues)
    expected += q.next.value - q.first.value;
  consumer_options options;
  options.group = group;
  options.topics = {{topic}};
  options.max_messages = 20'000;
  auto from = must(pull_consumer::open(c, std::move(options)));
  std::vector<found_message> found;
  found.reserve(expected);
  while (found.size() < expected) {
    const auto messages = must(from.fetch(10'000, 30s));
    if (messages.empty())
      throw std::runtime_error("only " + std::to_string(found.size()) + " of " + std::to_string(expected) +
                               " messages came");
    for (const auto& m : messages) {
      EXPECT_EQ(m.attempt(), 1u);
      found.push_back({label_of(m.body()), {m.queue(), m.offset().value, m.id()}});
    }
    must(from.ack(messages));
  }
  must(from.close());
  return found;
}

std::vector<found_message> read_by_store(const std::filesystem::path& data, const std::string& topic) {
  const auto files = must(data_directory::open_existing(data));
  std::vector<std::unique_ptr<shard>> shards;
  for (std::uint16_t n = 0; n < files.shards(); ++n) {
    shard_options options;
    options.id = shard_id{n};
    options.shards = files.shards();
    shards.push_back(must(shard::open(data, options)));
  }
  const auto definitions = must(shards.front()->load_definitions());
  const auto defined = std::ranges::find(definitions.topics, topic, &topic_definition::name);
  if (defined == definitions.topics.end())
    throw std::runtime_error("the store has no topic " + topic);
  std::vector<found_message> found;
  for (std::uint32_t number = 0; number < defined->options.queues; ++number) {
    const auto queue = defined->queue(number);
    const auto& from = *shards[queue.value % shards.size()];
    const auto extent = must(from.extent(queue));
    for (auto at = extent.first; at < extent.next;) {
      auto read = must(from.read(queue, at, 1u << 20));
      for (const auto& d : read.damaged)
        ADD_FAILURE() << troupe::to_string(d);
      if (read.next <= at)
        throw std::runtime_error("reading does not get ahead");
      for (auto& stored : read.batches) {
        const auto base = stored.base.value;
        const auto batch = must(batch_reader::open(stored.header, std::move(stored.data)));
        for (std::uint32_t i = 0; i < batch.count(); ++i)
          found.push_back({label_of(batch.at(i).body),
                           {number, base + i, {from.id(), stored.index, stored.first_ordinal + i}}});
      }
      at = read.next;
    }
  }
  return found;
}

} // namespace troupe::test
