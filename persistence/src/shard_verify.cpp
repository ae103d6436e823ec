#include "guarded.hpp"
#include "shard_impl.hpp"
#include "verifier.hpp"

namespace troupe {

std::vector<damage> shard::verify(const std::function<void(std::uint64_t, std::uint64_t)>& progress) const {
  const auto& env = *impl_->env;
  std::vector<damage> found;
  const auto err = guarded([&]() -> error {
    for (auto& what : env.check_pages())
      found.push_back({id(), {}, {}, {}, {}, "the file's structure: " + what});
    if (!found.empty()) // LMDB trusts its pages: what it would read there could be anything
      return {};
    const lmdb_txn txn(env.handle(), MDB_RDONLY);
    verifier v(env, txn, found);
    v.run(progress);
    return {};
  });
  if (err)
    found.push_back({id(), {}, {}, {}, {}, "the tables cannot be read to the end: " + to_string(err)});
  return found;
}

} // namespace troupe
