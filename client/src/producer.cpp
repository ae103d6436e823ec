#include "troupe/producer.hpp"

#include "producer_impl.hpp"

#include <random>

namespace troupe {

namespace {

std::uint64_t random_number() {
  std::random_device device;
  return (static_cast<std::uint64_t>(device()) << 32) | device();
}

error out_of_range(const char* what, std::uint64_t value, const char* range) {
  return {errc::invalid_argument, std::string{"producer option "} + what + " is " + std::to_string(value),
          std::string{"choose "} + range};
}

} // namespace

error check(const producer_options& o) {
  if (auto wrong = validate_topic_name(o.topic))
    return wrong;
  if (o.window == 0)
    return out_of_range("window", o.window, "at least 1 byte");
  if (o.batch_bytes == 0 || o.batch_bytes > (4u << 20))
    return out_of_range("batch_bytes", o.batch_bytes, "1 byte to 4 MiB");
  if (o.batch_messages == 0 || o.batch_messages > max_batch_count)
    return out_of_range("batch_messages", o.batch_messages, "1 to 16384");
  if (o.timeout < milliseconds{1} || o.timeout > std::chrono::hours{24})
    return out_of_range("timeout (in ms)", static_cast<std::uint64_t>(o.timeout.count()), "1 ms to 24 h");
  return {};
}

namespace {

const error callback_waits{errc::invalid_argument, "a synchronous call in a callback would wait for itself",
                           "use send_async there, or another thread"};

} // namespace

result<std::unique_ptr<producer::impl>> producer::impl::open(const client& c, producer_options options) {
  const visit here;
  auto i = std::make_unique<impl>(c, std::move(options));
  auto& internals = *c.internals();
  if (internals.closed)
    return client_closed();
  i->messages =
      std::make_shared<outbox>(outbox_config{i->options, static_cast<std::uint32_t>(random_number() % 1024)});
  producer_config cfg{i->options, producer_id{random_number()}, internals.connection, i->messages};
  i->actor = internals.system->spawn(producer_actor, std::move(cfg));
  i->messages->wake_with([handle = i->actor] { caf::anon_send(handle, flush_atom::value); });
  if (auto failed = i->messages->wait_open(internals.options.timeout + milliseconds{200}))
    return failed;
  return i;
}

error producer::impl::close() {
  if (closed.exchange(true) || !actor)
    return {};
  messages->refuse({errc::shutting_down, "the producer was closed", "open another one"});
  // In a callback nothing may wait: what is in flight then fails.
  auto outcome = inside_callback() ? error{} : messages->flush(options.timeout);
  caf::anon_send(actor, stop_atom::value);
  if (!inside_callback())
    messages->wait_ended(std::chrono::seconds{5});
  return outcome;
}

error producer::impl::put(message& m, completion&& done, bool may_block, const half_of* half) {
  if (m.born == timestamp{})
    m.born = std::chrono::time_point_cast<milliseconds>(std::chrono::system_clock::now());
  if (auto wrong = messages->check(m))
    return wrong;
  return messages->put(m, std::move(done), may_block, half);
}

producer::producer(std::unique_ptr<impl> i) : impl_(std::move(i)) {}
producer::producer(producer&&) noexcept = default;
producer& producer::operator=(producer&&) noexcept = default;
producer::~producer() = default;

result<producer> producer::open(const client& c, producer_options options) {
  if (auto wrong = check(options))
    return wrong;
  auto i = impl::open(c, std::move(options));
  if (!i)
    return i.error();
  return producer{std::move(*i)};
}

result<receipt> producer::send(message m) {
  if (inside_callback())
    return callback_waits;
  auto board = std::make_shared<answer_board>(1);
  if (auto refused = impl_->put(m, {.slot = 0, .board = board}, true))
    return refused;
  return std::move(board->wait().front());
}

std::vector<result<receipt>> producer::send(std::vector<message> batch) {
  std::vector<result<receipt>> answers;
  if (batch.empty())
    return answers;
  bool valid = !inside_callback();
  for (const auto& m : batch) {
    auto wrong = inside_callback() ? callback_waits : impl_->messages->check(m);
    valid = valid && !wrong;
    answers.push_back(std::move(wrong));
  }
  if (!valid) {
    for (auto& a : answers)
      if (!a.error())
        a = error{errc::invalid_argument, "another message of the batch is invalid, so none was sent",
                  "correct that one"};
    return answers;
  }
  auto board = std::make_shared<answer_board>(batch.size());
  for (std::uint32_t i = 0; i < batch.size(); ++i)
    if (auto refused = impl_->put(batch[i], {.slot = i, .board = board}, true))
      board->put(i, refused);
  return board->wait();
}

void producer::send_async(message m, callback done) {
  completion c{.call = std::move(done)};
  if (auto refused = impl_->put(m, std::move(c), true)) {
    const callback_mark mark;
    c(refused); // NOLINT(bugprone-use-after-move): put() moves from it only when it took the message
  }
}

std::future<result<receipt>> producer::send_async(message m) {
  auto promise = std::make_shared<std::promise<result<receipt>>>();
  auto answer = promise->get_future();
  send_async(std::move(m), [promise](const result<receipt>& r) { promise->set_value(r); });
  return answer;
}

error producer::send_one_way(message m) { return impl_->put(m, {}, true); }

error producer::try_send_async(message m, callback done) {
  return impl_->put(m, {.call = std::move(done)}, false);
}

error producer::try_send_one_way(message m) { return impl_->put(m, {}, false); }

error producer::flush(milliseconds limit) { return impl_->messages->flush(limit); }

error producer::close() { return impl_->close(); }

producer::stats producer::statistics() const { return impl_->messages->statistics(); }

} // namespace troupe
