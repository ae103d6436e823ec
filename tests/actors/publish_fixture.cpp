#include "publish_fixture.hpp"

#include "reader.hpp"
#include "retention.hpp"
#include "store.hpp"
#include "timer.hpp"
#include "transactions.hpp"

#include <stdexcept>

namespace troupe::test {

namespace {

class faulty_log final : public shard_log {
public:
  faulty_log(std::unique_ptr<shard_log> log, std::shared_ptr<log_faults> faults)
      : log_(std::move(log)), faults_(std::move(faults)) {}

  error append(std::span<const proposal> proposals) override {
    ++faults_->calls;
    bool publishes = false;
    bool drops = false;
    for (const auto& p : proposals) {
      publishes = publishes || std::holds_alternative<append_entry>(p.body);
      drops = drops || std::holds_alternative<drop_queue_entry>(p.body);
    }
    if (drops && faults_->drops)
      return faults_->drops;
    if (faults_->times > 0 && (publishes || faults_->what.code != errc::no_space)) {
      --faults_->times;
      return faults_->what;
    }
    faults_->sizes.push_back(proposals.size());
    return log_->append(proposals);
  }
  error admission(std::uint64_t bytes) const override { return log_->admission(bytes); }

private:
  std::unique_ptr<shard_log> log_;
  std::shared_ptr<log_faults> faults_;
};

std::shared_ptr<shard> open(const std::filesystem::path& dir, const shard_options& options) {
  auto opened = shard::open(dir, options);
  if (!opened)
    throw std::runtime_error(to_string(opened.error()));
  return std::move(*opened);
}

} // namespace

batch make_batch(std::uint64_t producer, std::uint64_t sequence, const std::vector<std::string>& bodies,
                 std::uint32_t epoch) {
  batch_builder builder;
  for (const auto& body : bodies)
    builder.add(message{.body = body});
  auto b = builder.finish();
  b.header.producer = producer_id{producer};
  b.header.epoch = producer_epoch{epoch};
  b.header.sequence = batch_sequence{sequence};
  return b;
}

std::vector<std::string> bodies(const std::vector<stored_batch>& batches) {
  std::vector<std::string> out;
  for (const auto& b : batches) {
    const auto reader = batch_reader::open(b.header, b.data);
    if (!reader) {
      out.push_back(to_string(reader.error()));
      continue;
    }
    for (std::uint32_t i = 0; i < reader->count(); ++i)
      out.emplace_back(reader->body(i));
  }
  return out;
}

publish_fixture::publish_fixture(const shard_options& options, const producer_limits& producers,
                                 std::uint64_t key_memory)
    : ctx_(std::make_shared<node_context>()) {
  auto& sys = world_.system();
  auto data = open(dir_.path(), options);
  ctx_->shards = {data};
  ctx_->in_flight = std::make_shared<byte_budget>(64u << 20);
  ctx_->tails = std::make_shared<byte_budget>(64u << 20);
  ctx_->now = [this] { return now_; };
  ctx_->clock = std::make_shared<node_clock>(ctx_->now, sys.clock().now());
  ctx_->log = [this](const log_event& e) { logged_.emplace_back(e.event); };
  store_config cfg{
      .data = data,
      .make_log = [faults = faults_](shard& s, shard_log::handler h) -> std::unique_ptr<shard_log> {
        return std::make_unique<faulty_log>(make_local_log(s, std::move(h)), faults);
      },
      .in_flight = ctx_->in_flight,
      .now = ctx_->now,
      .producers = producers,
      .key_memory = key_memory,
      .on_failure = [this](const error& e) { failures_.push_back(e); },
      .retention = [this] { return ctx_->retentions.empty() ? retention_actor{} : ctx_->retentions[0]; },
      .timer = [this] { return ctx_->timers.empty() ? timer_actor{} : ctx_->timers[0]; },
      .transactions =
          [this] { return ctx_->transactions.empty() ? transactions_actor{} : ctx_->transactions[0]; },
      .log = ctx_->log,
      .at_step = [this](std::string_view step) { steps_.emplace_back(step); }};
  // Undetached: what the factories start in threads of their own runs in ours here.
  ctx_->stores = {world_.owned(store_actor{sys.spawn(store, std::move(cfg))})};
  ctx_->readers = {world_.owned(reader_actor{sys.spawn(reader, data)})};
  ctx_->retentions = {world_.owned(
      retention_actor{sys.spawn(retention, retention_config{data, ctx_->stores[0], ctx_->now, ctx_->log})})};
  ctx_->timers = {world_.owned(
      timer_actor{sys.spawn(timers, timer_config{data, ctx_->stores[0], ctx_->clock, ctx_->log})})};
  ctx_->transactions = {world_.owned(
      transactions_actor{sys.spawn(transactions_behavior, transactions_config{ctx_, data->id()})})};
  run();
}

// Handles in the context would keep actors, and so the shard, alive.
publish_fixture::~publish_fixture() {
  ctx_->stores.clear();
  ctx_->readers.clear();
  ctx_->retentions.clear();
  ctx_->timers.clear();
  ctx_->transactions.clear();
}

void publish_fixture::advance(milliseconds step) {
  now_ += step;
  world_.advance(step);
}

topic_definition publish_fixture::topic_of(std::uint32_t queues, topic_options options,
                                           std::uint32_t first_id) const {
  options.queues = queues;
  return {.id = topic_id{1},
          .name = "orders",
          .options = options,
          .queues = {{queue_id{first_id}, lanes_of(options)}},
          .created = now_};
}

append_request publish_fixture::request(std::uint32_t queue, batch b, const producer_probe& producer,
                                        const queue_probe& queue_handle, durability wanted) {
  EXPECT_TRUE(ctx_->in_flight->try_take(in_flight_cost(b.header)));
  const auto rows = b.header.kind == batch_kind::plain ? 0 : b.header.count;
  return {queue_id{queue}, wanted, std::move(b), rows, producer.handle(), queue_handle.handle()};
}

publish publish_fixture::publish_of(queue_id queue, batch b, durability wanted) const {
  return {queue, wanted, b.header, b.data};
}

std::vector<std::string> publish_fixture::stored(queue_id queue) const {
  const auto read = ctx_->shards[0]->read(queue, queue_offset{0}, 64u << 20);
  return read ? bodies(read->batches) : std::vector<std::string>{to_string(read.error())};
}

} // namespace troupe::test
