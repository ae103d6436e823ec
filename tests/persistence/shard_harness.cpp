#include "shard_harness.hpp"

#include "environment.hpp"

#include <cerrno>
#include <cstdlib>
#include <stdexcept>
#include <system_error>

namespace troupe::test {

scratch_directory::scratch_directory() {
  const std::filesystem::path memory = "/dev/shm";
  std::error_code failed;
  const auto space = std::filesystem::space(memory, failed);
  const bool fits = !failed && space.available > (256u << 20);
  auto name = ((fits ? memory : std::filesystem::temp_directory_path()) / "troupe-test-XXXXXX").string();
  if (!::mkdtemp(name.data()))
    throw std::system_error(errno, std::generic_category(), "cannot make a scratch directory");
  path_ = name;
}

scratch_directory::~scratch_directory() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

batch make_batch(std::uint64_t producer, std::uint32_t epoch, std::uint64_t sequence, std::uint32_t count,
                 std::size_t size) {
  return make_keyed_batch(producer, epoch, sequence, std::vector<std::string>(count), size);
}

batch make_delayed(std::uint64_t producer, std::uint64_t sequence, const std::vector<std::int64_t>& dues,
                   std::size_t size, std::uint32_t epoch) {
  std::vector<keyed_message> messages;
  for (auto due : dues)
    messages.push_back({{}, due});
  return make_keyed_delayed(producer, epoch, sequence, messages, size);
}

batch make_keyed_batch(std::uint64_t producer, std::uint32_t epoch, std::uint64_t sequence,
                       const std::vector<std::string>& keys, std::size_t size) {
  std::vector<keyed_message> messages;
  for (const auto& key : keys)
    messages.push_back({key, 0});
  auto b = make_keyed_delayed(producer, epoch, sequence, messages, size);
  b.header.kind = batch_kind::plain;
  return b;
}

namespace {

void fill(batch_builder& builder, std::uint64_t producer, std::uint32_t epoch, std::uint64_t sequence,
          const std::vector<keyed_message>& messages, std::size_t size) {
  for (std::size_t i = 0; i < messages.size(); ++i) {
    message m;
    if (!messages[i].key.empty())
      m.keys = {messages[i].key, "another"};
    if (messages[i].due)
      m.deliver_at = from_unix_ms(messages[i].due);
    m.body = std::to_string(producer) + "/" + std::to_string(epoch) + "/" + std::to_string(sequence) + "/" +
             std::to_string(i) + " ";
    m.body.resize(std::max(m.body.size(), size), 'x');
    builder.add(m);
  }
}

batch number(batch b, std::uint64_t producer, std::uint32_t epoch, std::uint64_t sequence, batch_kind kind) {
  b.header.producer = producer_id{producer};
  b.header.epoch = producer_epoch{epoch};
  b.header.sequence = batch_sequence{sequence};
  b.header.kind = kind;
  return b;
}

} // namespace

batch make_keyed_delayed(std::uint64_t producer, std::uint32_t epoch, std::uint64_t sequence,
                         const std::vector<keyed_message>& messages, std::size_t size) {
  batch_builder builder;
  fill(builder, producer, epoch, sequence, messages, size);
  return number(builder.finish(), producer, epoch, sequence, batch_kind::delayed);
}

batch make_keyed_half(std::uint64_t producer, std::uint32_t epoch, std::uint64_t sequence,
                      const std::vector<std::string>& keys, const half_of& whose, std::size_t size) {
  std::vector<keyed_message> messages;
  for (const auto& key : keys)
    messages.push_back({key, 0});
  batch_builder builder;
  fill(builder, producer, epoch, sequence, messages, size);
  return number(builder.finish({whose.group, whose.transaction}), producer, epoch, sequence,
                batch_kind::transactional);
}

batch make_half(std::uint64_t producer, std::uint64_t sequence, std::uint32_t count, const half_of& whose,
                std::size_t size, std::uint32_t epoch) {
  return make_keyed_half(producer, epoch, sequence, std::vector<std::string>(count), whose, size);
}

proposal publish(std::uint32_t queue, std::vector<batch> batches, std::int64_t time, milliseconds window) {
  return {from_unix_ms(time), append_entry{queue_id{queue}, std::move(batches), window}};
}

proposal settle(std::uint32_t group, std::uint32_t queue, std::uint64_t gen, std::vector<settle_range> ranges,
                std::int64_t time) {
  return {from_unix_ms(time), settle_entry{{settle_section{group_id{group}, queue_id{queue}, 0,
                                                           generation{gen}, std::move(ranges)}}}};
}

proposal trim(std::uint32_t queue, std::uint64_t first) {
  return {{}, trim_entry{queue_id{queue}, queue_offset{first}}};
}

proposal reset(std::uint32_t group, std::uint32_t queue, std::uint64_t to) {
  return {{}, reset_entry{group_id{group}, queue_id{queue}, 0, queue_offset{to}}};
}

proposal drop(std::uint32_t queue, std::uint32_t group) {
  return {{}, drop_queue_entry{queue_id{queue}, group_id{group}}};
}

proposal evict(std::int64_t before, std::uint64_t keep) {
  return {from_unix_ms(1000), evict_entry{from_unix_ms(before), keep}};
}

proposal forget_keys(std::uint32_t queue, std::int64_t before) {
  return {{}, forget_keys_entry{queue_id{queue}, from_unix_ms(before)}};
}

settle_range ack(std::uint64_t first, std::uint32_t count) {
  return {queue_offset{first}, count, settle_action::ack, 0, {}};
}

settle_range retry(std::uint64_t first, std::uint16_t attempts, std::int64_t due, std::uint32_t count) {
  return {queue_offset{first}, count, settle_action::retry, attempts, from_unix_ms(due)};
}

settle_range dead(std::uint64_t first, std::uint32_t count, dead_reason reason, std::string detail) {
  return {queue_offset{first}, count, settle_action::dead, 16, {}, reason, std::move(detail)};
}

proposal redrive(std::uint32_t group, std::uint32_t queue, std::vector<message_place> messages,
                 std::int64_t time) {
  return {from_unix_ms(time), redrive_entry{group_id{group}, queue_id{queue}, std::move(messages)}};
}

proposal purge(std::uint32_t group, std::uint32_t queue, std::vector<message_place> messages) {
  return {{}, purge_entry{group_id{group}, queue_id{queue}, std::move(messages)}};
}

shard_harness::shard_harness(log_kind kind, shard_options options, std::uint64_t seed)
    : kind_(kind), options_(options), seed_(seed) {
  own_.emplace();
  where_ = own_->path();
  open();
}

shard_harness::shard_harness(log_kind kind, std::filesystem::path where, shard_options options,
                             std::uint64_t seed)
    : where_(std::move(where)), kind_(kind), options_(options), seed_(seed) {
  open();
}

void shard_harness::open() {
  auto opened = shard::open(where_, options_);
  if (!opened)
    throw std::runtime_error("opening the shard: " + troupe::to_string(opened.error()));
  shard_ = *std::move(opened);
  auto handler = [this](std::uint64_t, const applied& outcome) { outcomes.push_back(outcome); };
  if (kind_ == log_kind::local) {
    log_ = make_local_log(*shard_, handler);
  } else {
    auto log = std::make_unique<delayed_log>(*shard_, handler, delayed_log::behaviour{.seed = seed_++});
    delayed_ = log.get();
    log_ = std::move(log);
  }
}

void shard_harness::close() {
  log_.reset();
  delayed_ = nullptr;
  shard_.reset();
}

void shard_harness::reopen() {
  close();
  open();
}

std::filesystem::path shard_harness::data_file() const {
  return where_ / ("shard-" + std::to_string(options_.id.value)) / "data.mdb";
}

void shard_harness::settle_down() {
  if (delayed_) {
    ASSERT_EQ(delayed_->settle_down(), error{});
  }
}

void shard_harness::resend() {
  if (delayed_) {
    ASSERT_EQ(delayed_->resend(), error{});
  }
}

applied shard_harness::apply(proposal p) {
  const auto err = append({std::move(p)});
  EXPECT_EQ(err, error{});
  if (err)
    return {};
  settle_down();
  EXPECT_FALSE(outcomes.empty());
  return outcomes.empty() ? applied{} : outcomes.back();
}

void tamper(const std::filesystem::path& dir, const std::function<void(lmdb_txn&, const tables&)>& change) {
  auto env = environment::open(dir, small_shard());
  ASSERT_TRUE(env.has_value());
  lmdb_txn txn((*env)->handle(), 0);
  change(txn, (*env)->db());
  txn.commit();
}

std::vector<stored_batch> read_all(const shard& s, queue_id queue, std::uint32_t step,
                                   std::vector<damage>* damaged) {
  std::vector<stored_batch> found;
  const auto extent = s.extent(queue);
  EXPECT_TRUE(extent.has_value());
  if (!extent)
    return found;
  for (auto at = extent->first; at < extent->next;) {
    auto read = s.read(queue, at, step);
    EXPECT_TRUE(read.has_value()) << troupe::to_string(read.error());
    if (!read || read->next <= at) {
      ADD_FAILURE() << "reading stands still at " << at.value;
      break;
    }
    if (damaged)
      damaged->insert(damaged->end(), read->damaged.begin(), read->damaged.end());
    else
      EXPECT_TRUE(read->damaged.empty()) << troupe::to_string(read->damaged.front());
    at = read->next;
    std::move(read->batches.begin(), read->batches.end(), std::back_inserter(found));
  }
  return found;
}

std::vector<message_place> dead_places(const shard& s, queue_id queue, group_id group, std::size_t max) {
  std::vector<message_place> places;
  const auto found = s.dead_letters(queue, group, {}, max).value();
  for (const auto& d : found)
    places.push_back({d.id.index, d.id.ordinal});
  return places;
}

std::vector<std::string> bodies(const stored_batch& b) {
  std::vector<std::string> found;
  const auto reader = batch_reader::open(b.header, b.data);
  EXPECT_TRUE(reader.has_value());
  for (std::uint32_t i = 0; reader && i < reader->count(); ++i)
    found.emplace_back(reader->body(i));
  return found;
}

} // namespace troupe::test
