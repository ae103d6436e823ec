// Counts the words of real texts in two stages, exactly, whatever is killed meanwhile: `split` makes words of
// lines, `count` makes counts of words. Each stage is a processor, so each line and each word is worked on
// once, as far as anybody can see.

#include <arguments.hpp>

#include <troupe/client.hpp>
#include <troupe/consumer.hpp>
#include <troupe/processor.hpp>
#include <troupe/producer.hpp>

#include <CLI/CLI.hpp>

#include <algorithm>
#include <cctype>
#include <chrono>
#include <csignal>
#include <fstream>
#include <iostream>
#include <map>
#include <set>
#include <string>
#include <thread>
#include <vector>

namespace {

using namespace std::chrono_literals;

struct arguments {
  std::string node = "127.0.0.1:7700";
  std::vector<std::string> files;
  unsigned patience = 180;
};

int fail(const std::string& doing, const troupe::error& err) {
  std::cerr << "exactly_once: " << doing << ": " << troupe::to_string(err) << "\n";
  return 1;
}

using word_counts = std::map<std::string, std::uint64_t>;

word_counts words_of(std::string_view line) {
  word_counts words;
  std::string word;
  const auto end_word = [&] {
    if (!word.empty())
      ++words[word];
    word.clear();
  };
  for (const char c : line) {
    const auto letter = static_cast<unsigned char>(c);
    if (std::isalpha(letter) != 0)
      word += static_cast<char>(std::tolower(letter));
    else
      end_word();
  }
  end_word();
  return words;
}

/// Calls `each` with the lines that have something in them. False when a file cannot be read.
template <class Each> bool read_lines(const std::vector<std::string>& files, Each each) {
  for (const auto& name : files) {
    std::ifstream file(name);
    for (std::string line; std::getline(file, line);)
      if (!line.empty())
        each(std::move(line));
    if (!file.eof()) {
      std::cerr << "exactly_once: cannot read " << name << "\n";
      return false;
    }
  }
  return true;
}

/// A client that bears a node which comes and goes.
troupe::result<troupe::client> connect(const arguments& a) {
  return troupe::client::connect({.address = a.node, .name = "exactly_once", .timeout = 60s});
}

/// Whoever comes first makes them.
troupe::error make_topics(troupe::client& client) {
  for (const auto* topic : {"lines", "words", "counts"})
    if (auto made = client.create_topic(topic, {.queues = 4});
        !made && made.error().code != troupe::errc::already_exists)
      return made.error();
  return {};
}

// -- feed
// --------------------------------------------------------------------------------------------------------

int feed(const arguments& a) {
  auto client = connect(a);
  if (!client)
    return fail("connecting to " + a.node, client.error());
  if (auto failed = make_topics(*client))
    return fail("creating topics", failed);
  auto to = troupe::producer::open(*client, {.topic = "lines", .timeout = 120s});
  if (!to)
    return fail("publishing lines", to.error());
  std::vector<troupe::message> lines;
  if (!read_lines(a.files, [&](std::string line) { lines.push_back({.body = std::move(line)}); }))
    return 1;
  const auto count = lines.size();
  for (const auto& sent : to->send(std::move(lines)))
    if (!sent)
      return fail("publishing a line", sent.error());
  std::cout << "fed " << count << " lines" << std::endl;
  return 0;
}

// -- the two stages
// ------------------------------------------------------------------------------------------------

troupe::outcome split(const troupe::leased_message& line, troupe::outputs& out) {
  for (const auto& [word, times] : words_of(line.body()))
    out.send("words", {.body = word + ' ' + std::to_string(times), .order_key = word});
  return troupe::outcome::ack();
}

troupe::outcome count(const troupe::leased_message& word, troupe::outputs& out) {
  out.send("counts", {.body = std::string(word.body()), .order_key = std::string(word.order_key())});
  return troupe::outcome::ack();
}

/// Works until a signal ends it.
int work(const arguments& a, const std::string& group, const std::string& topic,
         troupe::processor::handler handler) {
  sigset_t ends;
  sigemptyset(&ends);
  sigaddset(&ends, SIGTERM);
  sigaddset(&ends, SIGINT);
  // Before any thread: they inherit it.
  pthread_sigmask(SIG_BLOCK, &ends, nullptr);
  auto client = connect(a);
  if (!client)
    return fail("connecting to " + a.node, client.error());
  if (auto failed = make_topics(*client))
    return fail("creating topics", failed);
  // A processor that is killed counts as a failure of what it held: that comes again soon, and never dies.
  troupe::group_options options;
  options.retry = troupe::retry_schedule::fixed(100ms);
  options.max_attempts = 0;
  if (auto made = client->create_group(group, options);
      !made && made.error().code != troupe::errc::already_exists)
    return fail("creating group " + group, made.error());
  auto stage = troupe::processor::start(*client, {.group = group, .topics = {{topic}}, .batch = 64}, 2,
                                        std::move(handler));
  if (!stage)
    return fail("joining group " + group, stage.error());
  std::cout << group << " ready" << std::endl;
  int signal = 0;
  sigwait(&ends, &signal);
  if (auto failed = stage->stop())
    return fail("stopping", failed);
  const auto s = stage->statistics();
  std::cout << group << ": " << s.processed << " processed, " << s.outputs << " outputs, " << s.transactions
            << " transactions, " << s.repeats << " repeats\n";
  return 0;
}

// -- check
// -------------------------------------------------------------------------------------------------------

/// Nothing waits in either stage, and no transaction is open.
troupe::result<bool> all_done(troupe::client& client) {
  for (const auto* group : {"split", "count"}) {
    const auto info = client.describe_group(group);
    if (!info)
      return info.error();
    for (const auto& q : info->queues)
      if (q.floor != q.next || q.leased > 0 || q.retrying > 0)
        return false;
  }
  troupe::transaction_query query;
  do {
    const auto open = client.list_transactions(query);
    if (!open)
      return open.error();
    if (!open->transactions.empty())
      return false;
    query.after = open->next;
  } while (query.after);
  return true;
}

/// What topic `counts` adds up to. Each message counts once, however often it is delivered.
troupe::result<word_counts> add_up(troupe::client& client) {
  const auto topic = client.describe_topic("counts");
  if (!topic)
    return topic.error();
  std::uint64_t messages = 0;
  for (const auto& q : topic->queues)
    messages += q.next.value - q.first.value;
  const auto group = "check-" + std::to_string(std::chrono::steady_clock::now().time_since_epoch().count());
  auto from = troupe::pull_consumer::open(client, {.group = group, .topics = {{"counts"}}});
  if (!from)
    return from.error();
  word_counts sums;
  std::set<std::pair<std::uint32_t, troupe::queue_offset>> seen;
  while (seen.size() < messages) {
    const auto some = from->fetch(1000, 30s);
    if (!some)
      return some.error();
    if (some->empty())
      return troupe::error{troupe::errc::timeout, "not all counts came", {}};
    for (const auto& m : *some) {
      if (!seen.emplace(m.queue(), m.offset()).second)
        continue;
      const auto body = std::string(m.body());
      const auto blank = body.rfind(' ');
      sums[body.substr(0, blank)] += std::stoull(body.substr(blank + 1));
    }
    if (auto failed = from->ack(*some))
      return failed;
  }
  if (auto failed = from->close())
    return failed;
  if (auto failed = client.delete_group(group))
    return failed;
  return sums;
}

int check(const arguments& a) {
  word_counts expected;
  std::uint64_t total = 0;
  if (!read_lines(a.files, [&](const std::string& line) {
        for (const auto& [word, times] : words_of(line)) {
          expected[word] += times;
          total += times;
        }
      }))
    return 1;
  auto client = connect(a);
  if (!client)
    return fail("connecting to " + a.node, client.error());
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds{a.patience};
  for (;;) {
    const auto done = all_done(*client);
    if (done && *done)
      break;
    if (std::chrono::steady_clock::now() > end) {
      std::cerr << "exactly_once: not done after " << a.patience << " s"
                << (done ? "" : ": " + troupe::to_string(done.error())) << "\n";
      return 1;
    }
    std::this_thread::sleep_for(200ms); // there is no call that waits for a group to be through
  }
  const auto sums = add_up(*client);
  if (!sums)
    return fail("reading the counts", sums.error());
  int wrong = 0;
  auto words = expected;
  words.insert(sums->begin(), sums->end());
  for (const auto& [word, unused] : words) {
    const auto of = [&](const word_counts& counts) {
      const auto found = counts.find(word);
      return found == counts.end() ? 0 : found->second;
    };
    if (of(expected) != of(*sums) && ++wrong <= 10)
      std::cerr << "exactly_once: \"" << word << "\" is there " << of(expected) << " times, was counted "
                << of(*sums) << " times\n";
  }
  std::cout << total << " words, " << expected.size() << " different: "
            << (wrong == 0 ? "every count is exact" : std::to_string(wrong) + " counts are wrong") << "\n";
  return wrong == 0 ? 0 : 1;
}

} // namespace

int main(int argc, char** argv) {
  arguments a;
  int (*action)(const arguments&) = nullptr;
  CLI::App app{"Counts words in two stages, exactly once."};
  app.add_option("--node", a.node, "The node, HOST:PORT")->envname("TROUPE_NODE")->capture_default_str();
  app.require_subcommand(1);
  const auto verb = [&](const char* name, const char* text, int (*does)(const arguments&)) {
    auto* sub = app.add_subcommand(name, text);
    sub->callback([&action, does] { action = does; });
    return sub;
  };
  verb("feed", "Makes the topics and publishes every line of the files", feed)
      ->add_option("FILE", a.files)
      ->required();
  verb("split", "First stage: lines to words; until SIGTERM",
       [](const arguments& args) { return work(args, "split", "lines", split); });
  verb("count", "Second stage: words to counts; until SIGTERM",
       [](const arguments& args) { return work(args, "count", "words", count); });
  auto* checks = verb("check", "Waits until both stages are through, and compares with the files", check);
  checks->add_option("FILE", a.files)->required();
  checks->add_option("--patience", a.patience, "Seconds to wait for the stages")->capture_default_str();
  if (const auto end = troupe::examples::read_arguments(app, argc, argv))
    return *end;
  return action(a);
}
