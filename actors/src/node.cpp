#include "troupe/node.hpp"

#include "directory.hpp"
#include "factories.hpp"
#include "node_address.hpp"
#include "node_system.hpp"
#include "troupe/data_directory.hpp"
#include "troupe/guarded_middleman.hpp"
#include "troupe/tls.hpp"

#include <caf/actor_registry.hpp>
#include <caf/actor_system.hpp>
#include <caf/exit_reason.hpp>
#include <caf/io/basp_broker.hpp>
#include <caf/io/middleman.hpp>
#include <caf/logger.hpp>
#include <caf/openssl/manager.hpp>
#include <caf/scoped_actor.hpp>

#include <condition_variable>
#include <future>
#include <mutex>
#include <optional>
#include <set>
#include <thread>
#include <utility>

#include <unistd.h>

namespace troupe {

namespace {

using namespace std::chrono_literals;
using steady = std::chrono::steady_clock;

constexpr auto stop_deadline = 5s;
constexpr auto request_timeout = 10s;
constexpr const char* component = "node";

/// Says once that the node should end, and why. Shared with callbacks that may outlive the node.
class end_signal {
public:
  explicit end_signal(std::function<void(const error&)> on_end) : on_end_(std::move(on_end)) {}

  void raise(const error& why) {
    std::function<void(const error&)> tell;
    {
      std::lock_guard guard{mutex_};
      if (why_)
        return;
      why_ = why;
      tell = std::exchange(on_end_, nullptr);
    }
    changed_.notify_all();
    if (tell)
      tell(why);
  }
  /// From now on nobody is called.
  void mute() {
    std::lock_guard guard{mutex_};
    on_end_ = nullptr;
  }
  std::optional<error> wait(milliseconds deadline) {
    std::unique_lock lock{mutex_};
    changed_.wait_for(lock, deadline, [this] { return why_.has_value(); });
    return why_;
  }

private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::optional<error> why_;
  std::function<void(const error&)> on_end_;
};

std::string host_name() {
  char name[256] = {};
  return ::gethostname(name, sizeof name - 1) == 0 && name[0] ? name : "node";
}

timestamp wall_clock() { return std::chrono::floor<milliseconds>(std::chrono::system_clock::now()); }

/// CAF remembers in each thread that touched an actor system its logger, and the system's destructor waits
/// until nobody does. So whoever enters from outside forgets it on the way out; else a stop in another thread
/// would never end.
struct visit {
  visit() = default;
  visit(const visit&) = delete;
  visit& operator=(const visit&) = delete;
  ~visit() { caf::logger::set_current_actor_system(nullptr); }
};

/// CAF's broker watches every actor that a client has a handle of, and the news that it ended holds the actor
/// itself. What the broker has not read when the actor system stops it keeps for ever, and the system's
/// destructor then waits for ever for that actor's thread. So: everything has ended, wait until the broker
/// has read it all.
void quiet_broker(caf::actor_system& sys) {
  visit here;
  const auto broker = sys.middleman().named_broker<caf::io::basp_broker>(caf::atom("BASP"));
  caf::scoped_actor self{sys, true};
  // Any question will do.
  self->request(broker, 1s, caf::get_atom::value, sys.node())
      .receive([](const caf::node_id&, const std::string&, std::uint16_t) {}, [](const caf::error&) {});
}

milliseconds left(steady::time_point until) {
  return std::max(milliseconds{1}, std::chrono::ceil<milliseconds>(until - steady::now()));
}

} // namespace

/// All that must go together, in this order from the last member to the first: handles, actor system, shards,
/// lock.
struct machinery {
  data_directory files;
  std::shared_ptr<node_context> ctx = std::make_shared<node_context>();
  std::unique_ptr<node_system_config> settings;
  std::unique_ptr<caf::actor_system> system;
  catalog_actor catalog;
  caf::actor directory;
  /// Who listens for us; empty when nobody does.
  caf::io::middleman_actor middleman;

