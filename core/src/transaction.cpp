#include "troupe/transaction.hpp"

namespace troupe {

std::string_view to_string(transaction_state state) {
  switch (state) {
  case transaction_state::unknown:
    return "unknown";
  case transaction_state::begun:
    return "begun";
  case transaction_state::prepared:
    return "prepared";
  case transaction_state::committed:
    return "committed";
  case transaction_state::rolled_back:
    return "rolled_back";
  }
  return "unknown";
}

} // namespace troupe
