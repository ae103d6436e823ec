#include "applier.hpp"

namespace troupe {

void applier::apply_body(const begin_entry&, outcome&) {}
void applier::apply_body(const seal_entry&, outcome&) {}
void applier::apply_body(const decide_entry&, outcome&) {}
void applier::apply_body(const confirm_entry&, outcome&) {}
void applier::apply_body(const checked_entry&, outcome&) {}
void applier::apply_body(const forget_transactions_entry&, outcome&) {}

} // namespace troupe