  explicit machinery(data_directory f) : files(std::move(f)) {}
};

struct node::impl {
  node_config config;
  std::shared_ptr<end_signal> end;
  std::unique_ptr<machinery> parts;
  std::uint16_t port = 0;
  std::string address;
  std::mutex stopping;
  error stop_result;

  error open_shards();
  error spawn_actors();
  void begin_transactions();
  error publish();
  void close_port(caf::scoped_actor& self);
  bool end_actors(caf::scoped_actor& self, steady::time_point until);
  error stop();
  void report(log_level level, std::string_view event, std::string text,
              std::vector<std::pair<std::string, std::string>> fields = {}) {
    log(config.log, {level, component, event, std::move(text), std::move(fields)});
  }
};

error node::impl::open_shards() {
  const auto shards = parts->files.shards();
  for (std::uint16_t n = 0; n < shards; ++n) {
    shard_options options;
    options.id = shard_id{n};
    options.shards = shards;
    options.budget = config.disk_budget / shards;
    auto opened = shard::open(parts->files.path(), options);
    if (!opened)
      return opened.error();
    auto stats = (*opened)->stats();
    report(log_level::info, "shard_opened", "shard " + std::to_string(n) + " is open",
           {{"shard", std::to_string(n)},
            {"entries", std::to_string(stats.entries)},
            {"file", std::to_string(stats.file)}});
    parts->ctx->shards.push_back(std::move(*opened));
  }
  return parts->files.complete();
}

error node::impl::spawn_actors() {
  auto& sys = *parts->system;
  auto& ctx = *parts->ctx;
  ctx.in_flight = std::make_shared<byte_budget>(config.in_flight);
  ctx.tails = std::make_shared<byte_budget>(config.tail_cache);
  ctx.max_delay = config.max_delay;
  ctx.checks = config.transaction_checks;
  ctx.now = config.now;
  ctx.clock = std::make_shared<node_clock>(config.now, sys.clock().now());
  ctx.log = config.log;
  for (const auto& data : ctx.shards) {
    auto retention = std::make_shared<retention_actor>();
    auto timer = std::make_shared<timer_actor>();
    auto transactions = std::make_shared<transactions_actor>();
    store_config store;
    store.data = data;
    store.in_flight = ctx.in_flight;
    store.key_memory = config.key_memory / ctx.shards.size();
    store.producers = {config.max_producers, config.producer_memory};
    store.now = config.now;
    store.log = config.log;
    store.at_step = config.at_step;
    store.on_failure = [end = end](const error& err) { end->raise(err); };
    store.retention = [retention] { return *retention; };
    store.timer = [timer] { return *timer; };
    store.transactions = [transactions] { return *transactions; };
    ctx.stores.push_back(spawn_store(sys, std::move(store)));
    ctx.readers.push_back(spawn_reader(sys, data));
    *retention = spawn_retention(sys, data, ctx.stores.back(), config.now, config.log);
    ctx.retentions.push_back(*retention);
    *timer = spawn_timer(sys, data, ctx.stores.back(), ctx.clock, config.log);
    ctx.timers.push_back(*timer);
    *transactions = spawn_transactions(sys, parts->ctx, data->id());
    ctx.transactions.push_back(*transactions);
  }
  auto catalog = spawn_catalog(sys, parts->ctx);
  if (!catalog)
    return catalog.error();
  parts->catalog = *catalog;
  begin_transactions();
  directory_config directory;
  directory.catalog = *catalog;
  directory.about.name = config.name;
  directory.about.version = TROUPE_VERSION;
  directory.about.data = parts->files.path().string();
  directory.about.disk_budget = config.disk_budget;
  directory.on_end = [end = end](const error& err) { end->raise(err); };
  parts->directory = spawn_directory(sys, parts->ctx, std::move(directory));
  return {};
}

/// Only now each can reach all that it needs.
void node::impl::begin_transactions() {
  caf::scoped_actor self{*parts->system, true};
  transactions_peers peers{{parts->ctx->transactions.begin(), parts->ctx->transactions.end()},
                           parts->catalog};
  for (const auto& handle : parts->ctx->transactions)
    self->send(handle, peers);
}

error node::impl::publish() {
  if (config.host.empty())
    return {};
  auto& sys = *parts->system;
  parts->middleman =
      config.tls_ca.empty() ? spawn_guarded_middleman(sys) : sys.openssl_manager().actor_handle();
  caf::scoped_actor self{sys};
  caf::expected<std::uint16_t> bound{caf::sec::runtime_error};
  self->request(parts->middleman, request_timeout, caf::publish_atom::value, config.port,
                caf::actor_cast<caf::strong_actor_ptr>(parts->directory), std::set<std::string>{},
                config.host, true)
      .receive([&](std::uint16_t p) { bound = p; }, [&](caf::error& why) { bound = std::move(why); });
  if (!bound)
    return {errc::in_use,
            "cannot listen on " + join_address(config.host, config.port) + ": " + sys.render(bound.error()),
            "the port may be taken, or the address is not this machine's; port 0 takes any free one"};
  port = *bound;
  address = join_address(config.host, port);
  self->send(parts->directory, listening{address, port});
  return {};
}

void node::impl::close_port(caf::scoped_actor& self) {
  if (!parts->middleman)
    return;
  self->request(parts->middleman, 1s, caf::close_atom::value, port).receive([] {}, [](const caf::error&) {});
  // The TLS one belongs to the actor system, ours to us.
  if (config.tls_ca.empty())
    self->send_exit(parts->middleman, caf::exit_reason::user_shutdown);
  parts->middleman = nullptr;
}

/// False when some did not end in time.
bool node::impl::end_actors(caf::scoped_actor& self, steady::time_point until) {
  auto end = [&](const auto& handle) {
    if (!handle)
      return true;
    bool ended = false;
    self->monitor(handle);
    self->send_exit(handle, caf::exit_reason::user_shutdown);
    self->receive([&](const caf::down_msg&) { ended = true; }, caf::after(left(until)) >> [] {});
    return ended;
  };
  auto& ctx = *parts->ctx;
  bool all = end(parts->directory) && end(parts->catalog);
  for (const auto& handle : ctx.retentions)
    all = all && end(handle);
  for (const auto& handle : ctx.timers)
    all = all && end(handle);
  for (const auto& handle : ctx.transactions)
    all = all && end(handle);
  for (const auto& handle : ctx.readers)
    all = all && end(handle);
  for (const auto& handle : ctx.stores)
    all = all && end(handle);
  return all;
}

error node::impl::stop() {
  std::lock_guard guard{stopping};
  if (!parts)
    return stop_result;
  end->mute();
  const auto until = steady::now() + stop_deadline;
  bool ended = true;
  if (parts->system) {
    visit here;
    caf::scoped_actor self{*parts->system};
    close_port(self);
    if (parts->directory)
      self->request(parts->directory, left(until - 500ms), drain_atom::value)
          .receive([](bool) {}, [](const caf::error&) {});
    ended = end_actors(self, until);
  }
  // The actor system's destructor waits for every actor, also for those of a program that embeds the node.
  // When one does not end, everything is left as it is: the process is about to end, and what was
  // acknowledged is on the disk.
  std::promise<void> released;
  std::promise<void> destroyed;
  auto files_free = released.get_future();
  auto done = destroyed.get_future();
  std::thread last{[listened = port != 0, all = std::move(parts), r = std::move(released),
                    d = std::move(destroyed)]() mutable {
    all->catalog = nullptr;
    all->directory = nullptr;
    if (all->system) {
      // Only then does nobody read the context any more, whose handles must not outlive the system.
      all->system->registry().await_running_count_equal(0);
      all->ctx->stores.clear();
      all->ctx->readers.clear();
      all->ctx->retentions.clear();
      all->ctx->timers.clear();
      all->ctx->transactions.clear();
    }
    all->ctx->shards.clear();
    { const auto lock = std::move(all->files); }
    r.set_value();
    if (all->system && listened)
      quiet_broker(*all->system);
    all->system.reset();
    all.reset();
    d.set_value();
  }};
  if (ended && files_free.wait_for(left(until)) == std::future_status::ready) {
    // Files are closed and the lock is free: the node has stopped. CAF's own end sometimes waits for a thread
    // whose actor has ended already; nobody needs to wait with it.
    if (done.wait_for(std::min(left(until), milliseconds{500})) == std::future_status::ready) {
      last.join();
    } else {
      last.detach();
      report(log_level::warning, "slow_end", "the actor system has not ended yet; nothing depends on it");
    }
    report(log_level::info, "stopped", "the node has stopped");
    return {};
  }
  last.detach();
  stop_result = {errc::timeout, "some actors did not end within 5 s",
                 "end the process; what was acknowledged is on the disk"};
  report(log_level::error, "stop_timeout", stop_result.reason);
  return stop_result;
}

node::node(std::unique_ptr<impl> i) : impl_(std::move(i)) {}

node::~node() { stop(); }

result<std::unique_ptr<node>> node::start(node_config config) {
  if (auto err = validate(config))
    return err;
  if (!config.host.empty())
    if (auto err = check_address(config))
      return err;
  if (!config.tls_ca.empty())
    if (auto err = check_tls_files({config.tls_certificate, config.tls_key, config.tls_ca}))
      return err;
  if (config.name.empty())
    config.name = host_name();
  if (!config.now)
    config.now = wall_clock;
  // Before a data directory is made for nothing.
  if (auto err = check_port(config))
    return err;
  auto files = data_directory::open(config.data, config.shards);
  if (!files)
    return files.error();
  config.shards = files->shards();
  if (auto err = validate(config))
    return err;
  visit here;
  auto parts = std::make_unique<impl>();
  auto& i = *parts;
  i.config = std::move(config);
  i.end = std::make_shared<end_signal>(i.config.on_end);
  i.parts = std::make_unique<machinery>(std::move(*files));
  // Stops what was started when a step fails.
  std::unique_ptr<node> made{new node(std::move(parts))};
  if (auto err = i.open_shards())
    return err;
  i.parts->settings = std::make_unique<node_system_config>(i.config);
  i.parts->system = std::make_unique<caf::actor_system>(*i.parts->settings);
  if (auto err = i.spawn_actors())
    return err;
  if (auto err = i.publish())
    return err;
  i.report(log_level::info, "started", "the node runs",
           {{"listen", i.address},
            {"data", i.parts->files.path().string()},
            {"identity", i.parts->files.identity()}});
  return made;
}

std::string node::address() const { return impl_->address; }

std::uint16_t node::port() const { return impl_->port; }

caf::actor_system& node::system() {
  std::lock_guard guard{impl_->stopping};
  return *impl_->parts->system;
}

caf::actor node::directory() const {
  std::lock_guard guard{impl_->stopping};
  return impl_->parts ? impl_->parts->directory : caf::actor{};
}

result<node_status> node::status() const {
  std::unique_lock lock{impl_->stopping};
  if (!impl_->parts)
    return error{errc::shutting_down, "the node has stopped"};
  visit here;
  // A stop() waits until this actor is gone, and the DIRECTORY's end answers the request: so nobody waits
  // long for anybody, and the lock is free.
  caf::scoped_actor self{*impl_->parts->system};
  const auto directory = impl_->parts->directory;
  lock.unlock();
  result<node_status> answer{error{errc::internal, "no answer"}};
  self->request(directory, request_timeout, status_atom::value)
      .receive([&](node_status& status) { answer = std::move(status); },
               [&](const caf::error& err) { answer = from_caf(err); });
  return answer;
}

error node::wait(milliseconds deadline) {
  if (auto why = impl_->end->wait(deadline))
    return *why;
  return {errc::timeout, "the node runs on"};
}

error node::stop() { return impl_->stop(); }

} // namespace troupe
